"""Ends deliveries whose time is over and keeps their history's partitions; attempts nothing."""

import asyncio
import time

from app.calls.errors import Unavailable
from app.runtime import log
from app.store.outbox import Outbox
from app.store.upkeep import Upkeep

_EXPIRE_EVERY = 60.0  # seconds
_UPKEEP_EVERY = 3600.0

_log = log.get(__name__)


async def keep_house(outbox: Outbox, upkeep: Upkeep) -> None:
    """Until cancelled; several processes may do it, the statements let one at a time through."""
    upkeep_at = time.monotonic()
    while True:
        try:
            if time.monotonic() >= upkeep_at:
                await upkeep.run()
                upkeep_at = time.monotonic() + _UPKEEP_EVERY
            if expired := await outbox.expire():
                _log.warning("webhook.expired", deliveries=expired)
        except Unavailable as error:
            _log.warning("webhook.housekeeping_failed", error=str(error))
        await asyncio.sleep(_EXPIRE_EVERY)
