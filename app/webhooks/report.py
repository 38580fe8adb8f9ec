"""What is counted and logged of attempts: one line for each that failed and each delivery that died."""

from prometheus_client import Counter, Gauge, Histogram

from app.runtime import log
from app.store.outbox import Result

_log = log.get(__name__)

IN_FLIGHT = Gauge("dial_webhook_in_flight", "Attempts that are running.", multiprocess_mode="livesum")
_ATTEMPTS = Counter("dial_webhook_attempts_total", "Attempts by what became of the delivery.", ["result"])
_LATENCY = Histogram(
    "dial_webhook_latency_seconds",
    "Time from the start of an attempt to its end.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15, 20),
)
_COUNTED = {state: _ATTEMPTS.labels(state) for state in ("delivered", "owed", "dead")}


def attempted(result: Result) -> None:
    """Neither URL nor body: both may hold what is nobody else's business. The origin tells who failed."""
    _COUNTED[result.state].inc()
    _LATENCY.observe(result.latency_ms / 1000)
    if result.state == "delivered":
        return
    delivery = result.delivery
    event = "webhook.delivery_died" if result.state == "dead" else "webhook.attempt_failed"
    _log.warning(
        event,
        delivery=delivery.id,
        message=delivery.message_id,
        call=delivery.call_sid,
        account=delivery.account_sid,
        destination=delivery.origin,
        attempt=delivery.attempt,
        status=result.status,
        error=result.error,
        latency_ms=result.latency_ms,
        next_in=None if result.next_in is None else round(result.next_in, 1),
    )
