"""Free ports for one product on loopback, held together while they are chosen, so that none is given twice."""

import secrets
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

HOST = "127.0.0.1"
_RTP_PORTS = 8  # enough for the one call, and a spare if somebody takes one
_TRIES = 100
# Below what kernels give to connections (Linux from 32768, others from 49152): a port that the kernel chooses may be
# somebody's connection again before the product has started, seen on a busy machine.
_RANGE = range(10_240, 32_000)


class NoPorts(Exception):
    """There is no set of free ports that lie as they must."""


@dataclass(frozen=True, slots=True)
class Ports:
    http: int
    sip: int  # free for UDP and for TCP
    rtp_first: int  # even

    @property
    def rtp(self) -> str:
        """As DIAL_RTP_PORTS spells it."""
        return f"{self.rtp_first}-{self.rtp_first + _RTP_PORTS - 1}"


def choose() -> Ports:
    """Bind them all, let go. Raises NoPorts."""
    tcp, udp = socket.SOCK_STREAM, socket.SOCK_DGRAM
    with ExitStack() as held:
        http = _free(held, [(tcp, 0)])
        sip = _free(held, [(tcp, 0), (udp, 0)])
        rtp = _free(held, [(udp, offset) for offset in range(_RTP_PORTS)])
        return Ports(http, sip, rtp)


def _free(held: ExitStack, wanted: Sequence[tuple[socket.SocketKind, int]]) -> int:
    """An even port from which on every (kind, offset) that is `wanted` could be bound; bound until `held` ends."""
    for _ in range(_TRIES):
        first = secrets.choice(_RANGE) & ~1
        if all(_bind(held, kind, first + offset) for kind, offset in wanted):
            return first
    raise NoPorts(f"no {len(wanted)} free ports were found on {HOST}")


def _bind(held: ExitStack, kind: socket.SocketKind, port: int) -> bool:
    sock = held.enter_context(socket.socket(socket.AF_INET, kind))
    try:
        sock.bind((HOST, port))
    except OSError:
        return False
    return True
