"""A dial request as a value: what RCML and JSON both mean. Everything in it has been checked, every URL is absolute."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Literal

from app.calls.callback import Callback, HttpMethod
from app.calls.uri import NameAddr, SipUri

DEFAULT_TIMEOUT = 30  # seconds of ringing
DEFAULT_TIME_LIMIT = 14_400  # seconds of talking
DEFAULT_CALLER_TIMEOUT = 60  # seconds of ringing the caller
DEFAULT_SCREENING_TIMEOUT = 60  # seconds
MAX_TARGETS = 10
ALL_KEYS = "0123456789*#"


class Where(Enum):
    """On whose leg a document runs: that decides which verbs it may have."""

    STAND_IN = auto()  # nobody's: the service stands in for the caller; only Dial, Redirect, Pause, Hangup
    CALLER = auto()  # a caller that was called
    INBOUND = auto()  # a caller that called; Reject is for it alone
    SCREENING = auto()  # a callee before it is connected: no Dial, no Reject


@dataclass(frozen=True, slots=True)
class Link:
    """A URL of the customer's and how it is requested."""

    url: str  # absolute, user information included
    method: HttpMethod = "POST"


@dataclass(frozen=True, slots=True)
class Screening:
    """`url`, `method` and `timeout` of a `<Sip>`."""

    link: Link
    timeout: int = DEFAULT_SCREENING_TIMEOUT


@dataclass(frozen=True, slots=True)
class RecordingCallback:
    link: Link
    events: frozenset[str] = frozenset({"completed"})  # of in-progress, completed, absent


@dataclass(frozen=True, slots=True)
class Target:
    """One `<Sip>`."""

    uri: SipUri  # with its parameters and headers
    username: str | None = None
    password: str | None = None
    status_callback: Callback | None = None
    screening: Screening | None = None


CallerId = NameAddr | str  # a str is a bare user, escaped; it gets the advertised host


@dataclass(frozen=True, slots=True)
class Dial:
    """One `<Dial>`: its targets ring at once."""

    targets: tuple[Target, ...]
    caller_id: CallerId | None = None  # None: the caller's own number when there is a caller, else anonymous
    timeout: int = DEFAULT_TIMEOUT
    time_limit: int = DEFAULT_TIME_LIMIT
    hangup_on_star: bool = False
    answer_on_bridge: bool = True
    record: Literal["mono", "dual"] | None = None
    recording_callback: RecordingCallback | None = None
    action: Link | None = None


@dataclass(frozen=True, slots=True)
class Say:
    text: str  # without the white space around, at most 4,096 characters, never empty
    voice: str | None = None
    language: str | None = None  # a BCP 47 tag
    loop: int = 1  # 0: for ever


@dataclass(frozen=True, slots=True)
class Play:
    """A file, or with `digits` key presses: then there is no file."""

    url: str | None = None
    loop: int = 1  # 0: for ever
    digits: str | None = None  # of 0-9 * # A-D w


@dataclass(frozen=True, slots=True)
class Pause:
    length: int = 1  # seconds


@dataclass(frozen=True, slots=True)
class Gather:
    """Collects keys. `action` None: the next verb, whatever was pressed."""

    prompts: tuple[Say | Play | Pause, ...] = ()
    action: Link | None = None  # of a fetched document without one: the document's own URL
    timeout: int = 5  # seconds after the prompts, and after each key
    finish_on_key: str = "#"  # each of these ends it and is no part of the digits; empty: none does
    num_digits: int | None = None
    action_on_empty_result: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    action: Link | None = None  # as Gather's
    timeout: int = 5  # seconds of silence; 0: none ends it
    finish_on_key: str = ALL_KEYS
    max_length: int = 3600  # seconds
    play_beep: bool = True
    recording_callback: RecordingCallback | None = None


@dataclass(frozen=True, slots=True)
class Redirect:
    link: Link


@dataclass(frozen=True, slots=True)
class Hangup:
    pass


@dataclass(frozen=True, slots=True)
class Reject:
    reason: Literal["rejected", "busy"] = "rejected"


Verb = Dial | Say | Play | Pause | Gather | Record | Redirect | Hangup | Reject


@dataclass(frozen=True, slots=True)
class Document:
    """The verbs of a `<Response>`, in order; none is the end at once."""

    verbs: tuple[Verb, ...]


@dataclass(frozen=True, slots=True)
class CallerOrder:
    """The first party of a dial request: it is called first, and the document runs on its leg."""

    uri: SipUri
    from_: CallerId | None = None  # None: anonymous
    timeout: int = DEFAULT_CALLER_TIMEOUT
    username: str | None = None
    password: str | None = None


@dataclass(frozen=True, slots=True)
class DialRequest:
    """A document and the request-level fields that came with it."""

    document: Document
    status_callback: Callback | None = None  # of the parent call itself
    metadata: Mapping[str, str] = field(default_factory=dict)
    caller: CallerOrder | None = None
