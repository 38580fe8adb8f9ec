"""Puts rows into the database that nobody can carry out: they must end, and nobody else may notice. Kills nothing."""

import signal

from tests.faults.load import Steady, answers, place, wrong_answers
from tests.faults.stage import Stage
from tests.faults.suite import fault
from tests.faults.verdict import Told

_POISON = (
    "url = 'http://[::1/poison'",
    "url = 'ftp://127.0.0.1/poison'",
    "url = 'http://127.0.0.1:99999/poison'",
    "url = 'http://exa mple/poison'",
    "url = '/poison'",
    "url = url || '/poison', message_id = E'msg_x\\r\\nX-Y: z'",
    "url = 'http://***:***@127.0.0.1:1/poison', url_sealed = '\\x00'",
    "url = 'http://' || repeat('a', 70) || '.test/poison'",
)
_ALL_ROLES = ("api", "worker", "webhooks")


@fault("poison-deliveries", calls=20, DIAL_WEBHOOK_RETRIES="0.2,0.3")
async def deliveries(stage: Stage, calls: int) -> Told:
    """Deliveries that cannot be sent (broken URLs, ids, secrets): dead after their attempts, others flow, no crash."""
    pids = [stage.pids(role) for role in _ALL_ROLES]
    stage.kill("webhooks", signal.SIGSTOP)
    await place(stage, len(_POISON), "r50-t100")
    await stage.until_rows("SELECT 1 FROM calls WHERE parent_sid IS NULL HAVING bool_and(end_time IS NOT NULL)", 20)
    for poison in _POISON:
        await stage.run(
            f"UPDATE webhook_outbox SET {poison} WHERE id = (SELECT max(id) FROM webhook_outbox o"
            " WHERE url NOT LIKE '%poison' AND NOT EXISTS (SELECT FROM webhook_outbox p"
            " WHERE p.call_sid = o.call_sid AND p.url LIKE '%poison'))"
        )
    stage.kill("webhooks", signal.SIGCONT)
    async with Steady(stage, 5, "r50-t200"):
        await stage.pause(calls / 5)
    dead = await stage.until_rows(
        "SELECT count(*) AS n, min(attempts) AS least FROM webhook_delivery"
        f" WHERE state = 'dead' AND url LIKE '%%poison' HAVING count(*) >= {len(_POISON)}",
        90,
    )
    shown = await stage.http.get(f"{stage.service.url}/v1/deliveries?state=dead", auth=stage.auth)
    problems = wrong_answers(stage)
    problems += [] if shown.text.count("poison") >= len(_POISON) else ["the dead ones are not shown"]
    problems += _alive(stage, pids)
    notes = [answers(stage), f"{dead[0]['n']} of {len(_POISON)} dead after at least {dead[0]['least']} attempts"]
    return Told(ordered=False, never=("poison",), problems=problems, notes=notes)


@fault("poison-calls", calls=20, DIAL_MAX_WAIT="60")
async def poison_calls(stage: Stage, calls: int) -> Told:
    """Dial requests whose stored plan or callback nobody can read: they end, others are dialled, no crash."""
    pids = [stage.pids(role) for role in _ALL_ROLES]
    stage.kill("worker", signal.SIGSTOP)
    sids = await place(stage, 3, "r50-t100")
    await stage.run(f"UPDATE call_document SET sealed = '\\x00' WHERE call_sid = '{sids[0]}'")
    await stage.run(f"UPDATE call_document SET sealed = NULL WHERE call_sid = '{sids[1]}'")
    await stage.run(f"UPDATE calls SET callback_sealed = '\\x00' WHERE sid = '{sids[2]}'")
    stage.kill("worker", signal.SIGCONT)
    async with Steady(stage, 5, "r50-t200"):
        await stage.pause(calls / 5)
    await stage.until_final(30)
    ends = await stage.rows("SELECT sid, status, reason FROM calls WHERE sid = ANY(%s)", sids)
    by_sid = {row["sid"]: (row["status"], row["reason"]) for row in ends}
    wrong = [by_sid[sid] for sid in sids[:2] if by_sid[sid] != ("failed", "document-error")]
    problems = [*wrong_answers(stage), *_alive(stage, pids), *(f"ended {one}" for one in wrong)]
    return Told(problems=problems, notes=[answers(stage)])


def _alive(stage: Stage, pids: list[list[int]]) -> list[str]:
    return [] if pids == [stage.pids(role) for role in _ALL_ROLES] else ["a process died"]
