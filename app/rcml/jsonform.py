"""The JSON notation: bytes to a dial request. Knows where members stand; what they mean is in `fields`."""

from collections.abc import Collection
from typing import Any

from app.rcml import fields as rules
from app.rcml.codes import Code
from app.rcml.fields import Check, Rules
from app.rcml.jsontext import Members, value_of
from app.rcml.metadata import metadata
from app.rcml.plan import Dial, DialRequest, Document, Target
from app.rcml.report import MAX_PROBLEMS, Fields, Given, Place, refusal, shown

_ROOT = Place("")


def parse(body: bytes, allowed: Rules) -> DialRequest:
    """The request, or BadRequest with every problem and its JSON pointer."""
    value = value_of(body)
    if not isinstance(value, Members):
        raise refusal(Code.WRONG_ROOT, "the body must be a JSON object", _ROOT)
    check = Check(allowed)
    members = _fields(value, _ROOT, {*rules.OF_REQUEST, *rules.OF_DIAL, "sip"}, check, rules.NOT_OF_DIAL)
    request = _request(members, check)
    check.report.raise_if_any()
    return request


def _request(members: Fields, check: Check) -> DialRequest:
    rules.base_url(members, check)
    caller = rules.caller(members, check)
    document = Document(_dials(members, check))
    given = members.get("metadata")
    return DialRequest(
        document,
        rules.status_callback(members, check),
        {} if given is None else metadata(given, check.report),
        caller,
    )


def _dials(members: Fields, check: Check) -> tuple[Dial, ...]:
    """One Dial: JSON can say nothing else, so a caller alone has nothing to do."""
    sip = members.get("sip")
    if sip is None:
        rules.dial(members, (), check)
        rules.nothing_to_do(check, _ROOT, has_caller=False)
        return ()
    return (rules.dial(members, tuple(_targets(sip, check)), check),)


def _targets(given: Given, check: Check) -> list[Target]:
    if isinstance(given.value, str):
        only = rules.sip({}, given, check)
        return [only] if only else []
    if not isinstance(given.value, list):
        detail = "`sip` must be a list of objects, or one SIP URI as a string"
        check.report.add(Code.TYPE_INVALID, detail, given.place)
        return []
    rules.count(len(given.value), "`sip`", given.place, check)
    # The first problems are enough of a list that is too long: 64 KiB are 20,000 of the shortest.
    found = [_target(item, given.place.child(index), check) for index, item in enumerate(given.value[:MAX_PROBLEMS])]
    return [target for target in found if target]


def _target(item: Any, place: Place, check: Check) -> Target | None:
    if not isinstance(item, Members):
        detail = 'each target in `sip` must be an object: {"uri": "sip:alice@example.com"}'
        check.report.add(Code.TYPE_INVALID, detail, place)
        return None
    members = _fields(item, place, {*rules.OF_SIP, "uri"}, check, rules.NOT_OF_SIP)
    uri = members.get("uri")
    if uri is None:
        check.report.add(Code.URI_MISSING, "a target has no `uri`; write its SIP URI", place)
    return rules.sip(members, uri, check)


def _fields(value: Members, place: Place, names: set[str], check: Check, refused: Collection[str]) -> Fields:
    """The members that are not null: null is absent, but its name must exist all the same."""
    for name in value.repeated:
        detail = f"`{shown(name)}` is there more than once; give it once"
        check.report.add(Code.REPEATED_FIELD, detail, place.child(name))
    given = {name: Given(f"`{shown(name)}`", member, place.child(name)) for name, member in value.items()}
    rules.known(given, names, check, Code.UNKNOWN_FIELD, refused)
    return {name: member for name, member in given.items() if member.value is not None}
