"""Which addresses of a host may be dialled: resolved once, filtered, handed on as addresses. Opens no connection."""

import asyncio
import contextlib
import socket
import threading

import httpx

from app.calls.address import AddressPolicy, ip_literal
from app.webhooks.failures import AddressDenied

_MAX_LOOKUPS = 256  # threads, each for as long as a name server takes; they cost address space only


class Guard:
    """Resolves with the system's resolver, each lookup in its own daemon thread.

    A thread of its own, because a name server that hangs holds getaddrinfo for half a minute: in the loop's pool (4 to
    6 threads) a few such names would stop every other lookup, and the pool's threads would delay the exit.
    """

    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy
        self._running: dict[str, asyncio.Task[list[str]]] = {}  # one lookup per host at a time, shared
        self._slots = asyncio.Semaphore(_MAX_LOOKUPS)

    async def addresses(self, host: str) -> list[str]:
        """The permitted addresses of `host` (a name or any spelling of an address), in the resolver's order.

        Raises AddressDenied when none is permitted and httpx.ConnectError when there is none. Has no time limit of its
        own; a caller that gives up leaves the lookup to the others that wait for it.
        """
        found = [host] if ip_literal(host) else await asyncio.shield(self._lookup(host))
        permitted = [address for address in found if self._policy.permits(address)]
        if not permitted:
            raise AddressDenied(self._policy.refusal(found[0]))
        return permitted

    def _lookup(self, host: str) -> asyncio.Task[list[str]]:
        task = self._running.get(host)
        if task is None:
            task = self._running[host] = asyncio.get_running_loop().create_task(self._resolve(host))
            task.add_done_callback(lambda done: self._forget(host, done))
        return task

    def _forget(self, host: str, task: asyncio.Task[list[str]]) -> None:
        del self._running[host]
        if not task.cancelled():
            task.exception()  # taken here: everybody may have stopped waiting by now

    async def _resolve(self, host: str) -> list[str]:
        async with self._slots:
            loop = asyncio.get_running_loop()
            answer: asyncio.Future[list[str]] = loop.create_future()
            threading.Thread(target=_resolve_in_thread, args=(host, loop, answer), daemon=True).start()
            return await answer


def _resolve_in_thread(host: str, loop: asyncio.AbstractEventLoop, answer: "asyncio.Future[list[str]]") -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        try:
            # bytes: Python's own IDNA codec would raise on names that DNS can carry; httpx has encoded it already
            found = socket.getaddrinfo(host.encode(), None, type=socket.SOCK_STREAM)
        except OSError as error:
            loop.call_soon_threadsafe(_settle, answer, _name_error(error))
        else:
            addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
            loop.call_soon_threadsafe(_settle, answer, addresses)


def _settle(answer: "asyncio.Future[list[str]]", result: list[str] | httpx.ConnectError) -> None:
    if answer.done():
        return
    if isinstance(result, httpx.ConnectError):
        answer.set_exception(result)
    else:
        answer.set_result(result)


def _name_error(error: OSError) -> httpx.ConnectError:
    if error.errno == socket.EAI_AGAIN:
        return httpx.ConnectError("dns: no answer from the name server")
    return httpx.ConnectError("dns: no such host")
