"""The numbers that callers may dial, as this worker knows them: read again whenever one changes. Knows no call."""

from app.calls.errors import Unavailable
from app.calls.number import Number
from app.runtime import log
from app.store.database import Database
from app.store.numbers import Numbers

_POLL = 5.0  # seconds; beneath NOTIFY, for notifications that were lost

_log = log.get(__name__)


class NumberBook:
    """Asked for every INVITE that comes, so that a flood of them costs no look at the database."""

    def __init__(self, database: Database, numbers: Numbers) -> None:
        self._database = database
        self._numbers = numbers
        self._known: dict[str, Number] | None = None

    @property
    def is_read(self) -> bool:
        """Until then no number can be told from one that is not ours."""
        return self._known is not None

    def may_know(self, number: str) -> bool:
        return self._known is None or number in self._known

    def get(self, number: str) -> Number | None:
        return self._known.get(number) if self._known is not None else None

    async def keep(self) -> None:
        """Until cancelled."""
        async with self._database.listen("number") as listener:
            while True:
                try:
                    self._known = await self._numbers.all()
                except Unavailable as error:  # what was known is known still
                    _log.warning("numbers.unread", error=str(error))
                except Exception as error:  # the loop's edge: one row that cannot be read
                    _log.error("numbers.broke", exc_info=error)
                await listener.wait(_POLL)
