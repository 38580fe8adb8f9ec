"""A keeper on a real database, with its spool and its store on this disk, and calls to record."""

import wave
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import pytest_asyncio

from app.calls.audio import TakeEnd, Taken
from app.calls.call import Call
from app.calls.recording import RecordingNotice, RecordingOrder
from app.calls.sid import new_recording_sid
from app.recordings.disk import DiskStorage
from app.recordings.ending import Endings
from app.recordings.keeper import Keeper, KeeperParts
from app.recordings.links import Links
from app.recordings.retention import Retention
from app.recordings.spool import Spool
from app.recordings.storage import Shelves, Storage
from app.runtime.clock import SteadyClock
from app.store.calls import CallReads
from app.store.database import Database
from app.store.queue import DialQueue
from app.store.recordings import RecordingRows
from app.store.seal import Sealer
from tests.integration.store.make import ACCOUNT, parent, rows
from tests.kit.s3 import bucket

ALL = frozenset({"in-progress", "completed", "absent"})
NOTICE = RecordingNotice("https://u:p@app.example/recorded", "POST", ALL)
RATE = 8000


@dataclass
class House:
    """Everything that recordings are made of, on one machine."""

    database: Database
    rows: RecordingRows
    calls: CallReads
    queue: DialQueue
    folder: Path
    worker: int

    @property
    def spool(self) -> Path:
        return self.folder / "spool"

    @property
    def kept(self) -> Path:
        return self.folder / "kept"

    def shelves(self, storage: Storage | None = None) -> Shelves:
        return Shelves(storage or DiskStorage(self.kept))

    def keeper(self, storage: Storage | None = None) -> Keeper:
        """Another one is another process."""
        clock, links = SteadyClock(), Links("https://dial.example")
        return Keeper(KeeperParts(self.rows, self.calls, self.shelves(storage), links, Spool(self.spool), clock))

    def retention(self, days: float = 0) -> Retention:
        endings = Endings(self.rows, self.calls, Links("https://dial.example"), lambda: datetime.now(UTC))
        return Retention(self.rows, self.shelves(), endings, days)

    async def call(self) -> Call:
        return await self.queue.adopt(self.worker, parent(), {"state": "confirmed"})

    async def order(self, **rest: Any) -> RecordingOrder:
        given = {"notice": NOTICE, "source": "DialVerb", "channels": 1, "started_at": datetime.now(UTC), **rest}
        return RecordingOrder(new_recording_sid(), given.pop("call", None) or await self.call(), **given)

    def record(self, order: RecordingOrder, seconds: float = 1.0, *, running: bool = False) -> Path:
        """What a recorder leaves in the spool."""
        self.spool.mkdir(exist_ok=True)
        path = self.spool / f"{order.sid}.wav{'.part' if running else ''}"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(order.channels)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(b"\1\2" * order.channels * int(RATE * seconds))
        return path

    async def owed(self) -> list[dict[str, str]]:
        """The recording-status callbacks owed, oldest first."""
        found = await rows(self.database, "SELECT body FROM webhook_outbox WHERE sequence < 0 ORDER BY id")
        return [dict(parse_qsl(row.body)) for row in found]


def taken(path: Path, seconds: float = 1.0, end: TakeEnd = TakeEnd.STOPPED) -> Taken:
    return Taken(path, seconds, 1, 0, end)


@pytest_asyncio.fixture
async def house(database: Database, sealer: Sealer, tmp_path: Path) -> AsyncIterator[House]:
    queue = DialQueue(database, sealer, lease=600)
    worker = await queue.register(role="worker", capacity=10, sip_host="127.0.0.1", sip_port=5060)
    yield House(database, RecordingRows(database, sealer), CallReads(database, sealer), queue, tmp_path, worker)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries come again at once, and a file is quiet as soon as it is written."""
    monkeypatch.setattr("app.recordings.keeper._BACKOFF", (0.01,))
    monkeypatch.setattr("app.recordings.spool._QUIET", -1.0)


__all__ = ["ACCOUNT", "House", "bucket", "taken"]
