"""How much one receiver may take of this process: bytes, seconds and connections. Measures nothing itself."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    connect: float = 5.0  # seconds for name, TCP and TLS together
    total: float = 15.0  # seconds for the whole attempt; a deadline, not a gap between two reads
    body: int = 64 * 1024  # bytes of an answer's body
    headers: int = 16 * 1024  # bytes of an answer's headers
    kept_per_origin: int = 8  # above that, httpcore's pool was measured to be quadratic; ours stays small too
    kept: int = 256  # over all origins
    idle: float = 30.0  # seconds that an unused connection is kept
    first_byte: float | None = None  # seconds from the request to the answer's first byte, where `total` is long
