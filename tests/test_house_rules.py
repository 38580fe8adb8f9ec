"""The rules of the house that a tool can check; `docs/decisions` and CONTRIBUTING.md say why there are rules."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "manager", "base", "stuff"}

# Every library that `app` imports, and the packages (or top modules) that may.
HOMES = {
    "alembic": {"store"},
    "av": {"media"},
    "cryptography": {"store"},
    "dns": {"sip"},
    "espeakng_loader": {"media"},
    "fastapi": {"api"},
    "fastapi_offline": {"api"},
    "httptools": {"webhooks"},
    "httpx": {"webhooks"},
    "lxml": {"rcml"},
    "numpy": {"media"},
    "obstore": {"recordings"},
    "prometheus_client": {
        "api",
        "dialing",
        "media",
        "recordings",
        "runtime",
        "sip",
        "store",
        "supervisor",
        "webhooks",
        "worker",
    },
    "psycopg": {"store"},
    "pydantic": {"__main__", "api", "runtime", "wiring"},
    "pydantic_settings": {"runtime"},
    "pyVoIP": {"media", "sip"},
    "pylibsrtp": {"media"},
    "rich": {"demo"},
    "sqlalchemy": {"store"},
    "standardwebhooks": {"demo", "webhooks"},
    "starlette": {"api"},
    "structlog": {"runtime"},
    "typer": {"__main__"},
    "uvicorn": {"api"},
    "uvloop": {"runtime"},
}


def sources(*folders: str) -> list[Path]:
    return sorted(
        path for folder in folders for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts
    )


APP = sources("app")
EVERYTHING = sources("app", "migrations", "tests", "bench", "scripts")


def place(path: Path, line: int = 1) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def imported_libraries(path: Path) -> Iterator[tuple[int, str]]:
    """(line, library) of every absolute import that is neither ours nor the standard library's."""
    for node in ast.walk(tree(path)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        for name in names:
            library = name.partition(".")[0]
            if library not in sys.stdlib_module_names and library not in {"app", "tests", "migrations"}:
                yield node.lineno, library  # type: ignore[attr-defined] # ast.walk is typed as plain nodes


def tool(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_is_longer_than_four_hundred_lines() -> None:
    too_long = {
        place(path): lines for path in EVERYTHING if (lines := len(path.read_text().splitlines())) > MAX_FILE_LINES
    }
    assert not too_long


def test_no_function_is_longer_than_sixty_lines() -> None:
    too_long = {
        place(path, node.lineno): node.name
        for path in EVERYTHING
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > MAX_FUNCTION_LINES
    }
    assert not too_long


def test_every_module_starts_with_a_sentence_that_says_what_it_is_for() -> None:
    silent = [
        place(path)
        for path in EVERYTHING
        if path.read_text().strip() and not re.match(r"(?s)\S.*?[.:?!](\s|$)", ast.get_docstring(tree(path)) or "")
    ]
    assert not silent


def test_no_module_and_no_class_has_a_name_that_says_nothing() -> None:
    vague = [place(path) for path in EVERYTHING if VAGUE_NAMES & set(path.stem.split("_"))]
    vague += [str(path.relative_to(ROOT)) for path in (ROOT / "app").iterdir() if path.name in VAGUE_NAMES]
    vague += [
        place(path, node.lineno)
        for path in APP
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef) and re.search(r"(Utils?|Helpers?|Manager|Misc)$", node.name)
    ]
    assert not vague


def test_every_library_is_imported_only_where_it_lives() -> None:
    elsewhere = [
        f"{place(path, line)}: {library} lives in {sorted(HOMES.get(library, {'(no home yet: name one in HOMES)'}))}"
        for path in APP
        for line, library in imported_libraries(path)
        if path.relative_to(ROOT / "app").parts[0].removesuffix(".py") not in HOMES.get(library, set())
    ]
    assert not elsewhere


def test_everything_is_caught_only_where_it_is_logged_or_raised_again_and_nothing_is_caught_bare() -> None:
    """An `except Exception` that does neither needs a comment on its line that says why."""

    def is_fine(handler: ast.ExceptHandler, line: str) -> bool:
        caught = ast.unparse(handler.type) if handler.type else "bare"
        if not re.search(r"\b(bare|Exception|BaseException)\b", caught):
            return True
        logs = any("_log." in ast.unparse(statement) for statement in handler.body)
        raises_again = isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None
        return caught != "bare" and (logs or raises_again or "#" in line)

    unexplained = [
        place(path, node.lineno)
        for path in APP
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ExceptHandler) and not is_fine(node, path.read_text().splitlines()[node.lineno - 1])
    ]
    assert not unexplained


def test_every_ignored_finding_names_its_code_and_its_reason() -> None:
    lazy = [
        place(path, number)
        for path in EVERYTHING
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (match := re.search(r"#\s*(type:\s*ignore|noqa)(.*)", line))
        and not re.match(r"(\[[\w, -]+\]|:\s*[A-Z]+[0-9]+(, [A-Z]+[0-9]+)*)", match[2])
        and "re." not in line
    ]
    assert not lazy


def test_assert_is_never_used_to_check_in_the_program() -> None:
    asserts = [
        place(path, node.lineno)
        for path in sources("app", "migrations")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Assert)
    ]
    assert not asserts


def test_nothing_is_left_for_later() -> None:
    later = re.compile("TO" + "DO|FIX" + "ME|X" + r"XX\b|NotImplemented" + r"Error|mark\.(skip|x" + "fail)")
    left = [
        place(path, number)
        for path in EVERYTHING
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if later.search(line)
    ]
    assert not left


@pytest.mark.parametrize("lock", ["run.txt", "dev.txt"])
def test_a_lock_is_pinned_hashed_and_without_addresses(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text()
    assert not re.search(r"://|^\s*(-i|-f|--index-url|--extra-index-url|--find-links)\b", text, re.M)
    entries = re.split(r"\n(?=\S)", text.strip())
    assert len(entries) > 20
    assert not [
        entry for entry in entries if not re.match(r"[\w.-]+(\[[\w,]+\])?==\S+", entry) or "--hash=" not in entry
    ]


def test_what_runs_is_locked_to_the_same_versions_as_what_is_tested() -> None:
    def pins(lock: str) -> set[str]:
        return set(re.findall(r"^\S+==\S+", (ROOT / "requirements" / lock).read_text(), re.M))

    assert pins("run.txt") <= pins("dev.txt")


def test_imports_go_the_way_the_contracts_say() -> None:
    tool(str(BIN / "python"), "-c", "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports())")


def test_ruff_finds_nothing() -> None:
    tool(str(BIN / "ruff"), "check", "--quiet")


def test_everything_is_formatted() -> None:
    tool(str(BIN / "ruff"), "format", "--check", "--quiet")


@pytest.mark.timeout(600)
def test_types_are_strict_and_right() -> None:
    tool(str(BIN / "python"), "-m", "mypy")


def test_shell_scripts_are_clean() -> None:
    scripts = ["run", "test", ".ci/run", *(str(path) for path in (ROOT / "scripts").iterdir() if path.suffix != ".py")]
    tool(str(BIN / "shellcheck"), "-x", *scripts)
