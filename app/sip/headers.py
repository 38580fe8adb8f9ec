"""Structured SIP header values: addresses, Via, CSeq. Reads sloppily, writes strictly, knows no message.

Reading is linear in the length of the value: what arrives here came off the wire and may be 64 KB of quotes.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from app.calls.uri import SipUri

Params = tuple[tuple[str, str | None], ...]

MAX_CSEQ = 2**31 - 1  # RFC 3261 §8.1.1.5

# An unclosed quote or bracket swallows the rest, so that no byte is looked at from two starting points.
_QUOTED = r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)'
_COMMA = re.compile(rf"{_QUOTED}|<[^>]*+(?:>|\Z)|,[\s,]*+", re.DOTALL)
_SEMICOLON = re.compile(rf"{_QUOTED}|;", re.DOTALL)
_DISPLAY = re.compile(rf"\s*+({_QUOTED})?+", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_SENT_PROTOCOL = re.compile(r"\s*+SIP\s*+/\s*+([0-9.]++)\s*+/\s*+([A-Za-z0-9-]++)\s++", re.IGNORECASE)
_HOST = re.compile(r"[A-Za-z0-9_.-]++\Z")
_TARGET = re.compile(r"(sips?):(.*)\Z", re.IGNORECASE | re.DOTALL)
_CSEQ = re.compile(r"\s*+([0-9]{1,10})\s++([A-Za-z0-9\-.!%*_+`'~]++)\s*+\Z")
_DIGITS = re.compile(r"\s*+([0-9]{1,5})\s*+\Z")
_IN_REQUEST_LINE = re.compile(r"[^\s<>\"\x00-\x1f\x7f-\x9f\ufffd]++\Z")


class HeaderError(ValueError):
    """This header value cannot be understood; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Address:
    """``"Display" <uri>;params`` as in From, To, Contact, Route, Record-Route; `uri` is kept as received."""

    uri: str
    display: str | None = None  # unquoted, without control characters
    params: Params = ()

    @classmethod
    def parse(cls, text: str) -> "Address":
        """With or without ``<>``; without, everything from the first ``;`` on is header parameters (§20.10)."""
        quoted = _DISPLAY.match(text)
        after = quoted.end() if quoted else 0
        start = text.find("<", after)
        params = text.find(";", after, start)
        # sip:a@h;+sip.instance="<urn:uuid:…>": that bracket stands in a parameter's quotes.
        if start < 0 or (params >= 0 and not (quoted and quoted[1]) and text.count('"', params, start) % 2):
            uri, _, rest = text.strip().partition(";")
            if not uri or (quoted and quoted[1]):
                raise HeaderError("no URI in the address")
            return cls(uri.strip(), None, _params(rest))
        end = text.find(">", start)
        if end < 0:
            raise HeaderError("the < of the address is never closed")
        display = unquoted(quoted[1]) if quoted and quoted[1] else text[:start].strip() or None
        rest = text[end + 1 :].lstrip()
        return cls(text[start + 1 : end].strip(), display and _CONTROL.sub("", display), _params(rest[1:]))

    @property
    def tag(self) -> str | None:
        return self.param("tag")

    @property
    def sip(self) -> SipUri:
        """The URI as a strict value; raises UriError for what a customer could not have written."""
        return SipUri.parse(self.uri)

    def param(self, name: str) -> str | None:
        """The value of header parameter `name` (lower case), ``""`` for a flag, None when absent."""
        return _lookup(self.params, name)

    def with_tag(self, tag: str) -> "Address":
        return replace(self, params=(*(p for p in self.params if p[0].lower() != "tag"), ("tag", tag)))

    def __str__(self) -> str:
        display = "" if self.display is None else f"{quoted_string(self.display)} "
        return f"{display}<{self.uri}>{_rendered(self.params)}"


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URI from a peer leads (Contact, Route): read as tolerantly as can be, `uri` as received."""

    uri: str
    scheme: str
    user: str | None
    host: str  # without brackets, lower case
    port: int | None
    params: Params

    @classmethod
    def parse(cls, uri: str) -> "Target":
        """Raises HeaderError when it is not sip: or sips:, or no host can be found in it."""
        match = _TARGET.match(uri.strip())
        if match is None:
            raise HeaderError("not a sip: or sips: URI")
        if not _IN_REQUEST_LINE.match(uri.strip()):
            raise HeaderError("white space, quotes, angle brackets or a control character in the URI")
        before = match[2].partition("?")[0]
        # A ? may stand in the user part, but no @ in the headers.
        userinfo, at, rest = (before if "@" in before else match[2]).rpartition("@")
        hostport, _, params = rest.partition("?")[0].partition(";")
        host, port = parse_hostport(hostport)
        return cls(uri.strip(), match[1].lower(), userinfo if at else None, host, port, _params(params))

    def param(self, name: str) -> str | None:
        return _lookup(self.params, name)

    @property
    def loose(self) -> bool:
        """Whether this is a loose router (§16.12.1.1)."""
        return self.param("lr") is not None

    @property
    def transport(self) -> str:
        """``udp``, ``tcp``, ``tls``…: as written, else by scheme; over TCP, ``sips`` is TLS (§26.2.2)."""
        written = (self.param("transport") or "").lower()
        if self.scheme == "sips" and written in ("", "tcp"):
            return "tls"
        return written or "udp"


@dataclass(frozen=True, slots=True)
class Via:
    """One hop: ``SIP/2.0/UDP host:port;branch=…`` (§20.42)."""

    transport: str  # as written: UDP, TCP, TLS
    host: str  # without brackets
    port: int | None
    params: Params

    @classmethod
    def parse(cls, text: str) -> "Via":
        """One value, not a list; white space around every separator is legal. Raises HeaderError."""
        match = _SENT_PROTOCOL.match(text)
        if match is None:
            raise HeaderError("a Via begins with SIP/2.0/transport")
        sent_by, _, params = text[match.end() :].partition(";")
        host, port = parse_hostport(sent_by.strip())
        return cls(match[2], host, port, _params(params))

    @property
    def branch(self) -> str | None:
        return self.param("branch")

    @property
    def sent_by(self) -> str:
        return hostport(self.host, self.port)

    def param(self, name: str) -> str | None:
        return _lookup(self.params, name)

    def with_source(self, host: str, port: int) -> "Via":
        """As a server notes where the request came from: `received` (§18.2.1), and `rport` if asked (RFC 3581 §4)."""
        asked = self.param("rport") is not None
        kept = tuple(p for p in self.params if p[0].lower() not in ("received", "rport"))
        if asked:
            return replace(self, params=(*kept, ("received", host), ("rport", str(port))))
        return self if self.host == host else replace(self, params=(*kept, ("received", host)))

    @property
    def reply_to(self) -> tuple[str, int]:
        """Where a response goes over UDP (§18.2.2, RFC 3581 §4)."""
        default = 5061 if self.transport.upper() == "TLS" else 5060
        rport = _DIGITS.match(self.param("rport") or "")
        port = int(rport[1]) if rport else self.port or default
        return self.param("maddr") or self.param("received") or self.host, port

    def __str__(self) -> str:
        return f"SIP/2.0/{self.transport} {self.sent_by}{_rendered(self.params)}"


def tagged(value: str, tag: str | None) -> str:
    """From or To `value`, its `tag` written ``;tag=x``: whoever sent it with blanks looks for it without them."""
    if tag is None or f";tag={tag}" in value:
        return value
    try:
        return str(Address.parse(value).with_tag(tag))
    except HeaderError:
        return value


def contact_uri(value: str | None) -> str | None:
    """The URI in a Contact; None without one, or when no request could be addressed to what it says."""
    if not value:
        return None
    try:
        uri = Address.parse(value).uri
    except HeaderError:
        return None
    return uri if _IN_REQUEST_LINE.match(uri) else None


def parse_cseq(text: str) -> tuple[int, str]:
    """``4711 INVITE`` → (4711, "INVITE"); raises HeaderError, also for numbers of 2^31 and more."""
    match = _CSEQ.match(text)
    if match is None or int(match[1]) > MAX_CSEQ:
        raise HeaderError("CSeq is not a number below 2^31 and a method")
    return int(match[1]), match[2]


def split_list(text: str) -> list[str]:
    """The elements of a comma-separated header value: commas inside quotes and ``<>`` do not count."""
    if "," not in text:
        return [text.strip()] if text.strip() else []
    return [part for part in _split(text, _COMMA, ",") if part]


def parse_hostport(text: str) -> tuple[str, int | None]:
    """``host``, ``host:port``, ``[v6]:port``; raises HeaderError."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not _is_ipv6(host):
            raise HeaderError("not an IPv6 address in brackets")
        rest = rest.strip()
        if rest and not rest.startswith(":"):
            raise HeaderError("something follows the IPv6 address")
        return host.lower(), _port(rest[1:]) if rest else None
    host, colon, port = text.partition(":")
    host = host.strip()
    if ":" in port and _is_ipv6(text.strip()):  # brackets forgotten: seen in the field
        return text.strip().lower(), None
    if not _HOST.match(host):
        raise HeaderError("the host is missing or has characters that no host has")
    return host.lower(), _port(port) if colon else None


def hostport(host: str, port: int | None) -> str:
    """``host:port`` with brackets for IPv6, as it stands in a URI or a Via."""
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if port is None else f"{bracketed}:{port}"


def quoted_string(text: str) -> str:
    """`text` in quotes, ``\\`` and ``"`` escaped (§25.1)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def unquoted(text: str) -> str:
    """A quoted string's content with escapes undone; anything else as it is."""
    if not text.startswith('"'):
        return text
    inner = text[1:-1] if len(text) > 1 and text.endswith('"') else text[1:]
    return _ESCAPED.sub(r"\1", inner) if "\\" in inner else inner


def _split(text: str, pattern: re.Pattern[str], separator: str) -> Iterator[str]:
    start = 0
    for match in pattern.finditer(text):
        if match[0][0] == separator:
            yield text[start : match.start()].strip()
            start = match.end()
    yield text[start:].strip()


def _params(text: str) -> Params:
    if not text:
        return ()
    parts: Iterable[str] = text.split(";") if '"' not in text else _split(text, _SEMICOLON, ";")
    params: list[tuple[str, str | None]] = []
    for part in parts:
        name, equals, value = part.partition("=")
        name = name.strip()
        if name:
            params.append((name, value.strip() if equals else None))
    return tuple(params)


def _lookup(params: Params, name: str) -> str | None:
    for key, value in params:
        if key == name or key.lower() == name:
            return value or ""
    return None


def _rendered(params: Params) -> str:
    return "".join(f";{name}" if value is None else f";{name}={value}" for name, value in params)


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _port(text: str) -> int:
    match = _DIGITS.match(text)
    if match is None or not 1 <= int(match[1]) <= 65535:
        raise HeaderError("the port is not between 1 and 65535")
    return int(match[1])
