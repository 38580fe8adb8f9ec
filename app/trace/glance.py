"""What one SIP message says at a glance: start line, CSeq, and the one thing that explains it. Never raises.

Not the parser that calls are made with: this one only has to show what is there, whatever was sent.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from app.trace.media import summary

_STATUS = re.compile(r"SIP/2\.0 ([1-6][0-9][0-9])(?: (.*))?\Z", re.IGNORECASE)
_REQUEST = re.compile(r"([A-Za-z0-9\-.!%*_+`'~]{1,32}) (\S+) SIP/2\.0\Z", re.IGNORECASE)
_COMPACT = {
    "v": "via",
    "f": "from",
    "t": "to",
    "i": "call-id",
    "m": "contact",
    "c": "content-type",
    "l": "content-length",
}
_PARAMETER = r'[\s,;]*{}\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,;>"]+)'
_TAG, _BRANCH, _REALM, _USERNAME, _ALGORITHM, _TEXT = (
    re.compile(_PARAMETER.format(name), re.IGNORECASE)
    for name in ("tag", "branch", "realm", "username", "algorithm", "text")
)
_LONGEST = 200  # characters of anything shown


class Kind(StrEnum):
    REQUEST = "request"
    PROVISIONAL = "provisional"
    SUCCESS = "success"
    FAILURE = "failure"  # 3xx to 6xx
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Glance:
    kind: Kind
    start_line: str
    method: str  # of a response that of its CSeq
    code: int  # 0 for a request
    reason: str
    cseq: str  # "1 INVITE"
    call_id: str
    branch: str  # of the topmost Via
    to_tag: str
    detail: str  # SDP, challenge, Contact of a redirection or Reason; may be empty

    @property
    def title(self) -> str:
        """``INVITE`` or ``407 Proxy Authentication Required``."""
        if self.kind is Kind.UNREADABLE:
            return "unreadable"
        return f"{self.code} {self.reason}".strip() if self.code else self.method

    @property
    def number(self) -> str:
        return self.cseq.partition(" ")[0]


def glance(data: bytes) -> Glance:
    """Read what can be read."""
    text = data.decode(errors="replace").lstrip("\r\n")
    head, _, body = text.replace("\r\n", "\n").partition("\n\n")
    lines = re.sub(r"\n[ \t]+", " ", head).split("\n")
    headers = _headers(lines[1:])
    cseq = " ".join(headers.get("cseq", "").split())[:_LONGEST]
    status, request = _STATUS.match(lines[0].strip()), _REQUEST.match(lines[0].strip())
    if status:
        code, reason = int(status[1]), (status[2] or "").strip()
        method, kind = cseq.partition(" ")[2], _kind(code)
    elif request:
        code, reason, method, kind = 0, "", request[1], Kind.REQUEST
    else:
        code, reason, method, kind = 0, "", "", Kind.UNREADABLE
    return Glance(
        kind,
        lines[0][:_LONGEST],
        method[:_LONGEST],
        code,
        reason[:_LONGEST],
        cseq,
        headers.get("call-id", "")[:_LONGEST],
        _found(_BRANCH, headers.get("via", "")),
        _found(_TAG, headers.get("to", "")),
        _detail(code, headers, body)[:_LONGEST],
    )


def _kind(code: int) -> Kind:
    if code < 200:
        return Kind.PROVISIONAL
    return Kind.SUCCESS if code < 300 else Kind.FAILURE


def _headers(lines: list[str]) -> dict[str, str]:
    """The first of each name, in lower case and long form."""
    found: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name = name.strip().lower()
        found.setdefault(_COMPACT.get(name, name), value.strip())
    return found


def _detail(code: int, headers: dict[str, str], body: str) -> str:
    for name in ("www-authenticate", "proxy-authenticate"):
        if name in headers and code in (401, 407):
            value = headers[name]
            algorithm = _found(_ALGORITHM, value) or "MD5"
            return f"realm {_found(_REALM, value)} · {algorithm}"
    if 300 <= code < 400 and "contact" in headers:
        return headers["contact"]
    if body and (described := summary(body)):
        return described
    if "reason" in headers and (text := _found(_TEXT, headers["reason"])):
        return text
    for name in ("warning", "retry-after", "reason"):
        if code >= 300 and name in headers:
            return f"{name.title()}: {headers[name]}"
    return ""


def credentials(data: bytes) -> str:
    """Who logs in with this request: ``alice at example.com``; empty when nobody does."""
    head = data.partition(b"\r\n\r\n")[0].decode(errors="replace")
    match = re.search(r"^(?:proxy-)?authorization[ \t]*:[ \t]*(.*)$", head, re.IGNORECASE | re.MULTILINE)
    if match is None:
        return ""
    return f"login {_found(_USERNAME, match[1])} at {_found(_REALM, match[1])}"[:_LONGEST]


def _found(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text[:4096])
    return match[1].strip('"')[:_LONGEST] if match else ""
