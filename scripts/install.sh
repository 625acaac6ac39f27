#!/usr/bin/env bash
# install.sh install | uninstall: puts what `make release` built, and what belongs to it, below
# DESTDIR/PREFIX; or removes it. One list for both, and for the Debian package.
set -euo pipefail
cd "$(dirname "$0")/.."

: "${PREFIX:?}" "${ZSH_COMPLETIONS:?}"
readonly ROOT=${DESTDIR:-}
readonly BUILT=${TARGET_DIR:-target}/dist MANUAL=${TARGET_DIR:-target}/manual

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
    "$1" 755 packaging/openrc/imon-record "$PREFIX/share/imon/openrc/imon-record"
    for file in packaging/grafana/*; do
        "$1" 644 "$file" "$PREFIX/share/imon/grafana/${file##*/}"
    done
}

put() {
    install -D -m "$1" "$2" "$ROOT$3"
    # Units and scripts name the programs by their whole path.
    case $2 in
    packaging/systemd/*) with_paths "$ROOT$3" in_unit ;;
    packaging/openrc/*) with_paths "$ROOT$3" in_shell ;;
    esac
}

# with_paths FILE QUOTE: words of the file that begin with @bindir@ or @datadir@ become whole paths,
# quoted by QUOTE.
with_paths() {
    local text path
    text=$(<"$1")
    while [[ $text =~ @(bindir|datadir)@[^[:space:]]* ]]; do
        path=${BASH_REMATCH[0]}
        path=${path/#@bindir@/"$PREFIX/bin"}
        path=${path/#@datadir@/"$PREFIX/share"}
        text=${text/"${BASH_REMATCH[0]}"/"$("$2" "$path")"}
    done
    printf '%s\n' "$text" >"$1"
}

# systemd.syntax(7), systemd.service(5): quotes keep a word together, %% is a per cent sign.
in_unit() {
    local path=${1//%/%%}
    case $path in *[[:space:]]*) path="\"$path\"" ;; esac
    printf '%s' "$path"
}

in_shell() {
    case $1 in *[!A-Za-z0-9/._-]*) printf "'%s'" "$1" ;; *) printf '%s' "$1" ;; esac
}

drop() { rm -f "$ROOT$3"; }

# On the running system only: in a package this is its scripts' work.
how_to_go_on() {
    [ -z "$ROOT" ] || return 0
    echo "installed below $PREFIX; to run it as a service on a system with systemd:"
    echo "  systemd-sysusers && systemd-tmpfiles --create && systemctl daemon-reload"
    echo "  systemctl enable --now imon-record@wlan0 imon-ingest.timer      (your interface for wlan0)"
}

# Before the programs go, on the running system only: ends what runs them, so that nothing stays
# enabled that is not there.
end_services() {
    [ -z "$ROOT" ] || return 0
    local unit=$PREFIX/lib/systemd/system/imon-record@.service process
    if [ -e "$unit" ] && [ -d "${SYSTEMD_RUN:-/run/systemd/system}" ] && command -v systemctl >/dev/null; then
        # Where a package has units of its own, these are not the ones that run.
        if [ "$(systemctl show --property=FragmentPath --value 'imon-record@lo.service' 2>/dev/null)" = "$unit" ]; then
            echo "stops and disables imon-record@*.service, imon-collect.service, imon-ingest.timer, imon-alert.timer and imon-prune.timer"
            systemctl stop 'imon-record@*.service' imon-collect.service imon-ingest.timer imon-ingest.service \
                imon-alert.timer imon-alert.service imon-prune.timer imon-prune.service || true
            # Of a template: all its instances.
            systemctl disable imon-record@.service imon-collect.service imon-ingest.timer imon-alert.timer \
                imon-prune.timer || true
        fi
    fi
    for process in /proc/[0-9]*; do
        case $(readlink "$process/exe" 2>/dev/null) in
        "$PREFIX/bin/imon-record" | "$PREFIX/bin/imon-analyze")
            echo "process ${process#/proc/} still runs what is removed; end it with: kill ${process#/proc/}"
            ;;
        esac
    done
}

# The manager forgets units that are gone.
after_removal() {
    [ -z "$ROOT" ] || return 0
    [ ! -d "${SYSTEMD_RUN:-/run/systemd/system}" ] || ! command -v systemctl >/dev/null || systemctl daemon-reload || true
    local script
    for script in /etc/init.d/imon-record*; do
        [ ! -e "$script" ] || echo "$script is not removed: rc-service ${script##*/} stop; rc-update del ${script##*/}"
    done
    echo "removed from below $PREFIX; recordings, databases and users stay (/var/lib/imon, /var/lib/imon-analyze, imon)"
}

# What could end a quote, or begin an expansion, in a unit or in a shell script.
case $PREFIX in
*[\"\'\\\$\`]* | *$'\n'*)
    echo "error: PREFIX=$PREFIX has a character that units cannot name" >&2
    exit 2
    ;;
/*) ;;
*)
    echo "error: PREFIX=$PREFIX is no absolute path" >&2
    exit 2
    ;;
esac

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
    end_services
    each_file drop
    # Folders that hold nothing else: of imon's own nothing may stay.
    rmdir "$ROOT$PREFIX/share/imon/"* "$ROOT$PREFIX/share/imon" 2>/dev/null || true
    after_removal
    ;;
*)
    echo "usage: $0 install | uninstall" >&2
    exit 2
    ;;
esac
