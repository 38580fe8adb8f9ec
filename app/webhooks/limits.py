"""How much one receiver may take of this process: bytes, seconds and connections. Measures nothing itself."""

import resource
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    connect: float = 5.0  # seconds for name, TCP and TLS together
    total: float = 15.0  # seconds for the whole attempt; a deadline, not a gap between two reads
    body: int = 64 * 1024  # bytes of an answer's body
    headers: int = 16 * 1024  # bytes of an answer's headers
    kept_per_origin: int = 8  # above that, httpcore's pool was measured to be quadratic; ours stays small too
    kept: int = 1024  # over all origins: with 256 and a backlog for 100 origins, every attempt had to connect anew
    idle: float = 30.0  # seconds that an unused connection is kept
    first_byte: float | None = None  # seconds from the request to the answer's first byte, where `total` is long


def descriptors() -> int:
    """What the process may open: half of it is for attempts, a quarter for kept connections, the rest for others."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1_000_000 if soft == resource.RLIM_INFINITY else soft
