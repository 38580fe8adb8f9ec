"""One dialog's state (RFC 3261 §12): tags, CSeq numbers, route set, remote target. Sends nothing, resolves nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.sip.headers import Address, Target


@dataclass(frozen=True, slots=True)
class Routing:
    """How a request of a dialog is addressed: its Request-URI, its Route headers, and the URI to send it to."""

    request_uri: str
    routes: tuple[str, ...]
    next_hop: str


def routing(remote_target: str, route_set: Sequence[str]) -> Routing:
    """RFC 3261 §12.2.1.1: loose routing by the topmost route, strict routing when it lacks ``lr``.

    A Contact's headers have no place in a Request-URI (§19.1.1, table 1). Raises app.sip.headers.HeaderError when the
    topmost route is no SIP URI.
    """
    if "?" in remote_target or ";method=" in remote_target.lower():
        remote_target = as_request_uri(remote_target)
    if not route_set:
        return Routing(remote_target, (), remote_target)
    first = Address.parse(route_set[0]).uri
    if Target.parse(first).loose:
        return Routing(remote_target, tuple(route_set), first)
    strict = as_request_uri(first)
    return Routing(strict, (*route_set[1:], f"<{remote_target}>"), strict)


class Dialog:
    """A dialog as we see it, whoever sent the INVITE; early until a 2xx confirms it."""

    __slots__ = (
        "call_id",
        "confirmed",
        "from_value",
        "local_cseq",
        "local_tag",
        "remote_cseq",
        "remote_tag",
        "remote_target",
        "route_set",
        "to_value",
    )

    def __init__(self, *, call_id: str, local_tag: str, remote_tag: str, from_value: str, to_value: str) -> None:
        self.call_id = call_id
        self.local_tag = local_tag
        self.remote_tag = remote_tag
        self.from_value = from_value  # the whole header value of our side, tag included
        self.to_value = to_value  # the same of the peer's side
        self.local_cseq = 0
        self.remote_cseq: int | None = None  # nothing has come yet
        self.remote_target = ""
        self.route_set: tuple[str, ...] = ()
        self.confirmed = False

    def establish(self, *, contact: str | None, record_routes: Sequence[str], confirmed: bool) -> None:
        """Take route set and remote target from a response to our INVITE (§12.1.2).

        The route set of an early dialog is computed anew from the 2xx (§13.2.2.4); after that it never changes.
        """
        if not self.confirmed:
            self.route_set = tuple(reversed(record_routes))
        if contact:
            self.remote_target = contact
        self.confirmed = self.confirmed or confirmed

    def refresh(self, contact: str | None) -> bool:
        """Target refresh (§12.2.1.2, §12.2.2): a re-INVITE or UPDATE moves the target, never the routes."""
        if not contact or contact == self.remote_target:
            return False
        self.remote_target = contact
        return True

    def next_cseq(self) -> int:
        self.local_cseq += 1
        return self.local_cseq

    def in_order(self, cseq: int) -> bool:
        """Whether a request from the peer is newer than the last one (§12.2.2: else 500); remembers it."""
        if self.remote_cseq is not None and cseq <= self.remote_cseq:
            return False
        self.remote_cseq = cseq
        return True

    def routing(self) -> Routing:
        """Where the next request goes; raises HeaderError for a topmost route that is no SIP URI."""
        return routing(self.remote_target, self.route_set)


def as_request_uri(uri: str) -> str:
    """A strict router's URI or a Contact's as Request-URI: no headers and no ``method`` (§19.1.1, table 1)."""
    user, at, rest = uri.rpartition("@")  # ? and ; may stand in the user part, but no @ in the headers
    head, *params = rest.partition("?")[0].split(";")
    return user + at + ";".join([head, *(param for param in params if not param.lower().startswith("method="))])
