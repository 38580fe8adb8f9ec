"""Where a SIP URI leads: addresses that may be sent to, checked before anything is sent. Sends nothing itself."""

import asyncio
import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from app.calls.address import AddressPolicy, ip_literal
from app.calls.outcome import ADDRESS_DENIED, UNREACHABLE, Outcome, because
from app.sip.headers import HeaderError, Target
from app.sip.transport import Hop

_LOOKUP_TIMEOUT = 5.0  # seconds for one name
_LOOKUPS_AT_ONCE = 16  # threads: a resolver that hangs must not hang the others' lookups
_TRANSPORTS = ("udp", "tcp")
_MOST_LITERALS = 1_000

Places = list[Hop] | Outcome


class Resolver:
    """Names to addresses (RFC 3263 without NAPTR and SRV yet), each address held against the policy every time."""

    def __init__(self, policy: AddressPolicy, reaches: Callable[[str], bool]) -> None:
        self._policy = policy
        self._reaches = reaches
        self._pool = ThreadPoolExecutor(_LOOKUPS_AT_ONCE, thread_name_prefix="dns")
        self._running: dict[str, asyncio.Future[list[str]]] = {}
        self._literals: dict[str, Places] = {}  # the same few peers, again and again

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def literal(self, uri: str) -> Places | None:
        """Where `uri` leads if its host is an address; None when it is a name and `hops` must be awaited."""
        known = self._literals.get(uri)
        if known is None and (known := self._read_literal(uri)) is not None:
            if len(self._literals) >= _MOST_LITERALS:
                self._literals.clear()
            self._literals[uri] = known
        return known

    def _read_literal(self, uri: str) -> Places | None:
        try:
            target = Target.parse(uri)
        except HeaderError as error:
            return because(UNREACHABLE, f"{uri}: {error}")
        if target.transport not in _TRANSPORTS:
            return because(UNREACHABLE, f"transport {target.transport} is not available")
        address = ip_literal(_host_of(target))
        return None if address is None else self._checked(target, [str(address)])

    async def hops(self, uri: str) -> Places:
        """Every place that `uri` leads to, best first; the outcome of a leg that has none."""
        places = self.literal(uri)
        if places is not None:
            return places
        target = Target.parse(uri)
        addresses = await self._addresses(_host_of(target))
        return addresses if isinstance(addresses, Outcome) else self._checked(target, addresses)

    def media(self, address: str) -> str | Outcome | None:
        """The address in a c= line if media may go there; None when it is a name: `media_named` must be awaited."""
        if ip_literal(address) is None:
            return None
        return self._first_permitted([address])

    async def media_named(self, name: str) -> str | Outcome:
        addresses = await self._addresses(name)
        return addresses if isinstance(addresses, Outcome) else self._first_permitted(addresses)

    def _first_permitted(self, addresses: list[str]) -> str | Outcome:
        # 0.0.0.0 is how RFC 2543 says hold: nothing is ever sent there.
        permitted = [a for a in addresses if a in ("0.0.0.0", "::") or self._policy.permits(a)]
        if not permitted:
            return because(ADDRESS_DENIED, self._policy.refusal(addresses[0]))
        return permitted[0]

    def _checked(self, target: Target, addresses: list[str]) -> Places:
        permitted = [address for address in addresses if self._policy.permits(address)]
        if not permitted:
            return because(ADDRESS_DENIED, self._policy.refusal(addresses[0]))
        reachable = [address for address in permitted if self._reaches(address)]
        if not reachable:
            return because(UNREACHABLE, f"{permitted[0]} cannot be reached from the address in DIAL_SIP_HOST")
        port = target.port or 5060
        return [Hop(target.transport, address, port) for address in reachable]

    async def _addresses(self, name: str) -> list[str] | Outcome:
        running = self._running.get(name)
        if running is None:
            loop = asyncio.get_running_loop()
            running = asyncio.ensure_future(loop.run_in_executor(self._pool, _look_up, name))
            self._running[name] = running
            running.add_done_callback(lambda _: self._running.pop(name, None))
        try:
            addresses = await asyncio.wait_for(asyncio.shield(running), _LOOKUP_TIMEOUT)
        except TimeoutError:
            return because(UNREACHABLE, f"{name} could not be resolved in {_LOOKUP_TIMEOUT:g} s")
        except OSError as error:
            return because(UNREACHABLE, f"{name} cannot be resolved: {error.strerror or error}")
        return addresses or because(UNREACHABLE, f"{name} has no address")


def _host_of(target: Target) -> str:
    """`maddr` overrides the host (RFC 3261 §19.1.1)."""
    return target.param("maddr") or target.host


def _look_up(name: str) -> list[str]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    except UnicodeError as error:  # a label of more than 63 characters
        raise OSError(str(error)) from error
    return _unique(str(entry[4][0]) for entry in found)


def _unique(addresses: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(addresses))
