"""Where an INVITE goes next: addresses of a target, then the Contacts of a 3xx. Resolves and sends nothing."""

from app.sip.dialog import as_request_uri
from app.sip.headers import Address, HeaderError
from app.sip.message import SipMessage
from app.sip.transport import Hop

_DEEPEST = 5  # redirections in a row


class Itinerary:
    """RFC 3261 §8.1.3.4: Contacts in q order, each target at most once."""

    def __init__(self, uri: str) -> None:
        self.uri = uri  # the Request-URI in use
        self.hops: list[Hop] = []  # what is left of its addresses
        self.is_secure = uri.lower().startswith("sips:")
        self._tried = {uri.lower()}
        self._alternatives: list[tuple[int, str]] = []  # (depth, URI), the next one last
        self._depth = 0

    def next_hop(self) -> Hop | None:
        """The next address of the target in use."""
        return self.hops.pop(0) if self.hops else None

    def redirect(self, response: SipMessage) -> None:
        """Remember the Contacts of a 3xx, before what is left of earlier ones; sips: never becomes sip: (§8.1.3.4)."""
        if self._depth < _DEEPEST:
            new = (uri for uri in _contacts(response) if uri.lower() not in self._tried)
            found = [(self._depth + 1, uri) for uri in new if not self.is_secure or uri.lower().startswith("sips:")]
            self._alternatives += reversed(found)

    def next_target(self) -> str | None:
        """The next target that was not tried, None when there is none; its hops are still to be resolved."""
        while self._alternatives:
            depth, uri = self._alternatives.pop()
            if uri.lower() not in self._tried:
                self._tried.add(uri.lower())
                self.uri, self.hops, self._depth = uri, [], depth
                return uri
        return None


def _contacts(response: SipMessage) -> list[str]:
    """Contacts by falling q (1 when absent), as Request-URIs: a stranger sets neither headers nor a method of ours."""
    found: list[tuple[float, str]] = []
    for value in response.all("contact"):
        try:
            address = Address.parse(value)
        except HeaderError:
            continue
        found.append((_q(address.param("q")), as_request_uri(address.uri)))
    return [uri for _, uri in sorted(found, key=lambda pair: -pair[0])]


def _q(text: str | None) -> float:
    try:
        value = float(text) if text else 1.0
    except ValueError:
        return 1.0
    return value if 0 <= value <= 1 else 1.0
