"""RTP and RTCP that nobody should be hurt by: random, far in time, padded, extended, cut. Sends nothing."""

import struct
from random import Random


def rtp(rng: Random) -> bytes:
    """Most have a good header, for what is refused at the first octet tests little."""
    first = rng.choice((0x80, 0x80, 0x80, 0x90, 0xA0, 0xB0, 0x8F, 0xBF, rng.randrange(256)))
    kind = rng.choice((0, 0, 8, 101, 0x80, 0xE5, rng.randrange(256)))
    sequence = rng.choice((rng.randrange(65536), 0, 65535))
    timestamp = rng.choice((rng.getrandbits(32), 0, 0xFFFFFFFF, 160 * rng.randrange(1000)))
    ssrc = rng.choice((1, 1, 1, rng.getrandbits(32)))
    payload = rng.choice(
        (b"\xff" * 160, rng.randbytes(4), rng.randbytes(rng.randrange(1500)), b"", b"\x05\x80\x03\xc0")
    )
    packet = struct.pack("!BBHII", first, kind, sequence, timestamp, ssrc) + payload
    return packet[: rng.randrange(len(packet) + 1)] if rng.random() < 0.1 else packet


def rtcp(rng: Random) -> bytes:
    """One to three parts, whose lengths may lie."""
    parts = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        body = rng.randbytes(rng.choice((0, 4, 20, 24, 24, 48, rng.randrange(200))))
        words = len(body) // 4 if rng.random() < 0.8 else rng.randrange(65536)
        first = rng.choice((0x80, 0x81, 0x9F, 0xA1, rng.randrange(256)))
        parts.append(
            struct.pack("!BBH", first, rng.choice((200, 201, 202, 203, 204, rng.randrange(256))), words) + body
        )
    return b"".join(parts)
