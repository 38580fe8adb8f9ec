"""Numbers: one owner each, seen by nobody else, and every change told to whoever listens."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.calls.callback import Callback
from app.calls.errors import NotFound, NumberTaken
from app.calls.event import Event
from app.calls.number import Number
from app.calls.sid import AccountSid, new_account_sid
from app.store.database import Database
from app.store.numbers import CHANNEL, Numbers
from app.store.seal import Sealer
from tests.integration.store.make import ACCOUNT, rows

NOW = datetime.now(UTC)


def number(name: str = "+4930123456", account: AccountSid = ACCOUNT) -> Number:
    return Number(
        number=name,
        account_sid=account,
        url="https://user:secret@app.example/voice",
        method="POST",
        created_at=NOW,
        updated_at=NOW,
        fallback_url="https://app.example/fallback",
        fallback_method="GET",
        status_callback=Callback("https://u:p@app.example/events", "GET", frozenset({Event.COMPLETED})),
        friendly_name="Front desk",
    )


async def test_a_number_comes_back_as_it_was_given_with_its_credentials_sealed(
    database: Database, sealer: Sealer
) -> None:
    numbers, given = Numbers(database, sealer), number()
    added = await numbers.add(given)
    assert replace(added, created_at=NOW, updated_at=NOW) == given
    assert await numbers.get(ACCOUNT, given.number) == added
    [row] = await rows(database, "SELECT url, callback_url, CAST(n AS text) AS everything FROM number n")
    assert (row.url, row.callback_url) == ("https://***:***@app.example/voice", "https://***:***@app.example/events")
    assert "secret" not in row.everything


async def test_a_number_has_one_owner_and_nobody_else_sees_or_touches_it(database: Database, sealer: Sealer) -> None:
    numbers, other = Numbers(database, sealer), new_account_sid()
    mine = await numbers.add(number())
    for account in (ACCOUNT, other):
        with pytest.raises(NumberTaken):
            await numbers.add(number(account=account))
    with pytest.raises(NotFound):
        await numbers.get(other, mine.number)
    with pytest.raises(NotFound):
        await numbers.change(other, mine.number, lambda standing: standing)
    with pytest.raises(NotFound):
        await numbers.remove(other, mine.number)
    assert await numbers.page(other, size=10, after=None) == []
    assert await numbers.all() == {mine.number: mine}


async def test_a_number_changes_and_goes_and_each_change_is_told(database: Database, sealer: Sealer) -> None:
    numbers = Numbers(database, sealer)
    async with database.listen(CHANNEL) as listener:
        await listener.wait(10)
        added = await numbers.add(number())
        assert await listener.wait(10)
        changed = await numbers.change(
            ACCOUNT, added.number, lambda standing: replace(standing, url="https://b.example/", status_callback=None)
        )
        assert await listener.wait(10)
        assert (changed.url, changed.status_callback, changed.friendly_name) == (
            "https://b.example/",
            None,
            "Front desk",
        )
        assert changed.updated_at > added.updated_at == added.created_at == changed.created_at
        await numbers.remove(ACCOUNT, added.number)
        assert await listener.wait(10)
    assert await numbers.all() == {}
    with pytest.raises(NotFound):
        await numbers.remove(ACCOUNT, added.number)


async def test_pages_run_from_the_newest_to_the_oldest(database: Database, sealer: Sealer) -> None:
    numbers = Numbers(database, sealer)
    names = [(await numbers.add(number(str(index)))).number for index in range(5)]
    await numbers.add(number("other", new_account_sid()))
    first = await numbers.page(ACCOUNT, size=3, after=None)
    assert [one.number for one in first] == names[:0:-1]
    rest = await numbers.page(ACCOUNT, size=3, after=(first[2].created_at, first[2].number))
    assert [one.number for one in first[:3] + rest] == names[::-1]
