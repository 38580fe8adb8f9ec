"""``POST /v1/dials``: a dial request in RCML or JSON becomes a call; ``…/validate`` only says what it would be."""

import hashlib
import re

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from app.api import bodies
from app.api.answers import Json
from app.api.capacity import Admission
from app.api.operations import DIAL, VALIDATE
from app.api.parts import ApiParts
from app.api.problems import Refused
from app.api.views import RecordingsOf, call_uri, call_view
from app.calls.errors import BadRequest, KeyConflict
from app.calls.sid import AccountSid
from app.rcml.codes import Code
from app.rcml.render import to_json, to_rcml
from app.rcml.report import refusal
from app.runtime import log
from app.store.keys import is_used
from app.store.placing import Idempotency

_KEY = re.compile(r"[\x20-\x7e]{1,255}\Z")
_log = log.get(__name__)


def add_routes(router: APIRouter, parts: ApiParts, admission: Admission) -> None:
    @router.post("/v1/dials", **DIAL)
    async def dial(request: Request) -> Response:
        account: AccountSid = request.state.account
        idempotency_key = _key(request)
        body = await bodies.read(request, *bodies.XML, bodies.JSON)
        try:
            asked = bodies.dial_request(body, request, parts)
        except BadRequest:
            # Only what was placed is remembered under a key, so that what is wrong is another request.
            if idempotency_key is not None and await is_used(parts.database, account, idempotency_key):
                raise KeyConflict(idempotency_key) from None
            raise
        await _admit(account, idempotency_key, parts, admission)
        placed = await parts.place(
            account,
            asked,
            rcml=to_rcml(asked.document, masked=True),
            idempotency=_idempotency(account, idempotency_key, request, body.content),
        )
        sid = placed.parent.sid
        _log.info("dial.accepted", call=sid, account=account, legs=len(placed.legs), replayed=placed.replayed)
        headers = {"Location": request.scope.get("root_path", "") + call_uri(sid)}
        recordings: RecordingsOf = {}
        if placed.replayed:
            headers["Idempotency-Replayed"] = "true"
            recordings = await parts.recordings.of_calls([call.sid for call in (placed.parent, *placed.legs)])
        return Json(call_view(placed.parent, placed.legs, recordings), 202, headers)

    @router.post("/v1/dials/validate", **VALIDATE)
    async def validate(request: Request) -> Response:
        body = await bodies.read(request, *bodies.XML, bodies.JSON)
        asked = bodies.dial_request(body, request, parts)
        return Json({"json": to_json(asked, masked=True), "rcml": to_rcml(asked.document, masked=True)})


async def _admit(account: AccountSid, key: str | None, parts: ApiParts, admission: Admission) -> None:
    """Raises Refused when a new call may not be placed now; a request that is repeated places none."""
    try:
        await admission.admit()
    except Refused:
        if key is None or not await is_used(parts.database, account, key):
            raise


def _key(request: Request) -> str | None:
    given = request.headers.getlist("idempotency-key")
    if not given:
        return None
    if len(given) > 1 or not _KEY.match(given[0]):
        detail = "the header Idempotency-Key must be there once, with 1 to 255 printable ASCII characters"
        raise refusal(Code.IDEMPOTENCY_KEY_INVALID, detail)
    return given[0]


def _idempotency(account: AccountSid, key: str | None, request: Request, content: bytes) -> Idempotency | None:
    if key is None:
        return None
    query: bytes = request.scope["query_string"]
    digest = hashlib.sha256(len(query).to_bytes(4) + query + content).digest()
    return Idempotency(account, key, digest)
