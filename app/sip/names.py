"""Names of SIP header fields: compact forms, the spellings seen most, and which are comma lists. Knows no values."""

COMPACT = {  # RFC 3261 §7.3.3 and the IANA registry
    "v": "via",
    "f": "from",
    "t": "to",
    "i": "call-id",
    "m": "contact",
    "l": "content-length",
    "c": "content-type",
    "e": "content-encoding",
    "k": "supported",
    "s": "subject",
    "o": "event",
    "u": "allow-events",
    "x": "session-expires",
    "r": "refer-to",
    "b": "referred-by",
    "j": "reject-contact",
    "d": "request-disposition",
    "a": "accept-contact",
    "y": "identity",
}

# The usual spelling; pyVoIP's typed headers are keyed by it, and it saves a lower() on nearly every row.
USUAL = (
    "Via",
    "From",
    "To",
    "Call-ID",
    "CSeq",
    "Contact",
    "Content-Length",
    "Content-Type",
    "Max-Forwards",
    "Route",
    "Record-Route",
    "Allow",
    "Supported",
    "Require",
    "User-Agent",
    "Server",
    "WWW-Authenticate",
    "Proxy-Authenticate",
    "Authorization",
    "Proxy-Authorization",
    "Retry-After",
    "Session-Expires",
    "Min-SE",
    "RSeq",
    "RAck",
    "X-CallSid",
    "X-AccountSid",
)

# Spelling as received → lower-case full name.
KEYS = {name: name.lower() for name in USUAL} | {name.lower(): name.lower() for name in USUAL} | COMPACT

# Comma-separated by their grammar (RFC 3261 §7.3.1); never From, To, Date, or the four authentication headers.
LISTS = frozenset(
    {
        "via",
        "route",
        "record-route",
        "contact",
        "require",
        "supported",
        "unsupported",
        "proxy-require",
        "allow",
        "allow-events",
        "accept",
        "accept-encoding",
        "accept-language",
        "content-encoding",
        "content-language",
        "error-info",
        "alert-info",
        "call-info",
        "in-reply-to",
        "path",
        "service-route",
        "warning",
        "diversion",
        "p-asserted-identity",
        "p-preferred-identity",
        "history-info",
    }
)


def key_of(name: str) -> str:
    """The lower-case full name for any spelling."""
    lower = name.lower()
    return COMPACT.get(lower, lower)
