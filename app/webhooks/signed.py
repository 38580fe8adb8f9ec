"""A request to a customer's application, with both signatures on it. Sends nothing."""

from datetime import datetime

import httpx

from app.store.accounts import SigningSecrets
from app.webhooks import signature, target
from app.webhooks.transport import Outgoing, serialize

FIXED_HEADERS = (
    (b"accept", b"*/*"),
    (b"accept-encoding", b"identity"),  # an answer is kept as it came: nothing is ever decompressed
    (b"user-agent", b"Dial-to-SIP"),
)
_FORM = (b"content-type", b"application/x-www-form-urlencoded")


def signed(url: str, form: str | None, message_id: str, secrets: SigningSecrets, at: datetime) -> httpx.Request:
    """A POST of `form`, or a GET when it is None; user information in `url` becomes Basic authentication.

    Every header is given here, in bytes, and the body as a stream: then httpx adds nothing.
    """
    method, to, headers, body = _parts(url, form, message_id, secrets, at)
    return httpx.Request(method, to.url, headers=headers, stream=httpx.ByteStream(body))


def outgoing(url: str, form: str | None, message_id: str, secrets: SigningSecrets, at: datetime) -> Outgoing:
    """The same, as it goes over the wire."""
    method, to, headers, body = _parts(url, form, message_id, secrets, at)
    return Outgoing(to.origin, serialize(method, to.url.raw_path, headers, body))


def _parts(
    url: str, form: str | None, message_id: str, secrets: SigningSecrets, at: datetime
) -> tuple[str, target.Target, list[tuple[bytes, bytes]], bytes]:
    method = "GET" if form is None else "POST"
    to = target.parse(url, method)
    standard = signature.standard(secrets.webhook_secrets, message_id, at, to.query if form is None else form)
    twilio = signature.twilio(secrets.auth_token, to.text, form)
    headers = [(b"host", to.host), *FIXED_HEADERS, (b"x-twilio-signature", twilio.encode("ascii"))]
    headers += [(name.encode("ascii"), value.encode("ascii")) for name, value in standard.items()]
    if to.authorization is not None:
        headers.append((b"authorization", to.authorization))
    if form is None:
        return method, to, headers, b""
    body = form.encode()
    headers += [_FORM, (b"content-length", b"%d" % len(body))]
    return method, to, headers, body
