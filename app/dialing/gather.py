"""Gather: prompts that the first key interrupts, and the keys until one ends them, enough have come or none comes."""

import asyncio

from app.calls.ports import Clock
from app.calls.sources import Sounds
from app.dialing.line import Line
from app.dialing.speak import Waits, speak
from app.rcml.plan import Gather


async def gather(verb: Gather, line: Line, sounds: Sounds, pause: Waits, clock: Clock) -> str | None:
    """The digits; None when nothing was pressed and nobody wants to know that."""
    line.audio.listen_for_tones(True)
    try:
        with line.keys.listen() as keys:
            first = await _prompt(verb, line, sounds, pause, keys)
            digits = await _collect(verb, keys, first, clock)
    finally:
        line.audio.listen_for_tones(False)
    return digits if digits or verb.action_on_empty_result else None


async def _prompt(verb: Gather, line: Line, sounds: Sounds, pause: Waits, keys: "asyncio.Queue[str]") -> str | None:
    """The key that interrupted the prompts, if one did."""

    async def say_all() -> None:
        for prompt in verb.prompts:
            await speak(prompt, line, sounds, pause)

    saying = asyncio.ensure_future(say_all())
    pressed = asyncio.ensure_future(keys.get())
    try:
        await asyncio.wait((saying, pressed), return_when=asyncio.FIRST_COMPLETED)
        if pressed.done():
            return pressed.result()
        saying.result()
        return None
    finally:
        for task in (saying, pressed):
            task.cancel()
        await asyncio.wait((saying, pressed))


async def _collect(verb: Gather, keys: "asyncio.Queue[str]", key: str | None, clock: Clock) -> str:
    digits = ""
    while True:
        if key is None:
            key = await _next(keys, verb.timeout, clock)
        if key is None or key in verb.finish_on_key:
            return digits
        digits += key
        if verb.num_digits is not None and len(digits) >= verb.num_digits:
            return digits
        key = None


async def _next(keys: "asyncio.Queue[str]", seconds: float, clock: Clock) -> str | None:
    pressed = asyncio.ensure_future(keys.get())
    waited = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait((pressed, waited), return_when=asyncio.FIRST_COMPLETED)
        return pressed.result() if pressed.done() else None
    finally:
        for task in (pressed, waited):
            task.cancel()
        await asyncio.wait((pressed, waited))
