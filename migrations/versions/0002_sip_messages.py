"""The SIP messages of each leg, by day."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLE = """
CREATE TABLE sip_message (
    call_sid TEXT NOT NULL,
    seq INTEGER NOT NULL,
    logged_at timestamptz DEFAULT now() NOT NULL,
    at timestamptz NOT NULL,
    direction TEXT,
    transport TEXT,
    local TEXT,
    remote TEXT,
    data BYTEA,
    left_out INTEGER DEFAULT 0 NOT NULL,
    CONSTRAINT sip_message_pkey PRIMARY KEY (call_sid, seq, logged_at),
    CONSTRAINT sip_message_direction CHECK (direction IN ('sent', 'received')),
    CONSTRAINT sip_message_is_message_or_count CHECK ((direction IS NULL) = (left_out > 0))
) PARTITION BY RANGE (logged_at)
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute(_TABLE)
    op.execute("CREATE TABLE sip_message_default PARTITION OF sip_message DEFAULT")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("DROP TABLE sip_message")
