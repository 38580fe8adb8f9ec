"""Whether the role in this container works: asks it as its users would. Knows no more of it than its address."""

import os
import socket
import sys
import urllib.request
from pathlib import Path

PATIENCE = 4.0  # seconds


def main(command: bytes) -> int:
    """0 when the role answers; its name is the last word of `command`, the container's first process."""
    role = command.rstrip(b"\0").split(b"\0")[-1].decode()
    checks = {"worker": sip_answers, "webhooks": database_answers}
    try:
        checks.get(role, api_is_ready)()
    except Exception as error:  # whatever it is, it is the reason to be shown
        sys.stderr.write(f"{role}: {error}\n")
        return 1
    return 0


def api_is_ready() -> None:
    port = os.environ.get("DIAL_HTTP_PORT", "8080")
    urllib.request.urlopen(f"http://{reachable('DIAL_HTTP_HOST')}:{port}/readyz", timeout=PATIENCE).close()


def sip_answers() -> None:
    """Any response to an OPTIONS will do (RFC 3261 §11)."""
    host, port = reachable("DIAL_SIP_HOST"), int(os.environ.get("DIAL_SIP_PORT", "5060"))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.settimeout(PATIENCE)
        probe.connect((host, port))
        mine = f"[{probe.getsockname()[0]}]" if family == socket.AF_INET6 else probe.getsockname()[0]
        there = f"sip:{'[' + host + ']' if ':' in host else host}:{port}"
        unique = os.urandom(8).hex()
        lines = [
            f"OPTIONS {there} SIP/2.0",
            f"Via: SIP/2.0/UDP {mine}:{probe.getsockname()[1]};branch=z9hG4bK{unique};rport",
            "Max-Forwards: 1",
            f"From: <sip:health@{mine}>;tag={unique}",
            f"To: <{there}>",
            f"Call-ID: {unique}",
            "CSeq: 1 OPTIONS",
            "Content-Length: 0",
        ]
        probe.send("\r\n".join([*lines, "", ""]).encode())
        if not probe.recv(4096).startswith(b"SIP/2.0 "):
            raise RuntimeError("what came back is not SIP")


def database_answers() -> None:
    import psycopg

    with psycopg.connect(os.environ["DIAL_DATABASE_URL"], connect_timeout=int(PATIENCE)) as connection:
        connection.execute("SELECT 1")


def reachable(setting: str) -> str:
    """The address to ask at: what a wildcard is bound to includes the loopback interface."""
    host = os.environ.get(setting, "127.0.0.1")
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)


if __name__ == "__main__":
    sys.exit(main(Path("/proc/1/cmdline").read_bytes()))
