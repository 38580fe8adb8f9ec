"""Texts through real speech processes."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import numpy as np
import pytest

from app.calls.sources import SourceError
from app.media.speech import Speaker
from tests.kit.sound_files import Samples, heard

SENTENCE = "Hello, this is a sentence of about one hundred characters, so that its latency can be measured well."


@pytest.fixture
async def speaker() -> AsyncIterator[Speaker]:
    made = Speaker(hands=1)
    yield made
    await made.stop()


async def say(speaker: Speaker, text: str, voice: str | None = None, language: str | None = None) -> Samples:
    return heard(await speaker.speak(text, voice=voice, language=language))


def spectrum(sound: Samples) -> Samples:
    """Mean spectrum up to 4 kHz in 32 bands: what a voice and a language sound like on the whole."""
    frames = sound[: len(sound) // 256 * 256].reshape(-1, 256) * np.hanning(256)
    power: Samples = (np.abs(np.fft.rfft(frames, axis=1)) ** 2).mean(axis=0)[:128].reshape(32, 4).sum(axis=1)
    return power / power.sum()


async def test_a_sentence_takes_its_time_and_has_its_level(speaker: Speaker) -> None:
    sound = await say(speaker, SENTENCE)
    assert 4 < len(sound) / 8000 < 8
    assert 20 * np.log10(np.abs(sound).max() / 32767) == pytest.approx(-3, abs=1.5)
    assert -26 < 20 * np.log10(np.sqrt((sound**2).mean()) / 32768) < -17


async def test_short_and_long_texts_are_spoken_at_one_level(speaker: Speaker) -> None:
    for text in ("Yes.", "1", SENTENCE * 5):
        assert np.abs(await say(speaker, text)).max() == pytest.approx(23_197, rel=0.15)


async def test_languages_and_voices_sound_unlike_each_other(speaker: Speaker) -> None:
    spoken = {
        kind: await say(speaker, "1 2 3 4 5 6 7 8 9", *kind)
        for kind in ((None, "en-US"), (None, "de-DE"), (None, "fr-FR"), ("woman", "en-US"), ("Polly.Marlene", None))
    }
    for one, sound in spoken.items():
        for other, unlike in spoken.items():
            if one != other:
                lengths = abs(len(sound) - len(unlike)) / len(sound)
                assert lengths > 0.05 or np.abs(spectrum(sound) - spectrum(unlike)).sum() > 0.05, (one, other)


async def test_an_unknown_language_is_spoken_as_english(speaker: Speaker) -> None:
    english, unknown = await say(speaker, SENTENCE, None, "en-US"), await say(speaker, SENTENCE, None, "xx-YY")
    assert len(unknown) == pytest.approx(len(english), rel=0.02)


@pytest.mark.parametrize(
    "text", ["Grüße aus Köln", "漢字とかな", "Привет", "a\0b", "<p>&amp;</p>", "[[hello]] \\ud800", "🙂"]
)
async def test_any_text_is_spoken(speaker: Speaker, text: str) -> None:
    assert np.abs(await say(speaker, text, None, "en")).max() > 5000


@pytest.mark.parametrize("text", ["", " ", "\n"])
async def test_nothing_to_say_is_no_sound(speaker: Speaker, text: str) -> None:
    assert len(await say(speaker, text)) == 0
    assert len(await say(speaker, "again")) > 0


async def test_the_longest_text_is_spoken_to_its_end(speaker: Speaker) -> None:
    sound = await say(speaker, ("one two three four. " * 205)[:4096])
    assert len(sound) / 8000 > 180
    assert np.abs(sound[-8000 * 2 :]).max() > 5000


async def test_speech_goes_on_when_its_process_is_killed_in_the_middle(speaker: Speaker) -> None:
    await say(speaker, "first")
    (pid,) = speaker.pids
    os.kill(pid, signal.SIGSTOP)  # so that it is surely in the middle
    saying = asyncio.create_task(say(speaker, SENTENCE))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    os.kill(pid, signal.SIGKILL)
    assert len(await saying) / 8000 > 4
    assert speaker.pids != [pid]
    assert len(await say(speaker, "next")) > 0


async def test_a_process_that_stands_still_is_killed_and_replaced() -> None:
    speaker = Speaker(hands=1, seconds=3.0)
    try:
        await say(speaker, "first")
        (pid,) = speaker.pids
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(SourceError, match="the text cannot be spoken"):
            await say(speaker, "second")
        assert len(await say(speaker, "third")) > 0
    finally:
        await speaker.stop()
