"""One HTTP try of one delivery, as a value that says what became of it. Never raises; knows no database."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

from app.runtime import log
from app.store.accounts import SigningSecrets
from app.store.outbox import Delivery, DeliveryState, Result
from app.webhooks.backoff import Backoff
from app.webhooks.failures import AddressDenied, AnswerTooLarge
from app.webhooks.signed import outgoing
from app.webhooks.transport import Outgoing, Transport

_log = log.get(__name__)

_KEPT_ANSWER = 1024  # bytes
_MAX_ERROR = 200  # characters: some of httpx's texts quote the URL's host
_GONE = 410
_TOO_MANY = 429
_MAY_SAY_WHEN = frozenset({_TOO_MANY, 503})


@dataclass(frozen=True, slots=True)
class Tried:
    """`well` is how the destination fared, for its breaker; None when it was not asked or is not to blame."""

    result: Result
    well: bool | None


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int | None = None  # None: no answer, or none that counts
    error: str | None = None  # None: success
    answer: bytes = b""
    retry_after: float | None = None  # seconds
    well: bool | None = None


class Attempt:
    def __init__(
        self,
        transport: Transport,
        backoff: Backoff,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._transport = transport
        self._backoff = backoff
        self._now = now

    async def __call__(self, delivery: Delivery, secrets: SigningSecrets) -> Tried:
        at = self._now()
        started = time.monotonic()
        reply = await self._reply(delivery, secrets, at)
        return self._tried(delivery, reply, at, time.monotonic() - started)

    def unsent(self, delivery: Delivery, error: str) -> Tried:
        """What to store of an attempt that could not even begin; it counts like any other."""
        return self._tried(delivery, _Reply(error=error), self._now(), 0.0)

    async def _reply(self, delivery: Delivery, secrets: SigningSecrets, at: datetime) -> _Reply:
        try:
            answer = await self._transport.send(request(delivery, secrets, at))
        except AnswerTooLarge as cut:
            # What the receiver decided is in its status: an endless 200 is a 200 (contract: 2xx is success).
            return _judge(cut.status, cut.start)
        except (AddressDenied, httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL) as error:
            return _Reply(error=str(error)[:_MAX_ERROR])
        except httpx.TransportError as error:
            return _Reply(error=str(error)[:_MAX_ERROR], well=False)
        except Exception as error:  # a row that cannot be sent burns its attempts like any other and stops nobody
            _log.error("webhook.attempt_broke", delivery=delivery.id, message=delivery.message_id, exc_info=error)
            return _Reply(error=f"cannot be sent: {type(error).__name__}")
        if answer.status not in _MAY_SAY_WHEN:
            return _judge(answer.status, answer.body)
        said = httpx.Headers(answer.headers).get("retry-after")
        return _judge(answer.status, answer.body, _retry_after(said, self._now()))

    def _tried(self, delivery: Delivery, reply: _Reply, at: datetime, latency: float) -> Tried:
        # By the database's clock, as the expiry is: with this machine's a day ahead, every failure would be the last.
        state, next_in = self._verdict(delivery, reply, delivery.claimed_at + timedelta(seconds=latency))
        milliseconds = round(latency * 1000)
        result = Result(delivery, state, next_in, reply.status, milliseconds, reply.error, reply.answer, at)
        return Tried(result, reply.well)

    def _verdict(self, delivery: Delivery, reply: _Reply, now: datetime) -> tuple[DeliveryState, float | None]:
        if reply.error is None:
            return "delivered", None
        if reply.status == _GONE:
            return "dead", None
        wait = self._backoff.after(
            delivery.attempt, at=now, expires_at=delivery.expires_at, retry_after=reply.retry_after
        )
        return ("dead", None) if wait is None else ("owed", wait)


def request(delivery: Delivery, secrets: SigningSecrets, at: datetime) -> Outgoing:
    """The request of one attempt: id and body are the delivery's, time and signatures are this attempt's."""
    form = delivery.body or "" if delivery.method == "POST" else None
    return outgoing(delivery.url, form, delivery.message_id, secrets, at)


def _judge(status: int, body: bytes, retry_after: float | None = None) -> _Reply:
    """A 4xx says that this URL is wrong, not that the destination is ill: others at the same origin go on."""
    answer = body[:_KEPT_ANSWER]
    if 200 <= status < 300:
        return _Reply(status, None, answer, well=True)
    note = ": redirects are not followed" if 300 <= status < 400 else ""
    well = status < 500 and status != _TOO_MANY
    return _Reply(status, f"status {status}{note}", answer, retry_after, well)


def _retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds or an HTTP date (RFC 9110 §10.2.3); None for anything else."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        then = parsedate_to_datetime(value)
        if then.tzinfo is None:
            then = then.replace(tzinfo=UTC)
        return max(0.0, (then - now).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):  # all of them seen from the standard library's parser
        return None
