"""The stable code of everything that can be wrong with a request, in one table. Knows no request."""

from dataclasses import dataclass
from enum import StrEnum


class Code(StrEnum):
    """Clients may branch on these: a code is never renamed, and never reused for something else."""

    # 400: the bytes are not a document
    XML_SYNTAX = "xml-syntax"
    JSON_SYNTAX = "json-syntax"
    ENCODING_INVALID = "encoding-invalid"
    ENCODING_UNSUPPORTED = "encoding-unsupported"
    DTD_NOT_ALLOWED = "dtd-not-allowed"
    FOREIGN_ENTITY = "foreign-entity"
    TOO_DEEP = "too-deep"
    QUERY_SYNTAX = "query-syntax"
    # 422: a document, but not a plan
    WRONG_ROOT = "wrong-root"
    UNKNOWN_VERB = "unknown-verb"
    UNKNOWN_NOUN = "unknown-noun"
    ELEMENT_NOT_ALLOWED = "element-not-allowed"
    TEXT_NOT_ALLOWED = "text-not-allowed"
    UNKNOWN_ATTRIBUTE = "unknown-attribute"
    UNKNOWN_FIELD = "unknown-field"
    UNKNOWN_PARAMETER = "unknown-parameter"
    REPEATED_FIELD = "repeated-field"
    NOTHING_TO_DO = "nothing-to-do"
    DIAL_EMPTY = "dial-empty"
    TOO_MANY_TARGETS = "too-many-targets"
    URI_MISSING = "uri-missing"
    TYPE_INVALID = "type-invalid"
    INTEGER_INVALID = "integer-invalid"
    OUT_OF_RANGE = "out-of-range"
    BOOLEAN_INVALID = "boolean-invalid"
    METHOD_INVALID = "method-invalid"
    EVENT_UNKNOWN = "event-unknown"
    RECORD_INVALID = "record-invalid"
    CALLER_ID_INVALID = "caller-id-invalid"
    CHARACTER_INVALID = "character-invalid"
    TOO_LONG = "too-long"
    URI_INVALID = "uri-invalid"
    HEADER_INVALID = "header-invalid"
    HEADER_FORBIDDEN = "header-forbidden"
    URL_INVALID = "url-invalid"
    URL_RELATIVE = "url-relative"
    ADDRESS_DENIED = "address-denied"
    CREDENTIALS_INCOMPLETE = "credentials-incomplete"
    METADATA_INVALID = "metadata-invalid"
    NOT_SUPPORTED = "not-supported"
    NEEDS_CALLER = "needs-caller"
    VERB_NOT_ALLOWED = "verb-not-allowed"
    TEXT_MISSING = "text-missing"
    VALUE_INVALID = "value-invalid"
    FIELDS_EXCLUSIVE = "fields-exclusive"
    CALL_IS_LEG = "call-is-leg"
    TOO_MANY_PROBLEMS = "too-many-problems"
    IDEMPOTENCY_KEY_INVALID = "idempotency-key-invalid"
    PARAMETER_INVALID = "parameter-invalid"
    STATUS_INVALID = "status-invalid"
    NUMBER_INVALID = "number-invalid"
    FIELD_MISSING = "field-missing"
    # everything else that HTTP can answer
    UNAUTHORIZED = "unauthorized"
    NOT_FOUND = "not-found"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    NOT_HTTP = "not-http"
    HEAD_TOO_SLOW = "head-too-slow"
    HEAD_TOO_LARGE = "head-too-large"
    BODY_TOO_SLOW = "body-too-slow"
    IDEMPOTENCY_CONFLICT = "idempotency-conflict"
    CALL_FINISHED = "call-finished"
    ALREADY_ANSWERED = "already-answered"
    NUMBER_TAKEN = "number-taken"
    RECORDING_RUNS = "recording-runs"
    BODY_TOO_LARGE = "body-too-large"
    RANGE_INVALID = "range-invalid"
    MEDIA_TYPE_UNSUPPORTED = "media-type-unsupported"
    RATE_LIMITED = "rate-limited"
    INTERNAL_ERROR = "internal-error"
    UNAVAILABLE = "unavailable"
    NO_WORKER = "no-worker"
    NO_CAPACITY = "no-capacity"
    TOO_MANY_STREAMS = "too-many-streams"


@dataclass(frozen=True, slots=True)
class Explanation:
    status: int  # the HTTP status that this code alone leads to
    meaning: str
    remedy: str


EXPLAINED: dict[Code, Explanation] = {
    code: Explanation(status, meaning, remedy)
    for code, status, meaning, remedy in (
        (Code.XML_SYNTAX, 400, "The body is not well-formed XML.", "Correct the XML at the line and column given."),
        (Code.JSON_SYNTAX, 400, "The body is not JSON (RFC 8259).", "Correct the JSON at the line and column given."),
        (
            Code.ENCODING_INVALID,
            400,
            "The bytes are not in the encoding that the body, its charset or its byte order mark names.",
            "Encode the body as it says, best as UTF-8.",
        ),
        (
            Code.ENCODING_UNSUPPORTED,
            400,
            "The encoding is none of those that are read.",
            "Use UTF-8; RCML may also be UTF-16 with a byte order mark or ISO-8859-1.",
        ),
        (Code.DTD_NOT_ALLOWED, 400, "The document has a DOCTYPE.", "Remove the DOCTYPE; RCML needs none."),
        (
            Code.FOREIGN_ENTITY,
            400,
            "The document uses an entity other than the five of XML.",
            "Write the character itself or a character reference such as &#233;, or &amp;name; for the text &name;.",
        ),
        (Code.TOO_DEEP, 400, "The body is nested more than 16 deep.", "Nest less."),
        (
            Code.QUERY_SYNTAX,
            400,
            "The query string is not percent-encoded UTF-8.",
            "Percent-encode each value as UTF-8.",
        ),
        (Code.WRONG_ROOT, 422, "The root is not what a request begins with.", "Use <Response>, or a JSON object."),
        (Code.UNKNOWN_VERB, 422, "There is no verb of that name.", "Use one that the detail names."),
        (Code.UNKNOWN_NOUN, 422, "<Dial> holds something other than <Sip>.", "Use <Sip>; nothing else is dialled."),
        (Code.ELEMENT_NOT_ALLOWED, 422, "An element stands where none may.", "Remove it."),
        (Code.TEXT_NOT_ALLOWED, 422, "Text stands where none may.", "Put it into an element, or remove it."),
        (Code.UNKNOWN_ATTRIBUTE, 422, "The element has no attribute of that name.", "Correct or remove it."),
        (Code.UNKNOWN_FIELD, 422, "The object has no member of that name.", "Correct or remove it."),
        (Code.UNKNOWN_PARAMETER, 422, "The operation has no query parameter of that name.", "Correct or remove it."),
        (Code.REPEATED_FIELD, 422, "A member or query parameter is there more than once.", "Give it once."),
        (
            Code.NOTHING_TO_DO,
            422,
            "The request asks for nothing.",
            "Add what the detail names: something to dial or to do.",
        ),
        (Code.DIAL_EMPTY, 422, "A dial has no target.", "Give it one to ten targets."),
        (Code.TOO_MANY_TARGETS, 422, "A dial has more than ten targets.", "Give it one to ten targets."),
        (Code.URI_MISSING, 422, "A target has no SIP URI.", "Write the SIP URI as text of <Sip>, or as `uri` in JSON."),
        (Code.TYPE_INVALID, 422, "A JSON value has the wrong type.", "Use the type that the detail names."),
        (Code.INTEGER_INVALID, 422, "The value is not a whole number.", "Write decimal digits only."),
        (Code.OUT_OF_RANGE, 422, "The number is outside its range.", "Use a number in the range given."),
        (Code.BOOLEAN_INVALID, 422, "The value is neither true nor false.", "Use true or false."),
        (Code.METHOD_INVALID, 422, "The HTTP method cannot be used for a callback.", "Use GET or POST."),
        (
            Code.EVENT_UNKNOWN,
            422,
            "There is no event of that name.",
            "Use those that the detail names.",
        ),
        (
            Code.RECORD_INVALID,
            422,
            "The value of record is none that exists.",
            "Use one that the detail names.",
        ),
        (
            Code.CALLER_ID_INVALID,
            422,
            "The caller id is neither a user part, nor a sip: URI, nor a name with one.",
            'Use bob, sip:bob@example.com or "Bob" <sip:bob@example.com>.',
        ),
        (
            Code.CHARACTER_INVALID,
            422,
            "The value has a control character, a line separator or half a surrogate pair, plain or escaped.",
            "Remove the character.",
        ),
        (Code.TOO_LONG, 422, "The value is longer than its limit.", "Shorten it to the limit given."),
        (Code.URI_INVALID, 422, "The value is not a SIP URI (RFC 3261 §19.1).", "Correct the part that is named."),
        (
            Code.HEADER_INVALID,
            422,
            "A URI header is not a header name and a value, percent-encoded as UTF-8.",
            "Correct the header after the ? of the URI.",
        ),
        (
            Code.HEADER_FORBIDDEN,
            422,
            "A URI header would replace one that the service writes itself.",
            "Remove the header; X- headers and most others pass.",
        ),
        (Code.URL_INVALID, 422, "The value is not an absolute http or https URL.", "Correct the part that is named."),
        (Code.URL_RELATIVE, 422, "A URL is relative and there is no baseUrl.", "Write it absolute or send baseUrl."),
        (
            Code.ADDRESS_DENIED,
            422,
            "The address is private, loopback, link-local, multicast or otherwise refused.",
            "Use a public address, or list its CIDR in DIAL_HTTP_ALLOW (URLs) or DIAL_SIP_ALLOW (SIP).",
        ),
        (
            Code.CREDENTIALS_INCOMPLETE,
            422,
            "A password is given without its username, or an empty username.",
            "Give both, or a username alone for an empty password.",
        ),
        (
            Code.METADATA_INVALID,
            422,
            "metadata is not an object whose values are all strings.",
            "Send a JSON object of strings.",
        ),
        (Code.NOT_SUPPORTED, 422, "The service does not do this.", "Leave it out."),
        (
            Code.NEEDS_CALLER,
            422,
            "A verb or field needs a caller, and there is none: the service stands in for it.",
            "Add `caller`, or leave the verb or field out.",
        ),
        (
            Code.VERB_NOT_ALLOWED,
            422,
            "The verb cannot be used on this leg: <Reject> is for inbound calls, <Dial> not for screening.",
            "Use <Hangup>, or leave it out.",
        ),
        (Code.TEXT_MISSING, 422, "An element that needs text is empty.", "Write the words or the URL as its text."),
        (Code.VALUE_INVALID, 422, "The value is none that the attribute may have.", "Use one that the detail names."),
        (
            Code.FIELDS_EXCLUSIVE,
            422,
            "Members are there together of which only one may be.",
            "Send one of those that the detail names.",
        ),
        (
            Code.CALL_IS_LEG,
            422,
            "The call is a leg, which runs no document of its own.",
            "Send it to the parent, whose sid the detail names.",
        ),
        (
            Code.TOO_MANY_PROBLEMS,
            422,
            "The request has more problems than are listed.",
            "Correct those that are listed and send it again.",
        ),
        (
            Code.IDEMPOTENCY_KEY_INVALID,
            422,
            "The header Idempotency-Key is not 1 to 255 printable ASCII characters, once.",
            "Send a UUID or the like.",
        ),
        (Code.PARAMETER_INVALID, 422, "A query parameter has a value that it cannot have.", "Correct the value."),
        (Code.STATUS_INVALID, 422, "The status is none that can be asked for.", "Use one that the detail names."),
        (
            Code.NUMBER_INVALID,
            422,
            "The number is not the user part of a SIP address.",
            "Write what stands before the @, unescaped: +4930123456 or front-desk.",
        ),
        (Code.FIELD_MISSING, 422, "A member that must be there is not.", "Add what the detail names."),
        (
            Code.UNAUTHORIZED,
            401,
            "Account sid or token is missing or wrong.",
            "Send HTTP Basic with the account's sid as user and its token as password.",
        ),
        (Code.NOT_FOUND, 404, "There is nothing of that name in this account.", "Check the sid and the path."),
        (Code.METHOD_NOT_ALLOWED, 405, "The path has no such method.", "Use a method that the header Allow lists."),
        (Code.NOT_HTTP, 400, "The request line or a header is malformed.", "Send HTTP/1.1."),
        (Code.HEAD_TOO_SLOW, 408, "The headers did not arrive within 15 s.", "Send them faster."),
        (Code.HEAD_TOO_LARGE, 431, "The request line and the headers are over 16 KiB.", "Send less."),
        (Code.BODY_TOO_SLOW, 408, "The body did not arrive within 15 s.", "Send it faster."),
        (
            Code.IDEMPOTENCY_CONFLICT,
            409,
            "The Idempotency-Key was used within 24 h with another body or query.",
            "Use a new key for a new request.",
        ),
        (Code.CALL_FINISHED, 409, "The call has ended already.", "Nothing is left to do."),
        (
            Code.ALREADY_ANSWERED,
            409,
            "The call has been answered and cannot be canceled any more.",
            "Use status completed to hang it up.",
        ),
        (Code.NUMBER_TAKEN, 409, "The number exists already.", "Use another number, or change the one that you have."),
        (
            Code.RECORDING_RUNS,
            409,
            "The recording has not ended yet.",
            "Wait for its callback, or for its status completed.",
        ),
        (Code.BODY_TOO_LARGE, 413, "The body is over 64 KiB.", "Send less."),
        (Code.RANGE_INVALID, 416, "The recording has no such bytes.", "Ask for bytes within its size."),
        (
            Code.MEDIA_TYPE_UNSUPPORTED,
            415,
            "The Content-Type is missing or none that the operation reads.",
            "Use application/json; for RCML application/xml or text/xml.",
        ),
        (
            Code.RATE_LIMITED,
            429,
            "The account has placed as many calls, in this second or at once, as the operator lets it.",
            "Wait for Retry-After seconds.",
        ),
        (Code.INTERNAL_ERROR, 500, "The service made a mistake; it is in its log.", "Try again or report it."),
        (
            Code.UNAVAILABLE,
            503,
            "The database is away or too slow.",
            "Repeat the request after Retry-After seconds, with the same Idempotency-Key.",
        ),
        (Code.NO_WORKER, 503, "No worker is alive to place calls.", "Start a worker; try again after Retry-After."),
        (
            Code.NO_CAPACITY,
            503,
            "The workers are full: the call would wait longer than DIAL_MAX_WAIT.",
            "Try again after Retry-After seconds, or add workers.",
        ),
        (Code.TOO_MANY_STREAMS, 503, "This process streams to too many clients.", "Close some, or ask for JSON."),
    )
}
