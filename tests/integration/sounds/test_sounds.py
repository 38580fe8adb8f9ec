"""Sounds as a call asks for them: over real HTTP, real decoding and real speech."""

import asyncio
import ipaddress
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.calls.address import AddressPolicy
from app.calls.sid import AccountSid
from app.calls.sources import SourceError
from app.media.decode import Decoder
from app.media.sounds import Sounds
from app.media.speech import Speaker
from app.webhooks.guard import Guard
from app.webhooks.media_fetch import LIMITS, MediaFetcher
from app.webhooks.transport import Transport
from tests.kit import receiver as kit
from tests.kit import sound_files as files
from tests.kit.receiver import Seen, receiver

ALLOWED = AddressPolicy("DIAL_HTTP_ALLOW", (ipaddress.ip_network("127.0.0.0/8"),))
ONE, OTHER = AccountSid("AC" + "1" * 32), AccountSid("AC" + "2" * 32)
SOURCE = files.chirp(1.0)
FILE = files.encoded("mp3", "libmp3lame", files.chirp(1.0, rate=44_100), rate=44_100)


class Studio:
    """Sounds with all that stands behind them."""

    def __init__(self, transport: Transport, cache_bytes: int = 1024 * 1024) -> None:
        self.decoder, self.speaker = Decoder(hands=1), Speaker(hands=1)
        self.sounds = Sounds(MediaFetcher(transport), self.decoder, self.speaker, cache_bytes=cache_bytes)


@pytest.fixture
async def studio() -> AsyncIterator[Studio]:
    async with Transport(Guard(ALLOWED), LIMITS) as transport:
        made = Studio(transport)
        yield made
        await made.sounds.stop()
        assert made.decoder.pids == made.speaker.pids == []


@pytest.fixture
def sounds(studio: Studio) -> Sounds:
    return studio.sounds


async def test_a_file_is_fetched_once_and_played_often(sounds: Sounds) -> None:
    async with receiver() as there:
        there.otherwise = kit.status(200, FILE, Cache_Control="max-age=60")
        first = await sounds.fetched(ONE, there.url + "/a.mp3")
        assert files.likeness(first, SOURCE) > 0.99
        assert await sounds.fetched(ONE, there.url + "/a.mp3") is first
        assert len(there.requests) == 1


async def test_many_who_want_a_file_at_once_share_one_request(sounds: Sounds) -> None:
    async with receiver() as there:
        there.otherwise = kit.status(200, FILE, Cache_Control="no-store")
        given = await asyncio.gather(*(sounds.fetched(ONE, there.url) for _ in range(50)))
        assert len(there.requests) == 1 and len({id(sound) for sound in given}) == 1
        await sounds.fetched(ONE, there.url)
        assert len(there.requests) == 2


async def test_one_that_leaves_takes_the_file_from_nobody(sounds: Sounds) -> None:
    async with receiver(kit.hang()) as there:
        there.otherwise = kit.status(200, FILE)
        waiting = [asyncio.create_task(sounds.fetched(ONE, there.url + "/x")) for _ in range(3)]
        await there.wait_for(1)
        waiting[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting[0]
        assert not waiting[1].done()
        there.drop_connections()
        for task in waiting[1:]:
            with pytest.raises(SourceError, match=r"127\.0\.0\.1"):
                await task


async def test_an_account_has_its_own_files(sounds: Sounds) -> None:
    async with receiver() as there:
        there.otherwise = kit.status(200, FILE)
        await sounds.fetched(ONE, there.url)
        await sounds.fetched(OTHER, there.url)
        assert len(there.requests) == 2


async def test_a_file_that_is_stale_is_asked_about_and_not_decoded_again(sounds: Sounds) -> None:
    def serve(seen: Seen) -> kit.Reply:
        same = seen.headers.get("if-none-match") == '"v1"'
        return kit.status(304) if same else kit.status(200, FILE, ETag='"v1"', Cache_Control="no-cache")

    async with receiver() as there:
        there.chooses = serve
        first = await sounds.fetched(ONE, there.url)
        assert await sounds.fetched(ONE, there.url) is first
        assert [seen.headers.get("if-none-match") for seen in there.requests] == [None, '"v1"']


async def test_a_file_that_has_changed_is_played_as_it_is_now(sounds: Sounds) -> None:
    other = files.wav(SOURCE[::-1])
    async with receiver() as there:
        there.answers = [kit.status(200, FILE, ETag='"v1"', Cache_Control="max-age=0"), kit.status(200, other)]
        first, second = [await sounds.fetched(ONE, there.url) for _ in range(2)]
    assert files.likeness(first, SOURCE) > 0.99
    assert files.likeness(second, SOURCE[::-1]) > 0.99


async def test_an_error_is_told_each_time_and_not_kept(sounds: Sounds) -> None:
    async with receiver() as there:
        there.answers = [kit.status(500), kit.status(200, b"<html>no sound</html>" * 10)]
        there.otherwise = kit.status(200, FILE)
        with pytest.raises(SourceError, match=r"127\.0\.0\.1: status 500"):
            await sounds.fetched(ONE, there.url)
        with pytest.raises(SourceError, match=r"127\.0\.0\.1: the file cannot be decoded: it is neither"):
            await sounds.fetched(ONE, there.url)
        assert files.likeness(await sounds.fetched(ONE, there.url), SOURCE) > 0.99


async def test_the_cache_has_its_bounds() -> None:
    async with Transport(Guard(ALLOWED), LIMITS) as transport, receiver() as there:
        studio = Studio(transport, cache_bytes=2 * 17_000)
        there.otherwise = kit.status(200, files.wav(SOURCE))
        for path in ("/a", "/b", "/c", "/b", "/c", "/a"):
            await studio.sounds.fetched(ONE, there.url + path)
        await studio.sounds.stop()
        assert [seen.target for seen in there.requests] == ["/a", "/b", "/c", "/a"]


async def test_a_text_is_spoken_once_per_voice_and_language(studio: Studio) -> None:
    async def say(voice: str | None, language: str | None) -> bytes:
        return await studio.sounds.spoken("Hello there.", voice=voice, language=language)

    first = await say(None, None)
    assert files.heard(first).any()
    assert await say(None, None) is first
    assert await say("woman", None) != first and await say(None, "de") != first
    both = await asyncio.gather(say(None, "fr"), say(None, "fr"))
    assert both[0] is both[1]


async def test_killed_processes_are_not_missed_for_long(studio: Studio) -> None:
    async with receiver() as there:
        there.otherwise = kit.status(200, FILE, Cache_Control="no-store")
        for _ in range(2):
            await studio.sounds.fetched(ONE, there.url)
            await studio.sounds.spoken(f"number {os.urandom(4).hex()}", voice=None, language=None)
            for pid in (*studio.decoder.pids, *studio.speaker.pids):
                os.kill(pid, signal.SIGKILL)
                while Path(f"/proc/{pid}").exists():
                    await asyncio.sleep(0.005)
        assert files.likeness(await studio.sounds.fetched(ONE, there.url), SOURCE) > 0.99
        assert await studio.sounds.spoken("the end", voice=None, language=None)


async def test_one_accounts_files_leave_a_process_to_the_others() -> None:
    async with Transport(Guard(ALLOWED), LIMITS) as transport, receiver() as there:
        decoder, speaker = Decoder(hands=2, seconds=30.0), Speaker()
        sounds = Sounds(MediaFetcher(transport), decoder, speaker)
        there.otherwise = kit.status(200, FILE)
        await sounds.fetched(ONE, there.url)
        (stopped,) = decoder.pids
        os.kill(stopped, signal.SIGSTOP)
        waiting = [asyncio.create_task(sounds.fetched(ONE, f"{there.url}/{number}")) for number in range(4)]
        await there.wait_for(5)
        assert files.likeness(await sounds.fetched(OTHER, there.url + "/other"), SOURCE) > 0.99
        assert not any(task.done() for task in waiting)
        os.kill(stopped, signal.SIGCONT)
        assert len({await task for task in waiting}) == 1
        await sounds.stop()


async def test_who_waits_when_the_service_stops_is_told_so(studio: Studio) -> None:
    async with receiver() as there:
        there.otherwise = kit.hang()
        waiting = asyncio.create_task(studio.sounds.fetched(ONE, there.url))
        await there.wait_for(1)
        await studio.sounds.stop()
        with pytest.raises(SourceError, match="stopping"):
            await waiting


def test_the_ringing_tone_and_the_beep_are_there_without_any_process() -> None:
    program = (
        "import sys; from app.media.sounds import Sounds; from app.media.decode import Decoder;"
        "from app.media.speech import Speaker; s = Sounds(None, Decoder(), Speaker());"
        "print(len(s.ringing), len(s.beep), 'av' in sys.modules, 'espeakng_loader' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["80000", "4000", "False", "False"]
