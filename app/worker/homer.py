"""Sends copies of SIP messages to a Homer over UDP: fire and forget, nothing waits and nothing is asked again."""

import socket
from collections.abc import Callable
from typing import Any

from prometheus_client import Counter

from app.calls.wire import WireCopy, address_of
from app.runtime import log

_SENT = Counter("dial_hep_sent_total", "SIP messages sent to Homer")
_UNSENT = Counter("dial_hep_unsent_total", "SIP messages that could not be sent to Homer")

_log = log.get(__name__)


class Homer:
    """`address` is ``host:port``; a name is resolved once. Raises OSError when it cannot be."""

    def __init__(self, address: str, encode: Callable[[WireCopy], bytes]) -> None:
        self._encode = encode
        host, port = address_of(address)
        family, _, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        self._target: Any = target
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        _log.info("hep.exports", host=host, port=port)

    def __call__(self, copy: WireCopy) -> None:
        datagram = self._encode(copy)
        try:
            if datagram:
                self._socket.sendto(datagram, self._target)
                _SENT.inc()
                return
        except OSError:
            pass  # full, unreachable or refused: counted like one that cannot be written
        _UNSENT.inc()

    def close(self) -> None:
        self._socket.close()
