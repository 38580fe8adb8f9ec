"""The same deliveries as jobs of procrastinate, to compare with: run by the Python of an environment that has it.

python bench/anchor.py postgresql://… URL… < bodies      answers `ready`, waits for a line, ends when all is done
"""

import asyncio
import itertools
import json
import os
import resource
import sys
import time

CONCURRENCY = 50


async def main(address: str, urls: list[str]) -> None:
    import httpx
    import procrastinate

    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=address))
    client = httpx.AsyncClient(limits=httpx.Limits(max_keepalive_connections=CONCURRENCY), timeout=15)

    @app.task(queue="webhook", retry=procrastinate.RetryStrategy(max_attempts=8, exponential_wait=5))
    async def deliver(url: str, body: str) -> None:
        answer = await client.post(
            url, content=body, headers={"content-type": "application/x-www-form-urlencoded", "webhook-id": "msg_0"}
        )
        answer.raise_for_status()

    async with app.open_async(), client:
        if not await app.check_connection_async():
            await app.schema_manager.apply_schema_async()
        bodies = json.loads(sys.stdin.readline())
        jobs = [{"url": url, "body": body} for url, body in zip(itertools.cycle(urls), bodies, strict=False)]
        await deliver.batch_defer_async(*jobs)
        print(json.dumps({"ready": os.getpid()}), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        began, before = time.perf_counter(), _cpu()
        await app.run_worker_async(
            queues=["webhook"], concurrency=CONCURRENCY, wait=False, install_signal_handlers=False
        )
        print(json.dumps({"wall": time.perf_counter() - began, "cpu": _cpu() - before}), flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    try:
        import uvloop

        uvloop.run(main(sys.argv[1], sys.argv[2:]))
    except ImportError:
        asyncio.run(main(sys.argv[1], sys.argv[2:]))
