"""The first schema: accounts, calls, their events, the dial queue, the outbox and its history."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SCHEMA = (
    """
CREATE TABLE account (
    sid TEXT NOT NULL,
    token_salt BYTEA NOT NULL,
    token_hash BYTEA NOT NULL,
    token_sealed BYTEA NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT account_pkey PRIMARY KEY (sid)
)
    """,
    """
CREATE TABLE webhook_secret (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    account_sid TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    expires_at timestamptz,
    CONSTRAINT webhook_secret_pkey PRIMARY KEY (id),
    CONSTRAINT webhook_secret_account_sid_fkey FOREIGN KEY(account_sid) REFERENCES account (sid)
)
    """,
    "CREATE INDEX webhook_secret_account ON webhook_secret (account_sid)",
    """
CREATE TABLE worker (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    role TEXT NOT NULL,
    capacity INTEGER NOT NULL,
    running INTEGER DEFAULT 0 NOT NULL,
    accepting BOOLEAN DEFAULT true NOT NULL,
    rate DOUBLE PRECISION DEFAULT 0 NOT NULL,
    sip_host TEXT NOT NULL,
    sip_port INTEGER NOT NULL,
    taken BOOLEAN DEFAULT false NOT NULL,
    started_at timestamptz DEFAULT now() NOT NULL,
    lease_until timestamptz NOT NULL,
    CONSTRAINT worker_pkey PRIMARY KEY (id),
    CONSTRAINT worker_counts CHECK (capacity >= 0 AND running >= 0 AND rate >= 0)
)
    """,
    """
CREATE TABLE calls (
    sid TEXT NOT NULL,
    placed_no BIGINT GENERATED ALWAYS AS IDENTITY,
    account_sid TEXT NOT NULL,
    parent_sid TEXT,
    leg_index INTEGER,
    direction TEXT NOT NULL,
    from_uri TEXT NOT NULL,
    to_uri TEXT NOT NULL,
    status TEXT DEFAULT 'queued' NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    run_at timestamptz,
    worker_id BIGINT,
    claim_token BIGINT,
    epoch INTEGER DEFAULT 0 NOT NULL,
    last_seq INTEGER DEFAULT 0 NOT NULL,
    dialed_at timestamptz,
    start_time timestamptz,
    ring_time timestamptz,
    answer_time timestamptz,
    end_time timestamptz,
    sip_call_id TEXT,
    sip_response_code SMALLINT,
    sip_response_reason TEXT,
    reason TEXT,
    dial_call_status TEXT,
    dial_call_sid TEXT,
    dial_call_duration INTEGER,
    callback_url TEXT,
    callback_sealed BYTEA,
    callback_method TEXT,
    callback_events TEXT[],
    callback_seq INTEGER DEFAULT 0 NOT NULL,
    dialog JSONB,
    wanted TEXT,
    CONSTRAINT calls_pkey PRIMARY KEY (sid),
    CONSTRAINT calls_status CHECK (
        status IN ('busy', 'canceled', 'completed', 'failed', 'in-progress', 'initiated', 'no-answer',
        'queued', 'ringing')
    ),
    CONSTRAINT calls_direction CHECK (direction IN ('inbound', 'outbound-api', 'outbound-dial')),
    CONSTRAINT calls_wanted CHECK (wanted IN ('completed', 'canceled')),
    CONSTRAINT calls_final_has_end CHECK (
        (status IN ('busy', 'canceled', 'completed', 'failed', 'no-answer')) = (end_time IS NOT NULL)
    ),
    CONSTRAINT calls_ended_is_free CHECK (end_time IS NULL OR (worker_id IS NULL AND run_at IS NULL)),
    CONSTRAINT calls_due_is_free CHECK (run_at IS NULL OR (worker_id IS NULL AND parent_sid IS NULL)),
    CONSTRAINT calls_leg_has_index CHECK ((parent_sid IS NULL) = (leg_index IS NULL)),
    CONSTRAINT calls_counts CHECK (epoch >= 0 AND last_seq >= 0 AND callback_seq >= 0),
    CONSTRAINT calls_callback_is_whole CHECK (
        (callback_url IS NULL) = (callback_method IS NULL) AND (callback_url IS NULL) = (callback_events IS NULL)
    )
) WITH (fillfactor = 75)
    """,
    "CREATE INDEX calls_due ON calls (account_sid, run_at, placed_no) WHERE run_at IS NOT NULL",
    "CREATE INDEX calls_held ON calls (worker_id) WHERE worker_id IS NOT NULL",
    "CREATE INDEX calls_page ON calls (account_sid, created_at, sid)",
    "CREATE INDEX calls_unended ON calls (account_sid, created_at, sid) WHERE end_time IS NULL",
    "CREATE UNIQUE INDEX calls_legs ON calls (parent_sid, leg_index) WHERE parent_sid IS NOT NULL",
    """
CREATE TABLE call_document (
    call_sid TEXT NOT NULL,
    sealed BYTEA,
    rcml TEXT,
    metadata JSONB,
    idempotency_key TEXT,
    CONSTRAINT call_document_pkey PRIMARY KEY (call_sid)
)
    """,
    """
CREATE TABLE call_event (
    call_sid TEXT NOT NULL,
    seq INTEGER NOT NULL,
    type TEXT NOT NULL,
    at timestamptz NOT NULL,
    detail JSONB,
    CONSTRAINT call_event_pkey PRIMARY KEY (call_sid, seq),
    CONSTRAINT call_event_type CHECK (type IN ('answered', 'completed', 'initiated', 'ringing'))
)
    """,
    """
CREATE TABLE idempotency (
    account_sid TEXT NOT NULL,
    key TEXT NOT NULL,
    digest BYTEA NOT NULL,
    call_sid TEXT NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT idempotency_pkey PRIMARY KEY (account_sid, key)
)
    """,
    "CREATE INDEX idempotency_age ON idempotency (created_at)",
    """
CREATE TABLE webhook_destination (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    origin TEXT NOT NULL,
    breaker TEXT DEFAULT 'closed' NOT NULL,
    consecutive_failures INTEGER DEFAULT 0 NOT NULL,
    cool_down DOUBLE PRECISION DEFAULT 0 NOT NULL,
    open_until timestamptz,
    max_in_flight INTEGER,
    paused BOOLEAN DEFAULT false NOT NULL,
    CONSTRAINT webhook_destination_pkey PRIMARY KEY (id),
    CONSTRAINT webhook_destination_origin_key UNIQUE (origin),
    CONSTRAINT webhook_destination_breaker CHECK (breaker IN ('closed', 'half-open', 'open')),
    CONSTRAINT webhook_destination_closed_is_not_timed CHECK ((breaker = 'closed') = (open_until IS NULL))
)
    """,
    """
CREATE TABLE webhook_outbox (
    id BIGINT GENERATED BY DEFAULT AS IDENTITY,
    message_id TEXT NOT NULL,
    destination_id BIGINT NOT NULL,
    account_sid TEXT NOT NULL,
    call_sid TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    method TEXT NOT NULL,
    url TEXT NOT NULL,
    url_sealed BYTEA,
    body TEXT,
    attempt SMALLINT DEFAULT 0 NOT NULL,
    earlier SMALLINT DEFAULT 0 NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    next_at timestamptz DEFAULT now() NOT NULL,
    expires_at timestamptz NOT NULL,
    blocked BOOLEAN DEFAULT false NOT NULL,
    lease_until timestamptz,
    lease_token BIGINT,
    CONSTRAINT webhook_outbox_pkey PRIMARY KEY (id),
    CONSTRAINT webhook_outbox_method CHECK (method IN ('GET', 'POST')),
    CONSTRAINT webhook_outbox_lease_is_whole CHECK ((lease_until IS NULL) = (lease_token IS NULL))
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0
    )
    """,
    "CREATE INDEX webhook_outbox_blocked ON webhook_outbox (id) WHERE blocked",
    "CREATE INDEX webhook_outbox_call ON webhook_outbox (call_sid, sequence)",
    "CREATE INDEX webhook_outbox_due ON webhook_outbox (destination_id, next_at, id) WHERE NOT blocked",
    """
CREATE TABLE webhook_delivery (
    id BIGINT NOT NULL,
    finished_at timestamptz DEFAULT now() NOT NULL,
    message_id TEXT NOT NULL,
    destination_id BIGINT NOT NULL,
    account_sid TEXT NOT NULL,
    call_sid TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    method TEXT NOT NULL,
    url TEXT NOT NULL,
    url_sealed BYTEA,
    body TEXT,
    state TEXT NOT NULL,
    attempts SMALLINT NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT webhook_delivery_pkey PRIMARY KEY (id, finished_at),
    CONSTRAINT webhook_delivery_state CHECK (state IN ('dead', 'delivered'))
) PARTITION BY RANGE (finished_at)
    """,
    "CREATE INDEX webhook_delivery_call ON webhook_delivery (call_sid)",
    "CREATE INDEX webhook_delivery_dead ON webhook_delivery (account_sid, id) WHERE state = 'dead'",
    "CREATE INDEX webhook_delivery_page ON webhook_delivery (account_sid, id)",
    """
CREATE TABLE webhook_attempt (
    delivery_id BIGINT NOT NULL,
    number SMALLINT NOT NULL,
    logged_at timestamptz DEFAULT now() NOT NULL,
    at timestamptz NOT NULL,
    status SMALLINT,
    latency_ms INTEGER NOT NULL,
    error TEXT,
    answer BYTEA,
    CONSTRAINT webhook_attempt_pkey PRIMARY KEY (delivery_id, number, logged_at)
) PARTITION BY RANGE (logged_at)
    """,
    "CREATE TABLE webhook_delivery_default PARTITION OF webhook_delivery DEFAULT",
    "CREATE TABLE webhook_attempt_default PARTITION OF webhook_attempt DEFAULT",
)

_TABLES = (
    "webhook_attempt",
    "webhook_delivery",
    "webhook_outbox",
    "webhook_destination",
    "idempotency",
    "call_event",
    "call_document",
    "calls",
    "worker",
    "webhook_secret",
    "account",
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    for statement in _SCHEMA:
        op.execute(statement)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    for table in _TABLES:
        op.execute(f"DROP TABLE {table}")
