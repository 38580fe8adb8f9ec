"""The schema as SQLAlchemy sees it: what `alembic check` compares with the migrations. Queries are elsewhere.

Call rows have no foreign keys: the group writers put parent, legs, events and deliveries there in one transaction,
and a key check per row would cost more than the row.
"""

from collections.abc import Iterable

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TIMESTAMP

from app.calls.event import Event
from app.calls.recording import RecordingState
from app.calls.status import FINAL, Status

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s",
    }
)

_TIME = TIMESTAMP(timezone=True)
_NOW = text("now()")
_ZERO = text("0")
_FALSE = text("false")


def _words(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in sorted(words))


account = Table(
    "account",
    metadata,
    Column("sid", Text, primary_key=True),
    Column("token_salt", LargeBinary, nullable=False),
    Column("token_hash", LargeBinary, nullable=False),
    Column("token_sealed", LargeBinary, nullable=False),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
)

webhook_secret = Table(
    "webhook_secret",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("account_sid", Text, ForeignKey("account.sid"), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
    Column("expires_at", _TIME),  # set when a newer one took its place
    Index("webhook_secret_account", "account_sid"),
)

worker = Table(
    "worker",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("role", Text, nullable=False),
    Column("capacity", Integer, nullable=False),
    Column("running", Integer, nullable=False, server_default=_ZERO),
    Column("accepting", Boolean, nullable=False, server_default=text("true")),
    Column("rate", Double, nullable=False, server_default=_ZERO),  # claims per second, lately
    Column("sip_host", Text, nullable=False),
    Column("sip_port", Integer, nullable=False),
    Column("taken", Boolean, nullable=False, server_default=_FALSE),  # judged dead: it may not come back
    Column("started_at", _TIME, nullable=False, server_default=_NOW),
    Column("lease_until", _TIME, nullable=False),
    CheckConstraint("capacity >= 0 AND running >= 0 AND rate >= 0", name="counts"),
)

calls = Table(
    "calls",
    metadata,
    Column("sid", Text, primary_key=True),
    Column("placed_no", BigInteger, Identity(always=True), nullable=False),  # order within one group commit
    Column("account_sid", Text, nullable=False),
    Column("parent_sid", Text),
    Column("leg_index", Integer),
    Column("direction", Text, nullable=False),
    Column("from_uri", Text, nullable=False),
    Column("to_uri", Text, nullable=False),
    Column("status", Text, nullable=False, server_default=text("'queued'")),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
    Column("run_at", _TIME),  # a parent that waits for a worker, and since when; nothing else has it
    Column("worker_id", BigInteger),
    Column("claim_token", BigInteger),
    Column("epoch", Integer, nullable=False, server_default=_ZERO),
    Column("last_seq", Integer, nullable=False, server_default=_ZERO),
    Column("dialed_at", _TIME),  # the point of no return: an INVITE may have left
    Column("start_time", _TIME),
    Column("ring_time", _TIME),
    Column("answer_time", _TIME),
    Column("end_time", _TIME),
    Column("sip_call_id", Text),
    Column("sip_response_code", SmallInteger),
    Column("sip_response_reason", Text),
    Column("reason", Text),
    Column("dial_call_status", Text),
    Column("dial_call_sid", Text),
    Column("dial_call_duration", Integer),
    Column("callback_url", Text),  # masked
    Column("callback_sealed", LargeBinary),  # the whole URL, when the masked one is not
    Column("callback_method", Text),
    Column("callback_events", ARRAY(Text)),
    Column("callback_seq", Integer, nullable=False, server_default=_ZERO),
    Column("dialog", JSONB),
    Column("wanted", Text),
    Column("screening", Text),
    Column("caller_name", Text),
    Column("forwarded_from", Text),
    Column("recording_sid", Text),  # the newest
    Column("recording_duration", Integer),
    Column("has_caller", Boolean, nullable=False, server_default=_FALSE),
    CheckConstraint(f"status IN ({_words(Status)})", name="status"),
    CheckConstraint("direction IN ('inbound', 'outbound-api', 'outbound-dial')", name="direction"),
    CheckConstraint("wanted IN ('completed', 'canceled')", name="wanted"),
    CheckConstraint(f"(status IN ({_words(FINAL)})) = (end_time IS NOT NULL)", name="final_has_end"),
    CheckConstraint("end_time IS NULL OR (worker_id IS NULL AND run_at IS NULL)", name="ended_is_free"),
    CheckConstraint("run_at IS NULL OR (worker_id IS NULL AND parent_sid IS NULL)", name="due_is_free"),
    CheckConstraint("(parent_sid IS NULL) = (leg_index IS NULL)", name="leg_has_index"),
    CheckConstraint("epoch >= 0 AND last_seq >= 0 AND callback_seq >= 0", name="counts"),
    CheckConstraint(
        "(callback_url IS NULL) = (callback_method IS NULL) AND (callback_url IS NULL) = (callback_events IS NULL)",
        name="callback_is_whole",
    ),
    # No index names `status` or a column that every change sets, so that most changes are HOT updates.
    Index("calls_page", "account_sid", "created_at", "sid"),
    Index("calls_unended", "account_sid", "created_at", "sid", postgresql_where=text("end_time IS NULL")),
    Index("calls_legs", "parent_sid", "leg_index", unique=True, postgresql_where=text("parent_sid IS NOT NULL")),
    Index("calls_due", "account_sid", "run_at", "placed_no", postgresql_where=text("run_at IS NOT NULL")),
    Index("calls_held", "worker_id", postgresql_where=text("worker_id IS NOT NULL")),
    postgresql_with={"fillfactor": "75"},
)

# What a request brought and no change touches; apart from calls, so that an update does not copy it.
call_document = Table(
    "call_document",
    metadata,
    Column("call_sid", Text, primary_key=True),
    Column("sealed", LargeBinary),  # the plan's JSON
    Column("rcml", Text),  # masked
    Column("metadata", JSONB),
    Column("idempotency_key", Text),
)

# The newest document that a running call was given over the API. Who claims the call anew gets it anew.
call_replacement = Table(
    "call_replacement",
    metadata,
    Column("call_sid", Text, primary_key=True),
    Column("number", BigInteger, Identity(always=True), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("taken_epoch", Integer),  # the call's, when a worker took it
)

call_event = Table(
    "call_event",
    metadata,
    Column("call_sid", Text),
    Column("seq", Integer),
    Column("type", Text, nullable=False),
    Column("at", _TIME, nullable=False),
    Column("detail", JSONB),
    PrimaryKeyConstraint("call_sid", "seq"),
    CheckConstraint(f"type IN ({_words(Event)})", name="type"),
)

# Calls that have ended here and may still be up at their peers, and who tells them. A few rows for a second each; apart
# from calls, so that neither setting nor clearing it copies a call, and so that older versions need not know of it.
goodbye = Table(
    "goodbye",
    metadata,
    Column("worker_id", BigInteger),
    Column("call_sid", Text),
    Column("claim_token", BigInteger),  # of a rescuer's look
    Column("dialog", JSONB),  # when it is newer than the call's
    PrimaryKeyConstraint("worker_id", "call_sid"),
    postgresql_with={
        "autovacuum_vacuum_scale_factor": "0.01",
        "autovacuum_vacuum_threshold": "1000",
        "autovacuum_vacuum_cost_delay": "0",
    },
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("account_sid", Text),
    Column("key", Text),
    Column("digest", LargeBinary, nullable=False),
    Column("call_sid", Text, nullable=False),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
    PrimaryKeyConstraint("account_sid", "key"),
    Index("idempotency_age", "created_at"),
)

webhook_destination = Table(
    "webhook_destination",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("origin", Text, nullable=False),
    Column("breaker", Text, nullable=False, server_default=text("'closed'")),
    Column("consecutive_failures", Integer, nullable=False, server_default=_ZERO),
    Column("cool_down", Double, nullable=False, server_default=_ZERO),
    Column("open_until", _TIME),
    Column("max_in_flight", Integer),
    Column("paused", Boolean, nullable=False, server_default=_FALSE),
    UniqueConstraint("origin"),
    CheckConstraint("breaker IN ('closed', 'half-open', 'open')", name="breaker"),
    CheckConstraint("(breaker = 'closed') = (open_until IS NULL)", name="closed_is_not_timed"),
)

webhook_outbox = Table(
    "webhook_outbox",
    metadata,
    Column("id", BigInteger, Identity(always=False), primary_key=True),  # a replay brings its old id back
    Column("message_id", Text, nullable=False),
    Column("destination_id", BigInteger, nullable=False),
    Column("account_sid", Text, nullable=False),
    Column("call_sid", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("method", Text, nullable=False),
    Column("url", Text, nullable=False),  # masked
    Column("url_sealed", LargeBinary),
    Column("body", Text),
    Column("attempt", SmallInteger, nullable=False, server_default=_ZERO),  # of this schedule
    Column("earlier", SmallInteger, nullable=False, server_default=_ZERO),  # attempts before the last replay
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
    Column("next_at", _TIME, nullable=False, server_default=_NOW),
    Column("expires_at", _TIME, nullable=False),
    Column("blocked", Boolean, nullable=False, server_default=_FALSE),
    Column("lease_until", _TIME),  # neither lease column is indexed: a claim is a HOT update
    Column("lease_token", BigInteger),
    CheckConstraint("method IN ('GET', 'POST')", name="method"),
    CheckConstraint("(lease_until IS NULL) = (lease_token IS NULL)", name="lease_is_whole"),
    Index("webhook_outbox_due", "destination_id", "next_at", "id", postgresql_where=text("NOT blocked")),
    Index("webhook_outbox_call", "call_sid", "sequence"),
    Index("webhook_outbox_blocked", "id", postgresql_where=text("blocked")),
    postgresql_with={
        "fillfactor": "70",
        "autovacuum_vacuum_scale_factor": "0.01",
        "autovacuum_vacuum_threshold": "1000",
        "autovacuum_vacuum_cost_delay": "0",
    },
)

webhook_delivery = Table(
    "webhook_delivery",
    metadata,
    Column("id", BigInteger),
    Column("finished_at", _TIME, server_default=_NOW),
    Column("message_id", Text, nullable=False),
    Column("destination_id", BigInteger, nullable=False),
    Column("account_sid", Text, nullable=False),
    Column("call_sid", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("method", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("url_sealed", LargeBinary),
    Column("body", Text),
    Column("state", Text, nullable=False),
    Column("attempts", SmallInteger, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("expires_at", _TIME, nullable=False),
    PrimaryKeyConstraint("id", "finished_at"),
    CheckConstraint("state IN ('dead', 'delivered')", name="state"),
    Index("webhook_delivery_call", "call_sid"),
    Index("webhook_delivery_page", "account_sid", "id"),
    Index("webhook_delivery_dead", "account_sid", "id", postgresql_where=text("state = 'dead'")),
    postgresql_partition_by="RANGE (finished_at)",
)

webhook_attempt = Table(
    "webhook_attempt",
    metadata,
    Column("delivery_id", BigInteger),
    Column("number", SmallInteger),
    Column("logged_at", _TIME, server_default=_NOW),  # the database's clock: decides the partition
    Column("at", _TIME, nullable=False),  # the dispatcher's clock
    Column("status", SmallInteger),
    Column("latency_ms", Integer, nullable=False),
    Column("error", Text),
    Column("answer", LargeBinary),
    PrimaryKeyConstraint("delivery_id", "number", "logged_at"),
    postgresql_partition_by="RANGE (logged_at)",
)

number = Table(
    "number",
    metadata,
    Column("number", Text, primary_key=True),  # the SIP address is one for all accounts
    Column("account_sid", Text, nullable=False),
    Column("url", Text, nullable=False),  # masked, like the two below
    Column("url_sealed", LargeBinary),
    Column("method", Text, nullable=False),
    Column("fallback_url", Text),
    Column("fallback_sealed", LargeBinary),
    Column("fallback_method", Text, nullable=False),
    Column("callback_url", Text),
    Column("callback_sealed", LargeBinary),
    Column("callback_method", Text),
    Column("callback_events", ARRAY(Text)),
    Column("friendly_name", Text),
    Column("created_at", _TIME, nullable=False, server_default=_NOW),
    Column("updated_at", _TIME, nullable=False, server_default=_NOW),
    CheckConstraint("method IN ('GET', 'POST') AND fallback_method IN ('GET', 'POST')", name="methods"),
    CheckConstraint(
        "(callback_url IS NULL) = (callback_method IS NULL) AND (callback_url IS NULL) = (callback_events IS NULL)",
        name="callback_is_whole",
    ),
    Index("number_page", "account_sid", "created_at", "number"),
)

recording = Table(
    "recording",
    metadata,
    Column("sid", Text, primary_key=True),
    Column("account_sid", Text, nullable=False),
    Column("call_sid", Text, nullable=False),
    Column("epoch", Integer, nullable=False),  # the call's, when it began: whose it is when that has changed
    Column("source", Text, nullable=False),
    Column("channels", SmallInteger, nullable=False),
    Column("state", Text, nullable=False, server_default=text("'in-progress'")),
    Column("started_at", _TIME, nullable=False),
    Column("duration", Double),
    Column("size", BigInteger),
    Column("location", Text),  # where its audio is, from the end until it has been deleted there
    Column("notice_url", Text),  # masked
    Column("notice_sealed", LargeBinary),
    Column("notice_method", Text),
    Column("notice_events", ARRAY(Text)),
    Column("ended_at", _TIME),
    Column("deleted_at", _TIME),
    CheckConstraint(f"state IN ({_words(RecordingState)})", name="state"),
    CheckConstraint("source IN ('DialVerb', 'RecordVerb')", name="source"),
    CheckConstraint("channels IN (1, 2)", name="channels"),
    CheckConstraint("(state = 'in-progress') = (ended_at IS NULL)", name="running_has_no_end"),
    CheckConstraint(
        "(notice_url IS NULL) = (notice_method IS NULL) AND (notice_url IS NULL) = (notice_events IS NULL)",
        name="notice_is_whole",
    ),
    Index("recording_page", "account_sid", "started_at", "sid"),
    Index("recording_call", "call_sid"),
    Index("recording_running", "started_at", postgresql_where=text("state = 'in-progress'")),
    Index("recording_age", "ended_at", postgresql_where=text("deleted_at IS NULL AND ended_at IS NOT NULL")),
    Index("recording_doomed", "sid", postgresql_where=text("deleted_at IS NOT NULL AND location IS NOT NULL")),
)

# Copies of what was on the wire, written without the calls' own commits. A row without a direction says how many
# messages of its leg are not here.
sip_message = Table(
    "sip_message",
    metadata,
    Column("call_sid", Text),
    Column("seq", Integer),
    Column("logged_at", _TIME, server_default=_NOW),  # the database's clock: decides the partition
    Column("at", _TIME, nullable=False),  # the worker's clock
    Column("direction", Text),
    Column("transport", Text),
    Column("local", Text),
    Column("remote", Text),
    Column("data", LargeBinary),  # credentials masked
    Column("left_out", Integer, nullable=False, server_default=_ZERO),
    PrimaryKeyConstraint("call_sid", "seq", "logged_at"),
    CheckConstraint("direction IN ('sent', 'received')", name="direction"),
    CheckConstraint("(direction IS NULL) = (left_out > 0)", name="is_message_or_count"),
    postgresql_partition_by="RANGE (logged_at)",
)

PARTITIONED = (webhook_delivery.name, webhook_attempt.name, sip_message.name)
