"""Tells "PostgreSQL is away or busy, try again" from "this statement is wrong"; decides nothing about what to do."""

import psycopg
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from app.calls.errors import Unavailable

# SQLSTATE classes: 08 connection, 25 transaction state (read-only), 40 serialization and deadlock,
# 53 resources (disk full, too many connections), 55 lock_timeout, 57 cancelled or shut down, 58 system error.
_TRANSIENT_CLASSES = frozenset({"08", "25", "40", "53", "55", "57", "58"})
_COLLISION_CLASS = "40"

AWAY = (DBAPIError, PoolTimeout, psycopg.Error, OSError, TimeoutError)


def is_transient(error: BaseException) -> bool:
    """Whether the same statement may succeed later."""
    if isinstance(error, Unavailable | PoolTimeout | OSError | TimeoutError):
        return True
    if isinstance(error, DBAPIError):
        state = _sqlstate(error.orig)
        if state is None:
            return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
        return state[:2] in _TRANSIENT_CLASSES
    if isinstance(error, psycopg.Error):
        state = _sqlstate(error)
        if state is None:
            return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return state[:2] in _TRANSIENT_CLASSES
    return False


def is_collision(error: BaseException) -> bool:
    """A deadlock or serialization failure: the transaction is rolled back and may be run again at once."""
    state = _sqlstate(error.orig if isinstance(error, DBAPIError) else error)
    return state is not None and state[:2] == _COLLISION_CLASS


def is_cut(error: BaseException) -> bool:
    """The connection broke: a new one may work at once, and whether a COMMIT was done is not known."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or _sqlstate(error.orig) is None
    return False


def unavailable(error: BaseException) -> Unavailable:
    """What callers are told: no address, no statement. The log gets `cause_of`."""
    state = _sqlstate(error.orig if isinstance(error, DBAPIError) else error)
    return Unavailable("the database is not available" + (f" (SQLSTATE {state})" if state else ""))


def cause_of(error: BaseException) -> str:
    """One line for the log; a statement's parameters are never in it."""
    cause: BaseException = error.__cause__ or error
    if isinstance(cause, DBAPIError) and cause.orig is not None:
        cause = cause.orig
    lines = str(cause).strip().splitlines()
    return f"{type(cause).__name__}: {lines[0]}" if lines else type(cause).__name__


def _sqlstate(error: BaseException | None) -> str | None:
    return error.sqlstate if isinstance(error, psycopg.Error) else None
