"""What users are given besides the program: image, compose file, lock of settings and words, health check."""

import importlib.util
import re
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

from app.runtime.settings import Settings
from app.webhooks import signature

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
README = (ROOT / "README.md").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
VARIABLES = {f"DIAL_{name.upper()}" for name in Settings.model_fields}


def tool(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def healthcheck() -> ModuleType:
    spec = importlib.util.spec_from_file_location("healthcheck", ROOT / "deploy" / "healthcheck.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    tool(str(BIN / "hadolint"), "Dockerfile")


def test_the_compose_file_is_valid() -> None:
    tool(
        str(BIN / "python"), "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"
    )  # fmt: skip


def test_the_image_runs_without_root_and_can_be_asked_for_its_health() -> None:
    last_stage = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    for line in ("USER 10001:10001", "STOPSIGNAL SIGTERM", "HEALTHCHECK ", 'ENTRYPOINT ["python", "-m", "app"]'):
        assert f"\n{line}" in last_stage


def test_what_the_image_is_made_of_is_let_into_the_build() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {path for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.M) for path in line.split()[:-1]}
    assert copied == let_in
    assert not [path for path in copied if not (ROOT / path).exists()]


def test_make_env_makes_up_every_secret_that_compose_wants_and_none_twice() -> None:
    def made() -> dict[str, str]:
        text = subprocess.run([ROOT / "deploy" / "make-env"], capture_output=True, text=True, check=True).stdout
        return dict(line.split("=", 1) for line in text.splitlines() if line and not line.startswith("#"))

    first, second = made(), made()
    compose = (ROOT / "compose.yaml").read_text()
    wanted = set(re.findall(r"\$\{(\w+):\?", compose))
    assert wanted == {name for name, value in first.items() if value}
    assert set(re.findall(r"\$\{(\w+):-\}", compose)) == {name for name, value in first.items() if not value}
    assert not [name for name in wanted if first[name] == second[name]]
    Settings(**{name.removeprefix("DIAL_").lower(): first[name] for name in wanted & VARIABLES})


def test_every_setting_that_is_written_about_exists_and_every_one_that_exists_is_in_the_readme() -> None:
    written = {
        path: set(re.findall(r"DIAL_[A-Z0-9_]+[A-Z]", (ROOT / path).read_text()))
        for path in ("README.md", "Dockerfile", "compose.yaml", "deploy/README.md", "deploy/make-env")
    }
    assert not {path: names - VARIABLES for path, names in written.items() if names - VARIABLES}
    assert written["README.md"] == VARIABLES


def test_links_between_the_documents_lead_somewhere() -> None:
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/*.md")]
    dead = [
        f"{document.relative_to(ROOT)}: {link}"
        for document in documents
        for link in re.findall(r"\]\(([^)#]+)", document.read_text())
        if "://" not in link and not (document.parent / link).exists()
    ]
    assert not dead


def test_the_way_to_verify_a_webhook_in_the_readme_works() -> None:
    snippet = re.search(r"```python\n(.*?)```", README, re.S)
    assert snippet is not None
    namespace: dict[str, object] = {}
    exec(snippet[1], namespace)
    is_genuine = namespace["is_genuine"]
    assert callable(is_genuine)
    old, new = "whsec_" + "QUFB" * 8, "whsec_" + "QkJC" * 8
    body = b"CallSid=CA1&CallStatus=completed"
    headers = signature.standard([new, old], "msg_1", datetime.now(UTC), body.decode())
    assert is_genuine(old, headers, body)
    assert is_genuine(new, headers, body)
    assert not is_genuine("whsec_" + "Q0ND" * 8, headers, body)
    assert not is_genuine(new, headers, body + b"&CallDuration=1")
    late = signature.standard([new], "msg_1", datetime.fromtimestamp(time.time() - 600, UTC), body.decode())
    assert not is_genuine(new, late, body)


def test_the_licence_is_the_whole_gpl_version_three_and_said_the_same_everywhere() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "GNU GENERAL PUBLIC LICENSE" in text
    assert "Version 3, 29 June 2007" in text
    assert "END OF TERMS AND CONDITIONS" in text
    for path in ("pyproject.toml", "Dockerfile", "README.md"):
        assert "GPL-3.0-only" in (ROOT / path).read_text()


def test_a_worker_is_healthy_when_it_answers_an_options_and_not_when_it_is_silent(
    healthcheck: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(healthcheck, "PATIENCE", 0.3)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as worker:
        worker.bind(("127.0.0.1", 0))
        monkeypatch.setenv("DIAL_SIP_HOST", "0.0.0.0")
        monkeypatch.setenv("DIAL_SIP_PORT", str(worker.getsockname()[1]))
        assert healthcheck.main(b"python\0-m\0app\0worker\0") == 1
        assert worker.recvfrom(4096)[0].startswith(b"OPTIONS sip:127.0.0.1:")

        def answer() -> None:
            worker.sendto(b"SIP/2.0 200 OK\r\n\r\n", worker.recvfrom(4096)[1])

        answering = threading.Thread(target=answer)
        answering.start()
        monkeypatch.setattr(healthcheck, "PATIENCE", 10)
        assert healthcheck.main(b"/sbin/init\0--\0python\0-m\0app\0worker\0") == 0
        answering.join()
    assert "worker: " in capsys.readouterr().err


def test_an_api_that_does_not_answer_is_not_healthy(
    healthcheck: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("DIAL_HTTP_PORT", str(port))
    assert healthcheck.main(b"python\0-m\0app\0api\0") == 1
    assert "refused" in capsys.readouterr().err
