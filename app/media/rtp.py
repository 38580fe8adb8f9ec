"""One leg's RTP and RTCP sockets, from dial to last packet, and the pool they come from. Knows no signalling."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from typing import Final

from app.media.control import Control
from app.media.counters import Counters
from app.media.latch import Latch, Source
from app.media.leg import Assoc, RtpLeg
from app.media.packet import Packet, unpack
from app.media.ports import BoundPair, PortPool, disconnect
from app.media.rtcp import parse
from app.media.srtp import Cipher, CipherError
from app.media.ticker import FRAME_SECONDS, Ticker
from app.runtime import log

_LONGEST: Final = 2048  # bytes read of one packet; G.711 fits many times
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

    def open(self, *, dtmf: Callable[[str], None] | None = None) -> "RtpSession":
        """Bind an even port and its neighbour now; raises NoFreePort. `dtmf` gets each key once."""
        return RtpSession(self, self.ports.bind(), dtmf)


class RtpSession:
    """Bound from the moment it is made until `stop`; deaf and dumb until it is both connected and started."""

    def __init__(self, pool: RtpPool, pair: BoundPair, dtmf: Callable[[str], None] | None) -> None:
        self.local_host = pool.host
        self.local_port = pair.port
        self.on_silence: Callable[[], None] | None = None  # called at most once
        self.counters = Counters()
        self._pool = pool
        self._pair = pair
        self._dtmf = dtmf
        self._leg: RtpLeg | None = None
        self._latch = Latch(_NOBODY, 0)
        self._control = Control()
        self._rtcp_port: int | None = None  # the peer's, when its SDP names it
        self._control_peer: Source | None = None  # where RTCP came from, when NAT made it another than port + 1
        self._loop: asyncio.AbstractEventLoop | None = None  # set while reading
        self._cipher: Cipher | None = None
        self._last_cipher: Cipher | None = None
        self._started = self._stopped = False
        self._connected = False  # the RTP socket is, to the settled peer
        self._send = self._receive = False
        self._heard_at: float | None = None

    @property
    def packets_received(self) -> int:
        """Valid RTP packets of the peer so far."""
        return self.counters.received

    def connect(
        self, assoc: Assoc, address: str, port: int, *, send: bool, receive: bool, rtcp_port: int | None = None
    ) -> RtpLeg:
        """Point media at the peer. Called again it replaces what was negotiated and returns the same leg.

        Raises ValueError when `assoc` has neither PCMU nor PCMA. An `address` that is no IP address sends nothing.
        """
        leg = self._leg
        if leg is None:
            leg = RtpLeg(self, assoc, address, port, dtmf=self._dtmf, counters=self.counters)
            if self._stopped:  # a late answer: it is ACKed and ended, and wants a client meanwhile
                return leg
            self._leg = leg
        else:
            leg.negotiate(assoc)
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

    def start(self) -> None:
        """Begin to read, and to send what is given or comfort silence; safe to call twice."""
        self._started = True
        self._begin()

    def update(self, address: str, port: int, *, send: bool, receive: bool, rtcp_port: int | None = None) -> None:
        """The peer moved, held or resumed. Does nothing before `connect` and after `stop`.

        RTCP goes to the port after `port` unless the peer named another one (RFC 3605).
        """
        if self._leg is None or self._stopped:
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
        self._leg.outIP, self._leg.outPort = address, port

    def stop(self) -> None:
        """Say goodbye by RTCP, close the sockets and return the port; safe to call twice."""
        if self._stopped:
            return
        self._stopped = True
        self._pool.ticker.discard(self)
        loop, leg, pair = self._loop, self._leg, self._pair
        try:
            if loop is not None and leg is not None:
                loop.remove_reader(pair.rtp.fileno())
                loop.remove_reader(pair.rtcp.fileno())
                leg.NSD = False
                if self._send:
                    self._transmit_control(self._control.farewell(leg, loop.time()))
        finally:
            self._loop = self.on_silence = self._leg = self._dtmf = None  # no cycle for the collector
            self._pool.ports.give_back(pair)
        _log.debug("media.ended", port=self.local_port, **self.counters.settle())

    def tick(self, now: float, frames: int) -> None:
        """20 ms have passed; the ticker calls this."""
        leg = self._leg
        if leg is None or self._stopped:
            return
        if self._send:
            for _ in range(leg.due(frames)):
                self._transmit(leg.outgoing.frame())
            if self._control.is_due(now):
                self._transmit_control(self._control.report(leg, now))
        else:
            leg.outgoing.skip(frames)
        if self._receive and self._heard_at is not None:
            self._listen_for_silence(now, frames)

    def _begin(self) -> None:
        if not self._started or self._leg is None or self._stopped or self._loop is not None:
            return
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._pair.rtp.fileno(), self._on_rtp)
        self._loop.add_reader(self._pair.rtcp.fileno(), self._on_rtcp)
        self._control.begin(self._loop.time())
        self._pool.ticker.add(self)

    def _on_rtp(self) -> None:
        """One packet per wake-up: a flood at one leg leaves the others their turn."""
        loop, leg = self._loop, self._leg
        try:
            data, source = self._pair.rtp.recvfrom(_LONGEST)
        except OSError:  # nothing there after all, or the ICMP error of something we sent
            return
        if loop is None or leg is None:
            return
        plain = data if self._cipher is None else self._cipher.show(data)
        if plain is None:
            self.counters.unauthentic += 1
            return
        packet = unpack(plain)
        if packet is None:
            self.counters.malformed += 1
        elif self._latch.admits(source[:2]) or self._may_latch(source[:2], packet, leg):
            self._heard_at = now = loop.time()
            leg.hear(packet, now)
        else:
            self.counters.strangers += 1

    def _may_latch(self, source: Source, packet: Packet, leg: RtpLeg) -> bool:
        """Whether a source that is not known yet is the peer. Never connect() before its first packet."""
        if packet.payload_type not in leg.assoc or not self._latch.judge(source, packet):
            return False
        if self._latch.admits(source):
            try:
                self._pair.rtp.connect(source)  # the kernel keeps strangers out, and sending costs a look-up less
                self._connected = True
            except OSError:
                self._connected = False  # as good without
        return True

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
            if self._cipher is not None:
                packet = self._cipher.hide(packet)
            if self._connected:
                self._pair.rtp.send(packet)
            else:
                self._pair.rtp.sendto(packet, self._latch.peer)
            self.counters.sent += 1
        except (
            OSError,
            CipherError,
        ):  # full buffer, no route, or the peer's port is closed: the next frame is another chance
            self.counters.unsent += 1

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
