"""Wireshark's reader without its window: the second opinion on what we write as a packet capture."""

import os
import shutil
import subprocess

import pytest

HOW_TO_GET_IT = "tshark is missing: apt-get install tshark"
_STRICT = [
    argument
    for protocol in ("ip", "udp", "tcp")
    for argument in ("-o", f"{protocol}.check_checksum:TRUE")
]  # fmt: skip


def fields(capture: bytes, *names: str, sip_port: int | None = None) -> list[list[str]]:
    """The values of `names` for each packet, checksums verified; `sip_port`: a TCP port to be read as SIP.

    All UDP is: left to guess, tshark takes some ports of tests for those of games.
    """
    program = shutil.which("tshark")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail(HOW_TO_GET_IT)
        pytest.skip(HOW_TO_GET_IT)
    wanted = [argument for name in names for argument in ("-e", name)]
    read_as = ["-d", "udp.port==1-65535,sip"]
    if sip_port is not None:
        read_as += ["-d", f"tcp.port=={sip_port},sip"]
    command = [program, "-n", "-r", "-", *_STRICT, *read_as, "-T", "fields", "-E", "separator=\x1f", *wanted]
    done = subprocess.run(command, input=capture, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return [line.split("\x1f") for line in done.stdout.decode().splitlines()]
