"""SDP as calls need it (RFC 8866, RFC 3264): reads what a peer says into a value, writes what we say; knows no call."""

import re
import secrets
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from app.sip.crypto import SUITE, Crypto, Srtp, attribute, parse
from app.sip.multipart import find_sdp

EVENTS = "telephone-event"
DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")

PTIME = 20  # ms

# What we say when the peer says it (RFC 3264 §6.1).
MIRRORED = {"sendrecv": "sendrecv", "sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}

_STATIC = {0: "PCMU", 8: "PCMA"}  # RFC 3551 §6: their rtpmap may be missing
_OURS = {"PCMU": "PCMU", "PCMA": "PCMA", "TELEPHONE-EVENT": EVENTS}
_PROFILES = ("RTP/AVP", "RTP/AVPF")
_SECURE_PROFILES = ("RTP/SAVP", "RTP/SAVPF")
_NOT_RECEIVING = {"sendrecv": "sendonly", "recvonly": "inactive"}
_MAX_STREAMS = 32
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")
_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?\Z")
_NUMBER = re.compile(r"[0-9]{1,19}\Z")


class UnusableSdp(ValueError):
    """No audio can be had with this description; the message says why."""


@dataclass(frozen=True, slots=True)
class Codec:
    payload: int  # RTP payload number
    name: str  # "PCMU", "PCMA" or "telephone-event"


OFFERED = (Codec(0, "PCMU"), Codec(8, "PCMA"), Codec(101, EVENTS))


@dataclass(frozen=True, slots=True)
class Stream:
    """One m= line as received, enough to accept or refuse it in an answer."""

    media: str
    port: int
    protocol: str
    formats: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Remote:
    """What the peer wants: where to send, in which codecs (its order, only ours), in which direction (its view)."""

    address: str  # IP literal or name, as in c=
    port: int
    codecs: tuple[Codec, ...]  # at least one audio codec
    direction: str  # as the peer sees it; an address of 0.0.0.0 counts as not receiving (RFC 3264 §8.4)
    rtcp: tuple[str, int]  # RFC 3605, else address and port + 1
    rtcp_mux: bool
    ptime: int | None  # ms
    origin: tuple[str, str] | None  # session id, version: the same pair again means nothing has changed
    streams: tuple[Stream, ...]
    chosen: int  # index of the audio stream in `streams`
    crypto: Crypto | None = None  # how the peer encrypts, and wants us to

    @property
    def audio(self) -> Codec:
        """The codec to send: the first audio codec of the peer's list."""
        return next(codec for codec in self.codecs if codec.name != EVENTS)

    @property
    def events(self) -> int | None:
        """Payload number of telephone-event, None when the peer has not got it."""
        return next((codec.payload for codec in self.codecs if codec.name == EVENTS), None)

    @property
    def payloads(self) -> Mapping[int, str]:
        """Payload number → codec name, in the peer's order."""
        return {codec.payload: codec.name for codec in self.codecs}

    @property
    def held(self) -> bool:
        """Whether the peer will not listen: nothing may be sent to it."""
        return self.direction in ("sendonly", "inactive")


@dataclass(slots=True)
class _Section:
    """The session part, or one m= line with what follows it."""

    stream: Stream | None = None
    address: str | None = None
    direction: str | None = None
    flags: set[str] = field(default_factory=set)
    values: dict[str, str] = field(default_factory=dict)  # the first of each attribute
    rtpmap: dict[str, str] = field(default_factory=dict)
    crypto: list[str] = field(default_factory=list)


class LocalMedia:
    """One per dialog. `address` and `port` are where we receive; they may be changed between descriptions."""

    def __init__(self, address: str, port: int) -> None:
        self.address = address  # IP literal without brackets
        self.port = port
        self.key: bytes | None = None  # that we encrypt with; None: nothing is encrypted
        self.insists = False  # on encryption: offers say RTP/SAVP
        self._session_id = secrets.randbelow(2**62)  # numeric, and fits into signed 64 bits
        self._version = 0
        self._last: list[str] | None = None

    def offer(self, direction: str = "sendrecv") -> bytes:
        """Everything we have: PCMU, PCMA, telephone-event; also what answers a re-INVITE without SDP."""
        protocol = "RTP/SAVP" if self.key is not None and self.insists else "RTP/AVP"
        return self._described([self._media(protocol, OFFERED), *self._attributes(OFFERED, direction, 1)])

    def answer(self, remote: Remote, *, prefer: str | None = None) -> bytes:
        """The answer to an offer: one m= line for each of its own, all refused but the chosen one, direction mirrored.

        `prefer` names the audio codec in use: it comes first if still offered, so that audio need not change.
        """
        codecs = tuple(sorted(remote.codecs, key=lambda codec: (codec.name == EVENTS, codec.name != prefer)))
        lines: list[str] = []
        for index, stream in enumerate(remote.streams):
            if index == remote.chosen:
                lines.append(self._media(stream.protocol, codecs))
                tag = remote.crypto.tag if remote.crypto is not None else None
                lines += self._attributes(codecs, MIRRORED[remote.direction], tag)
            else:
                lines.append(f"m={stream.media} 0 {stream.protocol} {' '.join(stream.formats)}")
        return self._described(lines)

    def _described(self, media: list[str]) -> bytes:
        """Session lines before `media`; the version counts up whenever anything else has changed (RFC 3264 §8)."""
        family = f"IN IP{6 if ':' in self.address else 4} {self.address}"
        after = ["s=-", f"c={family}", "t=0 0", *media]
        if after != self._last:
            self._version += 1
            self._last = after
        lines = ["v=0", f"o=- {self._session_id} {self._version} {family}", *after, ""]
        return "\r\n".join(lines).encode()

    def _media(self, protocol: str, codecs: tuple[Codec, ...]) -> str:
        return f"m=audio {self.port} {protocol} {' '.join(str(codec.payload) for codec in codecs)}"

    def _attributes(self, codecs: tuple[Codec, ...], direction: str, tag: int | None) -> list[str]:
        lines = [f"a=rtpmap:{codec.payload} {codec.name}/8000" for codec in codecs]
        lines += [f"a=fmtp:{codec.payload} 0-16" for codec in codecs if codec.name == EVENTS]
        if self.key is not None and tag is not None:
            lines.append(attribute(Crypto(tag, self.key)))
        return [*lines, f"a=ptime:{PTIME}", f"a={direction}"]


def read(content: bytes, content_type: str | None, srtp: Srtp = Srtp.OFF) -> Remote:
    """The peer's offer or answer out of a message's `content`, as `srtp` allows; raises UnusableSdp with a reason.

    The first audio stream that we can use is chosen; lines that mean nothing to us may be as odd as they like.
    """
    text = find_sdp(content, content_type) if content else None
    if text is None:
        raise UnusableSdp("there is no SDP")
    session, media, origin = _sections(_CONTROL.sub("", text.decode("utf-8", "replace")))
    if not media:
        raise UnusableSdp("the SDP has no m= line")
    if len(media) > _MAX_STREAMS:
        raise UnusableSdp(f"the SDP has more than {_MAX_STREAMS} m= lines")
    refusals: list[str] = []  # an exception's traceback would have this frame, which would have the exception
    for index, section in enumerate(media):
        try:
            return replace(_remote(session, media, index, origin, srtp=srtp), crypto=_crypto(section, srtp))
        except UnusableSdp as reason:
            if section.stream is not None and section.stream.media == "audio":
                refusals.append(str(reason))
    raise UnusableSdp(refusals[0] if refusals else "the SDP has no audio")


def _sections(text: str) -> tuple[_Section, list[_Section], tuple[str, str] | None]:
    session = current = _Section()
    media: list[_Section] = []
    origin = None
    for kind, value in _lines(text):
        if kind == "m":
            current = _Section(_stream(value))
            media.append(current)
        elif kind == "c":
            current.address = current.address or _connection(value)
        elif kind == "a":
            _attribute(current, value)
        elif kind == "o" and origin is None:
            words = value.split()
            origin = (words[1], words[2]) if len(words) >= 3 else None
    return session, media, origin


def _lines(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split("\n"):
        kind, equals, value = line.partition("=")
        if equals and len(kind.strip()) == 1:
            yield kind.strip(), value.strip()


def _stream(value: str) -> Stream:
    words = value.split()
    port = words[1].partition("/")[0] if len(words) > 1 else ""
    number = int(port) if _NUMBER.match(port) else 0
    if len(words) < 4 or number > 65535:
        return Stream(words[0].lower() if words else "audio", 0, words[2] if len(words) > 2 else "RTP/AVP", ("0",))
    return Stream(words[0].lower(), number, words[2], tuple(words[3:]))


def _connection(value: str) -> str | None:
    """``IN IP4 224.2.1.1/127`` → ``224.2.1.1``; None when it cannot be read."""
    words = value.split()
    address = words[2].partition("/")[0] if len(words) > 2 else ""
    return address if _is_address(address) or _NAME.match(address) else None


def _attribute(section: _Section, value: str) -> None:
    name, colon, rest = value.partition(":")
    name = name.strip().lower()
    if name == "rtpmap":
        payload, _, encoding = rest.strip().partition(" ")
        section.rtpmap.setdefault(payload, encoding.strip())
    elif name in DIRECTIONS:
        section.direction = name
    elif name == "crypto":
        section.crypto.append(rest)
    elif colon:
        section.values.setdefault(name, rest.strip())
    else:
        section.flags.add(name)


def _crypto(section: _Section, srtp: Srtp) -> Crypto | None:
    """The first that we can do (RFC 4568 §5.1.2); raises UnusableSdp when there must be one."""
    found = None if srtp is Srtp.OFF else next(filter(None, map(parse, section.crypto)), None)
    is_secure = section.stream is not None and section.stream.protocol.upper() in _SECURE_PROFILES
    if found is None and (is_secure or srtp is Srtp.REQUIRED):
        raise UnusableSdp(f"the audio stream has no SRTP key for {SUITE}")
    return found


def _remote(
    session: _Section, media: list[_Section], index: int, origin: tuple[str, str] | None, *, srtp: Srtp
) -> Remote:
    section = media[index]
    stream = section.stream
    if stream is None or stream.media != "audio":
        raise UnusableSdp("not audio")
    if stream.port == 0:
        raise UnusableSdp("the audio stream is refused (port 0)")
    if stream.protocol.upper() not in (_PROFILES if srtp is Srtp.OFF else _PROFILES + _SECURE_PROFILES):
        raise UnusableSdp(f"the audio stream wants {stream.protocol[:40]}, not RTP/AVP")
    address = section.address or session.address
    if address is None:
        raise UnusableSdp("there is no usable c= line")
    codecs = tuple(_codecs(stream, section.rtpmap))
    if all(codec.name == EVENTS for codec in codecs):
        raise UnusableSdp("neither PCMU nor PCMA is among the codecs")
    direction = section.direction or session.direction or "sendrecv"
    if _is_unspecified(address):
        direction = _NOT_RECEIVING.get(direction, direction)
    ptime = section.values.get("ptime", "")
    return Remote(
        address=address,
        port=stream.port,
        codecs=codecs,
        direction=direction,
        rtcp=_rtcp(section.values.get("rtcp", ""), address, stream.port),
        rtcp_mux="rtcp-mux" in section.flags,
        ptime=int(ptime) if _NUMBER.match(ptime) and 0 < int(ptime) <= 1000 else None,
        origin=origin,
        streams=tuple(each.stream for each in media if each.stream is not None),
        chosen=index,
    )


def _codecs(stream: Stream, rtpmap: dict[str, str]) -> Iterator[Codec]:
    seen: set[int] = set()  # 0 and 000 are one payload type
    for number in stream.formats:
        if not _NUMBER.match(number) or int(number) > 127 or int(number) in seen:
            continue
        seen.add(int(number))
        if number in rtpmap:
            name, _, rest = rtpmap[number].partition("/")
            clock, _, channels = rest.partition("/")
            known = _OURS.get(name.strip().upper())
            if known and clock.strip() in ("8000", "") and channels.strip() in ("1", ""):
                yield Codec(int(number), known)
        elif int(number) in _STATIC:
            yield Codec(int(number), _STATIC[int(number)])


def _rtcp(value: str, address: str, port: int) -> tuple[str, int]:
    """``a=rtcp:port [IN IP4 address]`` (RFC 3605)."""
    words = value.split()
    if not words or not _NUMBER.match(words[0]) or not 0 < int(words[0]) <= 65535:
        return address, min(port + 1, 65535)
    return _connection(" ".join(words[1:])) or address, int(words[0])


def _is_address(text: str) -> bool:
    return bool(_packed(text))


def _is_unspecified(text: str) -> bool:
    packed = _packed(text)
    return bool(packed) and not any(packed)


def _packed(text: str) -> bytes:
    """The octets of an IP literal, nothing for anything else; a tenth of the time of the ipaddress module."""
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except (OSError, ValueError):
        return b""
