"""Rows as values and values as rows: calls, callbacks, and the JSON in which many rows travel in one parameter."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from functools import lru_cache
from typing import Any, cast
from urllib.parse import urlsplit

from sqlalchemy import RowMapping

from app.calls.call import Call, Direction, NewCall
from app.calls.callback import Callback, HttpMethod, has_credentials, masked
from app.calls.event import Event
from app.calls.status import Status
from app.runtime import log
from app.store.seal import Sealer, WrongKey

_log = log.get(__name__)

_AUTHORITY = re.compile(r"\A([^/?#]*//[^/?#]*).*", re.DOTALL)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_PLAIN = tuple(f.name for f in fields(Call) if f.name not in {"direction", "status", "callback"})


def to_json(rows: Sequence[Mapping[str, Any]] | Mapping[str, Any]) -> str:
    """For json_to_recordset, a mapping for json_to_record: one parameter however many rows. NaN is a ValueError."""
    return json.dumps(rows, default=_plain, allow_nan=False, separators=(",", ":"))


def call_of(row: RowMapping, sealer: Sealer) -> Call:
    return Call(
        direction=Direction(row["direction"]),
        status=Status(row["status"]),
        callback=callback_of(row, sealer),
        **{name: row[name] for name in _PLAIN},
    )


def row_of(call: NewCall, sealer: Sealer) -> dict[str, Any]:
    """The columns that a new call fills."""
    return {
        "sid": call.sid,
        "account_sid": call.account_sid,
        "parent_sid": call.parent_sid,
        "leg_index": call.leg_index,
        "direction": call.direction,
        "from_uri": call.from_uri,
        "to_uri": call.to_uri,
        "caller_name": call.caller_name,
        "forwarded_from": call.forwarded_from,
        "has_caller": call.has_caller,
        **callback_columns(call.callback, sealer),
    }


def document_of(call: NewCall, sealer: Sealer) -> dict[str, Any] | None:
    """The row of call_document; None when there is nothing to keep."""
    if call.document is None and call.rcml is None and not call.metadata and call.idempotency_key is None:
        return None
    return {
        "call_sid": call.sid,
        "sealed": None if call.document is None else sealer.seal(call.document),
        "rcml": call.rcml,
        "metadata": dict(call.metadata) if call.metadata else None,
        "idempotency_key": call.idempotency_key,
    }


def sealed_url(url: str, sealer: Sealer) -> tuple[str, bytes | None]:
    """What the plain column may hold, and the sealed rest when that is not all."""
    if "@" in url and has_credentials(url):
        return masked(url), sealer.seal(url.encode())
    return url, None


def real_url(url: str, sealed: bytes | None, sealer: Sealer) -> str:
    """With its user information; without it when DIAL_SECRET_KEY was changed: the receiver's 401 is seen then."""
    try:
        return url if sealed is None else sealer.unseal(sealed).decode()
    except WrongKey as error:
        _log.error("store.sealed_with_another_key", url=url, error=str(error))
        return url


def unsealed(sealed: bytes | None, sid: str, sealer: Sealer) -> bytes:
    """A call's document; empty when it cannot be opened, so that the call ends as unreadable, not over and over."""
    try:
        return b"" if sealed is None else sealer.unseal(sealed)
    except WrongKey as error:
        _log.error("store.sealed_with_another_key", call=sid, error=str(error))
        return b""


def origin_of(url: str) -> str:
    """``scheme://host:port``, the port always written: what a destination is."""
    return _origin(_AUTHORITY.sub(r"\1", url, count=1))


@lru_cache(maxsize=4096)  # measured: parsing the same few hosts again was a third of the writer's CPU
def _origin(authority: str) -> str:
    parts = urlsplit(authority)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)}"


def callback_of(row: RowMapping | Mapping[str, Any], sealer: Sealer) -> Callback | None:
    if row["callback_url"] is None:
        return None
    url = real_url(row["callback_url"], row["callback_sealed"], sealer)
    return Callback(url, cast(HttpMethod, row["callback_method"]), frozenset(map(Event, row["callback_events"])))


def callback_columns(callback: Callback | None, sealer: Sealer) -> dict[str, Any]:
    if callback is None:
        return {}
    url, sealed = sealed_url(callback.url, sealer)
    return {
        "callback_url": url,
        "callback_sealed": sealed,
        "callback_method": callback.method,
        "callback_events": sorted(callback.events),
    }


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    raise TypeError(f"{type(value).__name__} cannot be stored")
