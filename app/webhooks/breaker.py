"""When a destination is left alone because it keeps failing: a state machine. No clock, no database, no sending."""

from dataclasses import dataclass

from app.store.outbox import Breaker

CONSECUTIVE = 5
SHARE = 0.7  # of at least ENOUGH attempts within WINDOW
ENOUGH = 10
WINDOW = 60.0  # seconds
FIRST_COOL_DOWN = 5.0  # seconds, doubled each time a probe fails
LONGEST_COOL_DOWN = 300.0

_SLICES = 6
_SLICE = WINDOW / _SLICES


@dataclass(slots=True)
class _Slice:
    number: int
    failed: int = 0
    total: int = 0


class Circuit:
    """One destination's breaker as one dispatcher sees it. Times are seconds on any steady clock.

    `stored` is what all dispatchers share: adopted when another has changed it, written when this one has.
    """

    def __init__(self) -> None:
        self.stored = Breaker()
        self._since = 0.0  # of the present state
        self._failures = 0  # in a row
        self._slices: list[_Slice] = []

    def adopt(self, stored: Breaker, now: float) -> None:
        """Another dispatcher's word; counts of this one survive as long as both agree on the state."""
        if stored.state == self.stored.state:
            self.stored = stored
        elif self.stored.state == "open" and stored.state == "half-open":
            self._since = min(now, self._since + self.stored.open_for)  # the probe may have begun since
            self.stored = stored
        else:
            self._enter(stored, now)

    def may_send(self, now: float) -> bool:
        """False while it is open: what was claimed before everybody knew is given back."""
        return self.stored.state != "open" or now >= self._since + self.stored.open_for

    def result(self, well: bool, *, started: float, now: float) -> Breaker | None:
        """Count one attempt's end; the breaker to store when it changed.

        Attempts that began before the present state did say nothing about it: a time-out is 15 s old when it comes.
        """
        if self.stored.state == "closed":
            return self._count(well, now)
        if started < self._since or (self.stored.state == "open" and not self._probing(started)):
            return None
        if well:
            return self._enter(Breaker(), now)
        cool_down = min(self.stored.cool_down * 2, LONGEST_COOL_DOWN)
        return self._open(max(cool_down, FIRST_COOL_DOWN), self.stored.consecutive_failures + 1, now)

    def _probing(self, started: float) -> bool:
        """The cool-down had passed: the store's half-open, not yet seen here."""
        return started >= self._since + self.stored.open_for

    def _count(self, well: bool, now: float) -> Breaker | None:
        number = int(now / _SLICE)
        if not self._slices or self._slices[-1].number != number:
            self._slices = [kept for kept in self._slices if kept.number > number - _SLICES]
            self._slices.append(_Slice(number))
        newest = self._slices[-1]
        newest.total += 1
        if well:
            self._failures = 0
            return None
        newest.failed += 1
        self._failures += 1
        total = sum(kept.total for kept in self._slices)
        failed = sum(kept.failed for kept in self._slices)
        if self._failures >= CONSECUTIVE or (total >= ENOUGH and failed >= SHARE * total):
            return self._open(FIRST_COOL_DOWN, self._failures, now)
        return None

    def _open(self, cool_down: float, failures: int, now: float) -> Breaker:
        return self._enter(Breaker("open", failures, cool_down, open_for=cool_down), now)

    def _enter(self, breaker: Breaker, now: float) -> Breaker:
        self.stored = breaker
        self._since = now
        self._failures = 0
        self._slices = []
        return breaker
