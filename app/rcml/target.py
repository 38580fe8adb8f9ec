"""The rules for SIP URIs that are dialled and for caller ids. Resolves nothing."""

import re
from urllib.parse import quote, unquote, unquote_to_bytes

from app.calls.address import AddressPolicy, ip_literal
from app.calls.uri import NameAddr, SipUri, UriError
from app.rcml import values
from app.rcml.codes import Code
from app.rcml.report import Given, Report, printable, shown
from app.rcml.url import is_numeric_host

MAX_URI = 254  # characters without the headers: "less than 255"
MAX_HEADERS = 1_023
MAX_DISPLAY = 255

_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+\Z")
_USER = re.compile(r"(?:[A-Za-z0-9\-_.!~*'()&=+$,;?/]|%[0-9A-Fa-f]{2})+\Z")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
_USER_SAFE = "-_.!~*'()&=+$,;?/"

# Headers that the service writes itself, or that would change what the dialog is (contract, section 3).
_FORBIDDEN = frozenset(
    [
        "via",
        "from",
        "to",
        "call-id",
        "cseq",
        "contact",
        "max-forwards",
        "route",
        "record-route",
        "authorization",
        "www-authenticate",
        "require",
        "supported",
        "allow",
        "allow-events",
        "expires",
        "session-expires",
        "min-se",
        "replaces",
        "join",
        "refer-to",
        "referred-by",
        "event",
        "rack",
        "rseq",
        "date",
        "timestamp",
        "mime-version",
        "user-agent",
        "server",
        "warning",
        "reason",
        "identity",
        "body",
        "method",
        "x-callsid",
        "x-accountsid",
    ]
)
_FORBIDDEN_PREFIXES = ("content-", "proxy-", "accept")
# RFC 3261 §20 and the IANA registry of compact forms, as far as the long form is forbidden.
_COMPACT = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "o": "event",
    "r": "refer-to",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}
_NOT_IN_CALLER_ID = frozenset({"transport", "maddr", "ttl", "lr", "method"})


def target(given: Given, report: Report, policy: AddressPolicy) -> SipUri | None:
    """The SIP URI to dial, headers included; None after a report."""
    text = values.text(given, report)
    if text is None:
        return None
    if len(text) > MAX_URI + 1 + MAX_HEADERS:  # before it is parsed
        detail = f"{given.name} has {len(text)} characters; a URI has fewer than 255, its headers fewer than 1024"
        report.add(Code.TOO_LONG, detail, given.place)
        return None
    if not text:
        report.add(Code.URI_MISSING, f"{given.name} is empty; write a SIP URI", given.place)
        return None
    try:
        uri = SipUri.parse(text)
    except UriError as error:
        report.add(Code.URI_INVALID, f"{given.name}: {printable(str(error))[:200]}", given.place)
        return None
    problems = [
        *_lengths(text, uri),
        *_escaped_controls(uri),
        *_host(uri, policy),
        *_parameters(uri),
        *_headers(uri),
    ]
    for code, detail in problems:
        report.add(code, f"{given.name}: {detail}", given.place)
    return None if problems else uri


def _lengths(text: str, uri: SipUri) -> list[tuple[Code, str]]:
    headers = len("&".join(f"{name}={value}" for name, value in uri.headers))
    rest = len(text) - (headers + 1 if uri.headers else 0)
    problems = []
    if rest > MAX_URI:
        problems.append((Code.TOO_LONG, f"the URI has {rest} characters without its headers; fewer than 255 may be"))
    if headers > MAX_HEADERS:
        problems.append((Code.TOO_LONG, f"the headers of the URI have {headers} characters; fewer than 1024 may be"))
    return problems


def _escaped_controls(uri: SipUri) -> list[tuple[Code, str]]:
    """Controls in user, password and parameters; the headers are looked at one by one."""
    parts = [uri.user or "", uri.password or "", *(part or "" for param in uri.params for part in param)]
    for part in parts:
        if (found := values.forbidden_in(unquote(part))) is not None:
            return [(Code.CHARACTER_INVALID, f"it has the character {found}, percent-encoded; remove it")]
    return []


def _host(uri: SipUri, policy: AddressPolicy) -> list[tuple[Code, str]]:
    if "%" in uri.host:
        return [(Code.URI_INVALID, "an IPv6 host has no zone (%…); write the address alone")]
    if ":" not in uri.host and is_numeric_host(uri.host):
        return [(Code.URI_INVALID, "the host is a number; write an IPv4 address as four decimal numbers")]
    address = ip_literal(uri.host)
    if address is not None and not policy.permits(address):
        return [(Code.ADDRESS_DENIED, policy.refusal(address))]
    return []


def _parameters(uri: SipUri) -> list[tuple[Code, str]]:
    names = [name.lower() for name, _ in uri.params]
    problems = [
        (Code.URI_INVALID, f"the parameter {shown(name)} is there more than once")
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    if "maddr" in names:
        problems.append((Code.NOT_SUPPORTED, "maddr is not supported; write the address to dial as the host"))
    method = uri.param("method")
    if method is not None and method.upper() != "INVITE":
        problems.append((Code.NOT_SUPPORTED, "only the method INVITE is sent; remove the parameter method"))
    return problems + _transport(uri)


def _transport(uri: SipUri) -> list[tuple[Code, str]]:
    transport = uri.param("transport")
    if transport == "":
        return [(Code.URI_INVALID, "the parameter transport has no value; use udp, tcp or tls")]
    if uri.transport not in ("udp", "tcp", "tls"):
        return [(Code.NOT_SUPPORTED, f"the transport {shown(uri.transport)} is not supported; use udp, tcp or tls")]
    if uri.scheme == "sips" and uri.transport != "tls":
        return [(Code.URI_INVALID, f"sips: needs TLS; remove transport={shown(uri.transport)}")]
    return []


def _headers(uri: SipUri) -> list[tuple[Code, str]]:
    problems = []
    for raw_name, raw_value in uri.headers:
        name, value = _decoded(raw_name), _decoded(raw_value)
        if name is None or value is None:
            problems.append((Code.HEADER_INVALID, f"the header {shown(raw_name)} is not percent-encoded UTF-8"))
        elif (found := values.forbidden_in(name + value)) is not None:
            detail = f"the header {shown(name)} has the character {found}; remove it"
            problems.append((Code.CHARACTER_INVALID, detail))
        elif not _TOKEN.match(name):
            problems.append((Code.HEADER_INVALID, f"'{shown(name)}' is not the name of a header"))
        elif _is_forbidden(name.lower()):
            detail = f"the header {shown(name)} may not be set; the service writes or forbids it"
            problems.append((Code.HEADER_FORBIDDEN, detail))
    return problems


def _is_forbidden(name: str) -> bool:
    return name in _FORBIDDEN or name in _COMPACT or name.startswith(_FORBIDDEN_PREFIXES)


def _decoded(raw: str) -> str | None:
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        return None


def caller_id(given: Given, report: Report) -> NameAddr | str | None:
    """A bare user (escaped), or a name-addr; None after a report."""
    text = values.text(given, report, limit=MAX_URI + MAX_DISPLAY)
    if text is None:
        return None
    try:
        if text != text.strip():
            raise UriError("it begins or ends with a space; remove it")
        if "<" in text or '"' in text or _SCHEME.match(text):
            return _name_addr(text)
        return _bare_user(text)
    except UriError as error:
        report.add(Code.CALLER_ID_INVALID, f"{given.name}: {printable(str(error))[:200]}", given.place)
    return None


def _name_addr(text: str) -> NameAddr:
    if "<" in text and not text.endswith(">"):
        raise UriError('nothing may follow the >; write "Bob" <sip:bob@example.com>')
    address = NameAddr.parse(text)
    uri = address.uri
    if len(str(uri)) > MAX_URI or len(address.display or "") > MAX_DISPLAY:
        raise UriError("it is too long; a URI has fewer than 255 characters, a name at most 255")
    if uri.headers or uri.password is not None:
        raise UriError("the URI of a caller id has neither headers (?…) nor a password")
    for name, value in uri.params:
        if name.lower() in _NOT_IN_CALLER_ID:
            raise UriError(f"the URI of a caller id has no {name.lower()}; remove the parameter")
        _refuse_controls(unquote(name) + unquote(value or ""))
    _refuse_controls(unquote(uri.user or ""))
    if "%" in uri.host or (":" not in uri.host and is_numeric_host(uri.host)):
        raise UriError("the host is neither a name nor an address")
    return address


def _bare_user(text: str) -> str:
    """Escaped where RFC 3261 §25.1 wants it; what is escaped already stays."""
    if not text:
        raise UriError("it is empty; write it, or leave it out")
    if " " in text:
        raise UriError('a user part has no spaces; a name is written "Bob" <sip:bob@example.com>')
    if "@" in text or ":" in text or ">" in text:
        raise UriError(f"{shown(text)} has a host or more; write it whole: sip:bob@example.com")
    user = text if _USER.match(text) else quote(text, safe=_USER_SAFE)
    if len(user) > MAX_URI:
        raise UriError("it is too long; fewer than 255 characters are allowed, escapes counted")
    _refuse_controls(unquote(user))
    return user


def _refuse_controls(text: str) -> None:
    if (found := values.forbidden_in(text)) is not None:
        raise UriError(f"it has the character {found}, percent-encoded; remove it")
