"""Where documents and sounds come from while a call runs, as its logic sees it. Knows no HTTP and no decoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.calls.audio import Pcm
from app.calls.callback import HttpMethod
from app.calls.sid import AccountSid


class SourceError(Exception):
    """It cannot be had; the text is for people: short, names the URL's host and never its credentials."""


@dataclass(frozen=True, slots=True)
class DocumentRequest:
    """A request to the customer's application that is answered with RCML (contract 4.1, 4.3)."""

    account_sid: AccountSid
    url: str  # absolute; user information goes out as Basic authentication
    method: HttpMethod
    parameters: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class FetchedDocument:
    """An answer 2xx, at most 64 KiB. An empty one is an empty document."""

    url: str  # that served it, after redirects: relative URLs in it resolve against this
    content: bytes
    content_type: str | None


class Documents(Protocol):
    async def fetch(self, request: DocumentRequest) -> FetchedDocument:
        """Signed as a webhook is, at most 10 redirects, each checked, 15 s in all. Raises SourceError."""


@dataclass(frozen=True, slots=True)
class MediaVersion:
    """By which a stored file is asked about again (RFC 9110 §13.1); at least one of the validators is there."""

    url: str  # that served it, after redirects: another one's answer says nothing about it
    etag: str | None = None
    last_modified: str | None = None


@dataclass(frozen=True, slots=True)
class FetchedMedia:
    """A file, or word that a stored one is still what it was."""

    content: bytes | None  # None: unchanged since the version that was asked about
    version: MediaVersion | None  # None: the next time it has to be fetched whole
    fresh: float  # seconds during which it may be used without asking again
    may_keep: bool = True


class MediaFiles(Protocol):
    async def get(self, url: str, known: MediaVersion | None = None) -> FetchedMedia:
        """At most 20 MiB, 10 redirects, each checked, a minute in all. Raises SourceError."""


class Sounds(Protocol):
    """Audio to be played. What was fetched or spoken lately is kept."""

    async def fetched(self, account: AccountSid, url: str) -> Pcm:
        """A WAV, MP3, OGG or FLAC file over HTTP, at most 20 MiB and an hour. Raises SourceError."""

    async def spoken(self, text: str, *, voice: str | None, language: str | None) -> Pcm:
        """`text` as speech. Raises SourceError."""

    @property
    def ringing(self) -> Pcm:
        """One period of ringing tone as the caller hears it: 425 Hz, 1 s on, 4 s off."""

    @property
    def beep(self) -> Pcm:
        """What `<Record>` plays before it begins."""
