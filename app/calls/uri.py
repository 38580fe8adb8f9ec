"""SIP URIs and name-addr as values (RFC 3261 §19.1, §25.1): parsed once, rendered for each place they go."""

import ipaddress
import re
from dataclasses import dataclass, replace
from urllib.parse import unquote

_USER = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()&=+$,;?/]|%[0-9A-Fa-f]{2})+\Z")
_PASSWORD = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()&=+$,]|%[0-9A-Fa-f]{2})*\Z")
_NAME = re.compile(
    r"(?=.{1,253}\Z)(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?\Z"
)
_PARAM = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()\[\]/:&+$]|%[0-9A-Fa-f]{2})+\Z")
_HEADER = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()\[\]/?:+$]|%[0-9A-Fa-f]{2})*\Z")
_SCHEME = re.compile(r"(sips?):(.*)\Z", re.IGNORECASE | re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"\\]++|\\.)*+)"', re.DOTALL)

# RFC 3261 §19.1.1, table 1: not allowed in To and From.
_NOT_IN_TO_AND_FROM = frozenset({"transport", "maddr", "ttl", "lr", "method"})


class UriError(ValueError):
    """Not a SIP URI; the message says which part is wrong and what it should be."""


@dataclass(frozen=True, slots=True)
class SipUri:
    """``sip:user:password@host:port;params?headers``, escapes kept as written.

    `host` is lower-case and without brackets for IPv6; `params` keep their order, None means a bare flag.
    """

    scheme: str  # "sip" or "sips"
    host: str
    user: str | None = None
    password: str | None = None
    port: int | None = None
    params: tuple[tuple[str, str | None], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()  # still percent-encoded

    @classmethod
    def parse(cls, text: str) -> "SipUri":
        """Raises UriError. Accepts what RFC 3261 §25.1 allows, and ``_`` in host names as the field does."""
        match = _SCHEME.match(text)
        if match is None:
            raise UriError("a SIP URI begins with sip: or sips:")
        rest, question, header_text = match[2].partition("?") if "@" not in match[2] else _split_headers(match[2])
        userinfo, at, hostpart = rest.rpartition("@")
        user, password = _parse_userinfo(userinfo) if at else (None, None)
        hostport, *param_texts = hostpart.split(";")
        host, port = _parse_hostport(hostport)
        params = tuple(_parse_param(param) for param in param_texts)
        headers = _parse_headers(header_text) if question else ()
        return cls(match[1].lower(), host, user, password, port, params, headers)

    def param(self, name: str) -> str | None:
        """The value of URI parameter `name`, ``""`` for a bare flag, None when it is absent."""
        for key, value in self.params:
            if key.lower() == name:
                return value or ""
        return None

    @property
    def transport(self) -> str:
        """``udp``, ``tcp`` or ``tls``: as written, else by scheme; over TCP, ``sips`` is TLS (RFC 3261 §26.2.2)."""
        written = (self.param("transport") or "").lower()
        if self.scheme == "sips" and written in ("", "tcp"):
            return "tls"
        return written or "udp"

    @property
    def hostport(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    def __str__(self) -> str:
        params = "".join(f";{key}" if value is None else f";{key}={value}" for key, value in self.params)
        headers = "&".join(f"{key}={value}" for key, value in self.headers)
        return f"{self.scheme}:{self._userinfo()}{self.hostport}{params}" + (f"?{headers}" if headers else "")

    def as_request_uri(self) -> "SipUri":
        """Without headers and ``method`` (RFC 3261 §19.1.1, table 1); other parameters stay."""
        return replace(self, headers=(), params=tuple(p for p in self.params if p[0].lower() != "method"))

    def as_address(self) -> "SipUri":
        """For To and From: without transport, maddr, ttl, lr, method and headers."""
        kept = tuple(p for p in self.params if p[0].lower() not in _NOT_IN_TO_AND_FROM)
        return replace(self, headers=(), params=kept)

    def bare(self) -> str:
        """``sip:user@host:port`` as records and callbacks show it: no password, parameters or headers."""
        return str(replace(self, password=None, params=(), headers=()))

    def decoded_headers(self) -> tuple[tuple[str, str], ...]:
        """URI headers with names and values percent-decoded, in order, repeated ones kept."""
        return tuple((unquote(name), unquote(value)) for name, value in self.headers)

    def _userinfo(self) -> str:
        if self.user is None:
            return ""
        return f"{self.user}@" if self.password is None else f"{self.user}:{self.password}@"


@dataclass(frozen=True, slots=True)
class NameAddr:
    """``"Display" <sip:…>``: a caller id, or the address part of From, To, Contact and Route."""

    uri: SipUri
    display: str | None = None  # unquoted

    @classmethod
    def parse(cls, text: str) -> "NameAddr":
        """A name-addr or a bare URI (RFC 3261 §25.1), header parameters after ``>`` ignored; raises UriError."""
        text = text.strip()
        quoted = _QUOTED.match(text)
        before, bracket, rest = (text[quoted.end() :] if quoted else text).partition("<")
        uri, closed, _ = rest.partition(">")
        if not bracket or not closed or "<" in uri or '"' in before or (quoted and before.strip()):
            return cls(SipUri.parse(text))
        display = re.sub(r"\\(.)", r"\1", quoted[1], flags=re.DOTALL) if quoted else (before.strip() or None)
        return cls(SipUri.parse(uri.strip()), display)

    def __str__(self) -> str:
        if self.display is None:
            return f"<{self.uri}>"
        escaped = self.display.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}" <{self.uri}>'


ANONYMOUS = NameAddr(SipUri("sip", "anonymous.invalid", "anonymous"), "Anonymous")  # RFC 3323 §4.1.1.3


def _split_headers(text: str) -> tuple[str, str, str]:
    """``?`` may stand in the user part, so the headers begin at the first one after the last ``@`` before it."""
    userinfo, _, hostpart = text.partition("@")
    rest, question, headers = hostpart.partition("?")
    return f"{userinfo}@{rest}", question, headers


def _parse_userinfo(text: str) -> tuple[str, str | None]:
    user, colon, password = text.partition(":")
    if not _USER.match(user):
        raise UriError("the user part has a character that must be percent-encoded, or is empty")
    if not _PASSWORD.match(password):
        raise UriError("the password part has a character that must be percent-encoded")
    return user, password if colon else None


def _parse_hostport(text: str) -> tuple[str, int | None]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise UriError("an IPv6 host is written in brackets: [2001:db8::1]")
        try:
            host = str(ipaddress.IPv6Address(host))
        except ValueError as error:
            raise UriError(f"{host} is not an IPv6 address") from error
        return host, _parse_port(rest[1:]) if rest else None
    host, colon, port = text.partition(":")
    if not _NAME.match(host):
        raise UriError(f"'{host}' is not a host name or an IP address" if host else "the host is missing")
    if re.fullmatch(r"[0-9.]+", host) and not _is_ipv4(host):
        raise UriError(f"{host} is not an IPv4 address")
    return host.lower(), _parse_port(port) if colon else None


def _is_ipv4(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def _parse_port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise UriError(f"port '{text}' is not between 1 and 65535")
    return int(text)


def _parse_param(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    if not _PARAM.match(name) or (equals and not _PARAM.match(value)):
        raise UriError(f"the parameter ';{text}' is not name=value")
    return name, value if equals else None


def _parse_headers(text: str) -> tuple[tuple[str, str], ...]:
    headers = []
    for part in text.split("&"):
        name, equals, value = part.partition("=")
        if not equals or not name or not _HEADER.match(name) or not _HEADER.match(value):
            raise UriError(f"the header '{part}' after the ? is not name=value, percent-encoded")
        headers.append((name, value))
    return tuple(headers)
