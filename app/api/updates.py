"""What ``POST /v1/calls/{sid}`` asks of a call: to end, or to run another document. Carries nothing out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from app.calls.errors import BadRequest
from app.rcml import parse
from app.rcml.codes import Code
from app.rcml.fields import Check, Rules
from app.rcml.jsontext import Members
from app.rcml.plan import Document, Link, Redirect, Where
from app.rcml.report import Given, Place, Report, shown

_ROOT = Place("")
_ONE_OF = ("status", "rcml", "url")

Ending = Literal["completed", "canceled"]


@dataclass(frozen=True, slots=True)
class Update:
    """Either a status, or RCML, or a link to some: exactly one of them is set."""

    status: Ending | None = None
    rcml: str | None = None
    link: Link | None = None

    def document(self, where: Where, allowed: Rules) -> Document:
        """The new document for a leg of that kind; BadRequest with the places in the text of `rcml`."""
        if self.link is not None:
            return Document((Redirect(self.link),))
        # The text is characters already: a declaration of another encoding in it means nothing. Half a surrogate pair
        # makes bytes that are not UTF-8, and is told as that.
        content = (self.rcml or "").encode(errors="surrogatepass")
        try:
            return parse.document(content, allowed, where=where, content_type="application/xml; charset=utf-8")
        except BadRequest as error:
            problems = tuple(replace(problem, pointer="/rcml") for problem in error.problems)
            raise BadRequest(problems, error.status) from error


def update(members: Members, allowed: Rules) -> Update:
    """Raises BadRequest with every problem but those of the RCML, which depend on the call."""
    report = Report()
    for name in members.repeated:
        report.add(Code.REPEATED_FIELD, f"`{shown(name)}` is there more than once; give it once", _ROOT.child(name))
    for name in members:
        if name not in (*_ONE_OF, "method"):
            report.add(Code.UNKNOWN_FIELD, f"`{shown(name)}` does not exist; correct or remove it", _ROOT.child(name))
    given = {
        name: Given(f"`{name}`", value, _ROOT.child(name))
        for name, value in members.items()
        if value is not None and name in (*_ONE_OF, "method")
    }
    _only_one(given, report)
    found = Update(_status(given, report), _rcml(given, report), _link(given, allowed, report))
    report.raise_if_any()
    return found


def _only_one(given: Mapping[str, Given], report: Report) -> None:
    wanted = [name for name in _ONE_OF if name in given]
    if not wanted and "method" not in given:
        report.add(Code.NOTHING_TO_DO, "the object asks for nothing; send one of status, rcml and url", _ROOT)
    for name in wanted[1:]:
        detail = f"`{name}` cannot be there beside `{wanted[0]}`; send one of status, rcml and url"
        report.add(Code.FIELDS_EXCLUSIVE, detail, given[name].place)
    if "method" in given and "url" not in given:
        report.add(Code.FIELDS_EXCLUSIVE, "`method` is for `url` only; leave it out", given["method"].place)


def _status(given: Mapping[str, Given], report: Report) -> Ending | None:
    status = given.get("status")
    if status is None:
        return None
    if status.value == "completed":
        return "completed"
    if status.value == "canceled":
        return "canceled"
    report.add(Code.STATUS_INVALID, "`status` must be completed or canceled", status.place)
    return None


def _rcml(given: Mapping[str, Given], report: Report) -> str | None:
    rcml = given.get("rcml")
    if rcml is None:
        return None
    text: Any = rcml.value
    if not isinstance(text, str):
        report.add(Code.TYPE_INVALID, "`rcml` must be a string that holds a <Response>", rcml.place)
        return None
    if not text.strip():
        report.add(Code.NOTHING_TO_DO, "`rcml` is empty; send a <Response>, or the status completed", rcml.place)
        return None
    return text


def _link(given: Mapping[str, Given], allowed: Rules, report: Report) -> Link | None:
    check = Check(allowed, takes_base_url=False, report=report)
    method = check.method(given.get("method"))
    url = given.get("url")
    found = None if url is None else check.url(url)
    return Link(found, method) if found and method else None
