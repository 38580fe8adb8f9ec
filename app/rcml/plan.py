"""A dial request as a value: what RCML and JSON both mean. Everything in it has been checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from app.calls.callback import Callback
from app.calls.uri import NameAddr, SipUri

DEFAULT_TIMEOUT = 30  # seconds of ringing
DEFAULT_TIME_LIMIT = 14_400  # seconds of talking
MAX_TARGETS = 10


@dataclass(frozen=True, slots=True)
class Target:
    """One `<Sip>`."""

    uri: SipUri  # with its parameters and headers
    username: str | None = None
    password: str | None = None
    status_callback: Callback | None = None


@dataclass(frozen=True, slots=True)
class Dial:
    """One `<Dial>`: its targets ring at once."""

    targets: tuple[Target, ...]
    caller_id: NameAddr | str | None = (
        None  # a str is a bare user, escaped; it gets the advertised host. None: anonymous
    )
    timeout: int = DEFAULT_TIMEOUT
    time_limit: int = DEFAULT_TIME_LIMIT


@dataclass(frozen=True, slots=True)
class Document:
    """The verbs of a `<Response>`, in order. Only Dial until a caller's leg exists."""

    verbs: tuple[Dial, ...]


@dataclass(frozen=True, slots=True)
class DialRequest:
    """A document and the request-level fields that came with it."""

    document: Document
    status_callback: Callback | None = None  # of the parent call itself
    metadata: Mapping[str, str] = field(default_factory=dict)
