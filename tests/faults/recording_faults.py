"""Takes the store of recordings away while recordings end: it refuses, then hangs, and a worker dies meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from app.recordings.s3 import Bucket
from tests.faults.api_faults import well_again
from tests.faults.load import answers, place, wrong_answers
from tests.faults.stage import Entry, Stage
from tests.faults.suite import fault
from tests.faults.verdict import Told
from tests.kit.s3 import keys_in, s3_server

_TALK = 1.0  # seconds
_LOST = 0.5  # of them that a recording may be short of
_AGAIN = 240.0  # seconds until all is kept once the store is back: a minute between two tries, and 30 s to hear nothing


class Door:
    """In front of the store: open, closed (connections are reset), or silent (they are taken, and nothing comes)."""

    def __init__(self, host: str, port: int) -> None:
        self._store = (host, port)
        self._taken: set[asyncio.StreamWriter] = set()
        self.state = "open"
        self.port = 0

    def set(self, state: str) -> None:
        """What stands is broken off."""
        self.state = state
        for writer in self._taken:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._taken.add(writer)
        try:
            if self.state == "silent":
                while await reader.read(65536):
                    continue
            elif self.state == "open":
                theirs, to_store = await asyncio.open_connection(*self._store)
                self._taken.add(to_store)
                try:
                    await asyncio.gather(_pump(reader, to_store), _pump(theirs, writer))
                finally:
                    self._taken.discard(to_store)
        except OSError:
            pass
        finally:
            self._taken.discard(writer)
            writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def _kept_behind_a_door(stage: Stage) -> AsyncIterator[tuple[Door, Bucket]]:
    """The product anew, with its recordings in a bucket."""
    with s3_server() as bucket:
        where = urlsplit(bucket.endpoint)
        door = Door(where.hostname or "", where.port or 0)
        server = await asyncio.start_server(door.serve, "127.0.0.1", 0)
        door.port = server.sockets[0].getsockname()[1]
        stage.settings |= {
            "DIAL_RECORDINGS_S3_BUCKET": bucket.name, "DIAL_RECORDINGS_S3_PREFIX": bucket.prefix,
            "DIAL_RECORDINGS_S3_ENDPOINT": f"http://127.0.0.1:{door.port}", "DIAL_RECORDINGS_S3_KEY": bucket.key,
            "DIAL_RECORDINGS_S3_SECRET": bucket.secret, "DIAL_RECORDINGS_S3_REGION": bucket.region,
        }  # fmt: skip
        await stage.stop()
        await stage.start_again()
        try:
            yield door, bucket
        finally:
            server.close()
            door.set("closed")


@fault("recordings-store-away", calls=10, full=(40, 3), long=True, DIAL_MAX_WAIT="30")
async def store_away(stage: Stage, calls: int) -> Told:
    """The recordings' bucket refuses, then says nothing, 10 s each (30 in full), a worker dies: all is kept, later."""
    async with _kept_behind_a_door(stage) as (door, bucket):
        await _recorded(stage, 2)
        await _until_kept(stage, 2, 60)
        [early] = (await _recordings(stage))[:1]
        door.set("closed")
        await _recorded(stage, calls // 2)
        away = [await _status(stage, f"{_path(early)}.wav")]
        await stage.pause(10 * stage.times)
        door.set("silent")
        await _recorded(stage, calls - calls // 2)
        await stage.until_delivered(30)  # what is told of calls waits for no recording
        await stage.pause(10 * stage.times)
        waiting = len(list(_spool(stage).glob("*.wav*")))
        stage.kill("worker")
        await well_again(stage)
        await stage.pause(3)  # the next one tries, too, and hears nothing
        door.set("open")
        took = await _until_kept(stage, calls + 2, _AGAIN)
        problems = [] if away == [503] else [f"audio in a bucket that is away was answered {away}"]
        problems += [] if waiting == calls else [f"{waiting} of {calls} recordings waited in the spool"]
        problems += [*await _unkept(stage, bucket, calls + 2), *wrong_answers(stage)]
    notes = [
        answers(stage),
        f"{waiting} recordings waited, the last one was kept {took:.0f} s after the store was back",
    ]
    return Told(problems=problems, notes=notes)


async def _recorded(stage: Stage, calls: int) -> None:
    """So many calls, over and told of."""
    url = f"http://127.0.0.1:{stage.receiver.port}/ok"
    asked = {"record": "record-from-answer", "recordingStatusCallback": url}
    await place(stage, calls, f"r50-t{int(_TALK * 1000)}", **asked)
    await stage.until_final(60)


async def _recordings(stage: Stage) -> list[Entry]:
    return await stage.rows("SELECT sid, state, duration, size FROM recording ORDER BY started_at")


async def _until_kept(stage: Stage, count: int, seconds: float) -> float:
    """Until so many recordings have ended, and so many seconds it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    done = f"SELECT 1 FROM recording HAVING count(*) = {count} AND bool_and(state <> 'in-progress')"
    await stage.until_rows(done, seconds)
    return loop.time() - began


async def _unkept(stage: Stage, bucket: Bucket, count: int) -> list[str]:
    """What is wrong with rows, objects, audio and callbacks of all recordings."""
    rows = await _recordings(stage)
    problems = [f"{row['sid']} is {row['state']}, {row['duration']} s" for row in rows if not _whole(row)]
    keys = await asyncio.to_thread(keys_in, bucket)
    problems += [] if len(keys) == count else [f"{len(keys)} of {count} recordings are in the bucket"]
    for row in rows:
        answer = await stage.http.get(f"{stage.service.url}{_path(row)}.wav", auth=stage.auth)
        if (answer.status_code, len(answer.content)) != (200, row["size"]):
            problems.append(f"{row['sid']}: {answer.status_code}, {len(answer.content)} of {row['size']} bytes")
    await stage.until(lambda: not list(_spool(stage).iterdir()), 30, "an empty spool")
    await stage.until_delivered(30)
    told = await stage.rows("SELECT count(*) AS n FROM webhook_delivery WHERE sequence < 0 AND state = 'delivered'")
    return problems + ([] if told[0]["n"] == count else [f"{told[0]['n']} of {count} recordings were told of"])


def _whole(row: Entry) -> bool:
    return bool(row["state"] == "completed" and row["duration"] >= _TALK - _LOST)


async def _status(stage: Stage, path: str) -> int:
    return (await stage.http.get(f"{stage.service.url}{path}", auth=stage.auth, timeout=90)).status_code


def _path(recording: Entry) -> str:
    return f"/v1/recordings/{recording['sid']}"


def _spool(stage: Stage) -> Path:
    return stage.folder / "data" / "spool"
