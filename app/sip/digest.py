"""Digest access authentication as a client (RFC 7616, 8760, 3261 §22): picks a challenge and answers it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge that we can answer; quoted values as received between their quotes."""

    realm: str
    nonce: str
    algorithm: str  # MD5, MD5-sess, SHA-256, SHA-256-sess, SHA-512-256, SHA-512-256-sess
    algorithm_given: str | None  # as written, None when the challenge named none
    qop: str | None  # "auth", or None for the scheme of RFC 2069
    opaque: str | None
    stale: bool


def choose(challenges: Sequence[str]) -> Challenge | None:
    """The strongest challenge we can answer out of WWW-/Proxy-Authenticate values; None: none of them."""
    return None


def authorize(
    challenge: Challenge, *, username: str, password: str, method: str, uri: str, nc: int, cnonce: str
) -> str:
    """The value for Authorization or Proxy-Authorization; `nc` counts the uses of this nonce from 1."""
    return ""
