"""Signalling: pyVoIP's classes with our own I/O (RFC 3261, RFC 6026). Knows calls, not customers."""
