"""SDP security descriptions for SRTP (RFC 4568): reads and writes a=crypto, makes keys. Knows no cipher and no call.

The keys stand in the SDP as they are: only TLS may carry them.
"""

import base64
import binascii
import secrets
from dataclasses import dataclass, field
from enum import StrEnum

SUITE = "AES_CM_128_HMAC_SHA1_80"
_KEY_OCTETS = 30  # master key of 16 and master salt of 14
_MOST_TAG_DIGITS = 9


class Srtp(StrEnum):
    """What a session may do about its media."""

    OFF = "off"
    OPTIONAL = "optional"  # encrypted if the peer can
    REQUIRED = "required"


@dataclass(frozen=True, slots=True)
class Crypto:
    """One usable a=crypto: its writer encrypts with `key`, and so do we decrypt."""

    tag: int
    key: bytes = field(repr=False)


def new_key() -> bytes:
    return secrets.token_bytes(_KEY_OCTETS)


def attribute(crypto: Crypto) -> str:
    return f"a=crypto:{crypto.tag} {SUITE} inline:{base64.b64encode(crypto.key).decode()}"


def parse(value: str) -> Crypto | None:
    """``1 AES_CM_128_HMAC_SHA1_80 inline:key|2^31`` → its key; None for what cannot be done.

    That is: other suites, several keys, a master key identifier (their packets are longer), and session parameters
    that change the packets; WSH is a mere hint (§6.3).
    """
    words = value.split()
    if len(words) < 3 or not words[0].isdigit() or len(words[0]) > _MOST_TAG_DIGITS or words[1].upper() != SUITE:
        return None
    if any(not word.upper().startswith("WSH=") for word in words[3:]):
        return None
    method, _, rest = words[2].partition(":")
    text, *limits = rest.split("|")
    if method.lower() != "inline" or any(":" in limit for limit in limits):
        return None
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return Crypto(int(words[0]), key) if len(key) == _KEY_OCTETS else None
