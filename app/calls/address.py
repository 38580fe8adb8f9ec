"""Which IP addresses this service may talk to: the one rule for webhooks and for SIP. Resolves nothing."""

import ipaddress
from dataclasses import dataclass, field

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

# `is_global` alone lets these through (measured): multicast, NAT64, 6to4, Teredo and IPv4-compatible spellings.
_NEVER_GLOBAL: tuple[IPNetwork, ...] = tuple(
    ipaddress.ip_network(net)
    for net in (
        "224.0.0.0/4",
        "ff00::/8",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2002::/16",
        "2001::/32",
        "::/96",
    )
)


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Refuses private, loopback, link-local, multicast and metadata ranges unless `allow` lists them."""

    setting: str  # the environment variable that widens it, named in every refusal
    allow: tuple[IPNetwork, ...] = field(default=())

    def permits(self, address: IPAddress | str) -> bool:
        ip = ipaddress.ip_address(address) if isinstance(address, str) else address
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
            ip = ip.ipv4_mapped
        if any(ip in net for net in self.allow if net.version == ip.version):
            return True
        return ip.is_global and not any(ip in net for net in _NEVER_GLOBAL if net.version == ip.version)

    def refusal(self, address: IPAddress | str) -> str:
        """The sentence for a refused address: what was refused and which setting allows it."""
        return f"{address} is in a refused range; {self.setting} can list its CIDR to allow it"


def ip_literal(host: str) -> IPAddress | None:
    """The address that `host` spells (IPv6 brackets allowed), or None when it is a name."""
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
