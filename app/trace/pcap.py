"""The trace as a packet capture (classic pcap, LINKTYPE_RAW) that Wireshark reads: IPv4 or IPv6, UDP or TCP.

The packets are made for it. What went over TLS is shown decrypted, as TCP. Credentials are masked as everywhere.
"""

import ipaddress
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.calls.wire import Address, WireCopy

MEDIA_TYPE = "application/vnd.tcpdump.pcap"

_RAW = 101  # each packet begins with its IP header
_SNAP = 262_144
_UDP, _TCP = 17, 6
_PUSH_ACK = 0x18
_MOST = 65_000  # octets of payload in one packet, below what 16 bits of length allow
_ANY_PORT = 5060  # stands for a port that is not known

Host = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class _Ends:
    source: Host
    source_port: int
    target: Host
    target_port: int

    def reversed(self) -> "_Ends":
        return _Ends(self.target, self.target_port, self.source, self.source_port)


def as_pcap(copies: Iterable[WireCopy]) -> bytes:
    """A whole file; empty but for its header when there is no message."""
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, _SNAP, _RAW)]
    sequences: dict[_Ends, int] = {}
    for copy in copies:
        seconds, micros = divmod(round(copy.at.timestamp() * 1_000_000), 1_000_000)
        for packet in _packets(copy, sequences):
            parts.append(struct.pack("<IIII", seconds, micros, len(packet), len(packet)) + packet)
    return b"".join(parts)


def _packets(copy: WireCopy, sequences: dict[_Ends, int]) -> Iterator[bytes]:
    ends = _ends(copy)
    for start in range(0, max(1, len(copy.data)), _MOST):
        payload = copy.data[start : start + _MOST]
        if copy.transport == "udp":
            yield _ip(ends, _UDP, _udp(ends, payload))
        else:
            sequence = sequences.get(ends, 1)
            sequences[ends] = (sequence + len(payload)) % 2**32
            yield _ip(ends, _TCP, _tcp(ends, sequence, sequences.get(ends.reversed(), 1), payload))


def _ends(copy: WireCopy) -> _Ends:
    local, remote = _host(copy.local), _host(copy.remote)
    if local.version != remote.version:  # bound to a wildcard of the other family
        local = ipaddress.ip_address("0.0.0.0" if remote.version == 4 else "::")
    ends = _Ends(local, copy.local[1] or _ANY_PORT, remote, copy.remote[1] or _ANY_PORT)
    return ends if copy.direction == "sent" else ends.reversed()


def _host(address: Address) -> Host:
    try:
        return ipaddress.ip_address(address[0].partition("%")[0])
    except ValueError:
        return ipaddress.IPv4Address(0)


def _udp(ends: _Ends, payload: bytes) -> bytes:
    length = 8 + len(payload)
    header = struct.pack("!HHHH", ends.source_port, ends.target_port, length, 0)
    total = _checksum(_pseudo(ends, _UDP, length) + header + payload) or 0xFFFF  # RFC 768: 0 means none
    return header[:6] + struct.pack("!H", total) + payload


def _tcp(ends: _Ends, sequence: int, acknowledged: int, payload: bytes) -> bytes:
    header = struct.pack(
        "!HHIIBBHHH", ends.source_port, ends.target_port, sequence, acknowledged, 5 << 4, _PUSH_ACK, 65_535, 0, 0
    )
    total = _checksum(_pseudo(ends, _TCP, 20 + len(payload)) + header + payload)
    return header[:16] + struct.pack("!H", total) + header[18:] + payload


def _pseudo(ends: _Ends, protocol: int, length: int) -> bytes:
    form = "!BBH" if ends.source.version == 4 else "!IHBB"
    values = (0, protocol, length) if ends.source.version == 4 else (length, 0, 0, protocol)
    return ends.source.packed + ends.target.packed + struct.pack(form, *values)


def _ip(ends: _Ends, protocol: int, payload: bytes) -> bytes:
    addresses = ends.source.packed + ends.target.packed
    if ends.source.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64) + addresses + payload
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, protocol, 0)
    return header[:10] + struct.pack("!H", _checksum(header + addresses)) + addresses + payload


def _checksum(data: bytes) -> int:
    """RFC 1071. One big number: 2^16 is 1 modulo 2^16 - 1."""
    value = int.from_bytes(data + b"\0" * (len(data) % 2), "big")
    folded = value % 0xFFFF
    return 0xFFFF - folded if folded or not value else 0
