"""The commands that touch the database and end: schema, first account, more accounts and secrets."""

import asyncio

from pydantic import SecretStr

from app.calls.sid import AccountSid
from app.runtime.settings import Settings
from app.store import migrate
from app.store.accounts import Accounts
from app.store.embedded import EmbeddedPostgres
from app.store.standing import head
from app.wiring.role import open_database


async def migrate_and_create_account(settings: Settings) -> str:
    """Bring the schema up to date and make sure of the first account; a sentence for the operator."""
    given = settings.auth_token.get_secret_value() or None  # a token that was given is in nobody's log
    url = settings.database_url.get_secret_value()
    await asyncio.to_thread(migrate.upgrade, url)
    async with open_database(settings, "migrate") as (database, sealer):
        first = await Accounts(database, sealer).ensure_first(
            settings.account_sid or None, given, settings.webhook_secret.get_secret_value() or None
        )
    made = f"; made its token {first.token} (it is not shown again)" if first.created and not given else ""
    return f"schema {head()}, first account {first.sid}{made}"


async def manage_account(settings: Settings, sid: str | None) -> dict[str, str]:
    """Another account when `sid` is None, else a new webhook secret for that one. Raises NotFound, Unavailable."""
    async with open_database(settings, "account") as (database, sealer):
        accounts = Accounts(database, sealer)
        if sid is None:
            created = await accounts.create()
            return {"sid": created.sid, "token": created.token, "webhookSecret": created.secret}
        return {"sid": sid, "webhookSecret": await accounts.rotate_secret(AccountSid(sid))}


def reachable(settings: Settings) -> Settings | None:
    """These settings, or those of the embedded database that the role `all` runs beside us; None if there is none."""
    if settings.database_url.get_secret_value():
        return settings if settings.secret_key.get_secret_value() else None

    url, key = EmbeddedPostgres(settings.data_dir).address(), settings.data_dir / "secret.key"
    if url is None or not key.exists():
        return None
    given = {"database_url": SecretStr(url), "secret_key": SecretStr(key.read_text().strip())}
    return settings.model_copy(update=given)
