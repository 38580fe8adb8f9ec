"""What every leg of one worker shares: the endpoint, the resolver, the clock. Has no behaviour of its own."""

from dataclasses import dataclass

from app.calls.ports import Clock
from app.sip.crypto import Srtp
from app.sip.endpoint import Endpoint
from app.sip.headers import Target
from app.sip.resolve import Resolver


@dataclass(frozen=True, slots=True)
class CallRules:
    """What holds for every call of this worker."""

    srtp: Srtp = Srtp.OPTIONAL  # of calls over TLS
    inbound_rate: float = 10.0  # calls a second that one source may begin, twice as many at once; 0: any
    proxy: str = ""  # SIP URI that every INVITE is sent to first; empty: to its target

    def __post_init__(self) -> None:
        """Raises HeaderError, a ValueError, for a proxy that is no SIP URI."""
        if self.proxy:
            Target.parse(self.proxy)

    @property
    def routes(self) -> list[str]:
        """The Route of an INVITE (RFC 3261 §8.1.2): a loose router's, or the Request-URI would be lost on it."""
        if not self.proxy:
            return []
        return [f"<{self.proxy}>" if Target.parse(self.proxy).loose else f"<{self.proxy};lr>"]


@dataclass(frozen=True, slots=True)
class Engine:
    endpoint: Endpoint
    resolver: Resolver
    clock: Clock
    media_host: str  # the address in our SDP when the advertised host is a name
    rules: CallRules
