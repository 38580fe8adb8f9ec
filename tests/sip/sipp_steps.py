"""Steps of SIPp scenarios in which SIPp calls: each a piece of XML. Knows no test."""

from tests.sip.caller import NUMBER

SDP = """
      v=0
      o=caller 1 {version} IN IP[media_ip_type] [media_ip]
      s=-
      c=IN IP[media_ip_type] [media_ip]
      t=0 0
      m=audio [media_port] RTP/AVP 0 101
      a=rtpmap:0 PCMU/8000
      a=rtpmap:101 telephone-event/8000
      a={direction}
"""


def scenario(*steps: str) -> str:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="calls">{"".join(steps)}</scenario>\n'


def send(
    method: str,
    cseq: int,
    *,
    rows: str = "",
    offer: bool = False,
    direction: str = "sendrecv",
    version: int = 1,
    back: int = 0,
    is_repeated: bool = True,
) -> str:
    """A request. `rows` are more headers; `back` steps ago stands the INVITE whose branch it repeats."""
    first = (method == "INVITE" and cseq == 1) or method == "CANCEL"
    uri = f"sip:{NUMBER}@[remote_ip]:[remote_port]" if first else "[next_url]"
    to = f"<sip:{NUMBER}@[remote_ip]:[remote_port]>" + ("" if first else "[peer_tag_param]")
    branch = f"[branch-{back}]" if back else "[branch]"
    repeats = ' retrans="500"' if is_repeated and method != "ACK" else ""
    typed = f"{rows}\n      " if rows else ""
    typed += "Content-Type: application/sdp\n      " if offer else ""
    content = SDP.format(direction=direction, version=version) if offer else ""
    return f"""
  <send{repeats}>
    <![CDATA[
      {method} {uri} SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch={branch}
      From: sipp <sip:sipp@[local_ip]:[local_port]>;tag=[call_number]
      To: {to}
      Call-ID: [call_id]
      CSeq: {cseq} {method}
      Contact: <sip:sipp@[local_ip]:[local_port];transport=[transport]>
      Max-Forwards: 70
      {typed}Content-Length: [len]
{content}
    ]]>
  </send>"""


def receive(what: int | str, *, is_optional: bool = False, check: str = "", keeps_target: bool = False) -> str:
    """A response by its code, a request by its name; `check` is a pattern that must be found in it."""
    kind = f'response="{what}"' if isinstance(what, int) else f'request="{what}"'
    more = ' optional="true"' if is_optional else ""
    more += ' rrs="true"' if keeps_target else ""
    if not check:
        return f"\n  <recv {kind}{more}/>"
    action = f'<ereg regexp="{check}" search_in="msg" check_it="true" assign_to="any"/>'
    return f'\n  <recv {kind}{more}><action>{action}</action></recv><Reference variables="any"/>'


def answer_ok(request: str) -> str:
    """A 200 to what was received last."""
    return f"""
  <send>
    <![CDATA[
      SIP/2.0 200 OK
      [last_Via:]
      [last_From:]
      [last_To:]
      [last_Call-ID:]
      [last_CSeq:]
      Contact: <sip:sipp@[local_ip]:[local_port];transport=[transport]>
      Content-Length: 0

    ]]>
  </send><!-- {request} -->"""
