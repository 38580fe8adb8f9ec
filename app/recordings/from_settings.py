"""The parts that keep recordings, made as the settings say. Starts none of them."""

from app.calls.ports import Clock
from app.recordings.disk import DiskStorage
from app.recordings.ending import Endings
from app.recordings.keeper import Keeper, KeeperParts
from app.recordings.links import Links, link_key
from app.recordings.retention import Retention
from app.recordings.spool import Spool
from app.recordings.storage import Shelves
from app.runtime.settings import Settings
from app.store.calls import CallReads
from app.store.database import Database
from app.store.recordings import RecordingRows
from app.store.seal import Sealer


def keeper_of(settings: Settings, database: Database, sealer: Sealer, clock: Clock) -> Keeper:
    """A worker's, with the spool that its recorder writes to."""
    rows, calls = RecordingRows(database, sealer), CallReads(database, sealer)
    spool = spool_of(settings)
    spool.make()
    return Keeper(KeeperParts(rows, calls, shelves_of(settings), links_of(settings), spool, clock))


def retention_of(settings: Settings, database: Database, sealer: Sealer, clock: Clock) -> Retention:
    rows, links = RecordingRows(database, sealer), links_of(settings)
    endings = Endings(rows, CallReads(database, sealer), links, clock.now)
    return Retention(rows, shelves_of(settings), endings, settings.recording_retention_days)


def shelves_of(settings: Settings) -> Shelves:
    """The bucket when there is one, else the folder; what lies in the folder from before can be read all the same."""
    disk = DiskStorage(settings.recordings_dir or settings.data_dir / "recordings")
    if not settings.recordings_s3_bucket:
        return Shelves(disk)
    from app.recordings.s3 import Bucket, S3Storage  # 16 MB that nobody else needs

    bucket = Bucket(
        settings.recordings_s3_bucket,
        settings.recordings_s3_endpoint,
        settings.recordings_s3_prefix,
        settings.recordings_s3_region,
        settings.recordings_s3_key,
        settings.recordings_s3_secret.get_secret_value(),
    )
    return Shelves(S3Storage(bucket), [disk])


def links_of(settings: Settings) -> Links:
    key = link_key(settings.secret_key.get_secret_value()) if settings.recording_links == "signed" else None
    return Links(settings.api_url, key, settings.recording_link_seconds)


def spool_of(settings: Settings) -> Spool:
    """Where recordings run; on this machine's own disk, whatever store they end in."""
    return Spool(settings.data_dir / "spool")
