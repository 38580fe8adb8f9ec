"""Expands the short elements of our scenarios into plain SIPp XML. Knows SIPp's language, not what a scenario proves.

`invited`, `reply`, `acked`, `connected`, `ask`, `expect`, `ended`, `hang-up`, `canceled` and `quiet` stand for what
every callee does; each of them holds the checks of RFC 3261 that apply always, so that no scenario can forget one.
Elements of SIPp itself pass through. `python -m tests.interop --show NAME` prints what SIPp gets.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from xml.sax.saxutils import quoteattr

_TAG = "callee"
_CONTACT = "<sip:callee@[local_ip]:[local_port];transport=[transport]>"
_SDP = """v=0
o=callee 1 {version} IN IP4 [local_ip]
s=-
c=IN IP4 {address}
t=0 0
m=audio {port} RTP/AVP 0
a=rtpmap:0 PCMU/8000
a={direction}"""

# All of them, one after the other: SIPp's own search finds the first row only.
_VIAS = "Via: *([^[:cntrl:]]+([[:cntrl:]]+Via: [^[:cntrl:]]+)*)"
_BRANCH = ("Via:", "branch=(z9hG4bK[^;, ]+)")
_NUMBER = ("CSeq:", " *([0-9]+) ")


@dataclass(slots=True)
class Script:
    """The plain scenario as it grows."""

    lines: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)  # of variables

    def add(self, line: str) -> None:
        self.lines.append(line)

    def variable(self, names: str) -> str:
        self.names.update(names.split(","))
        return names

    # -- checks

    def save(self, where: str, regexp: str, names: str) -> str:
        """Keep the match (or ``all,group``) of a header that must be there."""
        return (
            f'<ereg regexp={quoteattr(regexp)} search_in="hdr" header="{where}" check_it="true" '
            f'assign_to="{self.variable(names)}"/>'
        )

    def check(self, element: ET.Element) -> str:
        """``<check in="To:" is="regexp"/>``; ``isnt`` for what must not be there; ``in`` is a header, body or msg."""
        where = element.get("in", "msg")
        place = f'search_in="{where}"' if where in ("msg", "body") else f'search_in="hdr" header="{where}"'
        how, name = ("check_it", "is") if "is" in element.attrib else ("check_it_inverse", "isnt")
        regexp = quoteattr(element.attrib[name])
        return f'<ereg regexp={regexp} {place} {how}="true" assign_to="{self.variable("any")}"/>'

    def same(self, where: tuple[str, str], known: str, *, inverse: bool = False) -> list[str]:
        """The group that `where` finds is (or is not) what `known` holds."""
        how = "check_it_inverse" if inverse else "check_it"
        return [
            self.save(*where, "any,found"),
            f'<strcmp {how}="true" variable="found" variable2="{self.variable(known)}"/>',
        ]

    def recv(self, element: ET.Element, what: str, actions: list[str]) -> None:
        """Receive `what`; the element's own checks and SIPp actions come after `actions`."""
        own = [self.check(child) if child.tag == "check" else _plain(child) for child in element]
        given = [name for name in ("optional", "next", "timeout", "rrs") if name in element.attrib]
        options = "".join(f" {name}={quoteattr(element.attrib[name])}" for name in given)
        self.add(f"<recv {what}{options}><action>{''.join([*actions, *own])}</action></recv>")

    def send(self, head: list[str], text: str, sdp: str, *, retrans: bool = False) -> None:
        """A message of `head`, what the element's text adds to it (rows, then a body), and our SDP if it wants it."""
        rows, _, body = _stripped(text).partition("\n\n")
        body = body or sdp
        if body and "Content-Type:" not in rows:
            head = [*head, "Content-Type: application/sdp"]
        lines = [*head, *([rows] if rows else [])]
        if "Content-Length:" not in rows:
            lines.append("Content-Length: [len]" if body else "Content-Length: 0")
        message = "\n".join(lines) + "\n\n" + body
        self.add(f"<send{' retrans=' + chr(34) + '500' + chr(34) if retrans else ''}><![CDATA[\n{message}\n]]></send>")


def expand(text: str) -> str:
    """The plain scenario for `text`."""
    root = ET.fromstring(text)
    script = Script()
    for element in root:
        handler = _ELEMENTS.get(element.tag)
        if handler is None:
            script.add(_plain(element))
        else:
            handler(script, element)
    names = script.names | set(_own_variables(root))
    body = "\n".join(script.lines)
    references = f'<Reference variables="{",".join(sorted(names))}"/>' if names else ""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="interop">\n{body}\n{references}\n</scenario>\n'


# -- the elements


def _invited(script: Script, element: ET.Element) -> None:
    """An INVITE, whole and well-formed; what answers and requests need of it is kept."""
    keep = [script.save(f"{name}:", ".*", name.lower()) for name in ("From", "To", "CSeq")]
    keep += [
        f'<ereg regexp="{_VIAS}" search_in="msg" check_it="true" assign_to="{script.variable("any,via")}"/>',
        script.save("Contact:", "sips?:[^>]+", "caller"),
        script.save(*_BRANCH, "any,branch"),
        script.save(*_NUMBER, "any,number"),
        script.save("Max-Forwards:", "^ *[1-9][0-9]*$", "any"),
        '<ereg regexp="^INVITE ([^ ]+) SIP/2.0" search_in="msg" check_it="true" '
        f'assign_to="{script.variable("any,target")}"/>',
    ]
    if element.get("again") != "re-INVITE":
        keep.append(script.save("X-CallSid:", "^ *CA[0-9a-f]{32}$", "any"))
    if element.get("again") is not None:  # a new transaction with a higher number (§8.1.3.5), in the same call
        keep = [
            *script.same(_BRANCH, "branch", inverse=True),
            script.save(*_NUMBER, "any,found"),
            f'<todouble assign_to="{script.variable("newer")}" variable="found"/>',
            '<todouble assign_to="older" variable="number"/>',
            f'<test check_it="true" variable="newer" compare="greater_than" variable2="{script.variable("older")}"/>',
            *keep,
        ]
    script.recv(element, 'request="INVITE"', keep)


def _reply(script: Script, element: ET.Element) -> None:
    """An answer to the INVITE, or with ``to="last"`` to what came last."""
    status = element.attrib["status"]
    code = int(status[:3])
    if element.get("to") == "last":
        head = ["[last_Via:]", "[last_From:]", "[last_To:]", "[last_Call-ID:]", "[last_CSeq:]"]
    else:
        tag = element.get("tag", _TAG)
        to = f"To:[$to];tag={tag}" if code > 100 and tag else "To:[$to]"
        head = ["Via:[$via]", "From:[$from]", to, "Call-ID: [call_id]", "CSeq:[$cseq]"]
        if element.get("routes"):
            head.append("[last_Record-Route:]")
        if 100 < code < 300 and "\nContact:" not in f"\n{_stripped(element.text or '')}":
            head.append(f"Contact: {element.get('contact', _CONTACT)}")
    script.send(
        [f"SIP/2.0 {status}", *head],
        element.text or "",
        _sdp(element),
        retrans=code >= 200 and element.get("to") != "last" and element.get("retrans") != "no",
    )


def _acked(script: Script, element: ET.Element) -> None:
    """The ACK: of a 2xx in a transaction of its own to the Contact (§13.2.2.4), else in the INVITE's (§17.1.1.3)."""
    success = element.get("of", "2xx") == "2xx"
    tag = element.get("tag", _TAG)
    target = element.get("target", "sip:callee@")
    actions = [
        *script.same(_BRANCH, "branch", inverse=success),
        *script.same(_NUMBER, "number"),
        script.save("To:", f";tag={tag}( *;.*)?$", "any,found"),
    ]
    if success:
        actions.append(_message(script, f"^ACK {target}"))
    else:
        actions += _same_target(script, "ACK")
    script.recv(element, 'request="ACK"', actions)


def _connected(script: Script, element: ET.Element) -> None:
    """Answered with an SDP of ours, and acknowledged."""
    _reply(script, ET.Element("reply", {"sdp": "sendrecv", **element.attrib, "status": "200 OK"}))
    _acked(script, ET.Element("acked"))


def _canceled(script: Script, element: ET.Element) -> None:
    """CANCEL with the INVITE's branch, number and target (§9.1); it gets its 200, the INVITE its 487."""
    actions = [
        *script.same(_BRANCH, "branch"),
        *script.same(_NUMBER, "number"),
        *_same_target(script, "CANCEL"),
        script.save("To:", "[^;]*$", "any"),  # no tag, as in the INVITE
    ]
    script.recv(element, 'request="CANCEL"', actions)
    _reply(script, ET.Element("reply", status="200 OK", to="last"))
    if element.get("then") != "nothing":
        _reply(script, ET.Element("reply", status="487 Request Terminated"))
        _acked(script, ET.Element("acked", of="487"))


def _ended(script: Script, element: ET.Element) -> None:
    """A BYE of the caller, with a new branch and a higher number, to the Contact; ``answer`` is not always 200."""
    target = element.get("target", "sip:callee@")
    actions = [
        *script.same(_BRANCH, "branch", inverse=True),
        script.save(*_NUMBER, "any,found"),
        f'<todouble assign_to="{script.variable("newer")}" variable="found"/>',
        f'<todouble assign_to="{script.variable("older")}" variable="number"/>',
        '<test check_it="true" variable="newer" compare="greater_than" variable2="older"/>',
        script.save("To:", f";tag={element.get('tag', _TAG)}( *;.*)?$", "any,found"),
        _message(script, f"^BYE {target}"),
    ]
    script.recv(element, 'request="BYE"', actions)
    _reply(script, ET.Element("reply", status=element.get("answer", "200 OK"), to="last"))


def _ask(script: Script, element: ET.Element) -> None:
    """A request of the callee in the dialog."""
    method = element.attrib["method"]
    cseq = element.get("cseq", "1")
    tag = element.get("tag", _TAG)
    branch = element.get("branch", "[branch]")
    head = [
        f"{method} {element.get('target', '[$caller]')} SIP/2.0",
        f"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch={branch}",
        *(["[routes]"] if element.get("routes") else []),
        f"From:[$to];tag={tag}",
        f"To:[$from]{element.get('to-more', '')}",
        f"Call-ID: {element.get('call', '[call_id]')}",
        f"CSeq: {cseq} {method}",
        "Max-Forwards: 70",
    ]
    if method in ("INVITE", "UPDATE") and "Contact:" not in (element.text or ""):
        head.append(f"Contact: {element.get('contact', _CONTACT)}")
    script.send(head, element.text or "", _sdp(element), retrans=element.get("retrans") != "no" and method != "ACK")


def _expect(script: Script, element: ET.Element) -> None:
    """The very next message: ``response`` or ``request``."""
    kind = "response" if "response" in element.attrib else "request"
    script.recv(element, f'{kind}="{element.attrib[kind]}"', [])


def _hang_up(script: Script, element: ET.Element) -> None:
    _ask(script, ET.Element("ask", {"cseq": "90", **element.attrib, "method": "BYE"}))
    script.recv(element, 'response="200"', [script.save("CSeq:", "BYE", "any")])


def _quiet(script: Script, element: ET.Element) -> None:
    """Whatever comes meanwhile is not expected, and fails the scenario."""
    script.add(f'<pause milliseconds="{element.get("ms", "300")}"/>')


_ELEMENTS: dict[str, Callable[[Script, ET.Element], None]] = {
    "invited": _invited,
    "reply": _reply,
    "acked": _acked,
    "connected": _connected,
    "canceled": _canceled,
    "ended": _ended,
    "ask": _ask,
    "expect": _expect,
    "hang-up": _hang_up,
    "quiet": _quiet,
}


def _message(script: Script, regexp: str) -> str:
    return f'<ereg regexp={quoteattr(regexp)} search_in="msg" check_it="true" assign_to="{script.variable("any")}"/>'


def _same_target(script: Script, method: str) -> list[str]:
    return [
        f'<ereg regexp="^{method} ([^ ]+) SIP/2.0" search_in="msg" check_it="true" '
        f'assign_to="{script.variable("any,found")}"/>',
        '<strcmp check_it="true" variable="found" variable2="target"/>',
    ]


def _sdp(element: ET.Element) -> str:
    """``sdp="sendonly"`` is our description with that direction."""
    direction = element.get("sdp")
    if direction is None:
        return ""
    return _SDP.format(
        direction=direction,
        version=element.get("version", "1"),
        address=element.get("media", "[media_ip]"),
        port=element.get("port", "[media_port]"),
    )


def _stripped(text: str) -> str:
    """Without the indentation: a line of SIP that begins with a space would be another thing."""
    return "\n".join(line.strip() for line in text.strip().splitlines())


def _plain(element: ET.Element) -> str:
    text = ET.tostring(element, encoding="unicode").strip()
    if element.tag == "send":
        attributes = "".join(f" {name}={quoteattr(value)}" for name, value in element.attrib.items())
        return f"<send{attributes}><![CDATA[\n{_stripped(element.text or '')}\n\n]]></send>"
    return text


def _own_variables(root: ET.Element) -> Iterator[str]:
    for element in root.iter():
        for name in ("assign_to", "variable", "variable2"):
            yield from filter(None, element.get(name, "").split(","))
        yield from re.findall(r"\[\$(\w+)\]", element.text or "")
