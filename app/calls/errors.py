"""The errors that cross packages: each says what the caller of the code can do about it."""

from dataclasses import dataclass


class DialError(Exception):
    """The root of the tree; never raised itself."""


class Fenced(DialError):
    """The call belongs to somebody else now (or has ended): stop touching it."""


class Unavailable(DialError):
    """The database is away or too slow; the request may be repeated."""

    def __init__(self, detail: str, retry_after: int = 1) -> None:
        super().__init__(detail)
        self.retry_after = retry_after  # seconds


class TooManyCalls(DialError):
    """The account has placed as many calls as it may; nothing was stored."""

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after  # seconds


class NoFreePort(DialError):
    """Every RTP port of this worker is taken."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a request: `code` is stable, `detail` names the field and the remedy.

    JSON requests carry a `pointer` (RFC 6901); RCML carries `line` and `column`, from 1, in the text as sent.
    """

    code: str
    detail: str
    pointer: str | None = None
    line: int | None = None
    column: int | None = None


class BadRequest(DialError):
    """The request cannot be served as it is: every problem found, and the HTTP status that fits them all."""

    def __init__(self, problems: tuple[Problem, ...], status: int = 422) -> None:
        super().__init__("; ".join(problem.detail for problem in problems))
        self.problems = problems
        self.status = status


class NotFound(DialError):
    """No such record, or it is another account's: the two are told apart to nobody."""


class KeyConflict(DialError):
    """The Idempotency-Key was used with another request within its 24 hours."""


class NumberTaken(DialError):
    """Somebody has that number already; whose it is, is told to nobody."""


class RecordingRuns(DialError):
    """The recording has not ended yet: there is nothing to fetch or to delete."""


class CallFinished(DialError):
    """The call is over; nothing can be asked of it any more."""


class AlreadyAnswered(DialError):
    """It cannot be canceled any more, only completed."""
