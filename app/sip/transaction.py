"""The four transactions of RFC 3261 §17 with RFC 6026 as tables: input in, actions and timers out.

Knows no socket, no thread, no event loop, no clock and not what a message looks like.
"""

from dataclasses import dataclass
from enum import IntEnum


class State(IntEnum):
    CALLING = 0
    TRYING = 1
    PROCEEDING = 2
    COMPLETED = 3
    CONFIRMED = 4
    ACCEPTED = 5  # RFC 6026
    TERMINATED = 6


class Input(IntEnum):
    """What a transaction reacts to. A client receives responses; a server is asked by its user to send them."""

    PROVISIONAL = 0  # 100-199
    SUCCESS = 1  # 200-299
    FAILURE = 2  # 300-699
    REQUEST = 3  # the request again
    ACK = 4
    TRANSPORT_ERROR = 5
    TIMER_A = 10
    TIMER_B = 11
    TIMER_D = 12
    TIMER_E = 13
    TIMER_F = 14
    TIMER_G = 15
    TIMER_H = 16
    TIMER_I = 17
    TIMER_J = 18
    TIMER_K = 19
    TIMER_L = 20
    TIMER_M = 21


class Action(IntEnum):
    SEND = 0  # a client: the request; a server: the newest response
    PASS_UP = 1  # the message goes to the transaction's user
    ACK = 2  # acknowledge a final response 300-699 (RFC 3261 §17.1.1.3)
    TIMED_OUT = 3  # tell the user that nobody answered
    FAILED = 4  # tell the user that the transport gave up


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of RFC 3261 table 4."""

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0

    @property
    def lifetime(self) -> float:
        """64·T1: how long a transaction waits for an answer, and how long a given-up one lives on."""
        return 64 * self.t1


@dataclass(frozen=True, slots=True)
class Step:
    """What one input asks for: the next state, the timers to stop and start, and then the actions, in order."""

    state: State
    do: tuple[Action, ...] = ()
    start: tuple[Input, ...] = ()
    stop: bool = True  # False: timers that run go on


Table = dict[tuple[State, Input], Step]

_S, _I, _A = State, Input, Action

CLIENT_INVITE: Table = {
    # §17.1.1.2. Timers A and B live in Calling only: a ringing INVITE never times out by itself.
    (_S.CALLING, _I.TIMER_A): Step(_S.CALLING, (_A.SEND,), (_I.TIMER_A,), stop=False),
    (_S.CALLING, _I.TIMER_B): Step(_S.TERMINATED, (_A.TIMED_OUT,)),
    (_S.CALLING, _I.TRANSPORT_ERROR): Step(_S.TERMINATED, (_A.FAILED,)),
    (_S.CALLING, _I.PROVISIONAL): Step(_S.PROCEEDING, (_A.PASS_UP,)),
    (_S.CALLING, _I.SUCCESS): Step(_S.ACCEPTED, (_A.PASS_UP,), (_I.TIMER_M,)),
    (_S.CALLING, _I.FAILURE): Step(_S.COMPLETED, (_A.ACK, _A.PASS_UP), (_I.TIMER_D,)),
    (_S.PROCEEDING, _I.PROVISIONAL): Step(_S.PROCEEDING, (_A.PASS_UP,), stop=False),
    (_S.PROCEEDING, _I.SUCCESS): Step(_S.ACCEPTED, (_A.PASS_UP,), (_I.TIMER_M,)),
    (_S.PROCEEDING, _I.FAILURE): Step(_S.COMPLETED, (_A.ACK, _A.PASS_UP), (_I.TIMER_D,)),
    (_S.COMPLETED, _I.FAILURE): Step(_S.COMPLETED, (_A.ACK,), stop=False),
    # A proxy that forks passes a 2xx on even after a refusal (§16.7 step 5): somebody has to end that call.
    (_S.COMPLETED, _I.SUCCESS): Step(_S.COMPLETED, (_A.PASS_UP,), stop=False),
    (_S.COMPLETED, _I.TRANSPORT_ERROR): Step(_S.TERMINATED, (_A.FAILED,)),
    (_S.COMPLETED, _I.TIMER_D): Step(_S.TERMINATED),
    # RFC 6026 §7.2: every 2xx goes up, repeated and forked ones too.
    (_S.ACCEPTED, _I.SUCCESS): Step(_S.ACCEPTED, (_A.PASS_UP,), stop=False),
    (_S.ACCEPTED, _I.TIMER_M): Step(_S.TERMINATED),
}

CLIENT_OTHER: Table = {
    # §17.1.2.2
    (_S.TRYING, _I.TIMER_E): Step(_S.TRYING, (_A.SEND,), (_I.TIMER_E,), stop=False),
    (_S.TRYING, _I.TIMER_F): Step(_S.TERMINATED, (_A.TIMED_OUT,)),
    (_S.TRYING, _I.TRANSPORT_ERROR): Step(_S.TERMINATED, (_A.FAILED,)),
    (_S.TRYING, _I.PROVISIONAL): Step(_S.PROCEEDING, (_A.PASS_UP,), stop=False),
    (_S.TRYING, _I.SUCCESS): Step(_S.COMPLETED, (_A.PASS_UP,), (_I.TIMER_K,)),
    (_S.TRYING, _I.FAILURE): Step(_S.COMPLETED, (_A.PASS_UP,), (_I.TIMER_K,)),
    (_S.PROCEEDING, _I.TIMER_E): Step(_S.PROCEEDING, (_A.SEND,), (_I.TIMER_E,), stop=False),
    (_S.PROCEEDING, _I.TIMER_F): Step(_S.TERMINATED, (_A.TIMED_OUT,)),
    (_S.PROCEEDING, _I.TRANSPORT_ERROR): Step(_S.TERMINATED, (_A.FAILED,)),
    (_S.PROCEEDING, _I.PROVISIONAL): Step(_S.PROCEEDING, (_A.PASS_UP,), stop=False),
    (_S.PROCEEDING, _I.SUCCESS): Step(_S.COMPLETED, (_A.PASS_UP,), (_I.TIMER_K,)),
    (_S.PROCEEDING, _I.FAILURE): Step(_S.COMPLETED, (_A.PASS_UP,), (_I.TIMER_K,)),
    (_S.COMPLETED, _I.TIMER_K): Step(_S.TERMINATED),
}

SERVER_INVITE: Table = {
    # §17.2.1 with RFC 6026 §7.1: a transport error ends nothing, the request may come again.
    (_S.PROCEEDING, _I.REQUEST): Step(_S.PROCEEDING, (_A.SEND,), stop=False),
    (_S.PROCEEDING, _I.PROVISIONAL): Step(_S.PROCEEDING, (_A.SEND,), stop=False),
    (_S.PROCEEDING, _I.SUCCESS): Step(_S.ACCEPTED, (_A.SEND,), (_I.TIMER_L,)),
    (_S.PROCEEDING, _I.FAILURE): Step(_S.COMPLETED, (_A.SEND,), (_I.TIMER_G, _I.TIMER_H)),
    (_S.COMPLETED, _I.REQUEST): Step(_S.COMPLETED, (_A.SEND,), stop=False),
    (_S.COMPLETED, _I.TIMER_G): Step(_S.COMPLETED, (_A.SEND,), (_I.TIMER_G,), stop=False),
    (_S.COMPLETED, _I.TIMER_H): Step(_S.TERMINATED, (_A.TIMED_OUT,)),
    (_S.COMPLETED, _I.ACK): Step(_S.CONFIRMED, (), (_I.TIMER_I,)),
    (_S.CONFIRMED, _I.TIMER_I): Step(_S.TERMINATED),
    (_S.ACCEPTED, _I.SUCCESS): Step(_S.ACCEPTED, (_A.SEND,), stop=False),
    (_S.ACCEPTED, _I.ACK): Step(_S.ACCEPTED, (_A.PASS_UP,), stop=False),
    (_S.ACCEPTED, _I.TIMER_L): Step(_S.TERMINATED),
}

SERVER_OTHER: Table = {
    # §17.2.2
    (_S.TRYING, _I.PROVISIONAL): Step(_S.PROCEEDING, (_A.SEND,)),
    (_S.TRYING, _I.SUCCESS): Step(_S.COMPLETED, (_A.SEND,), (_I.TIMER_J,)),
    (_S.TRYING, _I.FAILURE): Step(_S.COMPLETED, (_A.SEND,), (_I.TIMER_J,)),
    (_S.PROCEEDING, _I.REQUEST): Step(_S.PROCEEDING, (_A.SEND,), stop=False),
    (_S.PROCEEDING, _I.PROVISIONAL): Step(_S.PROCEEDING, (_A.SEND,), stop=False),
    (_S.PROCEEDING, _I.SUCCESS): Step(_S.COMPLETED, (_A.SEND,), (_I.TIMER_J,)),
    (_S.PROCEEDING, _I.FAILURE): Step(_S.COMPLETED, (_A.SEND,), (_I.TIMER_J,)),
    (_S.PROCEEDING, _I.TRANSPORT_ERROR): Step(_S.TERMINATED, (_A.FAILED,)),
    (_S.COMPLETED, _I.REQUEST): Step(_S.COMPLETED, (_A.SEND,), stop=False),
    (_S.COMPLETED, _I.TRANSPORT_ERROR): Step(_S.TERMINATED, (_A.FAILED,)),
    (_S.COMPLETED, _I.TIMER_J): Step(_S.TERMINATED),
}

# What entering the first state asks for; a server passes the request up by being made.
_FIRST: dict[int, Step] = {
    id(CLIENT_INVITE): Step(_S.CALLING, (_A.SEND,), (_I.TIMER_A, _I.TIMER_B)),
    id(CLIENT_OTHER): Step(_S.TRYING, (_A.SEND,), (_I.TIMER_E, _I.TIMER_F)),
    id(SERVER_INVITE): Step(_S.PROCEEDING),
    id(SERVER_OTHER): Step(_S.TRYING),
}

_REPEATING = frozenset({_I.TIMER_A, _I.TIMER_E, _I.TIMER_G})
_LIFETIMES = frozenset({_I.TIMER_B, _I.TIMER_F, _I.TIMER_H, _I.TIMER_L, _I.TIMER_M})
_ABSORBING = frozenset({_I.TIMER_D, _I.TIMER_J})  # 64·T1 over UDP, nothing over TCP


class Transaction:
    """One run through one table. The owner performs each step and feeds a timer back when it fires."""

    __slots__ = ("_interval", "_reliable", "_table", "_timing", "state")

    def __init__(self, table: Table, timing: Timing, *, reliable: bool) -> None:
        self._table = table
        self._timing = timing
        self._reliable = reliable
        self._interval = 0.0  # of the repeating timer, 0 before it first ran
        self.state = _FIRST[id(table)].state

    def begin(self) -> Step:
        """What entering the first state asks for."""
        return _FIRST[id(self._table)]

    def feed(self, event: Input) -> Step | None:
        """Take one input; None: it means nothing in this state (a stray or late one)."""
        step = self._table.get((self.state, event))
        if step is not None:
            self.state = step.state
        return step

    def delay(self, timer: Input) -> float | None:
        """Seconds until `timer` fires, asked once per start; None: it does not run over this transport."""
        if timer in _REPEATING:
            return None if self._reliable else self._next_interval(timer)
        if timer in _LIFETIMES:
            return self._timing.lifetime
        if self._reliable:
            return 0.0
        return self._timing.lifetime if timer in _ABSORBING else self._timing.t4

    def _next_interval(self, timer: Input) -> float:
        """T1, then doubled each time: A without a bound, E and G up to T2, E in Proceeding always T2."""
        timing = self._timing
        if self._interval == 0.0:
            self._interval = timing.t1
        elif timer is _I.TIMER_A:
            self._interval *= 2
        elif timer is _I.TIMER_E and self.state is _S.PROCEEDING:
            self._interval = timing.t2
        else:
            self._interval = min(2 * self._interval, timing.t2)
        return self._interval
