"""The host that a bare callerId gets on calls to a target."""

import socket

from app.calls.uri import SipUri
from app.dialing.place import LocalHost
from app.runtime.settings import Settings

_WILDCARDS = ("0.0.0.0", "::", "")
_ELSEWHERE = {
    socket.AF_INET: "192.0.2.1",
    socket.AF_INET6: "2001:db8::1",
}  # documentation ranges: routed, never sent to


def local_host(settings: Settings) -> LocalHost:
    """The host of a bare callerId: advertised, else bound, else the local address of the route to the target."""
    fixed = settings.sip_advertised_host or (settings.sip_host if settings.sip_host not in _WILDCARDS else "")

    def of(target: SipUri) -> str:
        return fixed or _route_to(target.host)

    return of


def _route_to(host: str) -> str:
    """The local address of the route to an IP literal, of the default route for a name. Sends nothing."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    target = host if ":" in host or host.replace(".", "").isdigit() else _ELSEWHERE[family]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((target, 5060))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])
