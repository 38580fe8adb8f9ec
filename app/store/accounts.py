"""Accounts, their tokens (hashed for login, sealed for signing) and their webhook secrets; knows no HTTP."""

from dataclasses import dataclass, field
from datetime import datetime

from app.calls.sid import AccountSid
from app.store.database import Database
from app.store.seal import Sealer


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
    def __init__(self, database: Database, sealer: Sealer) -> None:
        raise NotImplementedError

    async def ensure_first(self, sid: str | None, token: str | None, secret: str | None) -> FirstAccount:
        """The first account as it is or is made; what is given replaces what is stored. Safe to run in parallel."""
        raise NotImplementedError

    async def authenticate(self, sid: str, token: str) -> Account | None:
        """None for an unknown sid and for a wrong token alike."""
        raise NotImplementedError

    async def signing(self, sid: AccountSid) -> SigningSecrets:
        """Raises NotFound."""
        raise NotImplementedError

    async def create(self, *, token: str | None = None, secret: str | None = None) -> FirstAccount:
        """Another account; what is not given is made up."""
        raise NotImplementedError

    async def rotate_secret(self, sid: AccountSid, *, overlap: float = 86_400.0) -> str:
        """A new webhook secret; the old ones go on signing for `overlap` seconds. Raises NotFound."""
        raise NotImplementedError
