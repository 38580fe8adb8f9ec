"""The ways an attempt can fail, as httpx errors with a short text fit to be stored and shown. Knows no socket."""

import errno
import ssl

import httpx

# OpenSSL's X509_V_ERR_* codes for what goes wrong in practice; the rest keeps OpenSSL's own words.
_CERTIFICATE = {
    9: "not valid yet",
    10: "expired",
    18: "self-signed",
    19: "from an unknown issuer",
    20: "from an unknown issuer",
    21: "from an unknown issuer",
    62: "for another host name",
    64: "for another address",
}
_CONNECT = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.ETIMEDOUT: "timed out",
    errno.ENETUNREACH: "network unreachable",
    errno.EHOSTUNREACH: "host unreachable",
    errno.EMFILE: "this process has no free descriptor",
}


class AddressDenied(httpx.ConnectError):
    """Nothing that the host resolves to may be reached; no packet was sent."""

    def __init__(self, refusal: str) -> None:
        super().__init__(f"address-denied: {refusal}")


class ClosedUnanswered(httpx.ReadError):
    """The connection ended before a single byte of an answer: safe to try again at once if it was a kept one."""


class AnswerTooLarge(httpx.RemoteProtocolError):
    """The answer went over the cap and was cut; `status` and the `start` of its body are known."""

    def __init__(self, cap: int, status: int, start: bytes) -> None:
        super().__init__(f"answer larger than {cap // 1024} KiB")
        self.status = status
        self.start = start


def connecting(error: OSError) -> httpx.ConnectError:
    """What an error of connect() or of the TLS handshake says."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return httpx.ConnectError(f"tls: certificate {_CERTIFICATE.get(error.verify_code, error.verify_message)}")
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or "handshake failed").replace("_", " ").lower()
        return httpx.ConnectError(f"tls: {reason}")
    text = _CONNECT.get(error.errno or 0) or (error.strerror or "failed").lower()
    return httpx.ConnectError(f"connect: {text}")
