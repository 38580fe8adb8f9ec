"""How the messages of RFC 4475 are written down: text whose lines end with CRLF, and an SDP that most of them share."""


def lines(text: str, body: bytes = b"") -> bytes:
    """`text` as it goes over the wire, UTF-8; the empty line before a body is written in `text`."""
    return text.replace("\n", "\r\n").encode() + body


def sdp(origin: str, connection: str = "", *, time: str = "0 0") -> bytes:
    """The body of most INVITEs; the video line's payload types are what makes it 150 octets and a few."""
    return lines(
        f"v=0\no=mhandley 29739 7272939 IN IP4 {origin}\ns=-\nc=IN IP4 {connection or origin}\nt={time}\n"
        "m=audio 49217 RTP/AVP 0 12\nm=video 3227 RTP/AVP 31\na=rtpmap:31 LPC\n"
    )
