"""Free ports for one product on loopback: asked of the kernel together, so that none is given twice."""

import socket
from contextlib import ExitStack
from dataclasses import dataclass

HOST = "127.0.0.1"
_RTP_PORTS = 8  # enough for the one call, and a spare if somebody takes one
_TRIES = 50


class NoPorts(Exception):
    """The kernel gave no set of free ports that lie as they must."""


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
    """Bind them all, read their numbers, let go. Raises NoPorts."""
    with ExitStack() as held:
        http = _bind(held, socket.SOCK_STREAM, 0)
        sip = _both(held)
        rtp = _row(held)
        return Ports(http, sip, rtp)


def _both(held: ExitStack) -> int:
    for _ in range(_TRIES):
        port = _bind(held, socket.SOCK_DGRAM, 0)
        if _bind(held, socket.SOCK_STREAM, port):
            return port
    raise NoPorts("no port is free for UDP and TCP at once")


def _row(held: ExitStack) -> int:
    """The first of a row of UDP ports, an even one."""
    for _ in range(_TRIES):
        first = _bind(held, socket.SOCK_DGRAM, 0)
        if first % 2 == 0 and all(_bind(held, socket.SOCK_DGRAM, first + n) for n in range(1, _RTP_PORTS)):
            return first
    raise NoPorts(f"no {_RTP_PORTS} UDP ports in a row are free")


def _bind(held: ExitStack, kind: socket.SocketKind, port: int) -> int:
    """`port` (0: any) bound until `held` ends; 0 when it is taken."""
    if port > 65535:
        return 0
    sock = held.enter_context(socket.socket(socket.AF_INET, kind))
    try:
        sock.bind((HOST, port))
    except OSError:
        return 0
    return int(sock.getsockname()[1])
