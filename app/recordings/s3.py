"""Recordings in a bucket of any store that speaks S3, over obstore. Knows no row."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from obstore.exceptions import BaseError
from obstore.store import S3Store

from app.recordings.storage import StorageAway

# Of one request: a part of an upload, or a piece that is read. Whole uploads are tried again by whoever keeps them.
_SECONDS = timedelta(seconds=30)
_CONNECT_SECONDS = timedelta(seconds=5)
_RETRIES = 2
_PART = 8 * 1024 * 1024  # bytes; at most 10,000 parts: 80 GB
_PARTS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where the bucket is, and who asks. Without a key they are found as AWS's own tools find them."""

    name: str
    endpoint: str = ""  # empty: AWS
    prefix: str = ""
    region: str = "us-east-1"
    key: str = ""
    secret: str = field(default="", repr=False)


class S3Storage:
    """One object a recording."""

    scheme = "s3"

    def __init__(self, bucket: Bucket) -> None:
        given: dict[str, Any] = {"region": bucket.region}
        if bucket.endpoint:
            # Other stores than AWS rarely have a host name for each bucket.
            given |= {"endpoint": bucket.endpoint.rstrip("/"), "virtual_hosted_style_request": False}
        if bucket.key:
            given |= {"access_key_id": bucket.key, "secret_access_key": bucket.secret}
        self._store = S3Store(
            bucket.name,
            prefix=bucket.prefix.strip("/") or None,
            client_options={
                "timeout": _SECONDS,
                "connect_timeout": _CONNECT_SECONDS,
                "allow_http": bucket.endpoint.startswith("http:"),
            },
            retry_config={"max_retries": _RETRIES, "retry_timeout": _SECONDS},
            **given,
        )

    async def keep(self, file: Path, key: str) -> None:
        """In parts when it is large; they become the object at once, with the last request."""
        try:
            await self._store.put_async(
                key,
                file,
                attributes={"Content-Type": "audio/wav"},
                chunk_size=_PART,
                max_concurrency=_PARTS_AT_ONCE,
            )
        except (BaseError, FileNotFoundError) as error:  # what is not found is the bucket
            raise _away(error) from error

    async def read(self, key: str, start: int, length: int) -> bytes:
        try:
            return bytes(await self._store.get_range_async(key, start=start, length=length))
        except BaseError as error:
            raise _away(error) from error

    async def delete(self, key: str) -> None:
        try:
            await self._store.delete_async(key)
        except FileNotFoundError:
            return
        except BaseError as error:
            raise _away(error) from error


def _away(error: Exception) -> StorageAway:
    """The first line: what follows is the inside of the library."""
    lines = str(error).splitlines()
    return StorageAway(lines[0] if lines else type(error).__name__)
