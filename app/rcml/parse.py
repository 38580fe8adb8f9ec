"""The RCML notation: bytes to a dial request or to a document. Knows where things stand; values are read elsewhere."""

from collections.abc import Callable, Mapping
from urllib.parse import urldefrag

from app.rcml import fields as rules
from app.rcml import verbs
from app.rcml.codes import Code
from app.rcml.encoding import charset_of, text_of
from app.rcml.fields import Check, Rules
from app.rcml.metadata import metadata
from app.rcml.plan import Dial, DialRequest, Document, Target, Verb, Where
from app.rcml.query import Pairs, query_fields
from app.rcml.report import Given, refusal, shown
from app.rcml.tree import Element, tree_of

# Verbs and nouns that the reference has: they exist, but not here.
_OTHER_VERBS = frozenset(
    [
        "AddOns",
        "Assistant",
        "Autopilot",
        "Connect",
        "Echo",
        "Email",
        "Enqueue",
        "Fax",
        "Leave",
        "Message",
        "Pay",
        "Prompt",
        "Queue",
        "Receive",
        "Refer",
        "Siprec",
        "Sms",
        "Start",
        "Stop",
        "Stream",
        "Transcription",
        "UssdCollect",
        "UssdMessage",
        "VirtualAgent",
    ]
)
_OTHER_NOUNS = frozenset(
    [
        "Number",
        "Client",
        "Conference",
        "Queue",
        "Sim",
        "Application",
        "Uri",
        "Video",
        "WhatsApp",
        "VirtualAgent",
        "AiAssistant",
    ]
)
_FOR_AN_EAR = frozenset({"Say", "Play", "Gather", "Record"})


def parse(body: bytes, allowed: Rules, *, charset: str | None = None, query: Pairs = ()) -> DialRequest:
    """The request, or BadRequest with every problem found; `charset` is Content-Type's, `query` the request's."""
    root = tree_of(text_of(body, charset))
    check = Check(allowed)
    fields = query_fields(query, check.report)
    rules.known(fields, rules.OF_REQUEST, check, Code.UNKNOWN_PARAMETER)
    rules.base_url(fields, check)
    caller = rules.caller(fields, check)
    plan = _to_dial(root, check, has_caller="caller" in fields)
    callback = rules.status_callback(fields, check)
    given = fields.get("metadata")
    data = {} if given is None else metadata(given, check.report)
    check.report.raise_if_any()
    return DialRequest(plan, callback, data, caller)


def document(
    content: bytes, allowed: Rules, *, where: Where, content_type: str | None = None, base_url: str | None = None
) -> Document:
    """What a URL answered, or the API sent, for a leg of the kind `where`; BadRequest with every problem found.

    `base_url` is the document's own: relative URLs resolve against it, <Gather> and <Record> without action go to it.
    """
    if not content.strip():
        return Document(())
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind.startswith(("audio/", "video/", "image/")):
        detail = f"the document is {shown(kind)}, not RCML; to play a file answer RCML with a <Play>"
        raise refusal(Code.MEDIA_TYPE_UNSUPPORTED, detail)
    text = text_of(content, charset_of(content_type or ""))
    if not text.strip():
        return Document(())
    # Whatever else is said of it, often text/html or text/plain, it is read as what it is.
    if kind == "application/json" or text.lstrip()[:1] in ("{", "["):
        raise refusal(Code.WRONG_ROOT, "the document is JSON; it must be RCML, which begins with <Response>")
    own_url = None if base_url is None else urldefrag(base_url).url
    check = Check(allowed, own_url, own_url, takes_base_url=False)
    plan = _document(tree_of(text), check, where)
    check.report.raise_if_any()
    return plan


def _to_dial(root: Element, check: Check, *, has_caller: bool) -> Document:
    """What a dial request may be: with a caller anything for that caller's ear, without one something to dial."""
    before = check.report.found
    plan = _document(root, check, Where.CALLER if has_caller else Where.STAND_IN)
    if check.report.found == before and not (plan.verbs if has_caller else _dials(plan)):
        rules.nothing_to_do(check, root.place, has_caller=has_caller)
    return plan


def _dials(plan: Document) -> bool:
    return any(isinstance(verb, Dial) for verb in plan.verbs)


def _document(root: Element, check: Check, where: Where) -> Document:
    if root.name != "Response":
        detail = f"the root is <{shown(root.name)}>; it must be <Response>, in no namespace"
        check.report.add(Code.WRONG_ROOT, detail, root.place)
        return Document(())
    rules.known(root.attributes(), (), check, Code.UNKNOWN_ATTRIBUTE)
    verbs.no_text(root, check)
    return Document(tuple(verb for child in root.children if (verb := _verb(child, check, where))))


def _verb(element: Element, check: Check, where: Where) -> Verb | None:
    read = _READERS.get(element.name)
    if read is not None:
        _may_stand(element, check, where)
        return read(element, check)
    name = shown(element.name)
    if element.name in _OTHER_VERBS:
        detail = f"<{name}> is not supported; leave it out"
        check.report.add(Code.NOT_SUPPORTED, detail, element.place)
    else:
        meant = next((verb for verb in _READERS if verb.lower() == element.name.lower()), None)
        hint = f"did you mean <{meant}>?" if meant else f"the verbs are {', '.join(_READERS)}"
        check.report.add(Code.UNKNOWN_VERB, f"<{name}> is not a verb; {hint}", element.place)
    return None


def _may_stand(element: Element, check: Check, where: Where) -> None:
    """Reports a verb that the leg on which the document runs cannot do."""
    name = element.name
    if where is Where.STAND_IN and name in _FOR_AN_EAR:
        detail = f"<{name}> needs a caller, and nobody called or was called; add `caller` to the dial request"
        check.report.add(Code.NEEDS_CALLER, detail, element.place)
    elif where is not Where.INBOUND and name == "Reject":
        detail = "<Reject> refuses an inbound call, and this is none; use <Hangup>"
        check.report.add(Code.VERB_NOT_ALLOWED, detail, element.place)
    elif where is Where.SCREENING and name == "Dial":
        detail = "<Dial> may not stand in a document that screens; end it to accept, or use <Hangup> to decline"
        check.report.add(Code.VERB_NOT_ALLOWED, detail, element.place)


def _dial(element: Element, check: Check) -> Dial:
    attributes = element.attributes()
    rules.known(attributes, rules.OF_DIAL, check, Code.UNKNOWN_ATTRIBUTE, rules.NOT_OF_DIAL)
    verbs.no_text(element, check, "put the SIP URI into a <Sip>")
    targets = sum(child.name == "Sip" for child in element.children)
    if targets or not (element.children or element.text):
        rules.count(targets, "<Dial>", element.place, check)
    found = [_noun(child, check) for child in element.children]
    return rules.dial(attributes, tuple(target for target in found if target), check)


def _noun(element: Element, check: Check) -> Target | None:
    if element.name == "Sip":
        return _sip(element, check)
    name = shown(element.name)
    if element.name in _OTHER_NOUNS:
        detail = f"<{name}> is not supported; only <Sip> is"
    else:
        hint = "did you mean <Sip>?" if element.name.lower() == "sip" else "only <Sip> is supported"
        detail = f"<{name}> is not a noun of <Dial>; {hint}"
    check.report.add(Code.UNKNOWN_NOUN, detail, element.place)
    return None


def _sip(element: Element, check: Check) -> Target | None:
    attributes = element.attributes()
    rules.known(attributes, rules.OF_SIP, check, Code.UNKNOWN_ATTRIBUTE, rules.NOT_OF_SIP)
    for child in element.children:
        detail = f"<{shown(child.name)}> may not stand in <Sip>, which holds a SIP URI and nothing else"
        check.report.add(Code.ELEMENT_NOT_ALLOWED, detail, child.place)
    uri = Given("the URI of <Sip>", element.text, element.content_place, textual=True)
    return rules.sip(attributes, uri, check)


_READERS: Mapping[str, Callable[[Element, Check], Verb | None]] = {"Dial": _dial, **verbs.READERS}
