"""One leg's RTP and RTCP sockets and what is said on them, and the pool they come from. Knows no signalling."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from typing import Final

from app.media.audio import LegAudio
from app.media.control import Control
from app.media.counters import Counters
from app.media.latch import Latch, Source
from app.media.leg import Assoc, RtpLeg
from app.media.packet import Buffer, unpack
from app.media.ports import BoundPair, PortPool, disconnect
from app.media.relay import Send
from app.media.rtcp import parse
from app.media.srtp import Cipher, CipherError
from app.media.ticker import FRAME_SECONDS, Ticker
from app.runtime import log

_LONGEST: Final = 2048  # bytes read of one packet; G.711 fits many times
_CHORES: Final = 2.0  # seconds; while a bridge sends, a leg looks no more often for what else is due
_STALL: Final = 50  # frames: this process slept for a second or more, so the peer's silence proves nothing
_NOBODY: Final = ""

_log = log.get(__name__)


class RtpPool:
    """One worker's RTP ports; its legs send on `ticker` and are given up after `timeout` seconds of silence."""

    def __init__(self, host: str, ports: range, timeout: float, ticker: Ticker | None = None) -> None:
        self.host = host
        self.ports = PortPool(host, ports)
        self.timeout = timeout
        self.ticker = ticker or Ticker()
        self.buffer = Buffer(_LONGEST)  # of the packet that is being passed on: one loop, one packet at a time

    def open(self, *, dtmf: Callable[[str], None] | None = None) -> "RtpSession":
        """Bind an even port and its neighbour now; raises NoFreePort. `dtmf` gets each key once."""
        return RtpSession(self, self.ports.bind(), dtmf)


class RtpSession(LegAudio):
    """Bound from the moment it is made until `stop`; deaf and dumb until it is both connected and started.

    While the peer holds, what is played waits.
    """

    __slots__ = (
        "_chores_at",
        "_cipher",
        "_connected",
        "_control",
        "_control_peer",
        "_heard_at",
        "_last_cipher",
        "_latch",
        "_loop",
        "_pair",
        "_pool",
        "_receive",
        "_receive_into",
        "_rtcp_port",
        "_send",
        "_started",
        "counters",
        "local_host",
        "local_port",
        "on_silence",
    )

    def __init__(self, pool: RtpPool, pair: BoundPair, dtmf: Callable[[str], None] | None) -> None:
        super().__init__(pool.buffer, dtmf)
        self.local_host = pool.host
        self.local_port = pair.port
        self.on_silence: Callable[[], None] | None = None  # called at most once
        self.counters = Counters()
        self._pool = pool
        self._pair = pair
        self._receive_into = pair.rtp.recv_into
        self._chores_at = 0.0
        self._latch = Latch(_NOBODY, 0)
        self._control = Control()
        self._rtcp_port: int | None = None  # the peer's, when its SDP names it
        self._control_peer: Source | None = None  # where RTCP came from, when NAT made it another than port + 1
        self._loop: asyncio.AbstractEventLoop | None = None  # set while reading
        self._cipher: Cipher | None = None
        self._last_cipher: Cipher | None = None
        self._started = False
        self._connected = False  # the RTP socket is, to the settled peer
        self._send = self._receive = False
        self._heard_at: float | None = None

    @property
    def packets_received(self) -> int:
        """Valid RTP packets of the peer so far."""
        self.settle()
        return self.counters.received

    def connect(
        self, assoc: Assoc, address: str, port: int, *, send: bool, receive: bool, rtcp_port: int | None = None
    ) -> RtpLeg:
        """Point media at the peer. Called again it replaces what was negotiated and returns the same leg.

        Raises ValueError when `assoc` has neither PCMU nor PCMA. An `address` that is no IP address sends nothing.
        """
        leg = self.leg
        if leg is None:
            leg = RtpLeg(self, assoc, address, port, dtmf=self.hear_key, counters=self.counters)
            if self.stopped:  # a late answer: it is ACKed and ended, and wants a client meanwhile
                return leg
            self.leg = leg
        else:
            leg.negotiate(assoc)
            self.interrupt()
        self.update(address, port, send=send, receive=receive, rtcp_port=rtcp_port)
        self._begin()
        return leg

    def secure(self, keys: tuple[bytes, bytes] | None) -> None:
        """Our SRTP master key with its salt, and the peer's, from the next packet on; None: nothing is encrypted.

        The same key again changes nothing: what has come already stays refused.
        """
        self._cipher = None
        if keys is not None:
            self._cipher = self._last_cipher = Cipher(*keys, before=self._last_cipher)
        self.interrupt()

    def start(self) -> None:
        """Begin to read, and to send what is given or comfort silence; safe to call twice."""
        self._started = True
        self._begin()

    def update(self, address: str, port: int, *, send: bool, receive: bool, rtcp_port: int | None = None) -> None:
        """The peer moved, held or resumed. Does nothing before `connect` and after `stop`.

        RTCP goes to the port after `port` unless the peer named another one (RFC 3605).
        """
        if self.leg is None or self.stopped:
            return
        named = _canonical(self._pair.rtp.family, address)
        if self._latch.negotiated != (named, port):
            self._latch = Latch(named, port)
            self._control_peer = None
            if self._connected:
                disconnect(self._pair.rtp)
                self._connected = False
        if receive and not self._receive and self._heard_at is not None and self._loop is not None:
            self._heard_at = self._loop.time()  # its silence while it held was no fault
        self._rtcp_port = rtcp_port
        self._receive = receive
        self._send = send and port != 0 and named != _NOBODY
        self.leg.outIP, self.leg.outPort = address, port
        self.interrupt()

    def stop(self) -> None:
        """Say goodbye by RTCP, close the sockets and return the port; safe to call twice."""
        if self.stopped:
            return
        self.stopped = True
        self.settle()
        self._pool.ticker.discard(self)
        loop, leg, pair = self._loop, self.leg, self._pair
        try:
            if loop is not None and leg is not None:
                loop.remove_reader(pair.rtp.fileno())
                loop.remove_reader(pair.rtcp.fileno())
                leg.NSD = False
                if self._send:
                    self._transmit_control(self._control.farewell(leg, loop.time()))
        finally:
            self._loop = self.on_silence = None
            self._pool.ports.give_back(pair)
            self.end()
        _log.debug("media.ended", port=self.local_port, **self.counters.settle())

    def way_out(self) -> Send | None:
        """How a bridge sends to the peer; None: nothing may be sent now, or something is being played."""
        if not self._send or self._loop is None or self.voice.busy:
            return None
        return self._pair.rtp.send if self._connected and self._cipher is None else self._put

    # --

    def interrupt(self) -> None:
        super().interrupt()
        self._pool.ticker.wake(self)

    def tick(self, now: float, frames: int) -> None:
        """20 ms have passed; the ticker calls this."""
        if frames == 1 and now < self._chores_at and self.inflow is not None:
            self.rests_until = min(self.inflow.lasts_until, self._chores_at)
            if now < self.rests_until:
                return  # a bridge sends
        leg = self.leg
        if leg is None:
            return
        out = leg.outgoing
        if self._send:
            for _ in range(leg.due(self.owed(now, frames))):
                self._transmit(self.voice.frame(out) if self.voice.busy else out.frame())
            if now >= self._control.due_at:
                self.settle()
                self._transmit_control(self._control.report(leg, now))
            self._chores_at = min(now + min(_CHORES, self._pool.timeout / 4), self._control.due_at)
        else:
            out.skip(frames)
            self._chores_at = 0.0
        if self.outflow is not None:
            self.heard(self.outflow.heard_at)
        if self._receive and self._heard_at is not None:
            self._listen_for_silence(now, frames)

    def heard(self, at: float) -> None:
        """A bridge, which keeps the times of its packets itself, heard the peer then; 0: it never did."""
        if at:
            self._heard_at = max(self._heard_at or 0.0, at)

    def _begin(self) -> None:
        if not self._started or self.leg is None or self.stopped or self._loop is not None:
            return
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._pair.rtp.fileno(), self._on_rtp)
        self._loop.add_reader(self._pair.rtcp.fileno(), self._on_rtcp)
        self._control.begin(self._loop.time())
        self._pool.ticker.add(self)
        self.interrupt()

    def _on_rtp(self) -> None:
        """One packet per wake-up: a flood at one leg leaves the others their turn."""
        relay, loop = self.outflow, self._loop
        if relay is not None and loop is not None and self._connected and self._cipher is None:
            try:
                size = self._receive_into(self._buffer)
            except OSError:
                return
            if not relay.forward(size, loop.time()):
                self._take(bytes(self._buffer[:size]), self._latch.peer)
            return
        try:
            data, source = self._pair.rtp.recvfrom(_LONGEST)
        except OSError:  # nothing there after all, or the ICMP error of something we sent
            return
        self._take(data, source[:2])

    def _take(self, data: bytes, source: Source) -> None:
        loop, leg = self._loop, self.leg
        if loop is None or leg is None:
            return
        if self._cipher is not None:
            plain = self._cipher.show(data)
            if plain is None:
                self.counters.unauthentic += 1
                return
            data = plain
        packet = unpack(data)
        if packet is None:
            self.counters.malformed += 1
        elif self._latch.admits(source):
            self._heard_at = now = loop.time()
            self.hear(leg, packet, now)
        elif packet.payload_type in leg.assoc and self._latch.judge(source, packet):
            self._heard_at = now = loop.time()
            self.hear(leg, packet, now)
            if self._latch.admits(source):
                self._keep_to(source)
        else:
            self.counters.strangers += 1

    def _keep_to(self, source: Source) -> None:
        """Connect to the settled peer, never before its first packet: sending costs a look-up less, and the kernel
        keeps strangers out, so that nobody looks at a source again. What they have sent already is in the queue.
        """
        try:
            self._pair.rtp.connect(source)
        except OSError:
            return  # as good without
        while not self.stopped:
            try:
                data, whose = self._pair.rtp.recvfrom(_LONGEST)
            except OSError:
                break
            self._take(data, whose[:2])
        self._connected = not self.stopped
        self.interrupt()

    def _on_rtcp(self) -> None:
        try:
            data, source = self._pair.rtcp.recvfrom(_LONGEST)
        except OSError:
            return
        if self._loop is None:
            return
        plain = data if self._cipher is None else self._cipher.show_control(data)
        if plain is None:
            self.counters.unauthentic += 1
            return
        heard = parse(plain)
        if source[0] != self._latch.peer[0]:
            self.counters.strangers += 1
        elif heard is None:
            self.counters.malformed += 1
        else:
            self.counters.rtcp_received += 1
            self._heard_at = now = self._loop.time()
            self._control.hear(heard, now)
            if self._latch.behind_nat and self._control_peer is None:
                self._control_peer = source[:2]

    def _transmit(self, packet: bytes | bytearray) -> None:
        try:
            self._put(packet)
            self.counters.sent += 1
        except (
            OSError,
            CipherError,
        ):  # full buffer, no route, the peer's port is closed: the next frame may get through
            self.counters.unsent += 1

    def _put(self, packet: bytes | bytearray | memoryview) -> None:
        """Raises OSError and CipherError."""
        if self._cipher is not None:
            packet = self._cipher.hide(packet)
        if self._connected:
            self._pair.rtp.send(packet)
        else:
            self._pair.rtp.sendto(packet, self._latch.peer)

    def _transmit_control(self, packet: bytes) -> None:
        host, port = self._latch.peer
        named = None if self._latch.behind_nat else self._rtcp_port
        try:
            if self._cipher is not None:
                packet = self._cipher.hide_control(packet)
            self._pair.rtcp.sendto(packet, self._control_peer or (host, named or min(port + 1, 65535)))
            self.counters.rtcp_sent += 1
        except (OSError, CipherError):
            self.counters.unsent += 1

    def _listen_for_silence(self, now: float, frames: int) -> None:
        if self._heard_at is None:
            return
        if frames >= _STALL:
            self._heard_at += frames * FRAME_SECONDS
        elif now - self._heard_at > self._pool.timeout and self.on_silence is not None:
            report, self.on_silence = self.on_silence, None
            report()


def _canonical(family: int, address: str) -> str:
    """The address as the kernel will spell it in recvfrom; empty for one that nothing can be sent to."""
    try:
        parsed = ipaddress.ip_address(address.strip("[]"))
    except ValueError:
        return _NOBODY
    if parsed.is_unspecified:
        return _NOBODY
    if family == socket.AF_INET6 and parsed.version == 4:
        return f"::ffff:{parsed}"
    return str(parsed)
