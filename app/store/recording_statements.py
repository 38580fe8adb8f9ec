"""The statements of recordings: begin and finish with what they owe, reads, deletion and what nobody finished."""

from sqlalchemy import TextClause

from app.store.statement import statement

# A worker that has died is found within seconds; what it recorded is somebody's to finish some time after that.
_READ = """
SELECT r.*, (r.state = 'in-progress' AND (c.sid IS NULL OR c.epoch <> r.epoch
                                          OR c.end_time < now() - interval '10 seconds')) AS orphaned
FROM recording r LEFT JOIN calls c ON c.sid = r.call_sid
"""
_SHOWN = "SELECT r.*, false AS orphaned FROM recording r"
_OWE = """
INSERT INTO webhook_outbox (message_id, destination_id, account_sid, call_sid, sequence, method, url, url_sealed, body,
                            expires_at, blocked)
SELECT o.message_id, o.destination_id, o.account_sid, o.call_sid, o.sequence, o.method, o.url, o.url_sealed, o.body,
       now() + interval '24 hours', {BLOCKED}
FROM json_to_record(CAST(:owed AS json)) AS o(
    message_id text, destination_id bigint, account_sid text, call_sid text, sequence int, method text, url text,
    url_sealed bytea, body text)
WHERE o.message_id IS NOT NULL AND EXISTS (SELECT FROM done)
RETURNING 1
"""
_DONE = "SELECT sid, (SELECT pg_notify('webhook', '') FROM (SELECT 1 FROM owed LIMIT 1) AS any_row) FROM done"


def _filled(sql: str, blocked: str = "false") -> TextClause:
    """`sql` with the parts above; `blocked`: whether what is owed waits for an earlier delivery."""
    for name, part in {"READ": _READ, "SHOWN": _SHOWN, "OWE": _OWE, "DONE": _DONE, "BLOCKED": blocked}.items():
        sql = sql.replace("{" + name + "}", part)
    return statement(sql)


BEGIN = _filled("""
WITH done AS (
    INSERT INTO recording (sid, account_sid, call_sid, epoch, source, channels, started_at, notice_url, notice_sealed,
                           notice_method, notice_events)
    SELECT sid, account_sid, call_sid, epoch, source, channels, started_at, notice_url, notice_sealed, notice_method,
           notice_events
    FROM json_to_record(CAST(:recording AS json)) AS r(
        sid text, account_sid text, call_sid text, epoch int, source text, channels smallint, started_at timestamptz,
        notice_url text, notice_sealed bytea, notice_method text, notice_events text[])
    ON CONFLICT (sid) DO NOTHING RETURNING sid
), owed AS ({OWE})
{DONE}
""")
# Held as a call's change does it (see `changes`), among the deliveries of this call's recordings.
FINISH = _filled(
    """
WITH done AS (
    UPDATE recording SET state = :state, duration = :duration, size = :size, location = :location,
                         ended_at = GREATEST(now(), started_at)
    WHERE sid = :sid AND state = 'in-progress' RETURNING sid
), held AS MATERIALIZED (
    SELECT o.id FROM webhook_outbox o
    WHERE o.call_sid = :call AND o.sequence < 0 AND {HOLDS} ORDER BY o.id FOR KEY SHARE OF o
), owed AS ({OWE})
{DONE}
""",
    blocked="EXISTS (SELECT FROM held)",
)
GET = _filled("{SHOWN} WHERE r.sid = :sid AND r.account_sid = :account AND r.deleted_at IS NULL")
FIND = _filled("{SHOWN} WHERE r.sid = :sid AND r.deleted_at IS NULL")
OF_CALL = _filled("""
{SHOWN} WHERE r.account_sid = :account AND r.deleted_at IS NULL
    AND (r.call_sid = ANY(ARRAY(SELECT :call UNION ALL SELECT c.sid FROM calls c WHERE c.parent_sid = :call))
         OR r.sid = (SELECT c.recording_sid FROM calls c WHERE c.sid = :call))
ORDER BY r.started_at, r.sid
""")
OF_CALLS = _filled("""
SELECT r.call_sid, r.sid, r.started_at FROM recording r
WHERE r.call_sid = ANY(CAST(:calls AS text[])) AND r.deleted_at IS NULL
UNION
SELECT c.sid, r.sid, r.started_at FROM calls c JOIN recording r ON r.sid = c.recording_sid
WHERE c.sid = ANY(CAST(:calls AS text[])) AND r.deleted_at IS NULL
ORDER BY 3, 2
""")
PAGE = _filled("""
{SHOWN} WHERE r.account_sid = :account AND r.deleted_at IS NULL
  AND (CAST(:time AS timestamptz) IS NULL OR (r.started_at, r.sid) < (:time, CAST(:sid AS text)))
ORDER BY r.started_at DESC, r.sid DESC LIMIT :limit
""")
STANDING = _filled("{READ} WHERE r.sid = ANY(CAST(:sids AS text[]))")
FORSAKEN = _filled("""
{READ} WHERE r.state = 'in-progress' AND r.started_at < now() - make_interval(secs => :seconds)
  AND (c.sid IS NULL OR c.end_time < now() - make_interval(secs => :seconds))
ORDER BY r.started_at LIMIT :limit
""")
DELETE = _filled("""
UPDATE recording SET deleted_at = now()
WHERE sid = :sid AND account_sid = :account AND deleted_at IS NULL AND state <> 'in-progress' RETURNING sid
""")
EXPIRE = _filled("""
UPDATE recording SET deleted_at = now() WHERE sid = ANY(ARRAY(
    SELECT sid FROM recording
    WHERE deleted_at IS NULL AND ended_at IS NOT NULL AND ended_at < now() - make_interval(secs => :days * 86400)
    ORDER BY ended_at LIMIT :limit FOR UPDATE SKIP LOCKED
)) RETURNING sid
""")
DOOMED = _filled("""
SELECT sid, location FROM recording WHERE deleted_at IS NOT NULL AND location IS NOT NULL AND sid > :after
ORDER BY sid LIMIT :limit
""")
GONE = _filled("UPDATE recording SET location = NULL WHERE sid = :sid AND deleted_at IS NOT NULL")
