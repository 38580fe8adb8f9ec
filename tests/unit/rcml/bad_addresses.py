"""Bad SIP URIs and callback URLs in RCML, and the exact code that each gets."""

from tests.unit.rcml.bad_rcml import bad_row, sip_row

URIS = [
    *(
        bad_row(f"uri {uri[:40]}", sip_row(uri), "uri-invalid")
        for uri in (
            "alice@example.com",
            "tel:+15551234567",
            "sip:",
            "sip:@example.com",
            "sip:alice@",
            "sip:alice smith@example.com",
            "sip:jürgen@example.com",
            "sip:alice@example.com:0",
            "sip:alice@example.com:65536",
            "sip:alice@example..com",
            "sip:alice@999.1.1.1",
            "sip:alice@127.1",
            "sip:alice@0x7f000001",
            "sip:alice@2130706433",
            "sip:alice@[::1",
            "sip:alice@[fe80::1%25eth0]",
            "sip:alice@example.com;transport",
            "sip:alice@example.com;transport=",
            "sip:alice@example.com;transport=tcp;Transport=udp",
            "sip:alice@example.com?",
            "sip:alice@example.com?X-A",
            "sip:alice@example.com?X-A=1&amp;&amp;X-B=2",
        )
    ),
    bad_row("uri of 255", sip_row("sip:" + "a" * 239 + "@example.com"), "too-long"),
    bad_row("headers of 1024", sip_row("sip:a@example.com?X-A=" + "b" * 1_020), "too-long"),
    bad_row("60 KB of uri", sip_row("sip:" + "a" * 60_000), "too-long"),
    bad_row("sips over udp", sip_row("sips:alice@example.com;transport=udp"), "uri-invalid"),
    bad_row("sctp", sip_row("sip:alice@example.com;transport=sctp"), "not-supported"),
    bad_row("maddr", sip_row("sip:alice@example.com;maddr=192.0.2.1"), "not-supported"),
    bad_row("method BYE", sip_row("sip:alice@example.com;method=BYE"), "not-supported"),
    *(
        bad_row(f"host {host}", sip_row(f"sip:alice@{host}"), "address-denied")
        for host in (
            "127.0.0.1",
            "10.0.0.1",
            "169.254.169.254",
            "224.0.0.1",
            "0.0.0.0",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[fd00::1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
        )
    ),
    *(
        bad_row(f"escaped control {escaped}", sip_row(f"sip:a{escaped}b@example.com"), "character-invalid")
        for escaped in ("%0d%0a", "%00", "%C2%85", "%E2%80%A8", "%7f")
    ),
    *(
        bad_row(f"header {header}", sip_row(f"sip:alice@example.com?{header}=x"), "header-forbidden")
        for header in (
            "Via",
            "vIA",
            "v",
            "%56ia",
            "%76",
            "From",
            "f",
            "To",
            "t",
            "Call-ID",
            "i",
            "CSeq",
            "Contact",
            "m",
            "Max-Forwards",
            "Route",
            "Record-Route",
            "Content-Type",
            "c",
            "Content-Length",
            "l",
            "e",
            "Content-Disposition",
            "Authorization",
            "Proxy-Authorization",
            "proxy-x",
            "WWW-Authenticate",
            "Require",
            "Supported",
            "k",
            "Allow",
            "Allow-Events",
            "u",
            "Accept",
            "Accept-Contact",
            "a",
            "Accept-Language",
            "Expires",
            "Session-Expires",
            "x",
            "Min-SE",
            "Replaces",
            "Join",
            "Refer-To",
            "r",
            "Referred-By",
            "b",
            "Event",
            "o",
            "RAck",
            "RSeq",
            "Date",
            "Timestamp",
            "MIME-Version",
            "User-Agent",
            "Server",
            "Warning",
            "Reason",
            "Identity",
            "y",
            "body",
            "method",
            "BODY",
            "X-CallSid",
            "x%2dcallsid",
            "X-AccountSid",
        )
    ),
    bad_row("header with a space", sip_row("sip:alice@example.com?Via%20=x"), "header-invalid"),
    bad_row("header with a colon", sip_row("sip:alice@example.com?X%3A=x"), "header-invalid"),
    bad_row("header that is not UTF-8", sip_row("sip:alice@example.com?X-A=%FF"), "header-invalid"),
    bad_row("header without a name", sip_row("sip:alice@example.com?=x"), "uri-invalid"),
    *(
        bad_row(f"header with {escaped}", sip_row(f"sip:alice@example.com?X-A=1{escaped}Via:x"), "character-invalid")
        for escaped in ("%0d%0a", "%0A", "%00", "%C2%85", "%E2%80%A8")
    ),
]

_URL = "sip:a@example.com"
URLS = [
    *(
        bad_row(f"url {url[:40]}", sip_row(_URL, f'statusCallback="{url}"'), "url-invalid")
        for url in (
            "",
            "ftp://app.example/",
            "javascript:alert(1)",
            "https://",
            "https:///x",
            "https://app.example:0/",
            "https://app.example:70000/",
            "https://app.example/a b",
            "https://app.example/%zz",
            "https://app.example/#top",
            "https://app.example\\@evil.example/",
            "https://a@b@app.example/",
            "https://-app.example/",
            "https://127.1/",
            "https://0x7f.0.0.1/",
            "https://0177.0.0.1/",
            "https://2130706433/",
            "https://127.0.0.1./x/../0x7f000001".replace("127.0.0.1.", "0x7f000001."),
            "https://[::1/",
            "https://[fe80::1%25eth0]/",
        )
    ),
    bad_row("relative url", sip_row(_URL, 'statusCallback="/events"'), "url-relative"),
    bad_row("long url", sip_row(_URL, f'statusCallback="https://a.example/{"a" * 4_000}"'), "too-long"),
    *(
        bad_row(f"url to {host}", sip_row(_URL, f'statusCallback="http://{host}/"'), "address-denied")
        for host in (
            "127.0.0.1",
            "10.1.2.3",
            "169.254.169.254",
            "[::1]",
            "[::ffff:10.0.0.1]",
            "u:p@127.0.0.1:80",
            "１２７.0.0.1",
            "[::127.0.0.1]",
        )
    ),
    bad_row(
        "statusCallbackMethod",
        sip_row(_URL, 'statusCallback="https://a.example" statusCallbackMethod="PUT"'),
        "method-invalid",
    ),
    bad_row(
        "statusCallbackEvent",
        sip_row(_URL, 'statusCallback="https://a.example" statusCallbackEvent="done"'),
        "event-unknown",
    ),
    bad_row(
        "two unknown events",
        sip_row(_URL, 'statusCallback="https://a.example" statusCallbackEvent="Ringing, done"'),
        "event-unknown",
        "event-unknown",
    ),
]

BAD_ADDRESSES = URIS + URLS
