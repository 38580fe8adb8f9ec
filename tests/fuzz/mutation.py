"""Bytes made worse: flips, cuts, repeats, splices and the tokens that parsers trip over. Knows no message."""

from collections.abc import Callable, Sequence
from random import Random

_TOKENS = (
    b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"\0", b"\x7f", b"\xff\xfe", b"\xc3\x28", b"\xe2\x80\xa8", b" ", b"\t",
    b"\r\n ", b"\r\n\t", b":", b";", b",", b"=", b'"', b'\\"', b"\\", b"<", b">", b"@", b"%", b"%00", b"%0d%0a", b"[",
    b"]", b"[::1]", b"[::", b"-1", b"0", b"65536", b"2147483648", b"4294967296", b"99999999999999999999", b"NaN",
    b"SIP/2.0", b"SIP/2.0/UDP", b"z9hG4bK", b";branch=", b";tag=", b";lr", b";rport", b";received=", b";maddr=",
    b"sip:", b"sips:", b"tel:", b"INVITE", b"ACK", b"BYE", b"CANCEL", b"Content-Length: ", b"\r\nl: 9999", b"\r\nVia: ",
    b"\r\nCSeq: ", b"\r\nCall-ID: ", b"\r\nTo: ", b"\r\nContact: *", b"\r\nContact: ", b"\r\nRecord-Route: ",
    b"\r\nRequire: ", b"\r\nSession-Expires: ", b"\r\nRSeq: ", b"m=audio ", b"c=IN IP4 ", b"a=rtpmap:", b"a=crypto:",
)  # fmt: skip


def mutated(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """`data` after one to four changes, some of which bring in parts of `others`."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        data = rng.choice(_CHANGES)(rng, data, others)
    return data[:65_507]  # what UDP carries


def _flip(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    if not data:
        return data
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _cut(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    a, b = _span(rng, data)
    return data[:a] + data[b:]


def _truncate(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _repeat(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    a, b = _span(rng, data)
    return data[:b] + data[a:b] * rng.choice((1, 2, 10, 200)) + data[b:]


def _insert(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(_TOKENS) * rng.choice((1, 1, 1, 3, 500)) + data[at:]


def _overwrite(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    a, b = _span(rng, data)
    return data[:a] + rng.choice(_TOKENS) + data[b:]


def _swap_lines(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    lines = data.split(b"\r\n")
    a, b = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]
    return b"\r\n".join(lines)


def _drop_line(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    lines = data.split(b"\r\n")
    del lines[rng.randrange(len(lines))]
    return b"\r\n".join(lines)


def _steal_lines(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    lines, theirs = data.split(b"\r\n"), rng.choice(others).split(b"\r\n")
    at, start = rng.randrange(len(lines)), rng.randrange(len(theirs))
    lines[at : at + rng.randrange(2)] = theirs[start : start + rng.randrange(1, 4)]
    return b"\r\n".join(lines)


def _splice(rng: Random, data: bytes, others: Sequence[bytes]) -> bytes:
    other = rng.choice(others)
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def _span(rng: Random, data: bytes) -> tuple[int, int]:
    a = rng.randrange(len(data) + 1)
    return a, min(len(data), a + rng.choice((1, 1, 4, 16, 64)))


_CHANGES: tuple[Callable[[Random, bytes, Sequence[bytes]], bytes], ...] = (
    _flip, _flip, _cut, _truncate, _repeat, _insert, _insert, _overwrite, _swap_lines, _drop_line, _steal_lines,
    _splice,
)  # fmt: skip
