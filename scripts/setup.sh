#!/usr/bin/env bash
# Sees to it that the build can run: Rust, a C compiler, libpcap with its header. On Debian and
# Ubuntu what is missing is installed with apt-get; elsewhere it is named. With `live`, also what
# the live part of the demo needs; with `tests`, also what some tests need, which are skipped where
# it cannot be had.
set -euo pipefail

readonly RUST_NEEDED=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$(dirname "$0")/../Cargo.toml")

say() { printf '%s\n' "$*" >&2; }

# Rust is not installed here: how people want it (rustup, a distribution's package) is their choice.
check_rust() {
    if ! command -v cargo >/dev/null; then
        say "error: cargo is missing"
        say "  hint:  install Rust $RUST_NEEDED or newer, see https://rustup.rs"
        return 1
    fi
    local found
    found=$(rustc --version | cut -d' ' -f2)
    if [ "$(printf '%s\n' "$RUST_NEEDED" "${found%%-*}" | sort -V | head -n1)" != "$RUST_NEEDED" ]; then
        say "error: Rust $found is too old"
        say "  hint:  $RUST_NEEDED or newer is needed; with rustup: rustup update stable"
        return 1
    fi
}

has_compiler() { command -v cc >/dev/null && echo 'int main(void) { return 0; }' | cc -x c - -o /dev/null 2>/dev/null; }

has_libpcap() {
    printf '#include <pcap.h>\nint main(void) { return pcap_lib_version() == 0; }\n' |
        cc -x c - -lpcap -o /dev/null 2>/dev/null
}

# Packages by their Debian names, for what is missing. Without a compiler libpcap cannot be tried;
# apt-get does nothing for a package that is there.
missing() {
    has_compiler || echo gcc libc6-dev
    has_libpcap || echo libpcap-dev
    if [ "${1:-}" = live ]; then
        command -v ip >/dev/null || echo iproute2
        command -v python3 >/dev/null || echo python3
    fi
}

# Of some tests: system calls are traced, capabilities given to files, network namespaces made,
# screens of a terminal read.
missing_for_tests() {
    command -v strace >/dev/null || echo strace
    command -v setcap >/dev/null || [ -x /usr/sbin/setcap ] || echo libcap2-bin
    command -v ip >/dev/null || echo iproute2
    command -v python3 >/dev/null || echo python3
    command -v tmux >/dev/null || echo tmux
}

install_packages() {
    local as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            say "error: missing packages: $*"
            say "  hint:  as root: apt-get install -y $*"
            return 1
        fi
        as_root=(sudo)
    fi
    say "installing: $*"
    # Old package lists name versions that mirrors no longer have: only then is it worth fetching
    # them.
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" </dev/null >&2 ||
        { "${as_root[@]}" apt-get update </dev/null >&2 &&
            "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" </dev/null >&2; }
}

# Nobody is kept from the other tests by what is missing here.
for_tests() {
    local packages
    "$(dirname "$0")/promtool.sh" fetch >/dev/null || true
    packages=$(missing_for_tests | tr '\n' ' ')
    [ -n "$packages" ] || return 0
    if command -v apt-get >/dev/null; then
        # shellcheck disable=SC2086 # a list of words
        install_packages $packages || true
        packages=$(missing_for_tests | tr '\n' ' ')
    fi
    [ -z "$packages" ] || say "note: some tests will be skipped for want of these, by their Debian names: $packages
  hint: install them with this system's package manager (Fedora, Arch: strace, libcap, iproute, python3)"
}

main() {
    check_rust
    [ "${1:-}" != tests ] || for_tests
    local packages
    packages=$(missing "$@" | tr '\n' ' ')
    [ -n "$packages" ] || return 0
    if command -v apt-get >/dev/null; then
        # shellcheck disable=SC2086 # a list of words
        install_packages $packages
    else
        say "error: missing, by their Debian names: $packages"
        say "  hint:  install them with this system's package manager (Fedora: gcc libpcap-devel, Arch: gcc libpcap), then try again"
        return 1
    fi
    packages=$(missing "$@" | tr '\n' ' ')
    if [ -n "$packages" ]; then
        say "error: still missing after the installation: $packages"
        return 1
    fi
}

main "$@"
