"""Where finished recordings are kept: what a store must offer, and the several that rows may name. Knows no row."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC
from pathlib import Path
from typing import Protocol

from app.calls.recording import Recording

PIECE = 1024 * 1024  # bytes read at once: a slow listener holds no connection to the store, and little memory


class StorageAway(OSError):
    """The store cannot be used now, or is not set up here; its text names no credentials."""


class Storage(Protocol):
    """One store. Keys are relative paths with ``/``."""

    @property
    def scheme(self) -> str:
        """What locations in rows begin with."""

    async def keep(self, file: Path, key: str) -> None:
        """A durable copy, whole or not there; again is harmless. The file stays. Raises OSError."""

    async def read(self, key: str, start: int, length: int) -> bytes:
        """Up to `length` bytes from `start`. Raises FileNotFoundError, else OSError."""

    async def delete(self, key: str) -> None:
        """What is not there is deleted already. Raises OSError."""


class Shelves:
    """The store that is written to, and all that are read: a row says which one has its audio."""

    def __init__(self, written: Storage, others: Sequence[Storage] = ()) -> None:
        self._written = written
        self._all = {storage.scheme: storage for storage in (*others, written)}

    async def keep(self, file: Path, recording: Recording) -> str:
        """The location to be stored. Raises OSError."""
        key = key_of(recording)
        await self._written.keep(file, key)
        return f"{self._written.scheme}:{key}"

    async def open(self, location: str, start: int, length: int) -> AsyncIterator[bytes]:
        """`length` bytes from `start`; the first piece is there when this returns. Raises OSError."""
        storage, key = self._find(location)
        first = await storage.read(key, start, min(length, PIECE))
        return _pieces(storage, key, first, range(start, start + length))

    async def delete(self, location: str) -> None:
        """Raises OSError."""
        storage, key = self._find(location)
        await storage.delete(key)

    def _find(self, location: str) -> tuple[Storage, str]:
        scheme, _, key = location.partition(":")
        if scheme not in self._all:
            raise StorageAway(f"there is no store for '{scheme}:' here; see DIAL_RECORDINGS_S3_BUCKET")
        return self._all[scheme], key


def key_of(recording: Recording) -> str:
    """By account and day, so that a folder can be looked through, counted and given to its owner."""
    return f"{recording.account_sid}/{recording.started_at.astimezone(UTC):%Y-%m-%d}/{recording.sid}.wav"


async def _pieces(storage: Storage, key: str, first: bytes, wanted: range) -> AsyncIterator[bytes]:
    at, piece = wanted.start, first
    while piece:
        yield piece
        at += len(piece)
        if at >= wanted.stop:
            return
        piece = await storage.read(key, at, min(wanted.stop - at, PIECE))
    if at < wanted.stop:
        raise StorageAway(f"{key} ends at {at}, {wanted.stop} bytes were expected")
