"""A caller whose every message a test writes: the requests of one call to the phone, over UDP, TCP or TLS."""

import asyncio
import itertools
import ssl
from collections.abc import Sequence

from app.calls.ports import Arrival, IncomingLeg
from app.sip import build
from app.sip.arrival import SipArrival
from app.sip.framer import Framer
from app.sip.headers import hostport
from app.sip.message import SipMessage
from tests.sip.conftest import Bench
from tests.sip.peer import PATIENCE, Peer, sdp

NUMBER = "4711"

_names = itertools.count(1)


class Caller(Peer):
    """One call at a time: what follows an INVITE is in its dialog."""

    transport = "UDP"

    def __init__(self, bench: Bench, host: str = "127.0.0.1") -> None:
        super().__init__(tag="caller", host=host)
        self.phone = bench.address
        self.legs: asyncio.Queue[SipArrival] = asyncio.Queue()
        self.arrivals: list[Arrival] = []
        self.known = {NUMBER}
        self.call_id = f"caller-{next(_names)}"
        self.newest_invite = b""
        self.hears_repeats = False  # with timers this short a busy machine makes many
        self._heard: set[bytes] = set()
        self.scheme = "sip"
        self._branches = itertools.count(1)
        self._cseq = 1
        self._bench = bench
        bench.phone.take_calls(lambda number: number in self.known, self._take)

    def _take(self, arrival: Arrival, leg: IncomingLeg) -> None:
        assert isinstance(leg, SipArrival)
        self.arrivals.append(arrival)
        self._bench.legs.append(leg)
        self.legs.put_nowait(leg)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self.hears_repeats or data not in self._heard:
            self._heard.add(data)
            super().datagram_received(data, addr)

    async def leg(self) -> SipArrival:
        return await asyncio.wait_for(self.legs.get(), PATIENCE)

    def invite(
        self,
        *,
        number: str = NUMBER,
        body: bytes | None = None,
        headers: Sequence[build.Header] = (),
        via: str = "",
        without: str = "",
        kind: str = "application/sdp",
    ) -> SipMessage:
        """Send one; `headers` replace those of the same name, `without` names one that is left out."""
        content = sdp() if body is None else body
        rows: list[build.Header] = [
            ("Via", self._via() + via),
            ("From", "<sip:ann@caller.test>;tag=caller"),
            ("To", f"<sip:{NUMBER}@service.test>"),
            ("Call-ID", self.call_id),
            ("CSeq", f"{self._cseq} INVITE"),
            ("Contact", self.contact),
            ("Max-Forwards", "70"),
            *((("Content-Type", kind),) if content and kind else ()),
        ]
        named = {name for name, _ in headers} | {without}
        rows = [*(row for row in rows if row[0] not in named), *headers]
        data = build.request("INVITE", f"{self.scheme}:{number}@{hostport(*self.phone)}", rows, content)
        self.newest_invite = data
        self.send(data, self.phone)
        return SipMessage.decode(data)

    def ack(self, answer: SipMessage, body: bytes = b"") -> None:
        self.send(self.within(answer, "ACK", cseq=answer.cseq[0], body=body), self.phone)

    def within(
        self,
        answer: SipMessage,
        method: str,
        *,
        cseq: int | None = None,
        body: bytes = b"",
        headers: Sequence[build.Header] = (),
        kind: str = "application/sdp",
    ) -> bytes:
        """A request in the dialog that `answer` made."""
        if cseq is None:
            self._cseq += 1
            cseq = self._cseq
        contact = (answer.first("contact") or "").strip("<>")
        rows = [
            ("Via", self._via()),
            ("From", answer.first("from") or ""),
            ("To", answer.first("to") or ""),
            ("Call-ID", answer.call_id),
            ("CSeq", f"{cseq} {method}"),
            ("Max-Forwards", "70"),
            *(() if any(name == "Contact" for name, _ in headers) else (("Contact", self.contact),)),
            *headers,
            *((("Content-Type", kind),) if body else ()),
        ]
        return build.request(method, contact, rows, body)

    def tell(self, answer: SipMessage, method: str, **more: object) -> None:
        self.send(self.within(answer, method, **more), self.phone)  # type: ignore[arg-type] # whatever within() takes

    def cancel(self, invite: SipMessage) -> None:
        self.send(build.cancel_for(invite), self.phone)

    def prack(self, provisional: SipMessage, body: bytes = b"") -> None:
        rack = f"{provisional.first('rseq')} {provisional.cseq[0]} INVITE"
        self.tell(provisional, "PRACK", headers=(("RAck", rack),), body=body)

    async def called(self, **more: object) -> tuple[SipArrival, SipMessage]:
        """The leg of an INVITE whose 100 has come."""
        invite = self.invite(**more)  # type: ignore[arg-type] # whatever invite() takes
        await self.expect("100 INVITE")
        return await self.leg(), invite

    async def talking(self, **more: object) -> tuple[SipArrival, SipMessage]:
        """The leg of a call that was answered, and its 200."""
        leg, _ = await self.called(**more)
        leg.answer()
        answer = await self.expect("200 INVITE")
        self.ack(answer)
        return leg, answer

    def _via(self) -> str:
        where = hostport(self.host, self.port)
        return f"SIP/2.0/{self.transport} {where};branch=z9hG4bK{self.call_id}x{next(self._branches)}"


class StreamCaller(Caller):
    """The same on one connection; its Contact names a port at which nobody listens."""

    def __init__(self, bench: Bench, context: ssl.SSLContext | None = None) -> None:
        super().__init__(bench)
        self.transport = "TCP" if context is None else "TLS"
        self._context = context
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        tls_port = bench.phone.endpoint.tls_port
        if context is not None and tls_port is not None:
            self.phone = (self.phone[0], tls_port)

    @property
    def contact(self) -> str:
        return f"<{self.scheme}:ann@127.0.0.1:1;transport={self.transport.lower()}>"

    async def open(self, port: int = 0) -> "StreamCaller":
        reader, self._writer = await asyncio.open_connection(*self.phone, ssl=self._context)
        self.port = self._writer.get_extra_info("sockname")[1]
        self._reading = asyncio.create_task(self._read(reader))
        return self

    def close(self) -> None:
        if self._writer is not None and self._reading is not None:
            self._reading.cancel()
            self._writer.close()

    def send(self, data: bytes, to: tuple[str, int] | None = None) -> None:
        assert self._writer is not None
        self._writer.write(data)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        framer = Framer()
        while data := await reader.read(65536):
            for message in framer.feed(data):
                self.datagram_received(message, self.phone)
