"""Stands between the product and its PostgreSQL, a process of its own: slow, cut, forgetful, or full of errors.

Orders are JSON lines on stdin, each replaces the one before; what was done goes to the log. Knows the frames of
PostgreSQL's protocol and no SQL beyond the words that begin and end a transaction.
"""

import asyncio
import os
import random
import signal
import struct
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.callee import Log
from tests.faults.line import follow_orders

_NEGOTIATE = (80877103, 80877104)  # SSLRequest, GSSENCRequest: answered with one byte
_FLUSHES = b"QSpXHdcfF"  # frames after which the client waits, or that nobody waits for
_STATES = ("40001", "40P01")  # serialization_failure, deadlock_detected
_NEVER = (b"BEGIN", b"ROLLBACK", b"LISTEN", b"SET")


@dataclass(frozen=True, slots=True)
class Order:
    delay: float = 0.0  # seconds per round trip
    cut: bool = False  # nothing gets through, nobody is told: a partition
    errors: float = 0.0  # chance that a statement fails with a collision instead of being run
    lose: float = 0.0  # chance that a statement is run and its answer never comes: the connection breaks
    commits: int = 0  # so many COMMITs of `app` are run and their answers never come
    app: str = ""  # the application_name that this is about; empty: everybody


class Between:
    def __init__(self, log: Log, server: tuple[str, int]) -> None:
        self.log = log
        self.server = server
        self.order = Order()
        self.commits = 0
        self.open = asyncio.Event()
        self.open.set()

    def obey(self, order: dict[str, Any]) -> None:
        self.order = Order(**order)
        self.commits = self.order.commits
        if self.order.cut:
            self.open.clear()
        else:
            self.open.set()

    async def gate(self, app: str) -> None:
        """Wait while `app` is cut off."""
        while self.order.cut and self.order.app in ("", app):
            await self.open.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            theirs = await asyncio.open_connection(*self.server)
        except OSError:
            writer.close()
            return
        await Link(self, (reader, writer), theirs).run()


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Link:
    """One connection of the product's."""

    def __init__(self, between: Between, client: Ends, server: Ends) -> None:
        self._between = between
        self._client, self._server = client, server
        self._app = ""
        self._negotiating = 0  # one-byte answers still to come
        self._in_transaction = False
        self._swallow = ""  # why the answer that comes now is kept back
        self._forged = b""  # what the client gets instead

    async def run(self) -> None:
        ways = [asyncio.create_task(self._from_client()), asyncio.create_task(self._from_server())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for _, writer in (self._client, self._server):
                writer.transport.abort()

    async def _from_client(self) -> None:
        reader = self._client[0]
        while await self._startup(reader):
            pass
        group: list[bytes] = []
        while True:
            head = await reader.readexactly(5)
            group.append(head + await reader.readexactly(struct.unpack("!I", head[1:])[0] - 4))
            if head[:1] in _FLUSHES:
                await self._between.gate(self._app)
                self._pass_on(group)
                group = []

    async def _startup(self, reader: asyncio.StreamReader) -> bool:
        """Whether another one follows."""
        size, code = struct.unpack("!II", await reader.readexactly(8))
        rest = await reader.readexactly(size - 8)
        words = rest.split(b"\0")
        if b"application_name" in words:
            self._app = words[words.index(b"application_name") + 1].decode()
        self._negotiating += code in _NEGOTIATE
        if code not in _NEGOTIATE:
            await self._between.gate(self._app)
        self._later(self._server[1], struct.pack("!II", size, code) + rest)
        return code in _NEGOTIATE

    def _pass_on(self, group: list[bytes]) -> None:
        order, data, first = self._between.order, b"".join(group), group[0]
        text = first[5:].lstrip()
        ours = order.app in ("", self._app) and first[:1] in b"QPB"
        if ours and self._between.commits > 0 and text.startswith(b"COMMIT"):
            self._between.commits -= 1
            self._swallow = "commit"
        elif ours and order.lose and not text.startswith(_NEVER) and random.random() < order.lose:
            self._swallow = "answer"
        elif ours and order.errors and not text.startswith(_NEVER) and random.random() < order.errors:
            error = _error(random.choice(_STATES))
            self._between.log.write("error", app=self._app)
            if not text.startswith(b"COMMIT"):
                ready = _frame(b"Z", b"E" if self._in_transaction else b"I")
                self._later(self._client[1], error + ready)
                return
            self._swallow, self._forged = "rollback", error + _frame(b"Z", b"I")
            data = _frame(b"Q", b"ROLLBACK\0")
        self._later(self._server[1], data)

    async def _from_server(self) -> None:
        reader = self._server[0]
        while True:
            kind = await reader.readexactly(1)
            if self._negotiating:
                self._negotiating -= 1
                self._later(self._client[1], kind)
                continue
            size = await reader.readexactly(4)
            frame = kind + size + await reader.readexactly(struct.unpack("!I", size)[0] - 4)
            await self._between.gate(self._app)
            ready = kind == b"Z"
            if ready:
                self._in_transaction = frame[5:] == b"T"
            if not self._swallow:
                self._later(self._client[1], frame)
            elif ready and not self._answered_otherwise():
                return

    def _answered_otherwise(self) -> bool:
        """What became of an answer that is kept back: False when the connection breaks instead."""
        self._between.log.write("lost " + self._swallow, app=self._app)
        if not self._forged:
            return False
        self._later(self._client[1], self._forged)
        self._swallow, self._forged = "", b""
        return True

    def _later(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if delay := self._between.order.delay / 2:
            asyncio.get_running_loop().call_later(delay, _write, writer, data)
        else:
            _write(writer, data)


def _write(writer: asyncio.StreamWriter, data: bytes) -> None:
    if not writer.is_closing():
        writer.write(data)


def _frame(kind: bytes, payload: bytes) -> bytes:
    return kind + struct.pack("!I", len(payload) + 4) + payload


def _error(state: str) -> bytes:
    fields = ("SERROR", "VERROR", f"C{state}", "Mmade up by the fault suite")
    return _frame(b"E", b"".join(field.encode() + b"\0" for field in fields) + b"\0")


async def _main(log: Path, host: str, port: int) -> None:
    between = Between(Log(log), (host, port))
    server = await asyncio.start_server(between.serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    orders = asyncio.create_task(follow_orders(between.obey))
    parent = os.getppid()
    while not stop.is_set() and os.getppid() == parent:  # nobody is left behind when the harness dies
        try:
            await asyncio.wait_for(stop.wait(), 1)
        except TimeoutError:
            continue
    orders.cancel()


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
