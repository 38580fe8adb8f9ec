"""Signing secrets are read once for many attempts."""

import asyncio

import pytest

from app.calls.errors import Unavailable
from app.calls.sid import AccountSid
from app.store.accounts import SigningSecrets
from app.webhooks.keyring import Keyring

ACCOUNT = AccountSid("AC1")
SECRETS = SigningSecrets("token", ("whsec_a",))


async def test_attempts_at_the_same_time_share_one_read() -> None:
    reads = []

    async def read(account: AccountSid) -> SigningSecrets:
        reads.append(account)
        await asyncio.sleep(0)
        return SECRETS

    keyring = Keyring(read)
    assert await asyncio.gather(*(keyring.of(ACCOUNT) for _ in range(10))) == [SECRETS] * 10
    assert await keyring.of(ACCOUNT) == SECRETS
    assert reads == [ACCOUNT]


async def test_an_error_is_not_kept() -> None:
    answers: list[SigningSecrets | Unavailable] = [Unavailable("away"), SECRETS]

    async def read(account: AccountSid) -> SigningSecrets:
        answer = answers.pop(0)
        if isinstance(answer, Unavailable):
            raise answer
        return answer

    keyring = Keyring(read)
    with pytest.raises(Unavailable):
        await keyring.of(ACCOUNT)
    assert await keyring.of(ACCOUNT) == SECRETS


async def test_one_who_gives_up_does_not_take_the_read_from_the_others() -> None:
    release = asyncio.Event()

    async def read(account: AccountSid) -> SigningSecrets:
        await release.wait()
        return SECRETS

    keyring = Keyring(read)
    first, second = (asyncio.create_task(keyring.of(ACCOUNT)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    release.set()
    assert await second == SECRETS
