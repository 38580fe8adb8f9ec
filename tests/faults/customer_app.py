"""A webhook receiver in a process of its own: behaves as the path says and logs each request with what it answered.

Paths: ``/ok``, ``/hang``, ``/drip``, ``/reset``, ``/STATUS`` (any code), ``/down/N`` (500 for N seconds, then well).
Documents: ``/document/dial?to=URI[&screen=URL][&callback=URL]``, ``/document/pause``, and those that nobody can use:
``/document/hang``, ``drip``, ``loop`` (redirects to itself), ``endless`` (a GiB), ``bomb`` (16 MiB in 16 KiB), ``500``.
Knows no call.
"""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from tests.faults.callee import Log
from tests.kit.receiver import Reply, Seen, drip, endless, gzip_bomb, hang, receiver, redirect, reset, status

_GIB_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: 1073741824\r\n\r\n"
_USELESS = {"hang": hang(), "drip": drip(), "endless": endless(_GIB_HEAD), "bomb": gzip_bomb()}

# The same receiver under other addresses: breakers and limits go by origin.
OTHER_HOSTS = tuple(f"127.0.0.{number}" for number in range(2, 10))


class Behaviour:
    """Chooses the answer to a request and writes both down."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._since: dict[str, float] = {}  # by path: the first request

    def __call__(self, seen: Seen) -> Reply:
        path = seen.target.partition("?")[0].strip("/")
        word, _, argument = path.partition("/")
        if word == "document":
            self._log.write("document", which=argument)
            return _document(argument, seen)
        message = seen.headers.get("webhook-id", "")
        since = self._since.setdefault(path, time.monotonic())
        code = 204
        if word == "down":
            code = 500 if time.monotonic() - since < int(argument) else 204
        elif word.isdigit():
            code = int(word)
        odd = {"hang": hang(), "drip": drip(), "reset": reset()}.get(word)
        form = seen.form if seen.body else seen.query
        self._log.write(word, id=message, status=0 if odd else code, form=form, path=path)
        return odd or status(code, Retry_After="1") if code == 429 else odd or status(code)


def _document(which: str, seen: Seen) -> Reply:
    if which == "dial":
        asked = seen.query
        url, callback = (quoteattr(asked.get(name, "")) for name in ("screen", "callback"))
        more = (f" url={url}" if "screen" in asked else "") + f" statusCallback={callback}"
        verb = f'<Dial timeout="120"><Sip{more}>{escape(asked["to"])}</Sip></Dial>'
        return status(200, f"<Response>{verb}</Response>".encode(), Content_Type="application/xml")
    if which == "pause":
        return status(200, b'<Response><Pause length="120"/></Response>', Content_Type="application/xml")
    if which == "loop":
        return redirect(f"http://{seen.headers['host']}{seen.target}")
    return _USELESS.get(which, status(500))


async def _main(path: Path) -> None:
    async with receiver() as running:
        running.chooses = Behaviour(Log(path))
        others = [await asyncio.start_server(running.serve, host, running.port) for host in OTHER_HOSTS]
        print(running.port, flush=True)
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        parent = os.getppid()
        while not stop.is_set() and os.getppid() == parent:  # nobody is left behind when the harness dies
            try:
                await asyncio.wait_for(stop.wait(), 1)
            except TimeoutError:
                running.requests.clear()
        for server in others:
            server.close()


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
