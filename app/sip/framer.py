"""Cuts a TCP or TLS stream into SIP messages (RFC 3261 §18.3, RFC 5626 §3.5.1); knows no connection."""

import re
from collections.abc import Iterator

from app.sip.message import MalformedMessage

MAX_MESSAGE = 64 * 1024  # octets, head and body together

_LENGTH = re.compile(rb"(?:\A|\r\n)(?:content-length|l)[ \t]*+:(?:\r\n)?[ \t]*+([^\r]*+)", re.IGNORECASE)


class Framer:
    """One connection's incoming side. After MalformedMessage the connection is of no use any more: close it."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0  # no end of head before this: each octet is looked at once, however it drips in
        self._wanted: int | None = None  # octets of the message at the buffer's start, once its head is complete
        self.pings = 0  # double CRLFs so far in this feed: each wants one CRLF back

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Whole messages, in order, each as it is asked for; then raises MalformedMessage if what follows is none.

        That is one without a Content-Length, too long, or not SIP: those before it are to be answered all the same.
        """
        self._buffer += data
        self.pings = 0
        while (message := self._next()) is not None:
            yield message

    def _next(self) -> bytes | None:
        if self._wanted is None:
            self._swallow_keep_alive()
            self._wanted = self._measure()
        if self._wanted is None or len(self._buffer) < self._wanted:
            return None
        message = bytes(self._buffer[: self._wanted])
        del self._buffer[: self._wanted]
        self._wanted, self._searched = None, 0
        return message

    def _swallow_keep_alive(self) -> None:
        """Single CRLFs before a message go (§7.5); two are a ping (RFC 5626 §3.5.1); a lone one waits for its twin."""
        while self._buffer.startswith(b"\r\n\r\n"):
            del self._buffer[:4]
            self.pings += 1
            self._searched = 0
        if self._buffer.startswith(b"\r\n") and len(self._buffer) > 3:
            del self._buffer[:2]
            self._searched = 0

    def _measure(self) -> int | None:
        """Length of the message at the buffer's start, None while its head is not complete."""
        first = self._buffer.find(b"\r\n")
        if first > 0 and b"SIP/" not in self._buffer[:first].upper():
            raise MalformedMessage("the first line is not SIP's")
        end = self._buffer.find(b"\r\n\r\n", self._searched)
        if end < 0:
            self._searched = max(0, len(self._buffer) - 3)
            if len(self._buffer) > MAX_MESSAGE:
                raise MalformedMessage(f"a head longer than {MAX_MESSAGE} octets")
            return None
        lengths = {value.strip() for value in _LENGTH.findall(bytes(self._buffer[:end]))}
        if len(lengths) != 1:
            raise MalformedMessage("a message on a stream needs exactly one Content-Length")
        length = lengths.pop()
        if not length.isdigit() or len(length) > 6 or end + 4 + int(length) > MAX_MESSAGE:
            raise MalformedMessage(f"Content-Length is not a number that fits into {MAX_MESSAGE} octets")
        return end + 4 + int(length)
