"""What is recorded is handed over once: stored, ended in its row and told, whatever fails or dies in between."""

import asyncio
import fcntl
from dataclasses import replace
from pathlib import Path

import pytest

from app.calls.audio import TakeEnd
from app.calls.errors import Unavailable
from app.calls.recording import RecordingState
from app.calls.status import Status
from app.recordings.disk import DiskStorage
from app.recordings.keeper import Keeper
from app.recordings.s3 import Bucket, S3Storage
from app.recordings.storage import StorageAway
from app.store.recordings import StoredRecording
from app.store.seal import Sealer
from tests.integration.recordings.conftest import ACCOUNT, RATE, House, taken
from tests.integration.store.make import change, changes, owed, rows, value
from tests.kit.s3 import below, keys_in


class Flaky(DiskStorage):
    """Away so many times."""

    def __init__(self, folder: Path, failures: int) -> None:
        super().__init__(folder)
        self.failures = failures

    async def keep(self, file: Path, key: str) -> None:
        if self.failures:
            self.failures -= 1
            raise StorageAway("the store is away")
        await super().keep(file, key)


class Stuck(DiskStorage):
    """Never comes to an end, as when the process is killed there."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.reached = asyncio.Event()

    async def keep(self, file: Path, key: str) -> None:
        await super().keep(file, key)
        self.reached.set()
        await asyncio.Event().wait()


async def done(keeper: Keeper) -> None:
    await keeper.stop(10)


async def stored(house: House, sid: str) -> StoredRecording:
    return await house.rows.get(ACCOUNT, sid)


async def end_call(house: House, sid: str) -> None:
    """As a rescuer or its own worker does; longer ago than anybody waits."""
    ended = "status = 'completed', worker_id = NULL, end_time = now() - interval '1 minute'"
    sql = f"UPDATE calls SET {ended} WHERE sid = :sid"
    await rows(house.database, sql, sid=sid)


async def test_a_recording_runs_ends_and_is_told_in_this_order(house: House) -> None:
    keeper, order = house.keeper(), await house.order()
    await keeper.begin(order)
    await keeper.begin(order)  # the answer to the first was lost
    assert (await stored(house, order.sid)).recording.state is RecordingState.IN_PROGRESS
    path = house.record(order, 2.4)
    keeper.finish(order, taken(path))
    await done(keeper)
    found = await stored(house, order.sid)
    assert (found.recording.state, found.recording.duration) == (RecordingState.COMPLETED, 2.4)
    assert found.recording.size == 44 + 2 * RATE * 2.4
    assert not path.exists()
    assert found.location is not None
    assert (house.kept / found.location.removeprefix("disk:")).stat().st_size == found.recording.size
    begun, ended = await house.owed()
    assert begun["RecordingStatus"] == "in-progress"
    assert "RecordingUrl" not in begun
    assert ended | {"RecordingStartTime": "", "Timestamp": ""} == {
        "CallSid": order.call.sid,
        "AccountSid": ACCOUNT,
        "From": order.call.from_uri,
        "To": order.call.to_uri,
        "CallStatus": "queued",
        "ApiVersion": "2012-04-24",
        "Direction": "outbound-api",
        "RecordingSid": order.sid,
        "RecordingUrl": f"https://dial.example/v1/recordings/{order.sid}.wav",
        "RecordingStatus": "completed",
        "RecordingDuration": "2",
        "RecordingChannels": "1",
        "RecordingSource": "DialVerb",
        "RecordingStartTime": "",
        "Timestamp": "",
    }
    assert (
        await value(house.database, "SELECT DISTINCT url FROM webhook_outbox") == "https://***:***@app.example/recorded"
    )


async def test_nothing_is_told_that_was_not_asked_for(house: House) -> None:
    keeper, order = house.keeper(), await house.order(notice=None)
    await keeper.begin(order)
    keeper.finish(order, taken(house.record(order)))
    await done(keeper)
    assert await house.owed() == []


async def test_a_recordings_end_waits_for_its_beginning_and_holds_back_no_event_of_the_call(
    house: House, sealer: Sealer
) -> None:
    keeper, order = house.keeper(), await house.order()
    await keeper.begin(order)
    keeper.finish(order, taken(house.record(order)))
    await done(keeper)
    async with changes(house.database, sealer) as writer:
        await writer.write(change(order.call.sid, 1, Status.IN_PROGRESS, epoch=1, owed=owed()))
    found = await rows(house.database, "SELECT sequence, blocked FROM webhook_outbox ORDER BY id")
    assert [(row.sequence, row.blocked) for row in found] == [(-1, False), (-1, True), (0, False)]


@pytest.mark.parametrize("seconds", [0.0, None], ids=["an empty file", "no file"])
async def test_where_nothing_was_recorded_it_is_absent(house: House, seconds: float | None) -> None:
    keeper, order = house.keeper(), await house.order()
    await keeper.begin(order)
    path = house.spool / "none.wav" if seconds is None else house.record(order, seconds)
    keeper.finish(order, taken(path, 0, TakeEnd.FAILED))
    await done(keeper)
    found = await stored(house, order.sid)
    assert (found.recording.state, found.location) == (RecordingState.ABSENT, None)
    assert [one["RecordingStatus"] for one in await house.owed()] == ["in-progress", "absent"]
    assert not path.exists()


async def test_a_store_that_is_away_is_tried_until_it_is_back(house: House) -> None:
    storage = Flaky(house.kept, failures=3)
    keeper, order = house.keeper(storage), await house.order()
    await keeper.begin(order)
    keeper.finish(order, taken(house.record(order)))
    await done(keeper)
    assert storage.failures == 0
    assert (await stored(house, order.sid)).recording.state is RecordingState.COMPLETED


async def test_a_database_that_is_away_is_waited_for_and_the_file_stays(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper, order = house.keeper(), await house.order()
    await keeper.begin(order)
    path, asked, finish = house.record(order), asyncio.Event(), house.rows.finish

    async def away(*_: object) -> bool:
        asked.set()
        raise Unavailable("away")

    monkeypatch.setattr(type(house.rows), "finish", away)
    keeper.finish(order, taken(path))
    await asked.wait()
    assert path.exists()
    monkeypatch.setattr(type(house.rows), "finish", lambda _, *given: finish(*given))
    await done(keeper)
    assert (await stored(house, order.sid)).recording.state is RecordingState.COMPLETED
    assert not path.exists()


async def test_s3_has_the_audio_when_the_row_says_so(house: House, bucket: Bucket) -> None:
    order = await house.order(channels=2)
    own = below(bucket, order.sid)
    keeper = house.keeper(S3Storage(own))
    await keeper.begin(order)
    path = house.record(order)
    content = path.read_bytes()
    keeper.finish(order, taken(path))
    await done(keeper)
    location = (await stored(house, order.sid)).location
    assert location is not None
    assert [f"s3:{key}" for key in keys_in(own)] == [location]
    pieces = await house.shelves(S3Storage(own)).open(location, 0, len(content))
    assert b"".join([piece async for piece in pieces]) == content


async def test_a_killed_process_leaves_its_file_to_the_next_one_also_in_the_middle_of_a_hand_over(house: House) -> None:
    stuck = Stuck(house.kept)
    keeper, order = house.keeper(stuck), await house.order()
    await keeper.begin(order)
    path = house.record(order)
    keeper.finish(order, taken(path))
    await stuck.reached.wait()
    await keeper.stop(0)  # cut where it was
    assert path.exists()
    survivor = house.keeper()
    await survivor.look()
    await done(survivor)
    assert (await stored(house, order.sid)).recording.state is RecordingState.IN_PROGRESS  # its worker may live yet
    await end_call(house, order.call.sid)
    await survivor.look()
    await done(survivor)
    assert (await stored(house, order.sid)).recording.state is RecordingState.COMPLETED
    assert not path.exists()
    assert len(await house.owed()) == 2


async def test_a_recording_of_a_worker_that_died_is_kept_up_to_what_was_written(house: House) -> None:
    keeper, order = house.keeper(), await house.order()
    await keeper.begin(order)
    path = house.record(order, 1.0, running=True)
    with path.open("ab") as file:
        file.write(b"\3\4" * RATE + b"\5")  # the header has not been written since
    sql = "UPDATE calls SET epoch = epoch + 1 WHERE sid = :sid"  # taken over by a rescuer
    await rows(house.database, sql, sid=order.call.sid)
    await keeper.look()
    await done(keeper)
    found = await stored(house, order.sid)
    assert (found.recording.state, found.recording.duration) == (RecordingState.COMPLETED, 2.0)
    assert list(house.spool.iterdir()) == []


async def test_a_file_that_is_being_written_and_one_in_other_hands_are_left_alone(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper, order = house.keeper(), await house.order()
    await keeper.begin(order)
    path = house.record(order, running=True)
    await end_call(house, order.call.sid)
    monkeypatch.setattr("app.recordings.spool._QUIET", 60.0)
    await keeper.look()
    await done(keeper)
    assert path.exists()
    monkeypatch.setattr("app.recordings.spool._QUIET", -1.0)
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        await keeper.look()
        await done(keeper)
        assert (await stored(house, order.sid)).recording.state is RecordingState.IN_PROGRESS
    await keeper.look()
    await done(keeper)
    assert (await stored(house, order.sid)).recording.state is RecordingState.COMPLETED


async def test_what_was_handed_over_and_not_removed_is_let_go_and_what_nobody_knows_stays(house: House) -> None:
    keeper, order = house.keeper(), await house.order()
    await keeper.begin(order)
    keeper.finish(order, taken(house.record(order)))
    await done(keeper)
    again, unknown = house.record(order), house.record(await house.order())
    await keeper.look()
    assert (again.exists(), unknown.exists()) == (False, True)
    assert len(await house.owed()) == 2


async def test_a_recording_that_was_deleted_meanwhile_does_not_come_back(house: House) -> None:
    stuck = Stuck(house.kept)
    keeper, order = house.keeper(stuck), await house.order()
    await keeper.begin(order)
    keeper.finish(order, taken(house.record(order)))
    await stuck.reached.wait()
    sql = "UPDATE recording SET state = 'absent', ended_at = now() WHERE sid = :sid"  # given up by another process
    await rows(house.database, sql, sid=order.sid)
    keeper._parts.shelves._written.keep = DiskStorage(house.kept).keep  # type: ignore[method-assign]  # it goes on
    await keeper.stop(0)
    late = house.keeper()
    found = await stored(house, order.sid)
    in_progress = replace(found, recording=replace(found.recording, state=RecordingState.IN_PROGRESS))
    await late._keep(in_progress, house.spool / f"{order.sid}.wav")  # it had looked before that
    assert [path for path in house.kept.rglob("*") if path.is_file()] == []
