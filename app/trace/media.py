"""One line for an SDP: where audio goes and in which codecs. Shows what is there; judges nothing."""

import re

_STATIC = {"0": "PCMU", "3": "GSM", "8": "PCMA", "9": "G722", "18": "G729"}
_SHORT = {"telephone-event": "DTMF"}
_MOST = 5  # codecs named


def summary(body: str) -> str:
    """``192.0.2.1:20000 PCMU, PCMA, DTMF``, with the direction unless it is sendrecv; empty when there is no audio."""
    audio = re.search(r"^m=audio[ \t]+([0-9]{1,5})\S*[ \t]+(\S{1,20})[ \t]*([0-9 ]*)", body, re.MULTILINE)
    if audio is None:
        return ""
    section = body[audio.start() :]
    section = section[: _next_media(section)]
    address = _line("c", section) or _line("c", body)
    host = address.split()[-1] if address else "?"
    named = dict(re.findall(r"^a=rtpmap:([0-9]{1,3})[ \t]+([^/\s]{1,30})", section, re.MULTILINE))
    codecs = [named.get(number, _STATIC.get(number, number)) for number in audio[3].split()]
    shown = ", ".join(_SHORT.get(codec.lower(), codec) for codec in codecs[:_MOST])
    more = "…" if len(codecs) > _MOST else ""
    secure = " SRTP" if "SAVP" in audio[2] else ""
    where = f"[{host}]:{audio[1]}" if ":" in host else f"{host}:{audio[1]}"
    return f"{where} {shown}{more}{secure}{_direction(section, body)}"


def _next_media(section: str) -> int:
    found = section.find("\nm=", 1)
    return found if found >= 0 else len(section)


def _line(letter: str, text: str) -> str:
    match = re.search(rf"^{letter}=(.{{1,200}})$", text, re.MULTILINE)
    return match[1].strip() if match else ""


def _direction(section: str, body: str) -> str:
    for part in (section, body.partition("\nm=")[0]):
        if match := re.search(r"^a=(sendonly|recvonly|inactive|sendrecv)\s*$", part, re.MULTILINE):
            return "" if match[1] == "sendrecv" else f" {match[1]}"
    return ""
