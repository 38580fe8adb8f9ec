"""eSpeak NG's library by ctypes: text in one of its voices to linear audio. For the speech process alone.

Only what is used of speak_lib.h (version 1.52) is here.
"""

import ctypes
from typing import Any, Final

_SYNCHRONOUS: Final = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples come to the callback before espeak_Synth returns
_UTF8: Final = 1  # espeakCHARS_UTF8, and nothing else: no SSML, no phoneme names in [[ ]]
_OK: Final = 0


class _Voice(ctypes.Structure):
    """espeak_VOICE."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    ]


_Callback: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class Espeak:
    """One per process: the library keeps its state in globals."""

    def __init__(self, library: str, data: str) -> None:
        """Raises OSError."""
        self._library = ctypes.CDLL(library)
        self.rate: int = self._library.espeak_Initialize(_SYNCHRONOUS, 0, data.encode(), 0)
        if self.rate <= 0:
            raise OSError(f"eSpeak NG finds no voices in {data}")
        self._samples: list[bytes] = []
        self._callback = _Callback(self._take)  # kept: the library has only its address
        self._library.espeak_SetSynthCallback(self._callback)

    def languages(self) -> frozenset[str]:
        """Tags of the voices, in lower case."""
        self._library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        voices, found, at = self._library.espeak_ListVoices(None), set(), 0
        while voices[at]:
            # Each tag has a byte with its priority before it; the first is the voice's own.
            found.add(voices[at].contents.languages[1:].decode().lower())
            at += 1
        return frozenset(found)

    def say(self, text: str, language: str, gender: int) -> bytes:
        """16-bit mono samples at `rate`; empty when there is nothing to say. Raises ValueError."""
        voice = _Voice(languages=language.encode(), gender=gender)
        if self._library.espeak_SetVoiceByProperties(ctypes.byref(voice)) != _OK:
            raise ValueError(f"no voice speaks {language}")
        data = text.replace("\0", " ").encode("utf-8", "replace") + b"\0"
        self._samples.clear()
        if self._library.espeak_Synth(data, len(data), 0, 0, 0, _UTF8, None, None) != _OK:
            raise ValueError("the synthesizer refuses the text")
        return b"".join(self._samples)

    def _take(self, samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            self._samples.append(ctypes.string_at(samples, 2 * count))
        return 0
