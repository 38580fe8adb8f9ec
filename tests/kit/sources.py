"""Sources for dials that need none: no document answers, no sound is there, nothing is recorded."""

from app.calls.address import AddressPolicy
from app.calls.audio import Audio, Pcm, Take, Taken, TakeOrder
from app.calls.ports import Clock
from app.calls.recording import RecordingOrder
from app.calls.sid import AccountSid, RecordingSid
from app.calls.sources import DocumentRequest, FetchedDocument, SourceError
from app.dialing.interpret import Sources
from app.dialing.recorded import Studio
from app.rcml.fields import Rules


class _Nothing:
    """Implements Documents, Sounds, Recorder and Recordings."""

    ringing: Pcm = bytes(16_000)
    beep: Pcm = bytes(1_600)

    async def fetch(self, request: DocumentRequest) -> FetchedDocument:
        raise SourceError("there is no application")

    async def fetched(self, account: AccountSid, url: str) -> Pcm:
        raise SourceError("there is no file")

    async def spoken(self, text: str, *, voice: str | None, language: str | None) -> Pcm:
        raise SourceError("nobody speaks")

    def begin(self, order: TakeOrder, *, caller: Audio | None, callee: Audio | None) -> Take:
        raise OSError("there is no disk")

    def url_of(self, sid: RecordingSid) -> str:
        return f"http://dial.example/v1/recordings/{sid}.wav"


class _NoRecordings(_Nothing):
    async def begin(self, order: RecordingOrder) -> None:  # type: ignore[override]  # a Recordings', not a Recorder's
        raise OSError("nothing is kept")

    def finish(self, order: RecordingOrder, taken: Taken) -> None: ...


def no_sources(clock: Clock) -> Sources:
    nothing = _Nothing()
    everywhere = Rules(AddressPolicy("DIAL_SIP_ALLOW", ()), AddressPolicy("DIAL_HTTP_ALLOW", ()))
    return Sources(nothing, nothing, Studio(nothing, _NoRecordings(), clock), everywhere, clock)
