"""Asks the DNS, in bounded time: addresses, servers (RFC 2782) and pointers (RFC 3403) of a name. Knows no SIP.

Addresses come from the system, so that its hosts file and search list count, unless a name server is set; then
everything is asked of that one. What has no records is no error, except an address.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar, cast

import dns.asyncresolver
import dns.exception
import dns.resolver

from app.sip.headers import HeaderError, parse_hostport

_PATIENCE = 2.0  # seconds for records that need not be there: some name servers never answer for SRV or NAPTR
_LOOKUPS_AT_ONCE = 16  # threads: a resolver that hangs must not hang the others' lookups
_REMEMBERED = 1_000  # answers, for as long as they say

T = TypeVar("T")


class NotFound(Exception):
    """A name has no address; the message says why."""


class Server(NamedTuple):
    host: str
    port: int


class Pointer(NamedTuple):
    """One NAPTR: ``SIP+D2U`` and the name that has the SRV records."""

    service: str
    name: str


class Directory:
    """`server` is ``host`` or ``host:port`` of a name server; empty: what the system uses. Raises ValueError."""

    def __init__(self, server: str = "") -> None:
        self._given = _name_server(server) if server else None
        self._pool = ThreadPoolExecutor(_LOOKUPS_AT_ONCE, thread_name_prefix="dns")
        self._running: dict[object, asyncio.Future[Any]] = {}
        self._resolver: dns.asyncresolver.Resolver | None = None
        self._is_configured = False

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def addresses(self, name: str) -> list[str]:
        """At least one; raises NotFound. May take as long as the system likes: the caller bounds it."""
        return await self._once(("addresses", name), lambda: self._addresses(name))

    async def servers(self, name: str) -> list[Server] | None:
        """SRV by priority, those of one priority drawn by weight each time; None without records, [] for a ``.``."""
        records = await self._once(("SRV", name), lambda: self._query(name, "SRV"))
        if records is None:
            return None
        servers = (Server(record.target.to_text(omit_final_dot=True), record.port) for record in _drawn(records))
        return [server for server in servers if server.host not in ("", ".") and server.port > 0]

    async def pointers(self, name: str) -> list[Pointer]:
        """NAPTR that lead to SRV records (flag ``s``), by order and preference."""
        records = await self._once(("NAPTR", name), lambda: self._query(name, "NAPTR"))
        return [
            Pointer(record.service.decode("latin-1").upper(), record.replacement.to_text(omit_final_dot=True))
            for record in _drawn(records or ())
            if record.flags.lower() == b"s"
        ]

    async def _once(self, key: object, ask: Callable[[], Awaitable[T]]) -> T:
        """Who asks what is being asked already shares its answer."""
        return cast(T, await asyncio.shield(self._asked(key, ask)))

    def _asked(self, key: object, ask: Callable[[], Awaitable[T]]) -> "asyncio.Future[Any]":
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = asyncio.ensure_future(ask())
            running.add_done_callback(lambda done: self._done(key, done))
        return running

    def _done(self, key: object, future: "asyncio.Future[Any]") -> None:
        self._running.pop(key, None)
        if not future.cancelled():
            future.exception()  # whoever asked may have given up

    async def _addresses(self, name: str) -> list[str]:
        if self._given is None:
            try:
                loop = asyncio.get_running_loop()
                found = await loop.run_in_executor(self._pool, _look_up, name)
            except OSError as error:
                raise NotFound(error.strerror or str(error)) from error
        else:
            kinds = await asyncio.gather(self._query(name, "A"), self._query(name, "AAAA"))
            found = _unique(record.address for records in kinds for record in records or ())
        if not found:
            raise NotFound("it has no address")
        return found

    async def _query(self, name: str, kind: str) -> Any:
        """The records, None when there are none or nobody tells."""
        resolver = self._configured()
        if resolver is None:
            return None
        with suppress(dns.exception.DNSException):  # no such name, no such record, no answer: all the same here
            answer = await resolver.resolve(name, kind, raise_on_no_answer=False, search=False, lifetime=_PATIENCE)
            return answer.rrset
        return None

    def _configured(self) -> dns.asyncresolver.Resolver | None:
        if not self._is_configured:
            self._is_configured = True
            with suppress(dns.resolver.NoResolverConfiguration):  # then there are only addresses
                self._resolver = dns.asyncresolver.Resolver(configure=self._given is None)
                self._resolver.cache = dns.resolver.LRUCache(_REMEMBERED)
                if self._given is not None:
                    self._resolver.nameservers = [self._given.host]
                    self._resolver.port = self._given.port
        return self._resolver


def _name_server(text: str) -> Server:
    try:
        host, port = parse_hostport(text)
    except HeaderError as error:
        raise ValueError(f"{text} is no name server: {error}") from error
    return Server(host, port or 53)


def _drawn(records: Any) -> list[Any]:
    """In the order in which to try them: dnspython draws by weight (RFC 2782), anew each time."""
    return list(records.processing_order()) if records else []


def _look_up(name: str) -> list[str]:
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    except UnicodeError as error:  # a label of more than 63 characters
        raise OSError(str(error)) from error
    return _unique(str(entry[4][0]) for entry in found)


def _unique(addresses: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(addresses))
