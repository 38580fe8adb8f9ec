"""The secrets that sign, per account, kept for a few seconds. Signs nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.calls.sid import AccountSid
from app.store.accounts import SigningSecrets

_KEPT = 5.0  # seconds: so long does a rotated secret go on alone
_MAX_ACCOUNTS = 10_000


@dataclass(frozen=True, slots=True)
class _Kept:
    until: float
    secrets: asyncio.Future[SigningSecrets]


class Keyring:
    """One read per account and `_KEPT` seconds, shared by all attempts that need it meanwhile."""

    def __init__(self, read: Callable[[AccountSid], Awaitable[SigningSecrets]]) -> None:
        self._read = read
        self._kept: dict[AccountSid, _Kept] = {}

    async def of(self, account: AccountSid) -> SigningSecrets:
        """Raises what reading raises; an error is not kept."""
        now = asyncio.get_running_loop().time()
        kept = self._kept.get(account)
        if kept is None or kept.until <= now or _failed(kept.secrets):
            if len(self._kept) >= _MAX_ACCOUNTS:
                self._kept.clear()
            kept = self._kept[account] = _Kept(now + _KEPT, asyncio.ensure_future(self._read(account)))
        return await asyncio.shield(kept.secrets)


def _failed(future: asyncio.Future[SigningSecrets]) -> bool:
    return future.done() and (future.cancelled() or future.exception() is not None)
