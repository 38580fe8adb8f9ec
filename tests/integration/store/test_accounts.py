"""Accounts: login by hash, signing by sealed token, webhook secrets that overlap while they rotate."""

import asyncio

import pytest

from app.calls.errors import NotFound
from app.calls.sid import is_account_sid, new_account_sid
from app.store.accounts import Accounts
from app.store.database import Database
from app.store.seal import Sealer
from tests.integration.store.make import rows, value


async def test_the_first_account_is_made_once_by_many_starts(database: Database, sealer: Sealer) -> None:
    accounts = Accounts(database, sealer)
    made = await asyncio.gather(*(accounts.ensure_first(None, None, None) for _ in range(8)))
    assert sum(one.created for one in made) == 1
    assert len({(one.sid, one.token, one.secret) for one in made}) == 1
    assert is_account_sid(made[0].sid)
    assert made[0].secret.startswith("whsec_")
    assert await value(database, "SELECT count(*) FROM webhook_secret") == 1


async def test_what_is_given_makes_or_replaces_the_first_account(database: Database, sealer: Sealer) -> None:
    accounts = Accounts(database, sealer)
    sid = new_account_sid()
    first = await accounts.ensure_first(sid, "token one", "whsec_b25l")
    assert (first.sid, first.token, first.secret, first.created) == (sid, "token one", "whsec_b25l", True)
    second = await accounts.ensure_first(sid, "token two", "whsec_dHdv")
    assert (second.token, second.secret, second.created) == ("token two", "whsec_dHdv", False)
    assert await accounts.authenticate(sid, "token one") is None
    assert await accounts.authenticate(sid, "token two") is not None
    assert (await accounts.signing(sid)).webhook_secrets == ("whsec_dHdv",)
    kept = await accounts.ensure_first(sid, None, None)
    assert (kept.token, kept.secret) == ("token two", "whsec_dHdv")


async def test_only_the_right_token_of_the_right_account_gets_in(database: Database, sealer: Sealer) -> None:
    accounts = Accounts(database, sealer)
    one, other = await accounts.create(), await accounts.create()
    found = await accounts.authenticate(one.sid, one.token)
    assert found is not None
    assert found.sid == one.sid
    for sid, token in ((one.sid, other.token), (new_account_sid(), one.token), ("NUL \0", "x"), (one.sid, "\udcff")):
        assert await accounts.authenticate(sid, token) is None


async def test_a_rotated_secret_signs_beside_the_new_one_until_it_expires(database: Database, sealer: Sealer) -> None:
    accounts = Accounts(database, sealer)
    account = await accounts.create()
    new = await accounts.rotate_secret(account.sid)
    signing = await accounts.signing(account.sid)
    assert (signing.auth_token, signing.webhook_secrets) == (account.token, (new, account.secret))
    await rows(database, "UPDATE webhook_secret SET expires_at = now() WHERE expires_at IS NOT NULL")
    assert (await accounts.signing(account.sid)).webhook_secrets == (new,)


async def test_an_unknown_account_has_no_secrets(database: Database, sealer: Sealer) -> None:
    accounts = Accounts(database, sealer)
    with pytest.raises(NotFound):
        await accounts.signing(new_account_sid())
    with pytest.raises(NotFound):
        await accounts.rotate_secret(new_account_sid())
