"""Where a worker's documents, sounds and recordings come from and go to, made as the settings say."""

from dataclasses import dataclass

from app.dialing.interpret import Sources
from app.dialing.recorded import Studio
from app.media.decode import Decoder
from app.media.recorder import WavRecorder
from app.media.sounds import Sounds
from app.media.speech import Speaker
from app.media.ticker import Ticker
from app.rcml.fields import Rules
from app.recordings.from_settings import keeper_of, spool_of
from app.recordings.keeper import Keeper
from app.runtime.clock import SteadyClock
from app.runtime.settings import Settings
from app.store.database import Database
from app.store.outbox import Outbox
from app.store.seal import Sealer
from app.webhooks.documents import DocumentFetcher
from app.webhooks.guard import Guard
from app.webhooks.keyring import Keyring
from app.webhooks.media_fetch import LIMITS, MediaFetcher
from app.webhooks.transport import Transport
from app.wiring.role import http_policy, sip_policy


@dataclass(frozen=True, slots=True)
class Supplies:
    """The sources, and what of them runs beside the calls."""

    sources: Sources
    keeper: Keeper
    recorder: WavRecorder
    sounds: Sounds
    transports: tuple[Transport, ...]

    async def close(self) -> None:
        self.recorder.close()
        await self.sounds.stop()
        for transport in self.transports:
            await transport.aclose()


def supplies(settings: Settings, database: Database, sealer: Sealer, *, clock: SteadyClock, ticker: Ticker) -> Supplies:
    guard = Guard(http_policy(settings))
    to_application, to_files = Transport(guard), Transport(guard, LIMITS)
    recorder = WavRecorder(spool_of(settings).folder, ticker)
    keeper = keeper_of(settings, database, sealer, clock)
    sounds = Sounds(MediaFetcher(to_files), Decoder(), Speaker())
    sources = Sources(
        documents=DocumentFetcher(to_application, Keyring(Outbox(database, sealer).secrets).of),
        sounds=sounds,
        studio=Studio(recorder, keeper, clock),
        rules=Rules(sip_policy(settings), http_policy(settings)),
        clock=clock,
    )
    return Supplies(sources, keeper, recorder, sounds, (to_application, to_files))
