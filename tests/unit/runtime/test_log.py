"""What is logged must reach whoever reads it, and must never stop the work when nobody does."""

import json
import os
import subprocess
import sys
import time

_PRODUCT = """
import sys
from app.runtime import log
log.configure("info", "json", "test")
for number in range(int(sys.argv[1])):
    log.get("test").info("thing.happened", number=number)
"""


def test_every_line_is_written_before_the_process_ends_when_somebody_reads() -> None:
    said = subprocess.run([sys.executable, "-c", _PRODUCT, "5000"], capture_output=True, text=True, check=True)
    assert [json.loads(line)["number"] for line in said.stdout.splitlines()] == list(range(5000))


def test_a_process_whose_log_nobody_reads_works_on_and_ends() -> None:
    reading, writing = os.pipe()
    started = time.monotonic()
    try:
        subprocess.run([sys.executable, "-c", _PRODUCT, "20000"], stdout=writing, check=True, timeout=30)
    finally:
        os.close(writing)
        os.close(reading)
    assert time.monotonic() - started < 20


def test_a_pipe_without_a_reader_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        subprocess.run([sys.executable, "-c", _PRODUCT, "10"], stdout=writing, check=True, timeout=30)
    finally:
        os.close(writing)


def test_what_was_left_out_while_nobody_read_is_counted_in_the_log() -> None:
    waits = _PRODUCT + 'print("done", file=sys.stderr, flush=True); input(); log.get("test").info("read.again")'
    command = [sys.executable, "-c", waits, "20000"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdin and process.stdout and process.stderr
    assert process.stderr.readline() == "done\n"
    for _ in range(5_000):
        process.stdout.readline()
    said, _ = process.communicate("\n", timeout=30)
    last = [json.loads(line) for line in said.splitlines()[-2:]]
    assert [line["event"] for line in last] == ["log.left_out", "read.again"]
    assert last[0]["lines"] > 5_000
