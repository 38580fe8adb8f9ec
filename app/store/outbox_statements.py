"""The statements of the outbox: claim, finish, order, breaker. What was measured about them is beside each."""

from app.store.statement import statement

# Global FIFO lets one dead destination with a backlog starve everybody, so destinations take turns: hop through the
# index from :start to its end and on from its beginning (a loose index scan, 0.7-0.9 ms per claim of 100), and take
# from each what it has room for. Lease columns are not indexed: the update is HOT. `WHERE id = ANY(ARRAY(...))` is
# steady; UPDATE ... FROM a CTE fell into a scan of the whole outbox.
# An open breaker is probed with what was tried least and is newest: one slow URL, retried for ever, must not keep it
# open for the other URLs of its host.
CLAIM = statement("""
WITH RECURSIVE hop(destination_id, lap) AS (
    SELECT CAST(:start AS bigint), -1
    UNION ALL
    SELECT following.* FROM hop h CROSS JOIN LATERAL (
        (SELECT o.destination_id, GREATEST(h.lap, 0) AS lap FROM webhook_outbox o
         WHERE NOT o.blocked AND o.destination_id > h.destination_id ORDER BY o.destination_id LIMIT 1)
        UNION ALL
        (SELECT o.destination_id, 1 FROM webhook_outbox o
         WHERE NOT o.blocked AND h.lap < 1 ORDER BY o.destination_id LIMIT 1)
        LIMIT 1
    ) following
    WHERE following.lap < 1 OR following.destination_id <= :start
), visited AS MATERIALIZED (
    SELECT destination_id, row_number() OVER () AS turn
    FROM (SELECT destination_id FROM hop WHERE lap >= 0 LIMIT :hops) h
), probe AS MATERIALIZED (
    SELECT w.id, (
        SELECT newest.id FROM (
            SELECT o.id, o.attempt, o.next_at FROM webhook_outbox o
            WHERE o.destination_id = w.id AND NOT o.blocked AND o.next_at <= now()
              AND (o.lease_until IS NULL OR o.lease_until < now())
            ORDER BY o.next_at DESC LIMIT 100) newest
        ORDER BY newest.attempt, newest.next_at DESC LIMIT 1) AS delivery_id
    FROM webhook_destination w
    WHERE id = ANY(ARRAY(SELECT destination_id FROM visited)) AND breaker <> 'closed' AND open_until <= now()
    ORDER BY id FOR UPDATE SKIP LOCKED
), chosen AS MATERIALIZED (
    SELECT due.id, d.turn, d.destination_id, d.free, d.probed IS NOT NULL AS probing
    FROM (
        SELECT v.turn, v.destination_id, probe.delivery_id AS probed,
               CASE WHEN w.breaker = 'closed'
                    THEN LEAST(CAST(:per_destination AS int), w.max_in_flight) - COALESCE(busy.running, 0)
                    ELSE 1 END AS free
        FROM visited v JOIN webhook_destination w ON w.id = v.destination_id
        LEFT JOIN unnest(CAST(:busy_ids AS bigint[]), CAST(:busy_counts AS int[])) AS busy(id, running)
               ON busy.id = w.id
        LEFT JOIN probe ON probe.id = w.id
        WHERE NOT w.paused AND (w.breaker = 'closed' OR probe.id IS NOT NULL)
        ORDER BY v.turn
    ) d CROSS JOIN LATERAL (
        SELECT o.id FROM webhook_outbox o
        WHERE o.destination_id = d.destination_id AND NOT o.blocked AND o.next_at <= now()
          AND (o.lease_until IS NULL OR o.lease_until < now()) AND (d.probed IS NULL OR o.id = d.probed)
        ORDER BY o.next_at, o.id LIMIT GREATEST(0, d.free) FOR NO KEY UPDATE SKIP LOCKED
    ) due
    LIMIT :room
), probing AS (
    UPDATE webhook_destination SET breaker = 'half-open', open_until = now() + make_interval(secs => :probe_seconds)
    WHERE id = ANY(ARRAY(SELECT p.id FROM probe p JOIN chosen c ON c.destination_id = p.id))
), claimed AS (
    UPDATE webhook_outbox
    SET lease_until = now() + make_interval(secs => :lease), lease_token = :token, attempt = attempt + 1
    WHERE id = ANY(ARRAY(SELECT id FROM chosen)) RETURNING *
)
SELECT claimed.*, w.origin, now() AS claimed_at, last.destination_id AS last_visited, last.turn AS visited,
       chosen.free, chosen.probing, w.consecutive_failures, w.cool_down
FROM (SELECT destination_id, turn FROM visited ORDER BY turn DESC LIMIT 1) last
LEFT JOIN (claimed JOIN chosen USING (id) JOIN webhook_destination w ON w.id = claimed.destination_id) ON true
ORDER BY chosen.turn, claimed.next_at, claimed.id
""")

# Rows are locked in the order of their ids, as everywhere. What is over moves to the history; whoever was fenced out
# is not in the answer.
FINISH = statement("""
WITH input AS MATERIALIZED (
    SELECT * FROM json_to_recordset(CAST(:results AS json)) AS r(
        id bigint, token bigint, state text, next_in float, status smallint, latency_ms int, error text, answer bytea,
        at timestamptz)
), locked AS MATERIALIZED (
    SELECT o.*, i.state, i.next_in, i.status, i.latency_ms, i.error, i.answer, i.at
    FROM webhook_outbox o JOIN input i ON i.id = o.id AND i.token = o.lease_token
    WHERE o.id = ANY(CAST(:ids AS bigint[])) ORDER BY o.id FOR UPDATE OF o
), gone AS (
    DELETE FROM webhook_outbox WHERE id = ANY(ARRAY(SELECT id FROM locked WHERE state <> 'owed'))
), again AS (
    UPDATE webhook_outbox o
    SET next_at = now() + make_interval(secs => l.next_in), lease_until = NULL, lease_token = NULL
    FROM locked l WHERE o.id = ANY(ARRAY(SELECT id FROM locked WHERE state = 'owed')) AND o.id = l.id
), history AS (
    INSERT INTO webhook_delivery (id, message_id, destination_id, account_sid, call_sid, sequence, method, url,
                                  url_sealed, body, state, attempts, created_at, expires_at)
    SELECT id, message_id, destination_id, account_sid, call_sid, sequence, method, url, url_sealed, body, state,
           earlier + attempt, created_at, expires_at
    FROM locked WHERE state <> 'owed' ORDER BY id
), log AS (
    INSERT INTO webhook_attempt (delivery_id, number, at, status, latency_ms, error, answer)
    SELECT id, earlier + attempt, at, status, latency_ms, error, answer FROM locked ORDER BY id
)
SELECT id, call_sid FROM locked
""")

# A second statement, for its newer snapshot: a change that was holding one of our rows (FOR KEY SHARE) while it
# inserted the next one has committed by now, and that next row is seen here.
UNBLOCK = statement("""
UPDATE webhook_outbox SET blocked = false WHERE id = ANY(ARRAY(
    SELECT b.id FROM webhook_outbox b
    WHERE b.blocked AND b.call_sid = ANY(CAST(:calls AS text[])) AND NOT EXISTS (
        SELECT FROM webhook_outbox o
        WHERE o.call_sid = b.call_sid AND o.id < b.id AND {SAME_ORDER} AND {HOLDS})
    ORDER BY b.id
)) RETURNING id
""")

# For what a crash left blocked: the lease of a first retry that nobody finished, once it has lapsed.
SWEEP = statement("""
UPDATE webhook_outbox SET blocked = false WHERE id = ANY(ARRAY(
    SELECT b.id FROM webhook_outbox b
    WHERE b.blocked AND b.created_at < now() - make_interval(secs => :age) AND NOT EXISTS (
        SELECT FROM webhook_outbox o
        WHERE o.call_sid = b.call_sid AND o.id < b.id AND {SAME_ORDER} AND {HOLDS}
          AND NOT (o.attempt = 2 AND o.lease_until < now()))
    ORDER BY b.id LIMIT 1000
)) RETURNING id
""")

# Attempts end what is claimed; this ends what an open breaker or a pause keeps from being claimed beyond its time.
EXPIRE = statement("""
WITH locked AS MATERIALIZED (
    SELECT o.* FROM webhook_destination w JOIN webhook_outbox o ON o.destination_id = w.id
    WHERE (w.breaker <> 'closed' OR w.paused) AND o.expires_at < now()
      AND (o.lease_until IS NULL OR o.lease_until < now())
    ORDER BY o.id LIMIT 1000 FOR UPDATE OF o SKIP LOCKED
), gone AS (
    DELETE FROM webhook_outbox WHERE id = ANY(ARRAY(SELECT id FROM locked))
), history AS (
    INSERT INTO webhook_delivery (id, message_id, destination_id, account_sid, call_sid, sequence, method, url,
                                  url_sealed, body, state, attempts, created_at, expires_at)
    SELECT id, message_id, destination_id, account_sid, call_sid, sequence, method, url, url_sealed, body, 'dead',
           earlier + attempt, created_at, expires_at
    FROM locked ORDER BY id
)
SELECT id, call_sid FROM locked
""")

NEXT_DUE = statement("""
WITH RECURSIVE hop(destination_id) AS (
    (SELECT destination_id FROM webhook_outbox WHERE NOT blocked ORDER BY destination_id LIMIT 1)
    UNION ALL
    SELECT (SELECT o.destination_id FROM webhook_outbox o WHERE NOT o.blocked AND o.destination_id > h.destination_id
            ORDER BY o.destination_id LIMIT 1)
    FROM hop h WHERE h.destination_id IS NOT NULL
)
SELECT EXTRACT(epoch FROM min(LEAST(soon.next_at, CASE WHEN w.breaker <> 'closed' THEN w.open_until END)) - now())
FROM (SELECT destination_id FROM hop WHERE destination_id IS NOT NULL LIMIT :hops) h
JOIN webhook_destination w ON w.id = h.destination_id AND NOT w.paused
LEFT JOIN LATERAL (
    SELECT o.next_at FROM webhook_outbox o
    WHERE o.destination_id = h.destination_id AND NOT o.blocked AND o.next_at > now() ORDER BY o.next_at LIMIT 1
) soon ON true
WHERE w.breaker = 'closed' OR w.open_until > now()
""")

RELEASE = statement("""
UPDATE webhook_outbox o SET lease_until = NULL, lease_token = NULL, attempt = o.attempt - 1
FROM unnest(CAST(:ids AS bigint[]), CAST(:tokens AS bigint[])) AS r(id, token)
WHERE o.id = ANY(CAST(:ids AS bigint[])) AND o.id = r.id AND o.lease_token = r.token
""")

# There is no index for it, on purpose (see CLAIM): it runs only after a connection was cut.
DISOWN = statement("""
UPDATE webhook_outbox SET lease_until = NULL, lease_token = NULL, attempt = attempt - 1 WHERE lease_token = :token
""")

BREAKER = statement("""
UPDATE webhook_destination
SET breaker = :state, consecutive_failures = :failures, cool_down = :cool_down,
    open_until = CASE WHEN CAST(:state AS text) <> 'closed' THEN now() + make_interval(secs => :open_for) END
WHERE id = :id
""")
