"""Digest access authentication as a client (RFC 7616, 8760, 3261 §22): picks a challenge, answers it."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from app.sip.headers import quoted_string

# Algorithm in lower case → the name hashlib has for it, and how strong it is. SHA-512-256 is SHA-512/256, not SHA-512.
_ALGORITHMS = {"md5": ("md5", 1), "sha-256": ("sha256", 2), "sha-512-256": ("sha512_256", 3)}

_TOKEN = r"[A-Za-z0-9\-.!%*_+`'~]++"  # noqa: S105  # a grammar rule, not a secret
_ITEM = re.compile(rf'[\s,]*+({_TOKEN})(?:\s*+=\s*+("(?:[^"\\]++|\\.)*+"|[^\s,"]*+))?+', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge that we can answer; realm, nonce and opaque exactly as they stood between their quotes."""

    realm: str
    nonce: str
    algorithm: str | None = None  # as written; None when the challenge named none, which means MD5
    qop: str | None = None  # "auth", or None for the scheme of RFC 2069
    opaque: str | None = None
    stale: bool = False


def choose(challenges: Sequence[str]) -> Challenge | None:
    """The strongest challenge we can answer out of WWW- or Proxy-Authenticate values; None: none of them.

    Of two equally strong ones the first (RFC 8760 §2.4 leaves the order to the server); unknown algorithms, other
    schemes and qop lists without ``auth`` are passed over.
    """
    return max(_usable(challenges), key=_strength, default=None)


def choose_each(challenges: Sequence[str]) -> list[Challenge]:
    """The strongest challenge of each realm that has one: proxies that fork collect them (RFC 3261 §22.3)."""
    realms: dict[str, list[Challenge]] = {}
    for one in _usable(challenges):
        realms.setdefault(one.realm, []).append(one)
    return [max(of_realm, key=_strength) for of_realm in realms.values()]


def authorize(
    challenge: Challenge, *, username: str, password: str, method: str, uri: str, nc: int, cnonce: str
) -> str:
    """The value for Authorization or Proxy-Authorization; `nc` counts the uses of this nonce from 1.

    `uri` is the Request-URI exactly as sent (RFC 3261 §22.4).
    """
    algorithm = (challenge.algorithm or "MD5").lower()
    function = _ALGORITHMS[algorithm.removesuffix("-sess")][0]
    sess = algorithm.endswith("-sess")
    secret = _hash(function, f"{username}:{challenge.realm}:{password}")
    if sess:
        secret = _hash(function, f"{secret}:{challenge.nonce}:{cnonce}")
    request = _hash(function, f"{method}:{uri}")
    count = f"{nc:08x}"
    middle = f"{challenge.nonce}:{count}:{cnonce}:{challenge.qop}" if challenge.qop else challenge.nonce
    fields = [
        f"username={quoted_string(username)}",
        f'realm="{challenge.realm}"',
        f'nonce="{challenge.nonce}"',
        f'uri="{uri}"',
        f'response="{_hash(function, f"{secret}:{middle}:{request}")}"',
    ]
    if challenge.algorithm is not None:
        fields.append(f"algorithm={challenge.algorithm}")
    if challenge.qop or sess:
        fields.append(f'cnonce="{cnonce}"')
    if challenge.qop:
        fields += [f"qop={challenge.qop}", f"nc={count}"]
    if challenge.opaque is not None:
        fields.append(f'opaque="{challenge.opaque}"')
    return "Digest " + ", ".join(fields)


def parse(value: str) -> list[tuple[str, dict[str, str]]]:
    """Every (scheme, parameters) in one header value, several challenges on one line included; linear, never raises.

    Parameter names are lower case, the first of a repeated one counts, values are unquoted but keep their escapes.
    """
    found: list[tuple[str, dict[str, str]]] = []
    position = 0
    while (item := _ITEM.match(value, position)) is not None:
        position = item.end()
        name, given = item.groups()
        if given is None:
            found.append((name, {}))
        elif found:
            found[-1][1].setdefault(name.lower(), given[1:-1] if given.startswith('"') else given)
    return found


def _usable(challenges: Sequence[str]) -> list[Challenge]:
    return [c for value in challenges for scheme, params in parse(value) if (c := _challenge(scheme, params))]


def _challenge(scheme: str, params: dict[str, str]) -> Challenge | None:
    if scheme.lower() != "digest" or "realm" not in params or not params.get("nonce"):
        return None
    algorithm = params.get("algorithm") or None
    if (algorithm or "MD5").lower().removesuffix("-sess") not in _ALGORITHMS:
        return None
    offered = [word.strip().lower() for word in params.get("qop", "").split(",") if word.strip()]
    if offered and "auth" not in offered:
        return None
    stale = params.get("stale", "").lower() == "true"
    return Challenge(
        params["realm"], params["nonce"], algorithm, "auth" if offered else None, params.get("opaque"), stale
    )


def _strength(challenge: Challenge) -> tuple[int, bool]:
    name = (challenge.algorithm or "MD5").lower().removesuffix("-sess")
    return _ALGORITHMS[name][1], challenge.qop is not None


def _hash(function: str, text: str) -> str:
    return hashlib.new(function, text.encode(), usedforsecurity=False).hexdigest()
