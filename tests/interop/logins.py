"""Checks digest credentials by computing them again from RFC 7616 and 8760. Shares nothing with the product."""

import hashlib
import re
from collections.abc import Iterator

USERNAME, PASSWORD = "alice", "secret"

_REQUEST = re.compile(r"^([A-Z]+) (\S+) SIP/2\.0\r?$((?:.|\n)*?)^\r?$", re.M)
_CREDENTIALS = re.compile(r"^(?:Proxy-)?Authorization: *Digest (.*?)\r?$", re.M | re.I)
_PARAMETER = re.compile(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))')
_FUNCTIONS = {"MD5": "md5", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}


def wrong_logins(log: str) -> list[str]:
    """Every Authorization and Proxy-Authorization in a log of messages that does not prove the password."""
    wrong = []
    for method, uri, credentials in _found(log):
        given = {name: quoted or plain for name, quoted, plain in _PARAMETER.findall(credentials)}
        if method == "ACK":  # carries what the INVITE carried (RFC 3261 §22.1)
            method, uri = "INVITE", given.get("uri", "")
        if (given.get("uri"), given.get("username"), given.get("response")) != (uri, USERNAME, _right(method, given)):
            wrong.append(f"{method} {uri}: {credentials}")
    return wrong


def logins(log: str) -> int:
    """How many there are."""
    return sum(1 for _ in _found(log))


def _found(log: str) -> Iterator[tuple[str, str, str]]:
    for method, uri, headers in _REQUEST.findall(log):
        for credentials in _CREDENTIALS.findall(headers):
            yield method, uri, credentials


def _right(method: str, given: dict[str, str]) -> str:
    algorithm = given.get("algorithm", "MD5").upper()
    function = _FUNCTIONS[algorithm.removesuffix("-SESS")]

    def h(*parts: str) -> str:
        return hashlib.new(function, ":".join(parts).encode()).hexdigest()

    first = h(USERNAME, given["realm"], PASSWORD)
    if algorithm.endswith("-SESS"):
        first = h(first, given["nonce"], given["cnonce"])
    second = h(method, given["uri"])
    if "qop" in given:
        return h(first, given["nonce"], given["nc"], given["cnonce"], given["qop"], second)
    return h(first, given["nonce"], second)
