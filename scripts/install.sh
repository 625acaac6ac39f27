#!/usr/bin/env bash
# install.sh install | uninstall: puts what `make release` built, and what belongs to it, below DESTDIR/PREFIX; or removes
# it. One list for both, and for the Debian package.
set -euo pipefail
cd "$(dirname "$0")/.."

: "${PREFIX:?}" "${ZSH_COMPLETIONS:?}"
readonly ROOT=${DESTDIR:-}
readonly BUILT=${TARGET_DIR:-target}/release MANUAL=${TARGET_DIR:-target}/manual

# Calls "$1" MODE SOURCE TARGET for every file.
each_file() {
    local program file
    for program in imon-record imon-analyze; do
        "$1" 755 "$BUILT/$program" "$PREFIX/bin/$program"
        "$1" 644 "$MANUAL/$program.bash" "$PREFIX/share/bash-completion/completions/$program"
        "$1" 644 "$MANUAL/$program.fish" "$PREFIX/share/fish/vendor_completions.d/$program.fish"
        "$1" 644 "$MANUAL/_$program" "$ZSH_COMPLETIONS/_$program"
    done
    for file in "$MANUAL"/*.1; do
        "$1" 644 "$file" "$PREFIX/share/man/man1/${file##*/}"
    done
    for file in packaging/systemd/*; do
        "$1" 644 "$file" "$PREFIX/lib/systemd/system/${file##*/}"
    done
    "$1" 644 packaging/sysusers.d/imon.conf "$PREFIX/lib/sysusers.d/imon.conf"
    "$1" 644 packaging/tmpfiles.d/imon.conf "$PREFIX/lib/tmpfiles.d/imon.conf"
    "$1" 644 packaging/openrc/imon-record "$PREFIX/share/imon/openrc/imon-record"
}

put() {
    install -D -m "$1" "$2" "$ROOT$3"
    # Units and scripts name the programs by their whole path.
    case $2 in
    packaging/systemd/* | packaging/openrc/*) sed -i "s,@bindir@,$PREFIX/bin,; s,@datadir@,$PREFIX/share," "$ROOT$3" ;;
    esac
}

drop() { rm -f "$ROOT$3"; }

# On the running system only: in a package this is its scripts' work.
how_to_go_on() {
    [ -z "$ROOT" ] || return 0
    echo "installed below $PREFIX; to run it as a service on a system with systemd:"
    echo "  systemd-sysusers && systemd-tmpfiles --create && systemctl daemon-reload"
    echo "  systemctl enable --now imon-record@wlan0 imon-ingest.timer      (your interface for wlan0)"
}

case ${1:-} in
install)
    for file in "$BUILT/imon-record" "$BUILT/imon-analyze" "$MANUAL/imon-record.1" "$MANUAL/imon-analyze.1"; do
        [ -e "$file" ] || {
            echo "error: nothing to install yet: $file is missing" >&2
            echo "  hint:  make release" >&2
            exit 1
        }
    done
    each_file put
    how_to_go_on
    ;;
uninstall)
    each_file drop
    rmdir -p --ignore-fail-on-non-empty "$ROOT$PREFIX/share/imon/openrc" 2>/dev/null || true
    ;;
*)
    echo "usage: $0 install | uninstall" >&2
    exit 2
    ;;
esac
