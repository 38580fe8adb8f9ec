# shellcheck shell=sh
# Makes .venv from a lock file, once; sourced by ./run and ./test in the checkout's root.
#
# Needs python3 (3.11 to 3.13) with its venv module and nothing else. Where packages come from is pip's own setting.

say() { printf '%s\n' "$*" >&2; }

die() {
    say "$*"
    exit 1
}

# Make `.venv` ready for one of the given locks (the first is installed when none is) and set PYTHON to its interpreter.
ensure_environment() { # lock files
    unset PYTHONPATH PYTHONHOME
    if has_any "$@"; then return 0; fi
    require_python
    take_turn .venv.lock
    trap 'rm -rf .venv.lock' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    if ! has_any "$@"; then make_environment "$1"; fi
    rm -rf .venv.lock
    trap - EXIT INT TERM HUP
    has_any "$@" || die "bootstrap: .venv is not as it was made; remove it and start again."
}

has_any() { # lock files
    [ -x .venv/bin/python ] && [ -f .venv/stamp ] || return 1
    for wanted in "$@"; do
        if [ "$(stamp_of .venv/bin/python "$wanted")" = "$(cat .venv/stamp)" ]; then
            PYTHON=.venv/bin/python
            return 0
        fi
    done
    return 1
}

# What an environment is made from: the lock and the interpreter.
stamp_of() { # python, lock file
    "$1" - "$2" <<'PY'
import hashlib, pathlib, sys
print(hashlib.sha256(pathlib.Path(sys.argv[1]).read_bytes()).hexdigest(), sys.version.split()[0], sys.base_prefix)
PY
}

require_python() {
    if ! PYTHON=$(find_python); then
        found=$(python3 --version 2>&1) || found="no python3"
        die "Python 3.11, 3.12 or 3.13 is needed ($found was found). Install one: $(how_to_install)"
    fi
    if ! "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null; then
        die "$PYTHON has no venv module (or no ensurepip). Install it: $(how_to_install)"
    fi
}

# The first interpreter of the right age; $PYTHON comes first.
find_python() {
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

how_to_install() {
    if command -v apt-get >/dev/null; then
        echo "apt-get install python3 python3-venv"
    elif command -v dnf >/dev/null; then
        echo "dnf install python3.13"
    elif command -v brew >/dev/null; then
        echo "brew install python@3.13"
    else
        echo "https://www.python.org/downloads/"
    fi
}

# One terminal at a time: the directory is the lock, the pid in it says whether its maker is still there.
take_turn() { # lock directory
    waited=0
    until mkdir "$1" 2>/dev/null; do
        [ -d "$1" ] || die "bootstrap: cannot write to $(pwd)"
        holder=$(cat "$1/pid" 2>/dev/null || true)
        if { [ -n "$holder" ] || [ "$waited" -ge 10 ]; } && ! is_there "${holder:-0}"; then
            # Of all who see it dead, only the one that can rename it removes it.
            if mv "$1" "$1.$$" 2>/dev/null; then rm -rf "$1.$$"; fi
            continue
        fi
        [ "$waited" -gt 0 ] || say "Waiting for process ${holder:-(unknown)}, which is setting up .venv ..."
        waited=$((waited + 1))
        sleep 1
    done
    echo "$$" >"$1/pid"
}

is_there() { # pid; of any user, and not a stranger that was given a dead one's number
    if [ -d /proc/self ]; then
        grep -aqE 'run|test|pip' "/proc/$1/cmdline" 2>/dev/null
    else
        [ "$1" != 0 ] && kill -0 "$1" 2>/dev/null
    fi
}

# An environment without a stamp is half made: it is never repaired. One that has only the packages for running gets the
# others added, so that a ./run beside a first ./test goes on undisturbed.
make_environment() { # lock file
    say "Setting up .venv from $1 (once, about half a minute) ..."
    if ! { [ "$1" = requirements/dev.txt ] && has_any requirements/run.txt; }; then
        rm -rf .venv
        "$PYTHON" -m venv .venv || die "$PYTHON -m venv failed. Is the venv module whole? $(how_to_install)"
    fi
    rm -f .venv/stamp
    # A home that cannot be written to (containers, CI) is no reason for pip to warn.
    mkdir -p "${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}" 2>/dev/null || export PIP_NO_CACHE_DIR=1
    # The lock is pip's while it works: should this shell be killed, the next one waits for pip to end.
    # shellcheck disable=SC2016 # expanded by the inner shell
    sh -c 'echo $$ >.venv.lock/pid; exec "$@"' pip .venv/bin/python -m pip install --quiet --disable-pip-version-check \
        --no-input --require-hashes --only-binary :all: --requirement "$1" ||
        die "The packages could not be installed: see above. (Behind a mirror or proxy: pip's own settings are used.)"
    stamp_of .venv/bin/python "$1" >.venv/stamp.new
    mv .venv/stamp.new .venv/stamp
}
