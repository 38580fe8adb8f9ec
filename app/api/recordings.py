"""Recordings: which there are, their audio, and their end."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.api import paging, ranges
from app.api.answers import Json
from app.api.auth import opened_by_link
from app.api.calls import find_call
from app.api.parameters import Parameters, no_parameters
from app.api.parts import ApiParts
from app.api.recording_operations import (
    DELETE_RECORDING,
    GET_AUDIO,
    GET_RECORDING,
    LIST_CALL_RECORDINGS,
    LIST_RECORDINGS,
)
from app.api.views import recording_view
from app.calls.errors import NotFound, RecordingRuns, Unavailable
from app.calls.recording import RecordingState
from app.calls.sid import is_recording_sid
from app.runtime import log
from app.store.recordings import StoredRecording

MEDIA_TYPE = "audio/wav"
_LINK = ("expires", "signature")
_log = log.get(__name__)


def add_routes(router: APIRouter, parts: ApiParts) -> None:
    @router.get("/v1/calls/{sid}/recordings", **LIST_CALL_RECORDINGS)
    async def list_call_recordings(request: Request) -> Response:
        call = await find_call(request, parts)
        no_parameters(request)
        found = await parts.recordings.of_call(request.state.account, call.sid)
        return Json({"recordings": [recording_view(one, parts.links) for one in found]})

    @router.get("/v1/recordings", **LIST_RECORDINGS)
    async def list_recordings(request: Request) -> Response:
        parameters = Parameters(request, paging.PARAMETERS)
        size, after = paging.page_size(parameters), paging.after_named(parameters, is_recording_sid)
        parameters.done()
        found = await parts.recordings.page(request.state.account, size=size, after=after)
        page = found[:size]
        token = paging.call_token(page[-1].started_at, page[-1].sid) if len(found) > size else None
        more = paging.next_page(request, token) if token else None
        return Json({"recordings": [recording_view(one, parts.links) for one in page], "nextPageUri": more})

    # Before the path without `.wav`, which would take it for a sid.
    @router.head("/v1/recordings/{sid}.wav", include_in_schema=False)
    @router.get("/v1/recordings/{sid}.wav", **GET_AUDIO)
    async def get_audio(request: Request) -> Response:
        Parameters(request, _LINK).done()
        return await _audio(request, await _found(request, parts), parts)

    @router.get("/v1/recordings/{sid}", **GET_RECORDING)
    async def get_recording(request: Request) -> Response:
        no_parameters(request)
        return Json(recording_view((await _found(request, parts)).recording, parts.links))

    @router.delete("/v1/recordings/{sid}", **DELETE_RECORDING)
    async def delete_recording(request: Request) -> Response:
        no_parameters(request)
        stored = await _found(request, parts)
        sid = stored.recording.sid
        await parts.recordings.delete(request.state.account, sid)
        _log.info("recording.deleted", recording=sid, account=request.state.account)
        if stored.location is not None:
            try:
                await parts.shelves.delete(stored.location)
                await parts.recordings.gone(sid)
            except (OSError, Unavailable) as error:  # it is deleted for its owner; the file follows with the next round
                _log.warning("recording.not_deleted_yet", recording=sid, error=str(error))
        return Response(status_code=204)


async def _found(request: Request, parts: ApiParts) -> StoredRecording:
    """The recording of the path: the account's, or the one that a signed link is of. Raises NotFound."""
    sid = request.path_params["sid"]
    if not is_recording_sid(sid):
        raise NotFound(sid)
    if opened_by_link(request.scope) == sid:
        return await parts.recordings.find(sid)
    return await parts.recordings.get(request.state.account, sid)


async def _audio(request: Request, stored: StoredRecording, parts: ApiParts) -> Response:
    recording, size = stored.recording, stored.recording.size
    if recording.state is RecordingState.IN_PROGRESS:
        raise RecordingRuns(recording.sid)
    if stored.location is None or size is None:
        raise NotFound(recording.sid)
    etag = f'"{recording.sid}"'  # it never changes
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'inline; filename="{recording.sid}.wav"',
        "X-Content-Type-Options": "nosniff",
    }
    if ranges.is_known(request, etag):
        return Response(status_code=304, headers=headers)
    part = ranges.wanted(request, size, etag)
    asked = range(size) if part is None else part
    headers["Content-Length"] = str(len(asked))
    if part is not None:
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    status = 200 if part is None else 206
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=MEDIA_TYPE)
    try:
        pieces = await parts.shelves.open(stored.location, asked.start, len(asked))
    except FileNotFoundError as error:
        _log.error("recording.lost", recording=recording.sid, location=stored.location)
        raise NotFound(recording.sid) from error
    except OSError as error:
        _log.warning("recording.unreadable", recording=recording.sid, error=str(error))
        raise Unavailable("the store of recordings is not available") from error
    return StreamingResponse(pieces, status, headers, MEDIA_TYPE)
