"""Looks for every secret that it gave the product in all that comes out of it and all that is kept."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from tests.faults.load import place
from tests.faults.stage import Stage
from tests.faults.suite import fault
from tests.faults.verdict import Told

_TOKEN, _KEY, _SIP, _CALLBACK = (f"{name}{secrets.token_hex(12)}" for name in ("token", "key", "sip", "callback"))
_SIGNING = "c2lnbmluZ3NlY3JldHNlY3JldA" + secrets.token_hex(3)  # base64 of Standard Webhooks
_TABLES = """
SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind = 'r'
"""
_ALL = {"token": _TOKEN, "key": _KEY, "SIP password": _SIP, "callback password": _CALLBACK, "whsec": _SIGNING}


@fault(
    "secrets",
    calls=10,
    DIAL_AUTH_TOKEN=_TOKEN,
    DIAL_SECRET_KEY=_KEY,
    DIAL_WEBHOOK_SECRET=f"whsec_{_SIGNING}",
    DIAL_LOG_LEVEL="debug",
)
async def known_secrets(stage: Stage, calls: int) -> Told:
    """Known secrets, debug logs: none in a dump, in WAL and data files, logs, answers, callbacks, metrics or traces."""
    request = stage.request("auth-r50-t200")
    request["sip"][0] |= {"username": "somebody", "password": _SIP}
    for one in (request, *request["sip"]):
        one["statusCallback"] = one["statusCallback"].replace("http://", f"http://user:{_CALLBACK}@")
    for _ in range(calls):
        await stage.dial(request)
    await place(stage, 2, "forever", timeout=1)
    await stage.http.post(f"{stage.service.url}/v1/dials", json=request, auth=(stage.auth[0], _TOKEN + "x"))
    await stage.until_final(30)
    await stage.until_delivered(30)
    problems = []
    if (asked := stage.callee.count("challenged")) != calls:
        problems.append(f"{asked} calls were asked for credentials")
    looked = {
        "answers": await _answers(stage),
        "log": "".join(stage.service.lines).encode(),
        "callbacks": stage.receiver.log.read_bytes(),
        "dump": _dump(stage.database_url),
        "data files and WAL": b"".join(_files(stage)),
    }
    found = [(name, where) for where, text in looked.items() for name, one in _ALL.items() if one.encode() in text]
    problems += [f"the {name} is in the {where}" for name, where in found]
    for where, text in looked.items():
        problems += [f"nothing was found to look at in the {where}"] if len(text) < 1000 else []
    notes = [
        f"{len(found)} hits of {len(_ALL)} secrets",
        *(f"{len(text)} bytes of {where}" for where, text in looked.items()),
    ]
    return Told(ordered=False, problems=problems, notes=notes)


async def _answers(stage: Stage) -> bytes:
    """Of every GET of the API, for every call."""
    paths = (await stage.http.get(f"{stage.service.url}/openapi.json")).json()["paths"]
    sids = [row["sid"] for row in await stage.rows("SELECT sid FROM calls")]
    delivery = (await stage.rows("SELECT message_id FROM webhook_delivery LIMIT 1"))[0]["message_id"]
    said = []
    for path, methods in paths.items():
        if "get" not in methods or path.endswith("/events"):  # the stream of an account never ends
            continue
        for sid in sids if "{" in path else sids[:1]:
            filled = path.replace("{sid}", sid).replace("{id}", delivery)
            answer = await stage.http.get(f"{stage.service.url}{filled}", auth=stage.auth)
            said.append(answer.content)
    for sid in sids:
        events = await stage.http.get(f"{stage.service.url}/v1/calls/{sid}/events", auth=stage.auth)
        said.append(events.content)
    return b"\n".join(said)


def _dump(url: str) -> bytes:
    with psycopg.connect(url) as connection:
        tables = [row[0] for row in connection.execute(_TABLES)]
        parts = []
        for table in tables:
            with connection.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(sql.SQL(table))) as copy:
                parts += [bytes(row) for row in copy]
    return b"".join(parts)


def _files(stage: Stage) -> Iterator[bytes]:
    """What is on the disk once everything has been written there."""
    with psycopg.connect(stage.database_url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        folder = connection.execute("SHOW data_directory").fetchone()
        number = connection.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()
    if folder is None or number is None:
        raise RuntimeError("the server does not say where its files are")
    data = Path(folder[0])
    for file in [*(data / "pg_wal").iterdir(), *(data / "base" / str(number[0])).iterdir()]:
        if file.is_file():
            yield file.read_bytes()
