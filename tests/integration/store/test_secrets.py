"""A dump of the whole database shows no secret that anybody gave us."""

import psycopg
from psycopg import sql

from app.calls.callback import Callback
from app.calls.status import Status
from app.store.accounts import Accounts
from app.store.calls import CallReads
from app.store.database import Database
from app.store.deliveries import Deliveries, DeliveryFilter
from app.store.outbox import Outbox
from app.store.seal import Sealer
from tests.integration.store.make import ACCOUNT, change, changes, leg, owed, parent, placing
from tests.integration.store.test_outbox import claim, result

_TABLES = """
SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind = 'r'
"""


async def test_no_secret_is_stored_in_clear_in_any_table(database_url: str, database: Database, sealer: Sealer) -> None:
    secrets = [f"s3cret-{name}" for name in ("sip", "callback", "owed", "past", "token", "parent")]
    sip, callback, still_owed, past, token, of_parent = secrets
    accounts = Accounts(database, sealer)
    account = await accounts.ensure_first(ACCOUNT, token, None)
    signing = [account.secret.removeprefix("whsec_"), await accounts.rotate_secret(ACCOUNT)]
    first = parent(
        document=b'{"password":"%s"}' % sip.encode(), callback=Callback(f"https://u:{of_parent}@app.example/parent")
    )
    one = leg(first, callback=Callback(f"https://user:{callback}@app.example/events"))
    async with placing(database, sealer) as placer:
        await placer.place([first, one], idempotency=None)
    outbox = Outbox(database, sealer)
    async with changes(database, sealer) as writer:
        for seq, (status, secret) in enumerate(((Status.INITIATED, past), (Status.RINGING, still_owed)), 1):
            to = owed(seq - 1, f"https://user:{secret}@app.example/events")
            await writer.write(change(one.sid, seq, status, owed=to))
            if secret == past:
                [delivery] = await claim(outbox)
                assert past in delivery.url
                await outbox.finish([result(delivery)])
    stored = (await CallReads(database, sealer).legs([first.sid]))[first.sid][0]
    assert stored.callback == one.callback
    dump = _dump(database_url)
    assert "***:***@app.example" in dump
    assert [secret for secret in (*secrets, *signing) if secret in dump] == []

    await Deliveries(database, sealer).replay_many(ACCOUNT, DeliveryFilter(state="delivered"))
    assert past not in _dump(database_url)
    [view] = [view for view in await Deliveries(database, sealer).for_call(ACCOUNT, one.sid) if view.sequence == 0]
    assert past not in repr(view)
    [again] = [delivery for delivery in await claim(outbox) if delivery.sequence == 0]
    assert past in again.url
    assert past not in repr(again)


def _dump(url: str) -> str:
    with psycopg.connect(url) as connection:
        tables = [name for (name,) in connection.execute(_TABLES)]
        parts = []
        for name in tables:
            with connection.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(name))) as copy:
                parts += [bytes(data).decode(errors="replace") for data in copy]
            # Binary columns once more as what they may be: text that was stored as bytes would not be seen in hex.
            with connection.cursor(binary=True) as cursor:
                cursor.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(name)))
                parts += [str(value) for row in cursor for value in row]
    return "\n".join(parts)
