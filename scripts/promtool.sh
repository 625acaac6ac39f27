#!/usr/bin/env bash
# Says where promtool is: the one that is installed, else one below the target directory. With
# `fetch` it gets it there on Debian and Ubuntu, out of the package `prometheus`. That is not
# installed, as it would start a server. Fails where there is none.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly TOOLS=${CARGO_TARGET_DIR:-target}/tools

fetch() {
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
    local work
    work=$(mktemp -d)
    # shellcheck disable=SC2064 # the folder as it is called now
    trap "rm -rf '$work'" EXIT
    # As apt's own user could not write there it says so, and goes on.
    (cd "$work" && apt-get download -qq prometheus 2>/dev/null) || return 1
    dpkg-deb --fsys-tarfile "$work"/prometheus_*.deb | tar -x -C "$work" ./usr/bin/promtool
    mkdir -p "$TOOLS"
    mv "$work/usr/bin/promtool" "$TOOLS/promtool"
}

if command -v promtool >/dev/null; then
    command -v promtool
    exit
fi
if [ ! -x "$TOOLS/promtool" ] && [ "${1:-}" = fetch ]; then
    fetch || { echo "note: promtool cannot be had here (Debian's package prometheus has it)" >&2; exit 1; }
fi
[ -x "$TOOLS/promtool" ] && realpath "$TOOLS/promtool"
