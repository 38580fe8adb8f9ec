"""Recordings over HTTP: listed, fetched whole and in parts, by account or by link, and deleted for good."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from app.calls.call import Call
from app.calls.recording import Recording, RecordingOrder, RecordingState
from app.calls.sid import AccountSid, RecordingSid, new_recording_sid
from app.recordings.links import Links, link_key
from app.recordings.s3 import Bucket, S3Storage
from app.recordings.storage import Shelves
from app.store.recordings import Kept
from tests.integration.api.conftest import Api, client_of
from tests.integration.store.make import leg as a_leg
from tests.integration.store.make import parent, rows
from tests.kit.s3 import below, keys_in, s3_server

CONTENT = b"RIFF" + bytes(range(256)) * 5_000  # over a megabyte: more than one piece
SIZE = len(CONTENT)
DIAL = {"sip": "sip:alice@sip.example.com"}


async def a_call(api: Api) -> Call:
    return await api.parts.queue.adopt(api.worker_id, parent(AccountSid(api.account.sid)), {"state": "confirmed"})


async def begun(api: Api, call: Call | None = None, **rest: Any) -> Recording:
    given = {"source": "DialVerb", "channels": 2, "started_at": datetime.now(UTC), **rest}
    order = RecordingOrder(new_recording_sid(), call or await a_call(api), **given)
    await api.parts.recordings.begin(order, None)
    return (await api.parts.recordings.get(AccountSid(api.account.sid), order.sid)).recording


async def made(api: Api, tmp_path: Path, call: Call | None = None, **rest: Any) -> str:
    recording = await begun(api, call, **rest)
    file = tmp_path / f"{recording.sid}.wav"
    file.write_bytes(CONTENT)
    location = await api.parts.shelves.keep(file, recording)
    file.unlink()
    await api.parts.recordings.finish(recording, Kept(RecordingState.COMPLETED, 40.5, SIZE, location), None)
    return recording.sid


def files(tmp_path: Path) -> list[str]:
    return [path.stem for path in (tmp_path / "recordings").rglob("*.wav")]


async def test_a_recording_is_shown_by_itself_in_lists_and_with_its_call(api: Api, tmp_path: Path) -> None:
    call = await a_call(api)
    sid = await made(api, tmp_path, call)
    shown = (await api.client.get(f"/v1/recordings/{sid}")).json()
    times = {name: shown[name] for name in ("startTime", "endTime")}
    assert shown == times | {
        "sid": sid,
        "accountSid": api.account.sid,
        "callSid": call.sid,
        "source": "DialVerb",
        "channels": 2,
        "status": "completed",
        "duration": 40.5,
        "size": SIZE,
        "url": shown["url"],
        "uri": f"/v1/recordings/{sid}",
    }
    assert shown["url"].startswith(f"https://dial.example/v1/recordings/{sid}.wav")
    running = await begun(api, call)
    in_progress = (await api.client.get(f"/v1/recordings/{running.sid}")).json()
    assert (in_progress["status"], in_progress["url"], in_progress["endTime"]) == ("in-progress", None, None)
    of_call = (await api.client.get(f"/v1/calls/{call.sid}/recordings")).json()["recordings"]
    assert [one["sid"] for one in of_call] == [sid, running.sid]
    listed = (await api.client.get("/v1/recordings")).json()
    assert [one["sid"] for one in listed["recordings"]] == [running.sid, sid]
    assert (await api.client.get(f"/v1/calls/{call.sid}")).json()["recordings"] == [sid, running.sid]
    [in_list] = (await api.client.get("/v1/calls")).json()["calls"]
    assert in_list["recordings"] == [sid, running.sid]


async def test_a_legs_recordings_are_the_legs_and_are_listed_with_its_parents(api: Api, tmp_path: Path) -> None:
    placed = await api.dial(DIAL)
    leg = await api.parts.calls.get(AccountSid(api.account.sid), placed["legs"][0]["sid"])
    sid = await made(api, tmp_path, leg)
    call = (await api.client.get(placed["uri"])).json()
    assert (call["recordings"], call["legs"][0]["recordings"]) == ([], [sid])
    of_parent = (await api.client.get(f"{placed['uri']}/recordings")).json()["recordings"]
    assert [one["sid"] for one in of_parent] == [sid]


async def test_a_leg_lists_its_dials_recording_as_its_callback_names_it(api: Api, tmp_path: Path) -> None:
    call = await a_call(api)
    [leg] = await api.parts.queue.add_legs(api.worker_id, call, [a_leg(call)])  # type: ignore[arg-type]  # its sid
    dials, own, others = [await made(api, tmp_path, of) for of in (call, leg, call)]
    named = (
        f"UPDATE calls SET recording_sid = '{dials}' WHERE sid = '{leg.sid}' RETURNING sid"  # as its last change does
    )
    assert len(await rows(api.parts.database, named)) == 1
    shown = (await api.client.get(f"/v1/calls/{call.sid}")).json()
    assert (shown["recordings"], shown["legs"][0]["recordings"]) == ([dials, others], [dials, own])
    assert (await api.client.get(f"/v1/calls/{leg.sid}")).json()["recordings"] == [dials, own]
    listed = (await api.client.get(f"/v1/calls/{leg.sid}/recordings")).json()["recordings"]
    assert [one["sid"] for one in listed] == [dials, own]
    assert (await api.client.delete(f"/v1/recordings/{dials}")).status_code == 204
    assert (await api.client.get(f"/v1/calls/{leg.sid}")).json()["recordings"] == [own]


async def test_pages_follow_each_other(api: Api) -> None:
    start = datetime.now(UTC)
    sids = [(await begun(api, started_at=start + timedelta(seconds=at))).sid for at in range(3)]
    page = (await api.client.get("/v1/recordings?pageSize=2")).json()
    rest = (await api.client.get(page["nextPageUri"])).json()
    assert [one["sid"] for one in page["recordings"] + rest["recordings"]] == sids[::-1]
    assert rest["nextPageUri"] is None


async def test_the_audio_comes_whole_with_its_headers_and_head_tells_the_same(api: Api, tmp_path: Path) -> None:
    sid = await made(api, tmp_path)
    got, head = [await api.client.request(method, f"/v1/recordings/{sid}.wav") for method in ("GET", "HEAD")]
    assert (got.status_code, head.status_code) == (200, 200)
    assert (got.content, head.content) == (CONTENT, b"")
    assert got.headers == head.headers
    assert got.headers["content-type"] == "audio/wav"
    assert (got.headers["content-length"], got.headers["accept-ranges"]) == (str(SIZE), "bytes")
    again = await api.client.get(f"/v1/recordings/{sid}.wav", headers={"If-None-Match": got.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_a_range_of_bytes_is_answered_with_just_these(api: Api, tmp_path: Path) -> None:
    sid = await made(api, tmp_path)
    for asked, first, last in (
        ("bytes=0-0", 0, 0),
        ("bytes=0-43", 0, 43),
        ("bytes=1000000-", 1_000_000, SIZE - 1),
        ("bytes=-10", SIZE - 10, SIZE - 1),
        (f"bytes=-{SIZE + 5}", 0, SIZE - 1),
        (f"bytes=5-{SIZE + 5}", 5, SIZE - 1),
    ):
        got = await api.client.get(f"/v1/recordings/{sid}.wav", headers={"Range": asked})
        assert (got.status_code, got.headers["content-range"]) == (206, f"bytes {first}-{last}/{SIZE}")
        assert got.content == CONTENT[first : last + 1]
        assert got.headers["content-length"] == str(last - first + 1)


async def test_what_is_no_single_range_of_this_version_gets_the_whole_and_no_bytes_get_416(
    api: Api, tmp_path: Path
) -> None:
    sid = await made(api, tmp_path)
    uri = f"/v1/recordings/{sid}.wav"
    for headers in (
        {"Range": "bytes=0-1,5-6"},
        {"Range": "bytes=9-5"},
        {"Range": "lines=1-2"},
        {"Range": "bytes=-"},
        {"Range": "bytes=0-1", "If-Range": '"another"'},
    ):
        got = await api.client.get(uri, headers=headers)
        assert (got.status_code, len(got.content)) == (200, SIZE)
    for asked in (f"bytes={SIZE}-", "bytes=-0"):
        got = await api.client.get(uri, headers={"Range": asked})
        assert (got.status_code, got.headers["content-range"]) == (416, f"bytes */{SIZE}")
        assert got.json()["errors"][0]["code"] == "range-invalid"


async def test_s3_serves_the_same_bytes_whole_and_in_parts_and_loses_them_with_a_delete(
    api: Api, tmp_path: Path
) -> None:
    with s3_server() as bucket:
        own = below(bucket, "api")
        shelves = Shelves(S3Storage(own))
        on_s3 = replace(api, parts=replace(api.parts, shelves=shelves), client=api.with_parts(shelves=shelves))
        sid = await made(on_s3, tmp_path)
        uri = f"/v1/recordings/{sid}.wav"
        assert (await on_s3.client.get(uri)).content == CONTENT
        part = await on_s3.client.get(uri, headers={"Range": "bytes=1048570-1048590"})
        assert (part.status_code, part.content) == (206, CONTENT[1_048_570:1_048_591])
        assert (await on_s3.client.delete(f"/v1/recordings/{sid}")).status_code == 204
        assert keys_in(own) == []
        gone: Bucket = replace(own, endpoint="http://127.0.0.1:1")
        away = Shelves(S3Storage(gone))
        sid = await made(on_s3, tmp_path)
        answer = await api.with_parts(shelves=away).get(f"/v1/recordings/{sid}.wav")
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (503, "unavailable")


async def test_one_that_runs_is_neither_fetched_nor_deleted_and_an_absent_one_has_no_audio(api: Api) -> None:
    running = await begun(api)
    for answer in (
        await api.client.get(f"/v1/recordings/{running.sid}.wav"),
        await api.client.delete(f"/v1/recordings/{running.sid}"),
    ):
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (409, "recording-runs")
    await api.parts.recordings.finish(running, Kept(RecordingState.ABSENT), None)
    assert (await api.client.get(f"/v1/recordings/{running.sid}.wav")).status_code == 404
    assert (await api.client.delete(f"/v1/recordings/{running.sid}")).status_code == 204


async def test_a_deleted_one_is_gone_from_every_answer_and_from_the_disk(api: Api, tmp_path: Path) -> None:
    call = await a_call(api)
    sid, other = await made(api, tmp_path, call), await made(api, tmp_path, call)
    assert (await api.client.delete(f"/v1/recordings/{sid}")).status_code == 204
    assert files(tmp_path) == [other]
    for uri in (f"/v1/recordings/{sid}", f"/v1/recordings/{sid}.wav"):
        assert (await api.client.get(uri)).status_code == 404
    assert (await api.client.delete(f"/v1/recordings/{sid}")).status_code == 404
    assert (await api.client.get(f"/v1/calls/{call.sid}")).json()["recordings"] == [other]
    assert len((await api.client.get("/v1/recordings")).json()["recordings"]) == 1


async def test_a_file_that_is_lost_is_a_404_and_not_half_an_answer(api: Api, tmp_path: Path) -> None:
    sid = await made(api, tmp_path)
    for path in (tmp_path / "recordings").rglob("*.wav"):
        path.unlink()
    assert (await api.client.get(f"/v1/recordings/{sid}.wav")).status_code == 404


async def test_nobody_else_sees_hears_or_deletes_it(api: Api, tmp_path: Path) -> None:
    call = await a_call(api)
    sid = await made(api, tmp_path, call)
    async with api.of(await api.parts.accounts.create()) as stranger:
        for uri in (f"/v1/recordings/{sid}", f"/v1/recordings/{sid}.wav", f"/v1/calls/{call.sid}/recordings"):
            assert (await stranger.get(uri)).status_code == 404
        assert (await stranger.delete(f"/v1/recordings/{sid}")).status_code == 404
        assert (await stranger.get("/v1/recordings")).json()["recordings"] == []
    assert files(tmp_path) == [sid]


def anonymous(api: Api) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(api.app), base_url="http://test")


async def test_a_signed_link_opens_that_audio_without_an_account(api: Api, tmp_path: Path) -> None:
    sid = await made(api, tmp_path)
    link = (await api.client.get(f"/v1/recordings/{sid}")).json()["url"].removeprefix("https://dial.example")
    async with anonymous(api) as nobody:
        got = await nobody.get(link, headers={"Range": "bytes=0-3"})
        assert (got.status_code, got.content) == (206, b"RIFF")
        assert (await nobody.head(link)).status_code == 200
        await rows(api.parts.database, "UPDATE recording SET deleted_at = now()")
        assert (await nobody.get(link)).status_code == 404


_WRONG: dict[str, Callable[[str, str], tuple[str, str]]] = {
    "another sid": lambda link, other: ("GET", link.replace(link[15:49], other)),
    "no signature": lambda link, other: ("GET", link.partition("?")[0]),
    "another signature": lambda link, other: ("GET", link[:-3] + "xyz"),
    "another time": lambda link, other: ("GET", link.replace("expires=1", "expires=2")),
    "two signatures": lambda link, other: ("GET", link + "&signature=x"),
    "its record": lambda link, other: ("GET", link.replace(".wav", "")),
    "its end": lambda link, other: ("DELETE", link.replace(".wav", "")),
    "its end by its audio": lambda link, other: ("DELETE", link),
    "the list": lambda link, other: ("GET", "/v1/recordings?" + link.partition("?")[2]),
}


async def test_a_link_opens_nothing_else(api: Api, tmp_path: Path) -> None:
    sid, other = await made(api, tmp_path), await made(api, tmp_path)
    link = api.parts.links.url_of(RecordingSid(sid)).removeprefix("https://dial.example")
    async with anonymous(api) as nobody:
        for what, wrong in _WRONG.items():
            method, uri = wrong(link, other)
            assert (await nobody.request(method, uri)).status_code == 401, what
    assert sorted(files(tmp_path)) == sorted([sid, other])


async def test_a_link_expires_and_opens_nothing_where_links_are_not_signed(api: Api, tmp_path: Path) -> None:
    sid = await made(api, tmp_path)
    old = Links("", link_key("a key for tests"), 60, lambda: datetime.now(UTC).timestamp() - 61)
    good = api.parts.links.url_of(sid).removeprefix("https://dial.example")  # type: ignore[arg-type]  # a sid's text
    async with anonymous(api) as nobody:
        assert (await nobody.get(old.url_of(sid))).status_code == 401  # type: ignore[arg-type]  # as above
    bare = client_of(api.with_parts(links=Links("https://dial.example"))._transport.app, api.account)  # type: ignore[attr-defined]  # httpx's own
    bare.auth = None  # type: ignore[assignment]  # nobody
    assert (await bare.get(good)).status_code == 401


async def test_who_sends_credentials_is_asked_for_those(api: Api, tmp_path: Path) -> None:
    sid = await made(api, tmp_path)
    link = (await api.client.get(f"/v1/recordings/{sid}")).json()["url"].removeprefix("https://dial.example")
    assert (await api.client.get(link)).status_code == 200
    async with api.of(await api.parts.accounts.create()) as stranger:
        assert (await stranger.get(link)).status_code == 404
