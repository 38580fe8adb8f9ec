"""Seals secrets at rest with one key from the settings; does not know what is inside or where it is kept."""

import base64
import secrets

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.calls.errors import DialError

_PURPOSE = b"dial-to-sip: secrets at rest, version 1"


class WrongKey(DialError):
    """The sealed text was sealed with another DIAL_SECRET_KEY, or it was altered."""


class Sealer:
    """Fernet (AES-128-CBC with HMAC-SHA-256) under a key derived from any string by HKDF (RFC 5869)."""

    def __init__(self, key: str) -> None:
        """`key` is DIAL_SECRET_KEY: any non-empty string; its strength is its owner's."""
        if not key:
            raise ValueError("DIAL_SECRET_KEY is empty")
        derived = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(
            key.encode(errors="surrogatepass")
        )
        self._fernet = Fernet(base64.urlsafe_b64encode(derived))

    def seal(self, text: bytes) -> bytes:
        return self._fernet.encrypt(text)

    def unseal(self, sealed: bytes) -> bytes:
        """Raises WrongKey."""
        try:
            return self._fernet.decrypt(sealed)
        except InvalidToken as error:
            raise WrongKey("a stored secret cannot be opened with this DIAL_SECRET_KEY") from error


def new_key() -> str:
    """256 random bits, fit for DIAL_SECRET_KEY."""
    return secrets.token_urlsafe(32)
