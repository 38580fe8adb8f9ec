"""Where a SIP URI leads: addresses that may be sent to, checked before anything is sent. Sends nothing itself.

RFC 3263: NAPTR and SRV when neither address nor port is written, then A and AAAA.
"""

import asyncio
from collections.abc import Callable, Sequence

from app.calls.address import AddressPolicy, ip_literal
from app.calls.outcome import ADDRESS_DENIED, UNREACHABLE, Outcome, because
from app.sip.directory import Directory, NotFound, Pointer, Server
from app.sip.headers import HeaderError, Target
from app.sip.transport import Hop

_LOOKUP_TIMEOUT = 5.0  # seconds for one URI
_SERVICES = {"udp": "_sip._udp", "tcp": "_sip._tcp", "tls": "_sips._tcp"}  # §4.2; in the order in which we like them
_POINTERS = {"SIP+D2U": "udp", "SIP+D2T": "tcp", "SIPS+D2T": "tls"}  # §4.1
_MOST_LITERALS = 1_000
_LONGEST_KEPT = 300  # characters
_LONGEST_TOLD = 80  # characters of a peer's URI in a detail
_MOST_SERVERS = 8  # of one service

Places = list[Hop] | Outcome
Service = tuple[str, str]  # transport, name of its SRV records


class Resolver:
    """Each address is held against the policy every time: a name may lead elsewhere by then."""

    def __init__(self, policy: AddressPolicy, reaches: Callable[[str], bool], directory: Directory) -> None:
        self._policy = policy
        self._reaches = reaches
        self._directory = directory
        self._literals: dict[str, Places] = {}  # the same few peers, again and again

    def close(self) -> None:
        self._directory.close()

    def literal(self, uri: str) -> Places | None:
        """Where `uri` leads if its host is an address; None when it is a name and `hops` must be awaited."""
        known = self._literals.get(uri)
        if known is None and (known := self._read_literal(uri)) is not None and len(uri) <= _LONGEST_KEPT:
            if len(self._literals) >= _MOST_LITERALS:
                self._literals.clear()
            self._literals[uri] = known
        return known

    def _read_literal(self, uri: str) -> Places | None:
        try:
            target = Target.parse(uri)
        except HeaderError as error:
            return because(UNREACHABLE, f"{uri[:_LONGEST_TOLD]}: {error}")
        if target.transport not in _SERVICES:
            return because(UNREACHABLE, f"transport {target.transport} is not available")
        if target.scheme == "sips" and target.transport != "tls":
            return because(UNREACHABLE, f"sips: needs TLS, not {target.transport}")
        address = ip_literal(_host_of(target))
        return None if address is None else self._checked(_at(target, [str(address)]))

    async def hops(self, uri: str) -> Places:
        """Every place that `uri` leads to, best first; the outcome of a leg that has none."""
        places = self.literal(uri)
        if places is not None:
            return places
        target = Target.parse(uri)
        name = _host_of(target)
        try:
            async with asyncio.timeout(_LOOKUP_TIMEOUT):
                return self._checked(await self._places(target, name))
        except TimeoutError:
            return _too_slow(name)
        except NotFound as error:
            return because(UNREACHABLE, f"{name[:_LONGEST_TOLD]} cannot be resolved: {error}")

    def media(self, address: str) -> str | Outcome | None:
        """The address in a c= line if media may go there; None when it is a name: `media_named` must be awaited."""
        if ip_literal(address) is None:
            return None
        return self._first_permitted([address])

    async def media_named(self, name: str) -> str | Outcome:
        try:
            async with asyncio.timeout(_LOOKUP_TIMEOUT):
                return self._first_permitted(await self._directory.addresses(name))
        except TimeoutError:
            return _too_slow(name)
        except NotFound as error:
            return because(UNREACHABLE, f"{name} cannot be resolved: {error}")

    def _first_permitted(self, addresses: list[str]) -> str | Outcome:
        # 0.0.0.0 is how RFC 2543 says hold: nothing is ever sent there.
        permitted = [a for a in addresses if a in ("0.0.0.0", "::") or self._policy.permits(a)]
        if not permitted:
            return because(ADDRESS_DENIED, self._policy.refusal(addresses[0]))
        return permitted[0]

    def _checked(self, hops: list[Hop]) -> Places:
        permitted = [hop for hop in hops if self._policy.permits(hop.host)]
        if not permitted:
            return because(ADDRESS_DENIED, self._policy.refusal(hops[0].host))
        reachable = [hop for hop in permitted if self._reaches(hop.host)]
        if not reachable:
            return because(UNREACHABLE, f"{permitted[0].host} cannot be reached from the address in DIAL_SIP_HOST")
        return reachable

    async def _places(self, target: Target, name: str) -> list[Hop]:
        """At least one; raises NotFound."""
        # A name without a dot is one of the local network, of a container or in a hosts file: it has no SRV records.
        if target.port is None and "." in name.rstrip("."):
            hops = await self._by_service(target, name)
            if hops:
                return hops
        return _at(target, await self._directory.addresses(name))

    async def _by_service(self, target: Target, name: str) -> list[Hop]:
        """What SRV records say (§4.2), those that NAPTR records name if there are any; [] when there are none."""
        is_fixed = target.scheme == "sips" or target.param("transport")
        wanted = [target.transport] if is_fixed else list(_SERVICES)
        services = [(transport, f"{_SERVICES[transport]}.{name}") for transport in wanted]
        directory = self._directory
        # All at once: the usual domain has no NAPTR, and asking one after the other would take twice as long.
        pointers, found = await asyncio.gather(
            directory.pointers(name) if len(wanted) > 1 else _nothing(), self._servers(services)
        )
        pointed = [
            (_POINTERS[pointer.service], pointer.name)
            for pointer in pointers
            if _POINTERS.get(pointer.service) in wanted
        ]
        if pointed:
            found = await self._servers(pointed)
        servers = [(transport, server) for transport, some in found for server in (some or ())]
        if not servers and any(some is not None for _, some in found):
            raise NotFound("its SRV records say that there is no SIP service")
        lists = await asyncio.gather(*(self._hops_of(target, transport, server) for transport, server in servers))
        hops = [hop for some in lists for hop in some]
        if servers and not hops:
            raise NotFound(f"{servers[0][1].host}, which its SRV records name, has no address")
        return hops

    async def _servers(self, services: Sequence[Service]) -> list[tuple[str, list[Server] | None]]:
        found = await asyncio.gather(*(self._directory.servers(name) for _, name in services))
        return [
            (transport, servers if servers is None else servers[:_MOST_SERVERS])
            for (transport, _), servers in zip(services, found, strict=True)
        ]

    async def _hops_of(self, target: Target, transport: str, server: Server) -> list[Hop]:
        try:
            addresses = await self._directory.addresses(server.host)
        except NotFound:
            return []
        return [_hop(target, transport, address, server.port) for address in addresses]


def _at(target: Target, addresses: list[str]) -> list[Hop]:
    port = target.port or (5061 if target.transport == "tls" else 5060)
    return [_hop(target, target.transport, address, port) for address in addresses]


def _hop(target: Target, transport: str, address: str, port: int) -> Hop:
    """The certificate must be for the URI's own host, wherever the DNS says that it is served (RFC 5922 §4)."""
    return Hop(transport, address, port, target.host if transport == "tls" else "")


def _host_of(target: Target) -> str:
    """`maddr` overrides the host (RFC 3261 §19.1.1)."""
    return target.param("maddr") or target.host


def _too_slow(name: str) -> Outcome:
    return because(UNREACHABLE, f"{name} could not be resolved in {_LOOKUP_TIMEOUT:g} s")


async def _nothing() -> list[Pointer]:
    return []
