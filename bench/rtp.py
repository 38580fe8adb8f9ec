"""CPU of connected legs with comfort RTP both ways, each leg talking to another of this process; knows no signalling.

    bench/rtp.py [legs, even: 100] [seconds: 10]

Every packet is sent and received here, system time included, so a leg's figure is what one leg costs a worker.
"""

import asyncio
import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from app.media.pyvoip import PayloadType
from app.media.rtp import RtpPool, RtpSession
from app.runtime import log
from app.runtime.loop import run

ASSOC = {0: PayloadType.PCMU, 101: PayloadType.EVENT}
PORTS = range(20_000, 30_000)


def pair(pool: RtpPool) -> list[RtpSession]:
    one, other = pool.open(), pool.open()
    for session, peer in ((one, other), (other, one)):
        session.connect(ASSOC, pool.host, peer.local_port, send=True, receive=True).start()
    return [one, other]


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def main(legs: int, seconds: float) -> int:
    pool = RtpPool("127.0.0.1", PORTS, timeout=30)
    sessions = [session for _ in range(legs // 2) for session in pair(pool)]
    await asyncio.sleep(1)  # every socket has latched by now
    before, began, spent = [session.counters.received for session in sessions], asyncio.get_running_loop().time(), cpu()
    await asyncio.sleep(seconds)
    spent, elapsed = cpu() - spent, asyncio.get_running_loop().time() - began
    heard = sum(session.counters.received for session in sessions) - sum(before)
    sent = sum(session.counters.sent for session in sessions)
    unsent = sum(session.counters.unsent for session in sessions)
    for session in sessions:
        session.stop()
    print(f"{len(sessions)} legs, {elapsed:.1f} s: {heard / elapsed:.0f} packets/s heard of {len(sessions) * 50} due")
    print(
        f"CPU {spent / elapsed * 100:.1f} % of a core = {spent / elapsed / len(sessions) * 1e3:.2f} ms per leg-second"
    )
    print(f"{spent / heard * 1e6:.1f} us per packet sent and heard; refused by the socket: {unsent} of {sent + unsent}")
    return 0 if heard >= 0.99 * elapsed * 50 * len(sessions) else 1


if __name__ == "__main__":
    arguments = [float(argument) for argument in sys.argv[1:]]
    log.configure("info", "console", "bench")
    raise SystemExit(run(main(int(arguments[0]) if arguments else 100, arguments[1] if len(arguments) > 1 else 10)))
