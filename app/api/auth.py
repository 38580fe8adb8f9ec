"""Who asks: HTTP Basic with the account's sid and token on every path that is not public, or a recording's link."""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import time
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Receive, Scope, Send

from app.api.limits import DATABASE_SECONDS
from app.api.problems import Refused
from app.calls.errors import Unavailable
from app.calls.sid import AccountSid
from app.rcml.codes import Code
from app.recordings.links import Links
from app.runtime.patience import Shared, waiting
from app.store.accounts import Account, Accounts

_PUBLIC = frozenset({"/healthz", "/readyz", "/docs", "/openapi.json"})
_RECORDING = re.compile(r"/v1/recordings/(RE[0-9a-f]{32})\.wav\Z")
_OPENED = "opened_by_link"
_REMEMBERED_SECONDS = 10.0  # a token that is taken away works for that long at most
_REMEMBERED_AT_MOST = 1_024
_MAX_HEADER = 1_024  # characters
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="Dial-to-SIP", charset="UTF-8"'}


class Authentication:
    """Puts the account into ``scope["state"]["account"]``; fails closed, for a path is private unless it is listed."""

    def __init__(self, app: ASGIApp, accounts: Accounts, links: Links) -> None:
        self._app = app
        self._accounts = accounts
        self._links = links
        self._known: dict[bytes, tuple[float, AccountSid]] = {}
        self._asked: dict[bytes, Shared[Account | None]] = {}  # right now, each for all who log in alike
        self._secret = secrets.token_bytes(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not is_public(scope):
            state = scope.setdefault("state", {})
            state[_OPENED] = self._opened(scope)
            if state[_OPENED] is None:
                state["account"] = await self._account(scope)
        await self._app(scope, receive, send)

    def _opened(self, scope: Scope) -> str | None:
        """The sid of the recording that a signed link asks for. Who sends credentials is asked for those."""
        match = _RECORDING.match(path_of(scope))
        if match is None or scope["method"] not in ("GET", "HEAD"):
            return None
        if any(name == b"authorization" for name, _ in scope["headers"]):
            return None
        given = parse_qs(scope["query_string"].decode("latin-1"))
        expires, signature = given.get("expires", []), given.get("signature", [])
        if len(expires) != 1 or len(signature) != 1 or not self._links.opens(match[1], expires[0], signature[0]):
            return None
        return match[1]

    async def _account(self, scope: Scope) -> AccountSid:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        credentials = _basic(given[0]) if len(given) == 1 else None
        if credentials is None:
            raise Refused(Code.UNAUTHORIZED, headers=_CHALLENGE)
        sid, token = credentials
        # Keyed, so that what an attacker sends does not choose where it is looked for.
        key = hmac.digest(self._secret, f"{sid}:{token}".encode(), hashlib.sha256)
        until, account = self._known.get(key, (0.0, AccountSid("")))
        if until > time.monotonic():
            return account
        try:
            async with waiting(DATABASE_SECONDS):
                found = await self._asked.setdefault(key, Shared(lambda: self._ask(key, sid, token)))()
        except TimeoutError as error:
            raise Unavailable("the database did not answer in time") from error
        if found is None:
            raise Refused(Code.UNAUTHORIZED, headers=_CHALLENGE)
        if len(self._known) >= _REMEMBERED_AT_MOST:
            self._known.clear()
        self._known[key] = (time.monotonic() + _REMEMBERED_SECONDS, found.sid)
        return found.sid

    async def _ask(self, key: bytes, sid: str, token: str) -> Account | None:
        try:
            async with waiting(DATABASE_SECONDS):
                return await self._accounts.authenticate(sid, token)
        finally:
            del self._asked[key]


def opened_by_link(scope: Scope) -> str | None:
    """The sid of the one recording that this request may have without an account."""
    opened: str | None = scope.get("state", {}).get(_OPENED)
    return opened


def path_of(scope: Scope) -> str:
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))


def is_public(scope: Scope) -> bool:
    path = path_of(scope)
    return path in _PUBLIC or path.startswith("/docs/")


def _basic(header: bytes) -> tuple[str, str] | None:
    scheme, _, encoded = header.decode("latin-1").partition(" ")
    if scheme.lower() != "basic" or len(encoded) > _MAX_HEADER:
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    sid, colon, token = decoded.partition(":")
    return (sid, token) if colon and sid and token else None
