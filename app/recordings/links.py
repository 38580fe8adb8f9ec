"""The addresses of recordings that callbacks name, and the signatures that some of them carry. Fetches nothing."""

import hashlib
import hmac
import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field

from app.calls.sid import RecordingSid

_PURPOSE = b"dial-to-sip: links to recordings, version 1"
_EXPIRES = re.compile(r"[0-9]{1,12}\Z")


def link_key(secret_key: str) -> bytes:
    """From DIAL_SECRET_KEY: who has a link's key can open nothing that is sealed."""
    return hmac.digest(secret_key.encode(errors="surrogatepass"), _PURPOSE, hashlib.sha256)


@dataclass(frozen=True, slots=True)
class Links:
    """`key` None: links are not signed, and a signature opens nothing."""

    api_url: str
    key: bytes | None = field(default=None, repr=False)
    seconds: float = 604_800.0  # that a signed link is good for
    now: Callable[[], float] = time.time

    def url_of(self, sid: RecordingSid) -> str:
        """Absolute. Signed, it is good for `seconds` from now."""
        url = f"{self.api_url}/v1/recordings/{sid}.wav"
        if self.key is None:
            return url
        expires = str(int(self.now() + self.seconds))
        return f"{url}?expires={expires}&signature={_signature(self.key, sid, expires)}"

    def opens(self, sid: str, expires: str, signature: str) -> bool:
        """Whether that is a link of ours, and still good."""
        if self.key is None or not _EXPIRES.match(expires) or not signature.isascii():
            return False
        return hmac.compare_digest(_signature(self.key, sid, expires), signature) and int(expires) >= self.now()


def _signature(key: bytes, sid: str, expires: str) -> str:
    digest = hmac.digest(key, f"{sid}\n{expires}".encode(), hashlib.sha256)
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
