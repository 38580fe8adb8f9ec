"""The RCML notation: bytes and query to a dial request. Knows where attributes stand; what they mean is in `fields`."""

from app.rcml import fields as rules
from app.rcml.codes import Code
from app.rcml.encoding import text_of
from app.rcml.fields import Check, Rules
from app.rcml.metadata import metadata
from app.rcml.plan import Dial, DialRequest, Document, Target
from app.rcml.query import Pairs, query_fields
from app.rcml.report import Given, printable, shown
from app.rcml.tree import Element, tree_of

# Verbs and nouns that the reference has: they exist, but not here, or not yet.
_VERBS_TO_COME = frozenset(
    [
        "Say",
        "Play",
        "Gather",
        "Record",
        "Pause",
        "Redirect",
        "Hangup",
        "Reject",
        "Sms",
        "Message",
        "Fax",
        "Email",
        "UssdMessage",
        "Enqueue",
        "Leave",
        "Refer",
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


def parse(body: bytes, allowed: Rules, *, charset: str | None = None, query: Pairs = ()) -> DialRequest:
    """The request, or BadRequest with every problem found; `charset` is Content-Type's, `query` the request's."""
    root = tree_of(text_of(body, charset))
    check = Check(allowed)
    fields = query_fields(query, check.report)
    rules.known(fields, rules.OF_REQUEST, check, Code.UNKNOWN_PARAMETER)
    rules.base_url(fields, check)
    rules.request_fields(fields, check)
    document = _document(root, check)
    callback = rules.status_callback(fields, check)
    given = fields.get("metadata")
    data = {} if given is None else metadata(given, check.report)
    check.report.raise_if_any()
    return DialRequest(document, callback, data)


def _document(root: Element, check: Check) -> Document:
    if root.name != "Response":
        detail = f"the root is <{shown(root.name)}>; it must be <Response>, in no namespace"
        check.report.add(Code.WRONG_ROOT, detail, root.place)
        return Document(())
    rules.known(root.attributes(), (), check, Code.UNKNOWN_ATTRIBUTE)
    _no_text(root, check)
    if not root.children and not root.text:
        rules.nothing_to_do(check, root.place)
    return Document(tuple(dial for child in root.children if (dial := _verb(child, check))))


def _verb(element: Element, check: Check) -> Dial | None:
    if element.name == "Dial":
        return _dial(element, check)
    name = shown(element.name)
    if element.name in _VERBS_TO_COME:
        check.report.add(Code.NOT_SUPPORTED_YET, f"<{name}> is not supported yet; only <Dial> is", element.place)
    else:
        hint = "did you mean <Dial>?" if element.name.lower() == "dial" else "only <Dial> is supported"
        check.report.add(Code.UNKNOWN_VERB, f"<{name}> is not a verb; {hint}", element.place)
    return None


def _dial(element: Element, check: Check) -> Dial:
    attributes = element.attributes()
    rules.known(attributes, rules.OF_DIAL, check, Code.UNKNOWN_ATTRIBUTE)
    _no_text(element, check)
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
    rules.known(attributes, rules.OF_SIP, check, Code.UNKNOWN_ATTRIBUTE)
    for child in element.children:
        detail = f"<{shown(child.name)}> may not stand in <Sip>, which holds a SIP URI and nothing else"
        check.report.add(Code.ELEMENT_NOT_ALLOWED, detail, child.place)
    uri = Given("the URI of <Sip>", element.text, element.content_place, textual=True)
    return rules.sip(attributes, uri, check)


def _no_text(element: Element, check: Check) -> None:
    if element.text:
        where = f"<{printable(element.name)}>"
        remedy = "put the SIP URI into a <Sip>" if element.name == "Dial" else "remove it"
        detail = f"the text '{shown(element.text)}' may not stand in {where}; {remedy}"
        check.report.add(Code.TEXT_NOT_ALLOWED, detail, element.content_place)
