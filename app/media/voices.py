"""Which of the synthesizer's voices a document means by `voice` and `language`. Synthesizes nothing.

Names are Twilio's and RestComm's; there is one synthesizer, so a name comes down to a language and man or woman.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

DEFAULT_LANGUAGE: Final = "en-us"


class Gender(IntEnum):
    """The numbers are eSpeak NG's."""

    MAN = 1
    WOMAN = 2


@dataclass(frozen=True, slots=True)
class Choice:
    language: str  # one of those known
    gender: Gender


# Amazon Polly's names by their language; what follows a hyphen (-Neural, -Generative) is a quality that we do not have.
_POLLY_WOMEN: Final = {
    "ar": "Zeina Hala", "ca": "Arlet", "cmn": "Zhiyu", "cs": "Jitka", "cy": "Gwyneth", "da": "Naja Sofie",
    "de": "Marlene Vicki Hannah Sabrina", "en-au": "Nicole Olivia", "en-gb": "Amy Emma Aria Ayanda Niamh",
    "en-in": "Aditi Raveena Kajal", "en-us": "Danielle Ivy Joanna Kendra Kimberly Salli Ruth",
    "es": "Conchita Lucia Alba", "es-419": "Mia Lupe Penelope", "fi": "Suvi", "fr": "Celine Lea Isabelle",
    "fr-ca": "Chantal Gabrielle", "is": "Dora", "it": "Carla Bianca", "ja": "Mizuki Kazuha Tomoko",
    "ko": "Seoyeon Jihye", "nb": "Liv Ida", "nl": "Lotte Laura Lisa", "pl": "Ewa Maja Ola", "pt": "Ines",
    "pt-br": "Camila Vitoria",
    "ro": "Carmen", "ru": "Tatyana", "sv": "Astrid Elin", "tr": "Filiz Burcu", "yue": "Hiujin",
}  # fmt: skip
_POLLY_MEN: Final = {
    "ar": "Zayd", "da": "Mads", "de": "Hans Daniel", "en-au": "Russell", "en-gb": "Brian Arthur Geraint",
    "en-us": "Gregory Joey Justin Kevin Matthew Stephen", "es": "Enrique Sergio Raul", "es-419": "Andres Pedro Miguel",
    "fr": "Mathieu Remi", "fr-ca": "Liam", "is": "Karl", "it": "Giorgio Adriano", "ja": "Takumi", "nl": "Ruben",
    "pl": "Jacek Jan", "pt": "Cristiano", "pt-br": "Ricardo Thiago", "ru": "Maxim",
}  # fmt: skip

# Tags that people write, by the name that eSpeak NG has for the same speech.
_NAMED_ELSE: Final = {
    "zh": "cmn", "zh-cn": "cmn", "zh-tw": "cmn", "zh-sg": "cmn", "zh-hans": "cmn", "zh-hant": "cmn", "zh-hk": "yue",
    "zh-mo": "yue", "zh-yue": "yue", "no": "nb", "nn": "nb", "iw": "he", "in": "id", "mo": "ro",
    "en": "en-us", "en-ca": "en-us", "en-ph": "en-us", "es-es": "es", "fr": "fr-fr", "pt-pt": "pt", "sh": "hr",
}  # fmt: skip
_NEAREST: Final = {"en": "en-gb", "es": "es-419", "fr": "fr-fr"}  # of a language's regions that have no voice


def _named(names: dict[str, str], gender: Gender) -> dict[str, tuple[str, Gender]]:
    return {name.lower(): (language, gender) for language, given in names.items() for name in given.split()}


_POLLY: Final = _named(_POLLY_WOMEN, Gender.WOMAN) | _named(_POLLY_MEN, Gender.MAN)


def choose(voice: str | None, language: str | None, known: Collection[str]) -> Choice:
    """`language` (a BCP 47 tag) decides over the language that a voice's name has; the default is an American man.

    `known` has the synthesizer's languages in lower case.
    """
    own, gender = _by_name((voice or "").strip().lower())
    tag = (language or own or DEFAULT_LANGUAGE).strip().lower().replace("_", "-")
    return Choice(_nearest(tag, known), gender)


def _by_name(voice: str) -> tuple[str | None, Gender]:
    """The language and gender that a voice's name says: man, woman, alice, Polly.Name[-Quality], Google.tag-Quality."""
    vendor, _, name = voice.rpartition(".")
    if vendor == "polly":
        return _POLLY.get(name.partition("-")[0], (None, Gender.WOMAN))
    if vendor == "google":
        return "-".join(name.split("-")[:2]), Gender.WOMAN
    return None, Gender.WOMAN if voice in ("woman", "alice", "female") else Gender.MAN


def _nearest(tag: str, known: Collection[str]) -> str:
    """The tag itself, the same with less and less at its end, its primary language anywhere, else English."""
    parts = tag.split("-")
    for length in range(len(parts), 0, -1):
        shorter = "-".join(parts[:length])
        shorter = _NEAREST.get(shorter, shorter) if length < len(parts) else shorter
        shorter = _NAMED_ELSE.get(shorter, shorter)
        if shorter in known:
            return shorter
    return next((one for one in sorted(known) if one.startswith(parts[0] + "-")), DEFAULT_LANGUAGE)
