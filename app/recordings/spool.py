"""The folder in which recordings run on this machine: what lies there, whose turn it is, and what can be let go."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.calls.sid import RecordingSid, is_recording_sid
from app.runtime import log

RUNNING = ".wav.part"  # written at least once a second
WHOLE = ".wav"
_QUIET = 5.0  # seconds without a write, after which nobody can be recording into it

_log = log.get(__name__)


class InOtherHands(Exception):
    """Another process of this machine is handing this file over."""


@dataclass(frozen=True, slots=True)
class Spool:
    """Shared by the worker processes of one machine; what one leaves behind another one finds."""

    folder: Path

    def make(self) -> None:
        """Make sure that it is there. A worker that cannot have one runs its calls all the same, unrecorded."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            _log.error("recording.no_spool", folder=str(self.folder), error=error.strerror, remedy="see DIAL_DATA_DIR")

    def quiet(self) -> dict[RecordingSid, Path]:
        """The files that nobody has written to lately."""
        now = time.time()
        found: dict[RecordingSid, Path] = {}
        for path in self._files():
            sid = path.name.partition(".")[0]
            try:
                if is_recording_sid(sid) and now - path.stat().st_mtime > _QUIET:
                    found[RecordingSid(sid)] = path
            except FileNotFoundError:  # its owner was faster
                continue
        return found

    def settled(self, path: Path) -> Path:
        """The same file under the name of a whole one, whatever its writer was doing when it died."""
        if not path.name.endswith(RUNNING):
            return path
        whole = path.with_name(path.name.removesuffix(RUNNING) + WHOLE)
        path.replace(whole)
        return whole

    def _files(self) -> list[Path]:
        try:
            entries = list(self.folder.iterdir())
        except FileNotFoundError:
            return []
        return [path for path in entries if path.name.endswith((WHOLE, RUNNING))]


@contextmanager
def held(path: Path) -> Iterator[None]:
    """While one process hands a file over no other does; its lock dies with it. Raises InOtherHands, OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise InOtherHands(path.name) from error
    finally:
        os.close(descriptor)
