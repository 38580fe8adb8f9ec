"""Real sockets, the real ticker, and a peer that a test scripts packet by packet."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import uvloop

from app.media.packet import Packet, pack, unpack
from app.media.pyvoip import PayloadType
from app.media.rtp import RtpPool, RtpSession
from app.media.ticker import Ticker
from tests.kit.ports import free_ports

ASSOC = {0: PayloadType.PCMU, 101: PayloadType.EVENT}


class Peer:
    """A UDP socket with RTP manners: numbers its packets, and waits for ours."""

    def __init__(self, host: str = "127.0.0.1", ssrc: int = 0xC0FFEE) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.setblocking(False)
        self.host, self.port = self.socket.getsockname()[:2]
        self.ssrc = ssrc
        self.sequence = 65_534  # wraps soon

    def say(self, to: RtpSession, payload: bytes = b"\x20" * 160, *, kind: int = 0, **changes: int) -> Packet:
        packet = Packet(kind, False, self.sequence, self.sequence * 160 & 0xFFFFFFFF, self.ssrc, payload)
        packet = packet._replace(**changes)
        self.socket.sendto(pack(packet), (self.host, to.local_port))
        self.sequence = (self.sequence + 1) & 0xFFFF
        return packet

    def shout(self, data: bytes, port: int) -> None:
        self.socket.sendto(data, (self.host, port))

    async def hear(self) -> Packet:
        data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.socket, 2048), 5)
        packet = unpack(data)
        assert packet is not None
        return packet

    def heard(self) -> list[bytes]:
        """What has come so far; waits for nothing."""
        packets = []
        while True:
            try:
                packets.append(self.socket.recv(2048))
            except BlockingIOError:
                return packets


class Beats:
    """A member of the ticker that ends a wait once its condition holds at a beat."""

    def __init__(self, ticker: Ticker) -> None:
        self._ticker = ticker
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    async def until(self, condition: Callable[[], bool]) -> None:
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((condition, done))
        self._ticker.add(self)
        await asyncio.wait_for(done, 5)

    async def passed(self, count: int) -> None:
        left = iter(range(count))
        await self.until(lambda: next(left, None) is None)

    rests_until = 0.0

    def tick(self, now: float, frames: int) -> None:
        for entry in list(self._waiting):
            if not entry[1].done() and entry[0]():
                entry[1].set_result(None)
                self._waiting.remove(entry)
        if not self._waiting:
            self._ticker.discard(self)


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop of the product, whose readers are not asyncio's."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def ports() -> range:
    return free_ports(20)


@pytest.fixture
def ticker() -> Ticker:
    return Ticker()


@pytest.fixture
def beats(ticker: Ticker) -> Beats:
    return Beats(ticker)


@pytest.fixture
def pool(ports: range, ticker: Ticker) -> RtpPool:
    return RtpPool("127.0.0.1", ports, 30.0, ticker)


@pytest.fixture
async def session(pool: RtpPool) -> AsyncIterator[RtpSession]:
    opened = pool.open(dtmf=None)
    yield opened
    opened.stop()


@pytest.fixture
def make_peer() -> Iterator[Callable[..., Peer]]:
    made: list[Peer] = []

    def make(host: str = "127.0.0.1", ssrc: int = 0xC0FFEE) -> Peer:
        made.append(Peer(host, ssrc))
        return made[-1]

    yield make
    for peer in made:
        peer.socket.close()


@pytest.fixture
def peer(make_peer: Callable[..., Peer]) -> Peer:
    return make_peer()
