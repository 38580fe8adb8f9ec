"""Sounds for calls: fetched, spoken or made, each only once for all who want it now. Knows no HTTP and no codec."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Protocol
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from prometheus_client import Counter

from app.calls.audio import Pcm
from app.calls.sid import AccountSid
from app.calls.sources import MediaFiles, SourceError
from app.media import tones
from app.media.kept import Kept, Shelf
from app.runtime import log
from app.runtime.loop import spawn

_log = log.get(__name__)

CACHE_BYTES: Final = 64 * 1024 * 1024  # 70 minutes of sound

_ASKED = Counter("dial_sounds_total", "Sounds asked for.", ["kind", "source"])


class Decodes(Protocol):
    """Of `app.media.decode`."""

    async def decode(self, content: bytes) -> Pcm: ...

    async def stop(self) -> None: ...


class Speaks(Protocol):
    """Of `app.media.speech`."""

    async def speak(self, text: str, *, voice: str | None, language: str | None) -> Pcm: ...

    async def stop(self) -> None: ...


class Sounds:
    """`app.calls.sources.Sounds`. Nothing is started before it is needed; errors are not kept."""

    def __init__(self, media: MediaFiles, decoder: Decodes, speaker: Speaks, *, cache_bytes: int = CACHE_BYTES) -> None:
        self._media = media
        self._decoder = decoder
        self._speaker = speaker
        self._shelf = Shelf(cache_bytes)
        self._decoding: WeakValueDictionary[AccountSid, asyncio.Lock] = WeakValueDictionary()
        self._running: dict[Hashable, asyncio.Task[Pcm | SourceError]] = {}

    async def fetched(self, account: AccountSid, url: str) -> Pcm:
        """Raises SourceError. An account's files are its own: another's password in a URL opens nothing here."""
        key = ("fetched", account, url)
        kept = self._shelf.get(key)
        if kept is not None and kept.fresh_until > asyncio.get_running_loop().time():
            _ASKED.labels("fetched", "kept").inc()
            return kept.sound
        return await self._once(key, lambda: self._fetch(key, account, url))

    async def spoken(self, text: str, *, voice: str | None, language: str | None) -> Pcm:
        """Raises SourceError."""
        key = ("spoken", text, voice, language)
        kept = self._shelf.get(key)
        if kept is not None:
            _ASKED.labels("spoken", "kept").inc()
            return kept.sound
        return await self._once(key, lambda: self._speak(key, text, voice, language))

    @property
    def ringing(self) -> Pcm:
        """425 Hz, 1 s on, 4 s off."""
        return tones.ringing()

    @property
    def beep(self) -> Pcm:
        """1,000 Hz, a quarter of a second."""
        return tones.beep()

    async def stop(self) -> None:
        """End the processes; who still waits gets a SourceError."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._decoder.stop()
        await self._speaker.stop()
        self._shelf.clear()

    async def _once(self, key: Hashable, make: Callable[[], Awaitable[Pcm]]) -> Pcm:
        """Shared by all who want it meanwhile; it goes on when they are gone, for the next one."""
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = spawn(_whole(make()), "sound")
            task.add_done_callback(lambda _: self._running.pop(key, None))
        try:
            result = await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise SourceError("the service is stopping") from None
            raise
        if isinstance(result, SourceError):
            raise SourceError(str(result))  # one of its own for each who waits: tracebacks grow on a shared one
        return result

    async def _fetch(self, key: Hashable, account: AccountSid, url: str) -> Pcm:
        kept = self._shelf.get(key)
        fetched = await self._media.get(url, kept.version if kept is not None else None)
        if fetched.content is None and kept is not None:
            sound, source = kept.sound, "unchanged"
        else:
            sound, source = await self._decoded(account, url, fetched.content or b""), "fetched"
        _ASKED.labels("fetched", source).inc()
        if fetched.may_keep and (fetched.fresh > 0 or fetched.version is not None):
            fresh_until = asyncio.get_running_loop().time() + fetched.fresh
            self._shelf.put(key, Kept(sound, fresh_until, fetched.version))
        else:
            self._shelf.drop(key)
        return sound

    async def _decoded(self, account: AccountSid, url: str, content: bytes) -> Pcm:
        """One at a time for each account: whoever has long or hostile files decoded waits for them alone."""
        turn = self._decoding.setdefault(account, asyncio.Lock())
        try:
            async with turn:
                return await self._decoder.decode(content)
        except SourceError as error:
            host = urlsplit(url).hostname
            _log.warning("media.not_decoded", host=host, size=len(content), error=str(error))
            raise SourceError(f"{host}: {error}") from None

    async def _speak(self, key: Hashable, text: str, voice: str | None, language: str | None) -> Pcm:
        sound = await self._speaker.speak(text, voice=voice, language=language)
        _ASKED.labels("spoken", "made").inc()
        self._shelf.put(key, Kept(sound))
        return sound


async def _whole(sound: Awaitable[Pcm]) -> Pcm | SourceError:
    """An error is an answer here: a task's exception that nobody waits for any more would be logged as a fault."""
    try:
        return await sound
    except SourceError as error:
        return error
    except Exception as error:  # a call goes on without this sound
        _log.error("sound.broke", exc_info=error)
        return SourceError("the sound cannot be had")
