"""Kamailio as a record-routing proxy that asks for a login: its users are in a text file, its targets in the user part.

A call to ``sip:udp-5070@it`` goes to port 5070 over UDP, ``tcp-5070`` over TCP, ``fork-5070-5071`` to both at once; a
call that reaches it by a Route goes on to its own Request-URI. Stopped by its pid.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.kit.ports import free_port

HOW_TO_GET_IT = "Kamailio is missing: apt-get install kamailio"
REALM = "kamailio.test"

_CONFIG = """
debug=1
log_stderror=yes
children=1
tcp_children=1
auto_aliases=no
alias="127.0.0.1:{port}"
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
{modules}
modparam("db_text", "db_mode", 0)
modparam("auth_db", "db_url", "text://{folder}/db")
modparam("auth_db", "calculate_ha1", 1)
modparam("auth_db", "password_column", "password")
modparam("auth_db", "load_credentials", "")
modparam("rr", "enable_double_rr", 1)
modparam("tm", "failure_reply_mode", 3)

request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (is_method("CANCEL")) {{
        if (t_check_trans()) {{ xlog("L_ALERT", "forwards CANCEL $ci\\n"); t_relay(); }}
        exit;
    }}
    if (has_totag()) {{
        if (loose_route()) {{ xlog("L_ALERT", "forwards $rm $ci\\n"); t_relay(); exit; }}
        if (is_method("ACK")) {{ if (t_check_trans()) t_relay(); exit; }}
        sl_send_reply("404", "No Route Set");
        exit;
    }}
    t_check_trans();
    if (!is_method("INVITE")) {{ sl_send_reply("405", "Method Not Allowed"); exit; }}
    xlog("L_ALERT", "invited $ci\\n");
    if (!proxy_authorize("{realm}", "subscriber")) {{
        xlog("L_ALERT", "challenges $ci\\n");
        proxy_challenge("{realm}", "1");
        exit;
    }}
    consume_credentials();
    if (loose_route()) {{ $var(way) = "on"; }}
    record_route();
    if ($rU =~ "^udp-") {{ $ru = "sip:alice@127.0.0.1:" + $(rU{{s.select,1,-}}); }}
    if ($rU =~ "^tcp-") {{ $ru = "sip:alice@127.0.0.1:" + $(rU{{s.select,1,-}}) + ";transport=tcp"; }}
    if ($rU =~ "^fork-") {{
        $var(second) = $(rU{{s.select,2,-}});
        $ru = "sip:alice@127.0.0.1:" + $(rU{{s.select,1,-}});
        append_branch("sip:alice@127.0.0.1:" + $var(second));
    }}
    xlog("L_ALERT", "forwards INVITE $ci\\n");
    if (!t_relay()) {{ sl_reply_error(); }}
    exit;
}}
"""
_MODULES = (
    "kex", "corex", "tm", "tmx", "sl", "rr", "pv", "maxfwd", "textops", "siputils", "xlog", "auth",
    "db_text", "auth_db",
)  # fmt: skip


@dataclass(slots=True)
class Kamailio:
    process: subprocess.Popen[str]
    port: int
    lines: list[str] = field(default_factory=list)

    def uri(self, user: str) -> str:
        return f"sip:{user}@127.0.0.1:{self.port}"

    def said(self, what: str, call_id: str) -> int:
        """How often it did so in a call: ``forwards BYE``, ``challenges``, ``invited``."""
        return sum(f"{what} {call_id}" in line for line in self.lines)


def version() -> str:
    said = subprocess.run([_program(), "-v"], capture_output=True, text=True, check=True).stdout
    return said.split()[2]


@contextmanager
def kamailio(**users: str) -> Iterator[Kamailio]:
    """Ready when this returns; `users` with their passwords."""
    program = _program()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        port = free_port()
        _write(folder, port, users)
        process = subprocess.Popen(
            [program, "-f", str(folder / "kamailio.cfg"), "-DD", "-E", "-m", "32", "-M", "8", "-Y", str(folder),
             "-w", str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )  # fmt: skip
        running = Kamailio(process, port)
        try:
            _wait_until_it_answers(running)
            yield running
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _program() -> str:
    program = shutil.which("kamailio") or shutil.which("kamailio", path="/usr/sbin")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail(HOW_TO_GET_IT)
        pytest.skip(HOW_TO_GET_IT)
    return program


def _write(folder: Path, port: int, users: dict[str, str]) -> None:
    modules = "\n".join(f'loadmodule "{name}.so"' for name in _MODULES)
    (folder / "kamailio.cfg").write_text(_CONFIG.format(port=port, folder=folder, realm=REALM, modules=modules))
    (folder / "db").mkdir()
    (folder / "db" / "version").write_text("table_name(string) table_version(int)\nsubscriber:7\n")
    rows = "".join(f"{name}:{REALM}:{password}\n" for name, password in users.items())
    (folder / "db" / "subscriber").write_text(f"username(string) domain(string) password(string)\n{rows}")


def _wait_until_it_answers(running: Kamailio) -> None:
    """Its workers are there when one of them refuses OPTIONS."""

    def read() -> None:
        assert running.process.stdout is not None
        for line in running.process.stdout:
            running.lines.append(line)

    threading.Thread(target=read, daemon=True).start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("127.0.0.1", running.port))
        asking.settimeout(0.1)
        own = asking.getsockname()[1]
        question = (
            f"OPTIONS sip:127.0.0.1:{running.port} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{own};branch=z9hG4bKready\r\n"
            "From: <sip:test@127.0.0.1>;tag=1\r\nTo: <sip:test@127.0.0.1>\r\nCall-ID: ready\r\nCSeq: 1 OPTIONS\r\n"
            "Max-Forwards: 5\r\nContent-Length: 0\r\n\r\n"
        )
        for _ in range(200):
            assert running.process.poll() is None, _ended(running)
            with suppress(TimeoutError, ConnectionRefusedError):
                asking.send(question.encode())
                asking.recv(4096)
                return
            if running.process.poll() is None:
                time.sleep(0.05)  # a refused port answers at once
    raise AssertionError("kamailio never answered:\n" + "".join(running.lines))


def _ended(running: Kamailio) -> str:
    running.process.wait()
    return "kamailio ended:\n" + "".join(running.lines)
