"""Say, Play and Pause on one line. A sound that cannot be had is passed over: the caller hears the next one."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable

from app.calls.audio import Playback
from app.calls.sources import Sounds, SourceError
from app.dialing.line import Line
from app.rcml.plan import Pause, Play, Say
from app.runtime import log

_log = log.get(__name__)

Waits = Callable[[Pause], Awaitable[None]]


async def speak(verb: Say | Play | Pause, line: Line, sounds: Sounds, pause: Waits) -> None:
    """Until it has been said; cancelled, it falls silent at once."""
    if isinstance(verb, Pause):
        await pause(verb)
        return
    if isinstance(verb, Play) and verb.digits:
        for _ in range(verb.loop) if verb.loop else itertools.repeat(None):
            await heard(line.audio.press(verb.digits))
        return
    try:
        playback = await _begin(verb, line, sounds)
    except SourceError as error:
        _log.warning("sound.missing", call=line.record.call.sid, verb=type(verb).__name__, detail=str(error))
        return
    await heard(playback)


async def heard(playback: Playback) -> None:
    """Until it has been played; cancelled, it is stopped."""
    try:
        await asyncio.wait((playback.done,))  # which leaves the future alone when we are cancelled
    finally:
        playback.stop()


async def _begin(verb: Say | Play, line: Line, sounds: Sounds) -> Playback:
    if isinstance(verb, Say):
        spoken = await sounds.spoken(verb.text, voice=verb.voice, language=verb.language)
        return line.audio.play(spoken, times=verb.loop)
    return line.audio.play(await sounds.fetched(line.record.call.account_sid, verb.url or ""), times=verb.loop)
