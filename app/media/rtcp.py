"""RTCP as bytes (RFC 3550 §6): sender and receiver reports, CNAME, BYE. Knows no socket and keeps no time."""

from dataclasses import dataclass
from struct import Struct
from typing import Final

_HEADER: Final = Struct("!BBH")
_SENDER: Final = Struct("!IIIIII")  # SSRC, NTP seconds, NTP fraction, RTP time, packets, octets
_BLOCK: Final = Struct("!IB3sIIII")  # SSRC, fraction, lost, highest, jitter, LSR, DLSR
_WORD: Final = Struct("!I")
_SR, _RR, _SDES, _BYE = 200, 201, 202, 203
_LAST_TYPE: Final = 207  # XR (RFC 3611); beyond is not RTCP
_NTP_EPOCH: Final = 2_208_988_800  # seconds from 1900 to 1970


@dataclass(frozen=True, slots=True)
class SenderInfo:
    """What we have sent so far, at `wall` seconds since 1970."""

    wall: float
    timestamp: int
    packets: int
    octets: int


@dataclass(frozen=True, slots=True)
class Block:
    """How one source is received (§6.4.1)."""

    ssrc: int
    fraction_lost: int
    lost: int
    highest: int
    jitter: int
    last_report: int  # middle 32 bits of its newest SR's NTP time; 0: none
    delay: int  # since that SR, in 1/65536 s


@dataclass(frozen=True, slots=True)
class Heard:
    """A valid compound packet from a peer."""

    sender_report: int | None  # middle 32 bits of its NTP time
    bye: bool


def compound(ssrc: int, cname: str, *, sender: SenderInfo | None, block: Block | None, bye: bool = False) -> bytes:
    """SR (or RR when nothing was sent), SDES with CNAME, and BYE at the end of a session."""
    packet = _report(ssrc, sender, block) + _description(ssrc, cname)
    return packet + _chunk(1, _BYE, _WORD.pack(ssrc)) if bye else packet


def parse(data: bytes) -> Heard | None:
    """What a compound packet says; None when it is none (RFC 3550 A.2, reduced-size packets of RFC 5506 allowed)."""
    position, report, bye = 0, None, False
    while position < len(data):
        if len(data) - position < 8:
            return None
        first, kind, words = _HEADER.unpack_from(data, position)
        end = position + 4 * (words + 1)
        if first >> 6 != 2 or not _SR <= kind <= _LAST_TYPE or end > len(data):
            return None
        if kind == _SR:
            if words < 6:
                return None
            report = int.from_bytes(data[position + 10 : position + 14], "big")
        bye = bye or kind == _BYE
        position = end
    return Heard(report, bye) if data else None


def _report(ssrc: int, sender: SenderInfo | None, block: Block | None) -> bytes:
    blocks = b"" if block is None else _reception(block)
    count = 0 if block is None else 1
    if sender is None:
        return _chunk(count, _RR, _WORD.pack(ssrc) + blocks)
    seconds = int(sender.wall)
    fraction = int((sender.wall - seconds) * 0x1_0000_0000)
    info = _SENDER.pack(
        ssrc,
        (seconds + _NTP_EPOCH) & 0xFFFFFFFF,
        fraction & 0xFFFFFFFF,
        sender.timestamp,
        sender.packets & 0xFFFFFFFF,
        sender.octets & 0xFFFFFFFF,
    )
    return _chunk(count, _SR, info + blocks)


def _reception(block: Block) -> bytes:
    lost = max(-0x800000, min(0x7FFFFF, block.lost)) & 0xFFFFFF
    return _BLOCK.pack(
        block.ssrc,
        block.fraction_lost,
        lost.to_bytes(3, "big"),
        block.highest,
        block.jitter & 0xFFFFFFFF,
        block.last_report,
        min(block.delay, 0xFFFFFFFF),
    )


def _description(ssrc: int, cname: str) -> bytes:
    name = cname.encode()
    item = _WORD.pack(ssrc) + bytes((1, len(name))) + name
    return _chunk(1, _SDES, item + bytes(4 - len(item) % 4))  # at least one null ends the list (§6.5)


def _chunk(count: int, kind: int, body: bytes) -> bytes:
    return _HEADER.pack(0x80 | count, kind, len(body) // 4) + body
