"""What every leg of one worker shares: the endpoint, the resolver, the clock. Has no behaviour of its own."""

from dataclasses import dataclass

from app.calls.ports import Clock
from app.sip.crypto import Srtp
from app.sip.endpoint import Endpoint
from app.sip.resolve import Resolver


@dataclass(frozen=True, slots=True)
class CallRules:
    """What holds for every call of this worker."""

    srtp: Srtp = Srtp.OPTIONAL  # of calls over TLS


@dataclass(frozen=True, slots=True)
class Engine:
    endpoint: Endpoint
    resolver: Resolver
    clock: Clock
    media_host: str  # the address in our SDP when the advertised host is a name
    rules: CallRules
