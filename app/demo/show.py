"""The demo from start to end: start everything, place one call, watch it, judge it, stop everything."""

import asyncio
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from app.demo.api import Answer, Api
from app.demo.callee import Callee
from app.demo.ports import NoPorts, choose
from app.demo.product import NotStarted, Product
from app.demo.receiver import Receiver
from app.demo.screen import screen_for
from app.demo.story import Story
from app.demo.verdict import FINAL, what_failed
from app.runtime import loop

_CALL_WITHIN = 15.0  # seconds from the request to the end of the call
_DELIVERED_WITHIN = 10.0  # seconds from the end of the call
_WORKER_WITHIN = 10.0  # seconds for the first 202 after the API is ready
_LOOK_EVERY = 0.1  # seconds
_INTERRUPTED = 130  # what a shell says after Ctrl-C


class Broken(Exception):
    """The road is broken here; the message is the sentence for people."""


def run_demo(*, callee_answers: int = 200, receiver_answers: int = 204) -> int:
    """The exit status: 0 only if the whole road worked. The two numbers break it on purpose."""
    console = Console(highlight=False)
    directory = Path(tempfile.mkdtemp(prefix="dial-to-sip-demo-"))
    try:
        code = loop.run(_demo(console, directory, callee_answers, receiver_answers))
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("stopped")
        code = _INTERRUPTED
    if code != 1:  # the log stays for whoever wants to know what failed
        shutil.rmtree(directory, ignore_errors=True)
    return code


async def _demo(console: Console, directory: Path, callee_answers: int, receiver_answers: int) -> int:
    story = Story()
    _obey_sigterm()
    began = time.monotonic()
    screen = screen_for(console, story)
    try:
        product = Product(directory, choose())
    except NoPorts as error:
        screen.conclude(str(error), [])
        return 1
    callee = Callee(story, answers=callee_answers)
    receiver = Receiver(story, secret=product.webhook_secret, answers=receiver_answers)
    failure: str | None = None
    with screen:
        try:
            await callee.start()
            await receiver.start()
            await _call(story, product, callee.uri, receiver.url)
            failure = what_failed(story)
        except (Broken, NotStarted) as error:
            failure = str(error)
        finally:
            last = product.last_lines()
            story.step("stopping")
            await product.stop()  # first: what it still has to say is answered
            callee.stop()
            await receiver.stop()
            product.remove_data()
            story.done(f"stopped everything after {time.monotonic() - began:.1f} s")
    if failure is None:
        screen.conclude(None, ["Next: ./run starts it to stay; then see /docs at the address that it prints."])
    else:
        ending = ["It ended with:", *(f"  {line}" for line in last)] if last else []
        screen.conclude(failure, [f"The product's log is {product.log}", *ending])
    return 0 if failure is None else 1


async def _call(story: Story, product: Product, callee: str, receiver: str) -> None:
    """Everything between the start and the stop, told to `story`; raises Broken and NotStarted."""
    story.step("starting the product: PostgreSQL, API, worker, webhooks")
    began = time.monotonic()
    api = await product.start()
    story.done(f"started in {time.monotonic() - began:.1f} s: {product.url}, SIP port {product.ports.sip}")
    rcml = (
        f'<Response><Dial timeout="10" timeLimit="30"><Sip statusCallback="{receiver}">{callee}</Sip></Dial></Response>'
    )
    story.step("POST /v1/dials")
    answer = await _place(story, api, rcml)
    story.done(f"POST /v1/dials: {answer.status}, call {answer.body['sid']}")
    story.step("calling")
    await _watch(story, api, str(answer.body["sid"]))


async def _place(story: Story, api: Api, rcml: str) -> Answer:
    """The 202; a 503 that asks for another try soon gets one, for a worker may just be registering."""
    deadline = time.monotonic() + _WORKER_WITHIN
    while True:
        story.begin()
        answer = await api.post_rcml("/v1/dials", rcml)
        if answer.status == 202:
            return answer
        if answer.status != 503 or time.monotonic() > deadline:
            raise Broken(f"POST /v1/dials was answered {answer.status} instead of 202: {answer.problem}")
        await asyncio.sleep(min(answer.retry_after, 1.0) or _LOOK_EVERY)


async def _watch(story: Story, api: Api, sid: str) -> None:
    """Look until the call and its deliveries are over, or until it takes too long; what is wrong is judged later."""
    deadline = time.monotonic() + _CALL_WITHIN
    while time.monotonic() < deadline:
        story.call = await _shown(api, f"/v1/calls/{sid}")
        if story.call.get("status") in FINAL:
            break
        await asyncio.sleep(_LOOK_EVERY)
    leg = story.leg
    deadline = time.monotonic() + _DELIVERED_WITHIN
    while leg is not None and time.monotonic() < deadline:
        listed = await _shown(api, f"/v1/calls/{leg['sid']}/deliveries")
        story.deliveries = tuple(listed.get("deliveries", ()))
        states = [delivery.get("state") for delivery in story.deliveries]
        # The last one was stored together with the end of the call; a dead one will not be delivered any more.
        if "owed" not in states or "dead" in states:
            break
        await asyncio.sleep(_LOOK_EVERY)


async def _shown(api: Api, path: str) -> dict[str, Any]:
    answer = await api.get(path)
    if answer.status != 200 or not isinstance(answer.body, dict):
        raise Broken(f"GET {path} was answered {answer.status}: {answer.problem}")
    return answer.body


def _obey_sigterm() -> None:
    """SIGTERM stops everything in order, as Ctrl-C does."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
