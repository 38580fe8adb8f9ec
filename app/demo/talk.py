"""The callee's ear and mouth: counts the RTP packets that come and sends silence every 20 ms. Knows no signalling."""

import asyncio
import re
import secrets

from app.demo.ports import HOST
from app.demo.story import Story
from app.media.packet import Packet, pack, unpack
from app.runtime import loop

_PCMU = 0
_FRAME = 160  # samples, 20 ms
_SILENCE = b"\xff" * _FRAME  # µ-law
_CONNECTION = re.compile(rb"^c=IN IP4 (\S+)", re.MULTILINE)
_AUDIO = re.compile(rb"^m=audio (\d+) ", re.MULTILINE)

Peer = tuple[str, int]


class Talk(asyncio.DatagramProtocol):
    """One RTP socket, open from `open` to `stop`."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._transport: asyncio.DatagramTransport | None = None
        self._sending: asyncio.Task[None] | None = None

    async def open(self) -> int:
        """The port that is now listened on."""
        running = asyncio.get_running_loop()
        self._transport, _ = await running.create_datagram_endpoint(lambda: self, local_addr=(HOST, 0))
        return int(self._transport.get_extra_info("sockname")[1])

    def begin(self, peer: Peer | None) -> None:
        """Send to `peer` from now on; None: it named no address, so only listen."""
        if peer is not None:
            self._sending = loop.spawn(self._send(peer), "callee's RTP")

    def stop(self) -> None:
        if self._sending is not None:
            self._sending.cancel()
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, data: bytes, addr: Peer) -> None:
        if unpack(data) is not None:
            self._story.rtp_received += 1

    async def _send(self, peer: Peer) -> None:
        running = asyncio.get_running_loop()
        ssrc, start, number = secrets.randbits(32), running.time(), 0
        while self._transport is not None and not self._transport.is_closing():
            packet = Packet(_PCMU, number == 0, number & 0xFFFF, number * _FRAME, ssrc, _SILENCE)
            self._transport.sendto(pack(packet), peer)
            self._story.rtp_sent += 1
            number += 1
            await asyncio.sleep(start + number * 0.02 - running.time())


def answer_sdp(port: int) -> bytes:
    """PCMU and nothing else, which everybody has."""
    lines = [
        "v=0", f"o=callee 1 1 IN IP4 {HOST}", "s=-", f"c=IN IP4 {HOST}", "t=0 0",
        f"m=audio {port} RTP/AVP {_PCMU}", "a=rtpmap:0 PCMU/8000", "a=ptime:20", "a=sendrecv",
    ]  # fmt: skip
    return ("\r\n".join(lines) + "\r\n").encode()


def media_address(offer: bytes) -> Peer | None:
    """Where the caller wants its RTP."""
    connection, audio = _CONNECTION.search(offer), _AUDIO.search(offer)
    if connection is None or audio is None:
        return None
    return connection[1].decode(), int(audio[1])
