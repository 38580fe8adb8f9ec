"""Accounts, their tokens (hashed for login, sealed for signing) and their webhook secrets; knows no HTTP."""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from app.calls.errors import NotFound
from app.calls.sid import AccountSid, new_account_sid
from app.store.database import Database
from app.store.seal import Sealer
from app.store.statement import statement

_PREFIX = "whsec_"  # Standard Webhooks
_NOBODY = (b"\0" * 16, b"\0" * 32)

FIRST_LOCK = statement("SELECT pg_advisory_xact_lock(hashtext('dial-to-sip first account'))")
OLDEST = statement("SELECT sid FROM account ORDER BY created_at, sid LIMIT 1")
FIND = statement("SELECT sid, token_salt, token_hash, token_sealed, created_at FROM account WHERE sid = :sid")
PUT = statement("""
INSERT INTO account (sid, token_salt, token_hash, token_sealed)
VALUES (:sid, :salt, :hash, :sealed)
ON CONFLICT (sid) DO UPDATE SET
    token_salt = excluded.token_salt, token_hash = excluded.token_hash, token_sealed = excluded.token_sealed
""")
SECRETS = statement("""
SELECT sealed FROM webhook_secret
WHERE account_sid = :sid AND (expires_at IS NULL OR expires_at > now()) ORDER BY id DESC
""")
ADD_SECRET = statement("INSERT INTO webhook_secret (account_sid, sealed) VALUES (:sid, :sealed)")
RETIRE_SECRETS = statement("""
UPDATE webhook_secret SET expires_at = now() + make_interval(secs => :overlap)
WHERE account_sid = :sid AND expires_at IS NULL
""")


@dataclass(frozen=True, slots=True)
class Account:
    sid: AccountSid
    created_at: datetime


@dataclass(frozen=True, slots=True)
class FirstAccount:
    sid: AccountSid
    token: str = field(repr=False)
    secret: str = field(repr=False)  # whsec_…
    created: bool


@dataclass(frozen=True, slots=True)
class SigningSecrets:
    auth_token: str = field(repr=False)
    webhook_secrets: tuple[str, ...] = field(repr=False)  # whsec_…, newest first; all of them sign


class Accounts:
    """Raises Unavailable from every method."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def ensure_first(self, sid: str | None, token: str | None, secret: str | None) -> FirstAccount:
        """The first account as it is, or made. What is given replaces what is stored. Safe to run in parallel."""

        async def work(connection: AsyncConnection) -> FirstAccount:
            await connection.execute(FIRST_LOCK)
            wanted = sid or (await connection.execute(OLDEST)).scalar()
            standing = await self._signing(connection, wanted) if wanted else None
            if wanted is None or standing is None:
                return await self._make(connection, AccountSid(wanted or new_account_sid()), token, secret)
            if token and token != standing.auth_token:
                await self._put(connection, AccountSid(wanted), token)
            if secret and secret not in standing.webhook_secrets[:1]:
                await self._add_secret(connection, AccountSid(wanted), secret, overlap=0.0)
            shown = secret or next(iter(standing.webhook_secrets), "")
            return FirstAccount(AccountSid(wanted), token or standing.auth_token, shown, created=False)

        return await self._database.run(work)

    async def authenticate(self, sid: str, token: str) -> Account | None:
        """None for an unknown sid and for a wrong token alike, in the same time."""

        async def work(connection: AsyncConnection) -> Account | None:
            row = (await connection.execute(FIND, {"sid": sid})).one_or_none()
            salt, stored = (row.token_salt, row.token_hash) if row else _NOBODY
            right = hmac.compare_digest(_hash(salt, token), stored)
            return Account(row.sid, row.created_at) if row and right else None

        if "\0" in sid:  # PostgreSQL has no such text, so no such account
            return None
        return await self._database.run(work, one=True)

    async def signing(self, sid: AccountSid) -> SigningSecrets:
        """Raises NotFound."""

        async def work(connection: AsyncConnection) -> SigningSecrets:
            found = await self._signing(connection, sid)
            if found is None:
                raise NotFound(f"there is no account {sid}")
            return found

        return await self._database.run(work)

    async def create(self, *, token: str | None = None, secret: str | None = None) -> FirstAccount:
        """Another account; what is not given is made up."""
        sid = new_account_sid()

        async def work(connection: AsyncConnection) -> FirstAccount:
            return await self._make(connection, sid, token, secret)

        return await self._database.run(work)

    async def rotate_secret(self, sid: AccountSid, *, overlap: float = 86_400.0) -> str:
        """A new webhook secret; the old ones go on signing for `overlap` seconds. Raises NotFound."""
        secret = new_secret()

        async def work(connection: AsyncConnection) -> None:
            if (await connection.execute(FIND, {"sid": sid})).one_or_none() is None:
                raise NotFound(f"there is no account {sid}")
            await self._add_secret(connection, sid, secret, overlap=overlap)

        await self._database.run(work)
        return secret

    async def _make(
        self, connection: AsyncConnection, sid: AccountSid, token: str | None, secret: str | None
    ) -> FirstAccount:
        made = FirstAccount(sid, token or secrets.token_hex(16), secret or new_secret(), created=True)
        await self._put(connection, sid, made.token)
        await self._add_secret(connection, sid, made.secret, overlap=0.0)
        return made

    async def _put(self, connection: AsyncConnection, sid: AccountSid, token: str) -> None:
        salt = secrets.token_bytes(16)
        sealed = self._sealer.seal(token.encode())
        await connection.execute(PUT, {"sid": sid, "salt": salt, "hash": _hash(salt, token), "sealed": sealed})

    async def _add_secret(self, connection: AsyncConnection, sid: AccountSid, secret: str, *, overlap: float) -> None:
        await connection.execute(RETIRE_SECRETS, {"sid": sid, "overlap": overlap})
        await connection.execute(ADD_SECRET, {"sid": sid, "sealed": self._sealer.seal(secret.encode())})

    async def _signing(self, connection: AsyncConnection, sid: str) -> SigningSecrets | None:
        row = (await connection.execute(FIND, {"sid": sid})).one_or_none()
        if row is None:
            return None
        sealed = (await connection.execute(SECRETS, {"sid": sid})).scalars()
        token = self._sealer.unseal(row.token_sealed).decode()
        return SigningSecrets(token, tuple(self._sealer.unseal(one).decode() for one in sealed))


def new_secret() -> str:
    """``whsec_`` and 192 random bits in base64 (Standard Webhooks)."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(24)).decode()


def _hash(salt: bytes, token: str) -> bytes:
    # Tokens are random and long: a slow hash would guard nothing and cost every request.
    return hashlib.sha256(salt + token.encode(errors="surrogatepass")).digest()
