"""The rules for URLs that the service will request: absolute http(s), nothing ambiguous, no refused literal address."""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import quote, urljoin

from app.calls.address import AddressPolicy, ip_literal
from app.rcml import values
from app.rcml.codes import Code
from app.rcml.report import Given, Report

MAX_URL = 4_000  # characters
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_CHARACTERS = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*+\Z")
_ABSOLUTE = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*)://(?:(?P<userinfo>[^@/?#]*)@)?"
    r"(?P<host>\[[^\]/?#@]*\]|[^:/?#@\[\]]*)(?::(?P<port>[^/?#@]*))?(?P<rest>[/?].*)?\Z"
)
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\Z")
_NUMBER = re.compile(r"(?:[0-9]+|0[xX][0-9A-Fa-f]*)\Z")


class _Wrong(ValueError):
    """What is wrong with a URL, and how to put it right."""


@dataclass(frozen=True, slots=True)
class UrlRule:
    """Knows what relative URLs are resolved against, and which addresses are refused."""

    policy: AddressPolicy | None  # None: no address is refused
    base: str | None = None
    hint: str = ""  # what else helps against a relative URL

    def absolute(self, given: Given, report: Report) -> str | None:
        """The absolute URL, ASCII only, its user information kept; or None after a report."""
        value = values.text(given, report, limit=MAX_URL)
        if value is None:
            return None
        try:
            url, host = self._resolve(value)
        except _Relative:
            detail = f"{given.name} is relative; write it absolute{self.hint}"
            report.add(Code.URL_RELATIVE, detail, given.place)
            return None
        except _Wrong as wrong:
            report.add(Code.URL_INVALID, f"{given.name}: {wrong}", given.place)
            return None
        address = ip_literal(host)
        if address is not None and self.policy is not None and not self.policy.permits(address):
            report.add(Code.ADDRESS_DENIED, f"{given.name}: {self.policy.refusal(address)}", given.place)
            return None
        return url

    def _resolve(self, value: str) -> tuple[str, str]:
        if not value:
            raise _Wrong("the URL is empty; write it, or leave it out")
        ascii_only = _ascii_path(value)
        if re.match(r"[A-Za-z][A-Za-z0-9+.\-]*:", ascii_only):
            return _checked(ascii_only)
        if self.base is None:
            raise _Relative
        return _checked(urljoin(self.base, ascii_only))


class _Relative(_Wrong):
    pass


def is_numeric_host(host: str) -> bool:
    """Whether a resolver may take `host` for an IPv4 address although it is not written as one: 127.1, 0x7f000001."""
    return _NUMBER.match(host.rstrip(".").rpartition(".")[2]) is not None and not _is_dotted(host)


def _checked(url: str) -> tuple[str, str]:
    """The URL with its host in lower-case ASCII, and the host; raises _Wrong."""
    if "#" in url:
        raise _Wrong("a fragment (#…) is never sent; remove it")
    match = _ABSOLUTE.match(url)
    if match is None or match["scheme"].lower() not in ("http", "https"):
        raise _Wrong("it must begin with http:// or https:// and a host")
    host = _host(match["host"])
    port = _port(match["port"])
    authority = ("" if match["userinfo"] is None else match["userinfo"] + "@") + host + port
    whole = f"{match['scheme'].lower()}://{authority}{match['rest'] or ''}"
    if not _CHARACTERS.match(whole):
        raise _Wrong("it has a character that must be percent-encoded, or a % without two hex digits")
    return whole, host


def _host(text: str) -> str:
    if text.startswith("["):
        try:
            return f"[{ipaddress.IPv6Address(text[1:-1] if '%' not in text else '')}]"
        except ValueError as error:
            raise _Wrong("the host in brackets is not an IPv6 address") from error
    try:
        host = text if text.isascii() else text.encode("idna").decode()
    except UnicodeError as error:
        raise _Wrong("the host is not a name that IDNA can write") from error
    labels = host.removesuffix(".").split(".")
    if len(host) > 253 or not all(_LABEL.match(label) for label in labels):
        raise _Wrong("the host is missing, or is not a name or an address")
    if is_numeric_host(host):
        raise _Wrong("the host is a number; write an IPv4 address as four decimal numbers")
    return host.lower()


def _is_dotted(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def _port(text: str | None) -> str:
    if text is None:
        return ""
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65535:
        raise _Wrong("the port is not a number from 1 to 65535")
    return f":{int(text)}"


def _ascii_path(url: str) -> str:
    """Percent-encodes what is not ASCII behind the authority (RFC 3987 §3.1); the host is IDNA's business."""
    match = re.match(r"(?:[A-Za-z][A-Za-z0-9+.\-]*:)?//[^/?#]*", url)
    start = match.end() if match else 0
    return url[:start] + _NOT_ASCII.sub(lambda found: quote(found[0]), url[start:])
