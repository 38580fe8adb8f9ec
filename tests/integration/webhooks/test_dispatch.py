"""The dispatcher between a real PostgreSQL and a real receiver."""

import asyncio

import psycopg
import pytest
from prometheus_client import REGISTRY
from standardwebhooks import Webhook
from twilio.request_validator import RequestValidator

from app.store.database import Database
from app.store.outbox import LEASE, Breaker, Outbox
from app.store.seal import Sealer
from app.webhooks.limits import Limits
from tests.integration.webhooks.conftest import Owing, Records, Start
from tests.kit import receiver as kit
from tests.kit.receiver import receiver

EMPTY = ("SELECT count(*) FROM webhook_outbox", [0])


async def test_what_is_owed_arrives_signed_and_is_written_down(
    owing: Owing, dispatching: Start, records: Records
) -> None:
    async with receiver(kit.status(200, b"thanks")) as there, dispatching():
        (sid,) = await owing.calls(there.url + "/cb")
        (seen,) = await there.wait_for(1)
        await records.until(*EMPTY)
    assert seen.form["CallSid"] == sid
    Webhook(owing.secret).verify(seen.body.decode(), seen.headers, json_parse=False)
    assert RequestValidator(owing.token).validate(there.url + "/cb", seen.form, seen.headers["x-twilio-signature"])
    assert await records.rows("SELECT state, attempts FROM webhook_delivery") == [("delivered", 1)]
    assert await records.rows("SELECT number, status, error, answer FROM webhook_attempt") == [
        (1, 200, None, b"thanks")
    ]


async def test_a_notification_starts_it_long_before_the_poll(owing: Owing, dispatching: Start) -> None:
    async with receiver() as there, dispatching():
        await owing.calls(there.url)
        await there.wait_for(1)
        loop = asyncio.get_running_loop()
        delays = []
        for count in range(2, 12):
            await owing.calls(there.url)
            committed = loop.time()
            await there.wait_for(count)
            delays.append(loop.time() - committed)
    assert sorted(delays)[5] < 0.25


async def test_events_of_a_call_arrive_in_order(owing: Owing, dispatching: Start, records: Records) -> None:
    async with receiver() as there, dispatching():
        calls = await owing.calls(there.url, count=20, events=4)
        await there.wait_for(80)
        await records.until(*EMPTY)
    for sid in calls:
        numbers = [seen.form["SequenceNumber"] for seen in there.requests if seen.form["CallSid"] == sid]
        assert numbers == ["0", "1", "2", "3"]


async def test_what_a_destination_had_no_room_for_waits_for_no_poll(owing: Owing, dispatching: Start) -> None:
    """Thirty calls one at a time: with a poll before each it would take half a minute."""
    async with receiver() as there, dispatching(per_destination=1):
        await owing.calls(there.url, count=30)
        await there.wait_for(30)


async def test_a_failure_is_repeated_with_the_same_id_and_body(
    owing: Owing, dispatching: Start, records: Records
) -> None:
    async with receiver(kit.status(500), kit.redirect("/")) as there, dispatching(retries=(0.05, 0.05)):
        await owing.calls(there.url)
        seen = await there.wait_for(3)
        await records.until(*EMPTY)
    assert len({one.headers["webhook-id"] for one in seen}) == 1
    assert len({one.body for one in seen}) == 1
    rows = await records.rows("SELECT number, status, error FROM webhook_attempt ORDER BY number")
    assert rows == [(1, 500, "status 500"), (2, 302, "status 302: redirects are not followed"), (3, 204, None)]


async def test_after_the_last_attempt_it_is_dead(owing: Owing, dispatching: Start, records: Records) -> None:
    async with receiver() as there, dispatching(retries=(0.05,)):
        there.otherwise = kit.status(500)
        await owing.calls(there.url)
        await records.until(*EMPTY)
    assert len(there.requests) == 2
    assert await records.rows("SELECT state, attempts FROM webhook_delivery") == [("dead", 2)]


async def test_gone_ends_it_at_once(owing: Owing, dispatching: Start, records: Records) -> None:
    async with receiver(kit.status(410)) as there, dispatching():
        await owing.calls(there.url)
        await records.until("SELECT state FROM webhook_delivery", ["dead"])
    assert len(there.requests) == 1


async def test_a_refused_address_is_said_and_not_asked(owing: Owing, dispatching: Start, records: Records) -> None:
    async with dispatching(retries=()):
        await owing.calls("http://10.0.0.1/cb")
        await records.until("SELECT state FROM webhook_delivery", ["dead"])
    ((error,),) = await records.rows("SELECT error FROM webhook_attempt")
    assert str(error).startswith("address-denied: 10.0.0.1")
    assert "DIAL_HTTP_ALLOW" in str(error)


async def test_a_poison_row_dies_after_its_attempts_and_others_flow(
    owing: Owing, dispatching: Start, records: Records
) -> None:
    async with receiver() as there, dispatching(retries=(0.05,)):
        await owing.calls("http://poison.example:99/\\")
        with psycopg.connect(records.url, autocommit=True) as connection:
            connection.execute("UPDATE webhook_outbox SET url = 'http://[broken'")
        await owing.calls(there.url, count=5)
        await there.wait_for(5)
        await records.until(*EMPTY)
    rows = await records.rows("SELECT state FROM webhook_delivery ORDER BY state")
    assert rows == [("dead",)] + [("delivered",)] * 5


async def test_an_unknown_account_burns_its_own_attempts_only(
    owing: Owing, dispatching: Start, records: Records
) -> None:
    async with receiver() as there:
        await owing.calls(there.url)
        with psycopg.connect(records.url, autocommit=True) as connection:
            connection.execute("UPDATE webhook_outbox SET account_sid = 'ACnobody'")
        await owing.calls(there.url)
        async with dispatching(retries=()):
            await records.until(*EMPTY)
    assert len(there.requests) == 1
    assert await records.rows("SELECT error FROM webhook_attempt WHERE error IS NOT NULL") == [
        ("the account's secrets cannot be read",)
    ]


async def test_a_destination_that_hangs_slows_nobody_else(owing: Owing, dispatching: Start, records: Records) -> None:
    async with receiver() as good, receiver() as bad, dispatching(limits=Limits(total=5.0)):
        bad.otherwise = kit.hang()
        await owing.calls(bad.url, count=100)
        await bad.wait_for(8)
        await owing.calls(good.url, count=50)
        await good.wait_for(50, timeout=4.0)
        assert len(bad.requests) == 8  # its limit, whatever it is owed


async def test_more_hanging_destinations_than_slots_stop_nobody(
    owing: Owing, dispatching: Start, records: Records
) -> None:
    async with receiver() as good, receiver(host="0.0.0.0") as bad, dispatching(slots=8, per_destination=2):
        bad.otherwise = kit.hang()
        for n in range(10):
            await owing.calls(f"http://127.0.0.{n + 1}:{bad.port}/", count=2)
        await bad.wait_for(20)
        await owing.calls(good.url, count=5)
        await good.wait_for(5)


async def test_what_the_database_refuses_of_one_result_holds_up_no_other(
    owing: Owing, dispatching: Start, records: Records
) -> None:
    with psycopg.connect(records.url, autocommit=True) as connection:
        connection.execute(
            """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                   IF NEW.answer = 'poison' THEN RAISE EXCEPTION 'refused'; END IF; RETURN NEW; END $$;
               CREATE TRIGGER refuse BEFORE INSERT ON webhook_attempt FOR EACH ROW EXECUTE FUNCTION refuse()"""
        )
    async with receiver(kit.status(200), kit.status(200, b"poison")) as there:
        await owing.calls(there.url, count=5)
        async with dispatching():
            await records.until(*EMPTY)
    assert len(there.requests) == 5
    assert await records.rows("SELECT state FROM webhook_delivery") == [("delivered",)] * 5


async def test_five_failures_open_the_breaker_and_the_rest_burns_no_attempt(
    owing: Owing, dispatching: Start, records: Records
) -> None:
    async with receiver() as there, dispatching(retries=(30.0,), per_destination=1):
        there.otherwise = kit.status(500)
        await owing.calls(there.url, count=20)
        await records.until("SELECT breaker FROM webhook_destination", ["open"])
        await records.until("SELECT count(*) FROM webhook_outbox WHERE lease_until IS NOT NULL", [0])
        tried = len(there.requests)
        assert 5 <= tried <= 8
        burned = await records.rows("SELECT count(*) FROM webhook_outbox WHERE attempt > 0")
        assert burned == [(tried,)]
        there.otherwise = kit.status(204)
        await there.wait_for(20, timeout=15)  # one probe after 5 s, then everything
        await records.until("SELECT breaker FROM webhook_destination", ["closed"])


async def test_a_breaker_that_another_dispatcher_opened_is_respected_and_closed(
    owing: Owing, dispatching: Start, records: Records, database: Database, sealer: Sealer
) -> None:
    async with receiver() as there:
        await owing.calls(there.url, count=3)
        ((destination,),) = await records.rows("SELECT id FROM webhook_destination")
        await Outbox(database, sealer).breaker(int(str(destination)), Breaker("open", 5, 5.0, open_for=1.0))
        async with dispatching():
            with pytest.raises(TimeoutError):
                await there.wait_for(1, timeout=0.5)
            await there.wait_for(3)
            await records.until("SELECT breaker FROM webhook_destination", ["closed"])


async def test_results_outlive_a_database_that_goes_away(
    owing: Owing, dispatching: Start, records: Records, postgres_url: str
) -> None:
    name, failed = records.url.rpartition("/")[2], _failed_attempts()
    async with receiver() as there, dispatching():
        there.otherwise = kit.hang()
        await owing.calls(there.url, count=5)
        await there.wait_for(5)
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
            there.otherwise = kit.status(204)
            there.drop_connections()
            async with asyncio.timeout(5):
                while _failed_attempts() < failed + 5:
                    await asyncio.sleep(0)
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        await records.until("SELECT count(*) FROM webhook_attempt WHERE status IS NULL", [5])
        assert len(there.requests) == 5


def _failed_attempts() -> float:
    return REGISTRY.get_sample_value("dial_webhook_attempts_total", {"result": "owed"}) or 0.0


async def test_a_stop_lets_attempts_end(owing: Owing, dispatching: Start, records: Records) -> None:
    async with receiver() as there, dispatching() as dispatcher:
        release = asyncio.Event()

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await release.wait()
            await kit.status(204)(reader, writer)

        there.otherwise = slow
        await owing.calls(there.url, count=3)
        await there.wait_for(3)
        stopping = asyncio.create_task(dispatcher.stop(10))
        await owing.calls(there.url, count=2)
        release.set()
        await stopping
        assert len(there.requests) == 3
    assert await records.rows("SELECT state FROM webhook_delivery") == [("delivered",)] * 3
    assert await records.rows("SELECT attempt, lease_until FROM webhook_outbox") == [(0, None)] * 2


async def test_a_stop_without_grace_gives_back_what_did_not_end(
    owing: Owing, dispatching: Start, records: Records
) -> None:
    async with receiver() as there, dispatching() as dispatcher:
        there.otherwise = kit.hang()
        await owing.calls(there.url, count=3)
        await there.wait_for(3)
        await dispatcher.stop(0)
    assert await records.rows("SELECT attempt, lease_until FROM webhook_outbox") == [(0, None)] * 3


async def test_two_dispatchers_send_everything_once(owing: Owing, dispatching: Start, records: Records) -> None:
    async with receiver() as there, dispatching(), dispatching():
        await owing.calls(there.url, count=50, events=4)
        await there.wait_for(200)
        await records.until(*EMPTY)
    assert len({seen.headers["webhook-id"] for seen in there.requests}) == len(there.requests) == 200


async def test_a_claim_whose_lease_could_end_first_is_not_sent(
    owing: Owing, dispatching: Start, records: Records
) -> None:
    async with receiver() as there, dispatching(limits=Limits(total=LEASE)):
        await owing.calls(there.url)
        await records.until("SELECT attempt FROM webhook_outbox WHERE lease_until IS NOT NULL", [1])
        with pytest.raises(TimeoutError):
            await there.wait_for(1, timeout=0.3)
