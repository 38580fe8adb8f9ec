"""Recordings in a folder of this machine, or of one that is mounted here. Knows no row."""

import asyncio
import os
import shutil
from contextlib import suppress
from pathlib import Path


class DiskStorage:
    """One file a recording. All processes that read or delete them must see the same folder."""

    scheme = "disk"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def keep(self, file: Path, key: str) -> None:
        await asyncio.to_thread(self._keep, file, key)

    async def read(self, key: str, start: int, length: int) -> bytes:
        return await asyncio.to_thread(self._read, key, start, length)

    async def delete(self, key: str) -> None:
        await asyncio.to_thread((self._folder / key).unlink, missing_ok=True)

    def _keep(self, file: Path, key: str) -> None:
        """As a second name of the same file where that can be, else as a copy that appears when it is whole."""
        kept = self._folder / key
        kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _sync(file)
        try:
            os.link(file, kept)
        except FileExistsError:
            if kept.samefile(file):
                return
            self._copy(file, kept)
        except OSError:  # another file system, or one without second names
            self._copy(file, kept)
        _sync(kept.parent)

    def _copy(self, file: Path, kept: Path) -> None:
        partial = kept.with_suffix(f".{os.getpid()}.new")
        try:
            shutil.copyfile(file, partial)
            _sync(partial)
            partial.replace(kept)
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)

    def _read(self, key: str, start: int, length: int) -> bytes:
        with (self._folder / key).open("rb") as file:
            file.seek(start)
            return file.read(length)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
