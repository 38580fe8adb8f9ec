"""Bodies in: which Content-Types an operation reads, and the dial request or JSON object that a body is."""

from dataclasses import dataclass

from starlette.requests import Request

from app.api.parameters import no_parameters
from app.api.parts import ApiParts
from app.api.problems import Refused
from app.rcml import jsonform, jsontext, parse
from app.rcml.codes import Code
from app.rcml.encoding import charset_of
from app.rcml.fields import Rules
from app.rcml.jsontext import Members
from app.rcml.plan import DialRequest
from app.rcml.query import pairs
from app.rcml.report import Place, refusal, shown

JSON = "application/json"
XML = ("application/xml", "text/xml")


@dataclass(frozen=True, slots=True)
class Body:
    content: bytes
    media_type: str
    charset: str | None


async def read(request: Request, *media_types: str) -> Body:
    """The whole body; raises Refused (415) before it is read. 64 KiB and 15 s are watched by `limits`."""
    given = request.headers.getlist("content-type")
    kind = given[0] if len(given) == 1 else ""
    media_type = kind.partition(";")[0].strip().lower()
    if media_type not in media_types:
        what = f"{shown(media_type)} is not read here" if media_type else "is missing or there twice"
        raise Refused(Code.MEDIA_TYPE_UNSUPPORTED, f"the Content-Type {what}; use {' or '.join(media_types)}")
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding not in ("", "identity"):
        raise Refused(Code.MEDIA_TYPE_UNSUPPORTED, f"the Content-Encoding {shown(encoding)} is not read; send it plain")
    return Body(await request.body(), media_type, charset_of(kind))


def dial_request(body: Body, request: Request, parts: ApiParts) -> DialRequest:
    """Raises BadRequest with every problem."""
    allowed = rules(parts)
    if body.media_type == JSON:
        no_parameters(request)  # request-level fields are members there
        _utf_8_only(body)
        return jsonform.parse(body.content, allowed)
    query = pairs(request.scope["query_string"])
    return parse.parse(body.content, allowed, charset=body.charset, query=query)


def rules(parts: ApiParts) -> Rules:
    """The addresses that a document may name."""
    return Rules(parts.sip_policy, parts.http_policy)


async def json_object(request: Request) -> Members:
    """The JSON object that the body is; raises BadRequest and Refused."""
    body = await read(request, JSON)
    _utf_8_only(body)
    value = jsontext.value_of(body.content)
    if not isinstance(value, Members):
        raise refusal(Code.WRONG_ROOT, "the body must be a JSON object", Place(""))
    return value


def _utf_8_only(body: Body) -> None:
    if body.charset is not None and body.charset.lower() not in ("utf-8", "utf8"):
        detail = f"the encoding '{shown(body.charset)}' is not read; JSON is always UTF-8"
        raise refusal(Code.ENCODING_UNSUPPORTED, detail)
