"""The four events of a call that a customer can subscribe to."""

from enum import StrEnum


class Event(StrEnum):
    INITIATED = "initiated"
    RINGING = "ringing"
    ANSWERED = "answered"
    COMPLETED = "completed"


ALL_EVENTS = frozenset(Event)
