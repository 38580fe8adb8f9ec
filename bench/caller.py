"""The engine alone as a caller, in a process of its own: short calls through `SipPhone`, counted and timed.

    python -m bench.caller PORT CALLS RATE AT_ONCE      prints one JSON object

No database and no HTTP: answer, ACK, immediate BYE, as SIPp's own UAC does it; but each call binds its RTP and RTCP
sockets, as a call of the product does.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from typing import Any

from app.calls.outcome import Outcome
from app.calls.ports import Answered, Ended, LegOrder, Phone
from app.calls.sid import new_account_sid, new_call_sid
from app.calls.uri import NameAddr, SipUri
from app.demo.ports import choose
from app.runtime import log, loop
from app.runtime.clock import SteadyClock
from app.runtime.settings import Settings
from app.wiring.phone import make_phone
from bench.report import quantile
from bench.sipp import HOST

_GIVE_UP = 40.0  # seconds for one call: longer than any transaction


class Tally:
    """What became of the calls."""

    def __init__(self) -> None:
        self.answered_after: list[float] = []  # seconds from the order, admission window included
        self.failures: Counter[str] = Counter()


async def place(phone: Phone, target: SipUri, caller: NameAddr, tally: Tally) -> None:
    leg = phone.leg(LegOrder(new_call_sid(), _ACCOUNT, target, caller))
    prepared = await leg.prepare()
    if isinstance(prepared, Outcome):
        tally.failures[prepared.reason] += 1
        return None
    began = time.perf_counter()
    leg.invite()
    while True:
        signal = await leg.signals.get()
        if isinstance(signal, Answered):
            tally.answered_after.append(time.perf_counter() - began)
            return leg.hang_up()
        if isinstance(signal, Ended):
            tally.failures[signal.outcome.reason] += 1
            return None


async def run(port: int, calls: int, rate: float, at_once: int) -> dict[str, Any]:
    """`rate` 0: as fast as `at_once` calls in set-up allow."""
    phone = make_phone(_settings(), SteadyClock())
    await phone.start()
    target, caller = SipUri.parse(f"sip:alice@{HOST}:{port}"), NameAddr.parse(f"sip:bench@{HOST}")
    await place(phone, target, caller, Tally())  # imports and caches are not what is measured
    tally, slots = Tally(), asyncio.Semaphore(at_once)

    async def one() -> None:
        try:
            async with asyncio.timeout(_GIVE_UP):
                await place(phone, target, caller, tally)
        except TimeoutError:
            tally.failures["nothing happened"] += 1
        finally:
            slots.release()

    began, cpu = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for number in range(calls):
            if rate:
                await asyncio.sleep(began + number / rate - time.perf_counter())
            await slots.acquire()
            group.create_task(one())
    await phone.settle(_GIVE_UP)  # the last BYEs are answered
    wall = time.perf_counter() - began
    lifetime = time.process_time()
    await phone.stop()
    return {
        "calls": calls,
        "answered": len(tally.answered_after),
        "failures": dict(tally.failures),
        "wall": wall,
        "cpu": lifetime - cpu,
        "lifetime_cpu": lifetime,
        "setup_p50_ms": quantile(tally.answered_after, 0.5) * 1000,
        "setup_p99_ms": quantile(tally.answered_after, 0.99) * 1000,
    }


def _settings() -> Settings:
    return Settings(
        sip_host=HOST,
        sip_port=choose().sip,
        rtp_ports="20000-29999",
        sip_allow="127.0.0.0/8",
    )


_ACCOUNT = new_account_sid()


async def _main(port: int, calls: int, rate: float, at_once: int) -> int:
    print(json.dumps(await run(port, calls, rate, at_once)))
    return 0


if __name__ == "__main__":
    log.configure("warning", "json", "bench")
    _port, _calls, _rate, _at_once = sys.argv[1:]
    sys.exit(loop.run(_main(int(_port), int(_calls), float(_rate), int(_at_once))))
