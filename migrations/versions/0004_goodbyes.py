"""Who still has to say goodbye to the peer of a call that has ended in the records."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Rows live for the second or so in which a BYE is unanswered: the table stays small only if what is dead goes soon.
_TABLE = """
CREATE TABLE goodbye (
    worker_id BIGINT NOT NULL,
    call_sid TEXT NOT NULL,
    claim_token BIGINT,
    dialog JSONB,
    CONSTRAINT goodbye_pkey PRIMARY KEY (worker_id, call_sid)
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0)
"""


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute(_TABLE)


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '2s'")
    op.execute("DROP TABLE goodbye")
