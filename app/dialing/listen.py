"""The verb Record: a beep, then what the party says until a key, silence, the longest time or its hang-up."""

import asyncio
from collections.abc import Callable

from app.calls.audio import TakeEnd, Taken
from app.calls.parameters import Parameters
from app.calls.sources import Sounds
from app.dialing.line import Line
from app.dialing.recorded import Recorded, Studio, record
from app.dialing.speak import heard
from app.rcml.plan import Record


async def listen(
    verb: Record, line: Line, sounds: Sounds, studio: Studio, left: Callable[[Parameters], None]
) -> Parameters | None:
    """What its action is told; None when nothing could be recorded, or nobody said a word before the time of silence
    was over: then the next verb is next, as in the reference. What was recorded is kept whatever happens; `left` is
    told of it when the party went (it is cancelled then).
    """
    if verb.play_beep:
        await heard(line.audio.play(sounds.beep))
    recorded = record(
        studio,
        line.record.call,
        caller=line.audio,
        callee=None,
        source="RecordVerb",
        callback=verb.recording_callback,
        max_seconds=verb.max_length,
        silence=verb.timeout or None,
    )
    try:
        key = await _until_over(verb, line, recorded)
    except asyncio.CancelledError:
        taken = await _kept(line, recorded)
        left([*_told(studio, recorded, taken), ("Digits", "hangup")])
        raise
    taken = await _kept(line, recorded)
    if taken.end is TakeEnd.FAILED or (taken.end is TakeEnd.SILENCE and not taken.spoken):
        return None
    return [*_told(studio, recorded, taken), *([("Digits", key)] if key else [])]


async def _kept(line: Line, recorded: Recorded) -> Taken:
    taken = await recorded.finish()
    if not recorded.is_absent:
        line.record.recorded(recorded.sid, round(taken.seconds))
    return taken


def _told(studio: Studio, recorded: Recorded, taken: Taken) -> Parameters:
    if recorded.is_absent:
        return []
    return [
        ("RecordingUrl", studio.recordings.url_of(recorded.sid)),
        ("RecordingSid", recorded.sid),
        ("RecordingDuration", str(round(taken.seconds))),
    ]


async def _until_over(verb: Record, line: Line, recorded: Recorded) -> str | None:
    """The key that ended it, if one did."""
    line.audio.listen_for_tones(True)
    with line.keys.listen() as keys:
        pressed = asyncio.ensure_future(_finishing_key(verb, keys))
        try:
            await asyncio.wait((pressed, recorded.done), return_when=asyncio.FIRST_COMPLETED)
            return pressed.result() if pressed.done() else None
        finally:
            line.audio.listen_for_tones(False)
            pressed.cancel()
            await asyncio.wait((pressed,))


async def _finishing_key(verb: Record, keys: "asyncio.Queue[str]") -> str:
    while (key := await keys.get()) not in verb.finish_on_key:
        pass
    return key
