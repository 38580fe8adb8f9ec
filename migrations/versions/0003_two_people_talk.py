"""Numbers, recordings, replaced documents, and what a call knows of screening, recording and its caller."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Columns with a constant default or none, and without a CHECK: nothing rewrites or scans a table that may be large.
_COLUMNS = {
    "screening": "TEXT",
    "caller_name": "TEXT",
    "forwarded_from": "TEXT",
    "recording_sid": "TEXT",
    "recording_duration": "INTEGER",
    "has_caller": "BOOLEAN DEFAULT false NOT NULL",
}

_TABLES = {
    "number": """
CREATE TABLE number (
    number TEXT NOT NULL,
    account_sid TEXT NOT NULL,
    url TEXT NOT NULL,
    url_sealed BYTEA,
    method TEXT NOT NULL,
    fallback_url TEXT,
    fallback_sealed BYTEA,
    fallback_method TEXT NOT NULL,
    callback_url TEXT,
    callback_sealed BYTEA,
    callback_method TEXT,
    callback_events TEXT[],
    friendly_name TEXT,
    created_at timestamptz DEFAULT now() NOT NULL,
    updated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT number_pkey PRIMARY KEY (number),
    CONSTRAINT number_methods CHECK (method IN ('GET', 'POST') AND fallback_method IN ('GET', 'POST')),
    CONSTRAINT number_callback_is_whole CHECK (
        (callback_url IS NULL) = (callback_method IS NULL) AND (callback_url IS NULL) = (callback_events IS NULL)
    )
)
    """,
    "recording": """
CREATE TABLE recording (
    sid TEXT NOT NULL,
    account_sid TEXT NOT NULL,
    call_sid TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    source TEXT NOT NULL,
    channels SMALLINT NOT NULL,
    state TEXT DEFAULT 'in-progress' NOT NULL,
    started_at timestamptz NOT NULL,
    duration DOUBLE PRECISION,
    size BIGINT,
    location TEXT,
    notice_url TEXT,
    notice_sealed BYTEA,
    notice_method TEXT,
    notice_events TEXT[],
    ended_at timestamptz,
    deleted_at timestamptz,
    CONSTRAINT recording_pkey PRIMARY KEY (sid),
    CONSTRAINT recording_state CHECK (state IN ('absent', 'completed', 'in-progress')),
    CONSTRAINT recording_source CHECK (source IN ('DialVerb', 'RecordVerb')),
    CONSTRAINT recording_channels CHECK (channels IN (1, 2)),
    CONSTRAINT recording_running_has_no_end CHECK ((state = 'in-progress') = (ended_at IS NULL)),
    CONSTRAINT recording_notice_is_whole CHECK (
        (notice_url IS NULL) = (notice_method IS NULL) AND (notice_url IS NULL) = (notice_events IS NULL)
    )
)
    """,
    "call_replacement": """
CREATE TABLE call_replacement (
    call_sid TEXT NOT NULL,
    number BIGINT GENERATED ALWAYS AS IDENTITY,
    sealed BYTEA NOT NULL,
    taken_epoch INTEGER,
    CONSTRAINT call_replacement_pkey PRIMARY KEY (call_sid)
)
    """,
}
_INDEXES = (
    "CREATE INDEX number_page ON number (account_sid, created_at, number)",
    "CREATE INDEX recording_page ON recording (account_sid, started_at, sid)",
    "CREATE INDEX recording_call ON recording (call_sid)",
    "CREATE INDEX recording_age ON recording (ended_at) WHERE deleted_at IS NULL AND ended_at IS NOT NULL",
    "CREATE INDEX recording_running ON recording (started_at) WHERE state = 'in-progress'",
    "CREATE INDEX recording_doomed ON recording (sid) WHERE deleted_at IS NOT NULL AND location IS NOT NULL",
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    for table in _TABLES.values():
        op.execute(table)
    for index in _INDEXES:
        op.execute(index)
    for column, kind in _COLUMNS.items():
        op.execute(f"ALTER TABLE calls ADD COLUMN {column} {kind}")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    for column in _COLUMNS:
        op.execute(f"ALTER TABLE calls DROP COLUMN {column}")
    for table in _TABLES:
        op.execute(f"DROP TABLE {table}")
