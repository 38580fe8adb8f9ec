# shellcheck shell=sh
# The programs from Debian that some tests talk to; sourced by ./test. Installs what is missing where it may, else says how.

# Sets WITHOUT to the pytest expression that leaves out what cannot run here. In CI something missing is a failure.
ensure_peers() {
    WITHOUT=
    packages=$(missing_packages)
    if [ -n "$packages" ] && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        install_packages "$packages"
        packages=$(missing_packages)
    fi
    [ -n "$packages" ] || return 0
    say "Not installed: $packages. The tests that need them are left out; to have them: apt-get install $packages"
    [ "${CI:-}" != true ] || die "This is CI: nothing may be left out."
    case $packages in *chromium* | *libatomic1*) WITHOUT="not browser" ;; esac
    case $packages in *sip* | *kamailio* | *linphone*) WITHOUT="${WITHOUT:+$WITHOUT and }not peer" ;; esac
}

missing_packages() {
    missing=
    command -v sipp >/dev/null || missing="$missing sip-tester"
    command -v baresip >/dev/null || missing="$missing baresip-core"
    # Debian keeps it where only root looks for programs.
    [ -x /usr/sbin/kamailio ] || command -v kamailio >/dev/null || missing="$missing kamailio"
    command -v linphone-daemon >/dev/null || missing="$missing linphone-cli"
    command -v chromium >/dev/null || missing="$missing chromium"
    # What drives the browser is a program from a wheel, which needs this one library from the system.
    has_library libatomic.so.1 || missing="$missing libatomic1"
    command -v tshark >/dev/null || missing="$missing tshark"
    echo "${missing# }"
}

has_library() { # file name; macOS has its own
    [ "$(uname)" = Linux ] || return 0
    for file in /lib/"$1" /usr/lib/"$1" /usr/lib64/"$1" /usr/lib/*/"$1"; do
        if [ -e "$file" ]; then return 0; fi
    done
    return 1
}

install_packages() { # names
    say "Installing from Debian: $1 (once) ..."
    log=$(mktemp)
    # shellcheck disable=SC2086 # several names
    if ! {
        apt-get -q update &&
            DEBIAN_FRONTEND=noninteractive apt-get -q install --yes --no-install-recommends $1
    } >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
    fi
    rm -f "$log"
}
