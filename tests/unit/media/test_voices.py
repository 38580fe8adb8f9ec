"""Names of voices and languages, as documents have them."""

import espeakng_loader
import pytest

from app.media.espeak import Espeak
from app.media.voices import _POLLY, Gender, choose

KNOWN = Espeak(espeakng_loader.get_library_path(), espeakng_loader.get_data_path()).languages()
MAN, WOMAN = Gender.MAN, Gender.WOMAN


def test_the_synthesizer_has_more_than_a_hundred_languages() -> None:
    assert len(KNOWN) > 100 and {"en-us", "en-gb", "de", "fr-fr", "es-419", "cmn", "yue", "pt-br"} <= KNOWN


@pytest.mark.parametrize(
    ("voice", "language", "expected"),
    [
        (None, None, ("en-us", MAN)),
        ("man", None, ("en-us", MAN)),
        ("woman", None, ("en-us", WOMAN)),
        ("alice", "de-DE", ("de", WOMAN)),
        ("Polly.Hans", None, ("de", MAN)),
        ("Polly.Joanna-Neural", None, ("en-us", WOMAN)),
        ("polly.brian", None, ("en-gb", MAN)),
        ("Polly.Camila", "", ("pt-br", WOMAN)),
        ("Polly.Nobody", None, ("en-us", WOMAN)),
        ("Google.fr-FR-Wavenet-B", None, ("fr-fr", WOMAN)),
        ("Polly.Hans", "en-GB", ("en-gb", MAN)),
        ("whoever", "it", ("it", MAN)),
    ],
)
def test_a_voice_comes_down_to_a_language_and_a_gender(
    voice: str | None, language: str | None, expected: tuple[str, Gender]
) -> None:
    chosen = choose(voice, language, KNOWN)
    assert (chosen.language, chosen.gender) == expected


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en", "en-us"), ("en-GB", "en-gb"), ("en-AU", "en-gb"), ("en-CA", "en-us"), ("de-AT", "de"), ("fr", "fr-fr"),
        ("fr-CA", "fr-fr"), ("fr-CH", "fr-ch"), ("es", "es"), ("es-ES", "es"), ("es-MX", "es-419"), ("pt-BR", "pt-br"),
        ("pt-PT", "pt"), ("zh", "cmn"), ("zh-CN", "cmn"), ("zh-TW", "cmn"), ("zh-Hans-CN", "cmn"), ("zh-HK", "yue"),
        ("no", "nb"), ("nb-NO", "nb"), ("sr-Latn-RS", "sr"), ("he-IL", "he"), ("iw", "he"), ("PT_br", "pt-br"),
        ("chr", "chr-us-qaaa-x-west"), ("xx-YY", "en-us"), ("tlh", "en-us"), ("-", "en-us"), ("e", "en-us"),
    ],
)  # fmt: skip
def test_a_language_without_a_voice_gets_the_nearest_and_english_at_last(language: str, expected: str) -> None:
    assert choose(None, language, KNOWN).language == expected


def test_every_voice_by_name_speaks_a_language_that_is_there() -> None:
    for name, (language, gender) in _POLLY.items():
        chosen = choose(f"Polly.{name}", None, KNOWN)
        assert chosen.gender is gender
        assert chosen.language.split("-")[0] == language.split("-")[0], name
