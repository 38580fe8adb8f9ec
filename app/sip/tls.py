"""TLS of a SIP endpoint: whom we trust, who we are, and what a failed handshake means in words. Knows no connection."""

import ssl
from dataclasses import dataclass
from pathlib import Path

_MISMATCHED = (62, 64)  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED


@dataclass(frozen=True, slots=True)
class Security:
    """The two sides of a TLS connection, and where connections are accepted: nowhere without `port`."""

    client: ssl.SSLContext
    server: ssl.SSLContext | None = None
    port: int | None = None


def security(
    *,
    ca: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    verify: bool = True,
    port: int | None = None,
) -> Security:
    """From PEM files: `ca` is trusted instead of the system's authorities; `key` may be in the certificate's file.

    Our certificate is shown to callers and, when they ask for one, to callees. TLS 1.2 and newer. Raises OSError, which
    ssl.SSLError is, for files that cannot be used.
    """
    client = ssl.create_default_context(cafile=ca)
    client.hostname_checks_common_name = (
        False  # RFC 5922 §7.1: the common name only where there is no other; nowhere now
    )
    if not verify:
        client.check_hostname = False
        client.verify_mode = ssl.CERT_NONE
    if certificate is None:
        return Security(client, port=port)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for context in (client, server):
        context.load_cert_chain(certificate, key)
    return Security(client, server, port)


def explained(error: ssl.SSLError, name: str) -> str:
    """Why a handshake with `name` failed, for people."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return f"tls: the handshake failed: {(error.reason or str(error)).lower().replace('_', ' ')}"
    if error.verify_code in _MISMATCHED:
        return f"tls: certificate is not for {name}"
    if error.verify_code == _EXPIRED:
        return f"tls: certificate of {name} has expired"
    return f"tls: certificate of {name} is not trusted: {error.verify_message}"
