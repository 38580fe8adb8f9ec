"""RFC 4475's torture messages, shortened to what tortures: each is read, found wanting with a reason, or malformed."""

import pytest

from app.sip.headers import Address, Target
from app.sip.message import MalformedMessage, SipMessage

REST = "Via: SIP/2.0/UDP h.example;branch=z9hG4bKx|From: <sip:a@h>;tag=1|To: <sip:b@h>|Call-ID: c@h|Max-Forwards: 70"


def read(text: str, encoding: str = "utf-8") -> SipMessage:
    return SipMessage.decode(text.replace("\n", "\r\n").replace("|", "\r\n").encode(encoding))


WSINV = """INVITE sip:vivekg@chair-dnrc.example.com;unknownparam SIP/2.0
TO :
 sip:vivekg@chair-dnrc.example.com ;   tag    = 1918181833n
from   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>
  ;
  tag = 98asjd8
MaX-fOrWaRdS: 0068
Call-ID: wsinv.ndaksdj@192.0.2.1
Content-Length   : 150
cseq: 0009
  INVITE
Via  : SIP  /   2.0
 /UDP
    192.0.2.2;branch=390skdjuw
s :
NewFangledHeader:   newfangled value
 continued newfangled value
UnknownHeaderWithUnusualValue: ;;,,;;,;
Content-Type: application/sdp
Route:
 <sip:services.example.com;lr;unknownwith=value;unknown-no-value>
v:  SIP  / 2.0  / TCP     spindle.example.com   ;
  branch  =   z9hG4bK9ikj8  ,
 SIP  /    2.0   / UDP  192.168.255.111   ; branch=
 z9hG4bK30239
m:"Quoted string \\"\\"" <sip:jdrosen@example.com> ; newparam =
      newvalue ;
  secondparam ; q = 0.33

v=0
o=mhandley 29739 7272939 IN IP4 192.0.2.3
s=-
c=IN IP4 192.0.2.4
t=0 0
m=audio 49217 RTP/AVP 0 12
m=video 3227 RTP/AVP 31
a=rtpmap:31 LPC
"""


def test_a_short_tortuous_invite() -> None:
    message = read(WSINV)
    assert message.validate() is None
    assert (message.to_tag, message.from_tag) == ("1918181833n", "98asjd8")
    assert (message.cseq, message.branch) == ((9, "INVITE"), "390skdjuw")
    assert [via.split("/")[2].split()[0] for via in message.all("Via")[1:]] == ["TCP", "UDP"]
    assert message.first("NewFangledHeader") == "newfangled value continued newfangled value"
    assert message.first("UnknownHeaderWithUnusualValue") == ";;,,;;,;"
    assert Address.parse(message.first("from") or "").display == 'J Rosenberg \\"'
    assert Address.parse(message.first("contact") or "").param("newparam") == "newvalue"
    assert Target.parse(Address.parse(message.first("route") or "").uri).loose
    assert len(message.content) == 150 and message.sdp().port == 49217


INTMETH = (
    b"!interesting-Method0123456789_*+`.%indeed'~ sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
    b":&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com SIP/2.0\r\n"
    b"Via: SIP/2.0/TCP host1.example.com;branch=z9hG4bK-.!%66*_+`'~\r\n"
    b'To: "BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f" <sip:1_unusual.URI~(to-be!sure)&isn\'t+it$/crazy?,/;;*@example.com>\r\n'
    b"From: token1~` token2'+_ token3*%!.- <sip:mundane@example.com> ;fromParam''~+*_!.-%=\""
    + "работающий".encode()
    + b"\";tag=_token~1'+`*%!-.\r\n"
    b"Call-ID: intmeth.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{\r\n"
    b"CSeq: 139122385 !interesting-Method0123456789_*+`.%indeed'~\r\n"
    b"Max-Forwards: 255\r\n"
    b"extensionHeader-!.%*+_`'~: " + "大停電".encode() + b"\r\n"
    b"Content-Length: 0\r\n\r\n"
)


def test_a_wide_range_of_valid_characters() -> None:
    message = SipMessage.decode(INTMETH)
    assert message.validate() is None
    assert message.method == message.cseq[1] == "!interesting-Method0123456789_*+`.%indeed'~"
    assert (message.from_tag, message.to_tag) == ("_token~1'+`*%!-.", None)
    assert message.branch == "z9hG4bK-.!%66*_+`'~"
    assert message.first("extensionHeader-!.%*+_`'~") == "大停電"
    assert Target.parse(message.request_uri).host == "example.com"


@pytest.mark.parametrize(
    "text",
    [
        f"INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0|{REST}|CSeq: 1 INVITE\n\n",  # esc01
        f"RE%47IST%45R sip:registrar.example.com SIP/2.0|{REST}|CSeq: 1 RE%47IST%45R\n\n",  # esc02
        f"REGISTER sip:example.com SIP/2.0|{REST}|CSeq: 1 REGISTER|Contact: <sip:%00%00@h5.example>\n\n",  # escnull
        f"OPTIONS sip:a@h SIP/2.0|{REST}|CSeq: 1 OPTIONS|Contact: sip:x;lr ,,;\n\n",
        f"OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0|{REST}|CSeq: 1 OPTIONS\n\n",  # semiuri
        f"OPTIONS sip:t.watson@h SIP/2.0|{REST}|CSeq: 1 OPTIONS|l: 0\n\nINVITE sip:x@h SIP/2.0\n\n",  # dblreq
        f"OPTIONS nobodyKnowsThisScheme:totallyopaquecontent SIP/2.0|{REST}|CSeq: 1 OPTIONS\n\n",  # unkscm
        f"SIP/2.0 200 = 2**3 * 5**2 но сто девяносто девять - простое|{REST}|CSeq: 1 INVITE\n\n",  # unreason
        f"SIP/2.0 100 |{REST}|CSeq: 1 INVITE\n\n",  # noreason
        "INVITE sip:UserB@example.com SIP/2.0|Via: SIP/2.0/UDP iftgw.example.com|From: <sip:+1303@h;user=phone>|"
        "To: sip:+1650@h;user=phone|Call-ID: c|CSeq: 56 INVITE\n\n",  # inv2543
        f"MESSAGE sip:a@h SIP/2.0|{REST}|CSeq: 1 MESSAGE|Date: Fri, 01 Jan 2010 16:00:00 EST\n\n",  # baddate
        f"OPTIONS sip:a@h SIP/2.0|{REST}|CSeq: 1 OPTIONS|Proxy-Authorization: NoOneKnows opaque=here\n\n",  # unkauth
        f'INVITE sip:a@h SIP/2.0|{REST}|CSeq: 1 INVITE|Contact: "Joe" <sip:joe@example.org>;;;;\n\n',  # badinv01
        f"REGISTER sip:example.com SIP/2.0|{REST}|CSeq: 1 REGISTER|Expires: 10000000000000000\n\n",
    ],
)
def test_legal_or_harmless_messages_are_well_formed(text: str) -> None:
    assert read(text).validate() is None


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (f"INVITE sip:a@h SIP/2.0|{REST}|CSeq: 8 INVITE|Content-Length: 9999\n\nv=0\n", "more than came"),  # clerr
        (f"INVITE sip:a@h SIP/2.0|{REST}|CSeq: 8 INVITE|Content-Length: -999\n\nv=0\n", "not a number"),  # ncl
        (f"REGISTER sip:h SIP/2.0|{REST}|CSeq: 36893488147419103232 REGISTER\n\n", "CSeq"),  # scalar02
        (f"SIP/2.0 503 Unavailable|{REST}|CSeq: 9292394834772304023312 OPTIONS\n\n", "CSeq"),  # scalarlg
        (f"INVITE <sip:user@example.com> SIP/2.0|{REST}|CSeq: 1 INVITE\n\n", "Request-URI"),  # ltgtruri
        (f"INVITE sip:user@example.com; lr SIP/2.0|{REST}|CSeq: 1 INVITE\n\n", "Request-URI"),  # lwsruri
        (f"OPTIONS sip:a@h SIP/7.0|{REST}|CSeq: 1 OPTIONS\n\n", "SIP/7.0"),  # badvers
        (f"OPTIONS sip:a@h SIP/2.0|{REST}|CSeq: 8 INVITE\n\n", "method"),  # mismatch01
        (f"NEWMETHOD sip:a@h SIP/2.0|{REST}|CSeq: 34 INVITE\n\n", "method"),  # mismatch02
        ("INVITE sip:a@h SIP/2.0|CSeq: 193942 INVITE|Via: SIP/2.0/UDP h;branch=b\n\n", "missing"),  # insuf
        (f"INVITE sip:a@h SIP/2.0|{REST}|CSeq: 1 INVITE|CSeq: 2 INVITE\n\n", "more than once"),  # multi01
        (f"INVITE sip:a@h SIP/2.0|{REST}|CSeq: 1 INVITE|Content-Length: 5|l: 6\n\n", "more than once"),  # mcl01
        (f"INVITE sip:a@h SIP/2.0|{REST}|CSeq: 1 INVITE\n\n".replace("To: <", 'To: "Mr. J <'), "to: "),  # quotbal
    ],
)
def test_what_is_wrong_gets_a_reason(text: str, word: str) -> None:
    reason = read(text).validate()
    assert reason is not None and word in reason


@pytest.mark.parametrize(
    "text",
    [
        f"SIP/2.0 4294967301 better not break the receiver|{REST}|CSeq: 1 INVITE\n\n",  # bigcode
        f"INVITE|sip:a@h SIP/2.0|{REST}|CSeq: 1 INVITE\n\n",
        "not a sip message at all\n\n",
    ],
)
def test_hopeless_ones_are_malformed(text: str) -> None:
    with pytest.raises(MalformedMessage):
        read(text)


def test_extra_space_in_the_request_line_is_forgiven() -> None:
    message = read(f"INVITE  sip:user@example.com  SIP/2.0  |{REST}|CSeq: 1 INVITE\n\n")  # lwsstart, trws
    assert (message.method, message.request_uri, message.validate()) == ("INVITE", "sip:user@example.com", None)


def test_the_octets_after_content_length_are_another_messages() -> None:
    assert read(f"OPTIONS sip:a@h SIP/2.0|{REST}|CSeq: 1 OPTIONS|l: 0\n\nINVITE sip:x@h SIP/2.0\n\n").content == b""


def test_a_body_of_binary_parts_is_left_alone() -> None:
    head = f"MESSAGE sip:a@h SIP/2.0|{REST}|CSeq: 1 MESSAGE|Content-Type: multipart/mixed;boundary=7a9|l: 6\n\n"
    data = head.replace("\n", "\r\n").replace("|", "\r\n").encode() + b"\x00\xff\r\n\r\n"
    assert SipMessage.decode(data).content == b"\x00\xff\r\n\r\n"
