"""Copies of SIP messages: stored in batches, bounded, masked, and never waited for."""

import asyncio
import gc
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.calls.errors import Unavailable
from app.calls.sid import CallSid, new_call_sid
from app.calls.wire import LeftOut, WireCopy
from app.runtime.clock import SteadyClock
from app.sip.trace import WireMessage
from app.store.database import Database
from app.store.trace import TraceStore
from app.store.upkeep import Upkeep
from app.trace.redact import redact
from app.worker import tap as tapping
from app.worker.tap import MESSAGES_PER_LEG, OCTETS_PER_LEG, Tap
from tests.integration.store.make import Proxy, rows, value
from tests.kit.ports import free_port

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


class Leg:
    """Stands for what the phone holds while a leg lives."""


def message(
    call_id: str, start: str = "OPTIONS sip:a@h SIP/2.0", *, name: str = "Call-ID", rest: str = ""
) -> WireMessage:
    data = f"{start}\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n{name}: {call_id}\r\n{rest}\r\n".encode()
    return WireMessage("in", "udp", ("127.0.0.1", 5060), ("::1", 5070), data, datetime.now(UTC))


def copy(sid: CallSid, seq: int, **more: Any) -> WireCopy:
    values: dict[str, Any] = {
        "at": datetime.now(UTC) + timedelta(milliseconds=seq),
        "direction": "sent",
        "transport": "tcp",
        "local": ("127.0.0.1", 5060),
        "remote": ("2001:db8::1", 5070),
        "data": b"SIP/2.0 200 OK\r\n\r\n\xff\x00",
        **more,
    }
    return WireCopy(sid, seq, **values)


@asynccontextmanager
async def running(database: Database) -> AsyncIterator[Tap]:
    """Whatever was queued is written when the block is left."""
    tap = Tap(TraceStore(database), redact, SteadyClock())
    task = asyncio.create_task(tap.run())
    yield tap
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await tap.stop()


async def stored(database: Database, *sids: CallSid) -> tuple[list[WireCopy], list[LeftOut]]:
    return await TraceStore(database).read(sids, LONG_AGO)


async def test_what_is_written_is_read_again_byte_for_byte(database: Database) -> None:
    sid = new_call_sid()
    copies = [copy(sid, seq) for seq in range(3)]
    await TraceStore(database).write(copies)
    assert await stored(database, sid) == (copies, [])
    assert await stored(database, new_call_sid()) == ([], [])


async def test_several_legs_are_read_as_one_by_time(database: Database) -> None:
    one, two = new_call_sid(), new_call_sid()
    copies = [copy(sid, seq) for seq in range(4) for sid in (one, two)]
    await TraceStore(database).write(copies[::-1])
    read, _ = await stored(database, one, two)
    assert [each.at for each in read] == sorted(each.at for each in copies)


async def test_a_batch_that_is_written_twice_is_read_once(database: Database) -> None:
    sid = new_call_sid()
    batch = [copy(sid, 0), copy(sid, 1), LeftOut(sid, datetime.now(UTC), 3)]
    await TraceStore(database).write(batch)
    await TraceStore(database).write(batch)
    copies, counts = await stored(database, sid)
    assert len(copies) == 2 and [count.messages for count in counts] == [3]


async def test_a_cut_connection_costs_no_copy(database: Database, database_url: str) -> None:
    sid = new_call_sid()
    async with Proxy(database_url) as proxy:
        shaky = Database(proxy.url)
        proxy.cut_after_commits = 1
        await TraceStore(shaky).write([copy(sid, 0)])
        await shaky.close()
    assert len((await stored(database, sid))[0]) == 1


async def test_its_days_are_partitions_that_go_after_a_week(database: Database) -> None:
    sid = new_call_sid()
    await TraceStore(database).write([copy(sid, 0)])
    assert await value(database, "SELECT count(*) FROM sip_message_default") == 1
    for age in (7, 8):
        day = await value(database, f"SELECT to_char(now() AT TIME ZONE 'UTC' - interval '{age} days', 'YYYYMMDD')")
        bounds = f"FOR VALUES FROM ('{day} 00:00+00') TO ('{day} 24:00+00')"
        await rows(database, f"CREATE TABLE sip_message_p{day} PARTITION OF sip_message {bounds}")
    await Upkeep(database).run()
    assert await value(database, "SELECT count(*) FROM sip_message_default") == 0
    assert len((await stored(database, sid))[0]) == 1
    assert await value(database, "SELECT count(*) FROM pg_class WHERE relname ~ '^sip_message_p[0-9]{8}$'") == 5


async def test_messages_of_legs_are_stored_masked_and_those_of_strangers_are_not(database: Database) -> None:
    sid, leg = new_call_sid(), Leg()
    async with running(database) as tap:
        tap.follow("one@h", sid, leg)
        tap.on_message(message("one@h", rest='Authorization: Digest username="a", response="c0ffee"\r\n'))
        tap.on_message(message("one@h", name="i"))
        tap.on_message(message("one@h", name="CALL-ID \t"))
        tap.on_message(message("stranger@h"))
        tap.on_message(WireMessage("in", "udp", ("h", 1), ("h", 2), b"junk", datetime.now(UTC)))
    copies, counts = await stored(database, sid)
    assert [each.seq for each in copies] == [0, 1, 2] and counts == []
    assert (copies[0].direction, copies[0].remote) == ("received", ("::1", 5070))
    assert b"c0ffee" not in copies[0].data and b'username="a"' in copies[0].data
    assert await value(database, "SELECT count(*) FROM sip_message") == 3


async def test_what_was_stored_is_handed_on_masked(database: Database) -> None:
    sid, leg, handed = new_call_sid(), Leg(), list[WireCopy]()
    tap = Tap(TraceStore(database), redact, SteadyClock(), export=handed.append)
    tap.follow("one@h", sid, leg)
    tap.on_message(message("one@h", rest="Authorization: Basic c2VjcmV0\r\n"))
    await tap.stop()
    copies, _ = await stored(database, sid)
    assert handed == copies and b"c2VjcmV0" not in handed[0].data


async def test_one_leg_keeps_so_many_messages_and_its_end_and_counts_the_others(database: Database) -> None:
    sid, leg = new_call_sid(), Leg()
    async with running(database) as tap:
        tap.follow("flood@h", sid, leg)
        for _ in range(MESSAGES_PER_LEG + 100):
            tap.on_message(message("flood@h"))
        tap.on_message(message("flood@h", "BYE sip:a@h SIP/2.0", rest="CSeq: 2 BYE\r\n"))
    copies, [count] = await stored(database, sid)
    assert len(copies) + count.messages == MESSAGES_PER_LEG + 101 and len(copies) <= MESSAGES_PER_LEG
    assert copies[-1].data.startswith(b"BYE")


async def test_one_leg_keeps_so_many_octets(database: Database) -> None:
    sid, leg = new_call_sid(), Leg()
    async with running(database) as tap:
        tap.follow("fat@h", sid, leg)
        for _ in range(6):
            tap.on_message(message("fat@h", rest="X: " + "x" * 60_000 + "\r\n"))
    copies, [count] = await stored(database, sid)
    assert (len(copies), count.messages) == (4, 2)
    assert sum(len(each.data) for each in copies) <= OCTETS_PER_LEG


async def test_without_a_database_the_oldest_go_and_nobody_waits(
    monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    monkeypatch.setattr(tapping, "QUEUED", 50)
    away = Database(f"postgresql://nobody@127.0.0.1:{free_port()}/none")
    legs = [(new_call_sid(), Leg()) for _ in range(10)]
    tap = Tap(TraceStore(away), redact, SteadyClock())
    for number, (sid, leg) in enumerate(legs):
        tap.follow(f"{number}@h", sid, leg)
        for _ in range(10):
            began = time.perf_counter()
            tap.on_message(message(f"{number}@h"))
            assert time.perf_counter() - began < 0.05
    with pytest.raises(Unavailable):
        await tap._write()
    await away.close()
    tap._store = TraceStore(database)  # it is back
    await tap.stop()
    copies, counts = await stored(database, *(sid for sid, _ in legs))
    assert len(copies) == 50 and sum(count.messages for count in counts) == 50
    assert {each.call_sid for each in copies} == {sid for sid, _ in legs[5:]}


async def test_what_was_being_written_when_it_had_to_stop_is_not_lost(database: Database) -> None:
    sid, leg = new_call_sid(), Leg()
    tap = Tap(TraceStore(database), redact, SteadyClock())
    tap.follow("one@h", sid, leg)
    tap.on_message(message("one@h"))
    writing = asyncio.create_task(tap._write())
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    await tap.stop()
    assert len((await stored(database, sid))[0]) == 1


async def test_a_leg_that_is_gone_is_let_go_of_and_one_that_lives_is_not(
    monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    monkeypatch.setattr(tapping, "_LINGER", 0.0)
    monkeypatch.setattr(tapping, "_TIDY", 0.0)
    tap, living = Tap(TraceStore(database), redact, SteadyClock()), Leg()
    tap.follow("living@h", new_call_sid(), living)
    tap.follow("gone@h", new_call_sid(), Leg())
    tap.follow("rescued@h", new_call_sid())
    tap._tidy()
    assert list(tap._legs) == [b"living@h"]


async def test_an_incoming_call_is_kept_from_its_invite_on_once_its_sid_is_known(database: Database) -> None:
    sid, leg = new_call_sid(), Leg()
    async with running(database) as tap:
        tap.on_message(message("other@h", "INVITE sip:b@h SIP/2.0"))
        tap.on_message(message("in@h", "INVITE sip:a@h SIP/2.0"))
        tap.follow("in@h", None, leg)
        tap.on_message(message("in@h", "SIP/2.0 100 Trying"))
        tap.follow("in@h", sid, leg)
        tap.on_message(message("in@h", "SIP/2.0 180 Ringing"))
    copies, counts = await stored(database, sid)
    assert [each.data.split(b"\r\n")[0] for each in copies] == [
        b"INVITE sip:a@h SIP/2.0",
        b"SIP/2.0 100 Trying",
        b"SIP/2.0 180 Ringing",
    ]
    assert [each.seq for each in copies] == [0, 1, 2] and counts == []


async def test_an_incoming_call_that_is_never_stored_leaves_nothing(database: Database) -> None:
    leg = Leg()
    async with running(database) as tap:
        for _ in range(MESSAGES_PER_LEG + 1):
            tap.on_message(message("in@h"))
            tap.follow("in@h", None, leg)
    assert await value(database, "SELECT count(*) FROM sip_message") == 0


async def test_a_leg_that_was_never_stored_is_freed_when_it_is_let_go(
    monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    monkeypatch.setattr(tapping, "_LINGER", 0.0)
    monkeypatch.setattr(tapping, "_TIDY", 0.0)
    tap = Tap(TraceStore(database), redact, SteadyClock())
    tap.on_message(message("in@h"))
    tap.follow("in@h", None, Leg())
    [(_, kept)] = tap._legs[b"in@h"][0].waiting
    gc.disable()
    try:
        users = sys.getrefcount(kept)
        tap._tidy()
        assert sys.getrefcount(kept) < users
    finally:
        gc.enable()


async def test_both_legs_of_a_call_to_ourselves_have_a_trace(database: Database) -> None:
    ours, theirs = (new_call_sid(), Leg()), (new_call_sid(), Leg())
    async with running(database) as tap:
        tap.follow("self@h", *ours)
        tap.on_message(message("self@h", "INVITE sip:a@h SIP/2.0"))
        tap.follow("self@h", None, theirs[1])
        tap.follow("self@h", *theirs)
        tap.on_message(message("self@h", "SIP/2.0 100 Trying"))
    assert [len((await stored(database, sid))[0]) for sid, _ in (ours, theirs)] == [2, 2]
