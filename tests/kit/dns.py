"""A name server on loopback that says what a test has written into its zone, and counts what it is asked."""

import asyncio
from collections import Counter

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


class NameServer(asyncio.DatagramProtocol):
    """`add` records; a name without any does not exist. Answers live for 0 seconds. Kinds in `mute` get no answer."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: Counter[str] = Counter()  # "SRV _sip._udp.example.test"
        self.mute: set[str] = set()
        self._zone: dict[str, dict[str, list[str]]] = {}
        self._transport: asyncio.DatagramTransport | None = None

    async def open(self) -> "NameServer":
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self.port = self._transport.get_extra_info("sockname")[1]
        return self

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    @property
    def address(self) -> str:
        """As DIAL_DNS wants it."""
        return f"127.0.0.1:{self.port}"

    def add(self, name: str, kind: str, *values: str) -> None:
        """Records in zone file notation: ``add("_sip._udp.example.test", "SRV", "10 5 5060 one.example.test.")``."""
        self._zone.setdefault(name, {}).setdefault(kind, []).extend(values)

    def srv(self, service: str, *servers: str) -> None:
        self.add(service, "SRV", *servers)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True), dns.rdatatype.to_text(question.rdtype)
        self.asked[f"{kind} {name}"] += 1
        if kind in self.mute or self._transport is None:
            return
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if name not in self._zone:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif values := self._zone[name].get(kind):
            answer.answer.append(dns.rrset.from_text(question.name, 0, "IN", kind, *values))
        self._transport.sendto(answer.to_wire(), addr)
