"""The verbs beside <Dial>: their attributes, texts and children. Knows no other notation than RCML, and no root."""

import re
from collections.abc import Callable, Collection, Mapping

from app.rcml import fields as rules
from app.rcml import values
from app.rcml.codes import Code
from app.rcml.fields import Check
from app.rcml.plan import ALL_KEYS, Gather, Hangup, Link, Pause, Play, Record, Redirect, Reject, Say, Verb
from app.rcml.report import Fields, Given, printable, shown
from app.rcml.tree import Element

MAX_TEXT = 4_096  # characters of <Say>
_MAX_LOOP = 1_000
_MAX_SECONDS = 600
_MAX_PAUSE = 3_600  # seconds
_MAX_RECORDING = 86_400  # seconds
_MAX_DIGITS = 1_000
_WHITE = re.compile(r"\s+")  # line and paragraph separators included: they are nothing but a break in what is said

# What the reference has and the service does not do.
_NOT_OF_GATHER = frozenset(
    {
        "bargeIn",
        "debug",
        "dtmfDetection",
        "enhanced",
        "hints",
        "language",
        "minConfidence",
        "partialResultCallback",
        "partialResultCallbackMethod",
        "profanityFilter",
        "speechEndThreshold",
        "speechModel",
        "speechTimeout",
        "startInputKey",
    }
)
_NOT_OF_RECORD = frozenset(
    {
        "trim",
        "transcribeCallback",
        "transcribeCallbackMethod",
        "transcribeLanguage",
        "recordingTrack",
        "media",
    }
)
_SSML = frozenset(
    {
        "amazon:domain",
        "amazon:effect",
        "amazon:emotion",
        "break",
        "emphasis",
        "lang",
        "mark",
        "p",
        "phoneme",
        "prosody",
        "s",
        "say-as",
        "speak",
        "sub",
        "voice",
        "w",
    }
)


def no_text(element: Element, check: Check, remedy: str = "remove it") -> None:
    """Reports text in an element that has none."""
    if element.text:
        where = f"<{printable(element.name)}>"
        detail = f"the text '{shown(element.text)}' may not stand in {where}; {remedy}"
        check.report.add(Code.TEXT_NOT_ALLOWED, detail, element.content_place)


def _attributes(element: Element, check: Check, *names: str, refused: Collection[str] = ()) -> Fields:
    found = element.attributes()
    rules.known(found, names, check, Code.UNKNOWN_ATTRIBUTE, refused)
    return found


def _no_children(element: Element, check: Check, holds: str) -> None:
    for child in element.children:
        detail = f"<{shown(child.name)}> may not stand in <{element.name}>, which holds {holds}"
        check.report.add(Code.ELEMENT_NOT_ALLOWED, detail, child.place)


def _empty(element: Element, check: Check) -> None:
    _no_children(element, check, "nothing")
    no_text(element, check)


def _url_text(element: Element, check: Check) -> str | None:
    """The URL that an element holds; None after a report."""
    if not element.text:
        check.report.add(Code.TEXT_MISSING, f"<{element.name}> is empty; write its URL as its text", element.place)
        return None
    return check.url(Given(f"the URL of <{element.name}>", element.text, element.content_place, textual=True))


def _say(element: Element, check: Check) -> Say:
    given = _attributes(element, check, "voice", "language", "loop")
    for child in element.children:
        name = shown(child.name)
        if child.name in _SSML or child.name.startswith("{"):
            detail = f"<{name}> in <Say> is not supported (SSML); write plain text"
            check.report.add(Code.NOT_SUPPORTED, detail, child.place)
        else:
            detail = f"<{name}> may not stand in <Say>, which holds text and nothing else"
            check.report.add(Code.ELEMENT_NOT_ALLOWED, detail, child.place)
    said = Given("the text of <Say>", _WHITE.sub(" ", element.text).strip(), element.content_place, textual=True)
    text = values.text(said, check.report, limit=MAX_TEXT)
    if text == "" and not element.children:
        check.report.add(Code.TEXT_MISSING, "<Say> is empty; write what it says as its text", element.place)
    voice, language = given.get("voice"), given.get("language")
    return Say(
        text or "",
        voice=None if voice is None else values.voice(voice, check.report),
        language=None if language is None else values.language(language, check.report),
        loop=check.integer(given.get("loop"), 0, _MAX_LOOP, 1),
    )


def _play(element: Element, check: Check) -> Play:
    given = _attributes(element, check, "loop", "digits")
    _no_children(element, check, "a URL and nothing else")
    loop = check.integer(given.get("loop"), 0, _MAX_LOOP, 1)
    digits = given.get("digits")
    if digits is None:
        return Play(_url_text(element, check), loop)
    no_text(element, check, "a <Play> has a URL or digits, not both")
    return Play(None, loop, values.tones(digits, check.report))


def _pause(element: Element, check: Check) -> Pause:
    given = _attributes(element, check, "length")
    _empty(element, check)
    return Pause(check.integer(given.get("length"), 1, _MAX_PAUSE, 1))


_PROMPTS: Mapping[str, Callable[[Element, Check], Say | Play | Pause]] = {"Say": _say, "Play": _play, "Pause": _pause}


def _gather(element: Element, check: Check) -> Gather:
    names = ("action", "method", "timeout", "finishOnKey", "numDigits", "actionOnEmptyResult", "input")
    given = _attributes(element, check, *names, refused=_NOT_OF_GATHER)
    no_text(element, check, "put it into a <Say>")
    _input(given, check)
    finish, digits = given.get("finishOnKey"), given.get("numDigits")
    return Gather(
        tuple(prompt for child in element.children if (prompt := _prompt(child, check))),
        action=rules.link(given, "action", check, check.own_url),
        timeout=check.integer(given.get("timeout"), 1, _MAX_SECONDS, 5),
        finish_on_key="#" if finish is None else values.keys(finish, check.report) or "",
        num_digits=None if digits is None else values.integer(digits, check.report, 1, _MAX_DIGITS),
        action_on_empty_result=check.boolean(given.get("actionOnEmptyResult"), False),
    )


def _input(given: Fields, check: Check) -> None:
    """Reports everything but dtmf."""
    wanted = given.get("input")
    if wanted is None:
        return
    words = wanted.value.split()
    if words and all(word in ("dtmf", "speech") for word in words):
        if "speech" in words:
            detail = f"{wanted.name} with speech is not supported; use dtmf, or leave it out"
            check.report.add(Code.NOT_SUPPORTED, detail, wanted.place)
    else:
        detail = f"{wanted.name} must be dtmf, not '{shown(wanted.value)}'"
        check.report.add(Code.VALUE_INVALID, detail, wanted.place)


def _prompt(element: Element, check: Check) -> Say | Play | Pause | None:
    read = _PROMPTS.get(element.name)
    if read is not None:
        return read(element, check)
    detail = f"<{shown(element.name)}> may not stand in <Gather>, which holds {', '.join(f'<{n}>' for n in _PROMPTS)}"
    check.report.add(Code.ELEMENT_NOT_ALLOWED, detail, element.place)
    return None


def _record(element: Element, check: Check) -> Record:
    names = ("action", "method", "timeout", "finishOnKey", "maxLength", "playBeep", "transcribe")
    given = _attributes(element, check, *names, *rules.RECORDING_CALLBACK, refused=_NOT_OF_RECORD)
    _empty(element, check)
    if check.boolean(given.get("transcribe"), False):
        detail = f"{given['transcribe'].name} is not supported; leave it out"
        check.report.add(Code.NOT_SUPPORTED, detail, given["transcribe"].place)
    finish = given.get("finishOnKey")
    return Record(
        action=rules.link(given, "action", check, check.own_url),
        timeout=check.integer(given.get("timeout"), 0, _MAX_SECONDS, 5),
        finish_on_key=ALL_KEYS if finish is None else values.keys(finish, check.report) or "",
        max_length=check.integer(given.get("maxLength"), 1, _MAX_RECORDING, 3_600),
        play_beep=check.boolean(given.get("playBeep"), True),
        recording_callback=rules.recording_callback(given, check),
    )


def _redirect(element: Element, check: Check) -> Redirect | None:
    given = _attributes(element, check, "method")
    _no_children(element, check, "a URL and nothing else")
    url, method = _url_text(element, check), check.method(given.get("method"))
    return Redirect(Link(url, method)) if url and method else None


def _hangup(element: Element, check: Check) -> Hangup:
    _attributes(element, check)
    _empty(element, check)
    return Hangup()


def _reject(element: Element, check: Check) -> Reject:
    given = _attributes(element, check, "reason")
    _empty(element, check)
    reason = given.get("reason")
    word = "rejected" if reason is None else values.word(reason, check.report, ("rejected", "busy"))
    return Reject("busy" if word == "busy" else "rejected")


READERS: Mapping[str, Callable[[Element, Check], Verb | None]] = {
    **_PROMPTS,
    "Gather": _gather,
    "Record": _record,
    "Redirect": _redirect,
    "Hangup": _hangup,
    "Reject": _reject,
}
