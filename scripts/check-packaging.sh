#!/usr/bin/env bash
# The packaging, as far as the tools for it are here: units (systemd-analyze), users
# (systemd-sysusers), shell scripts (sh -n, shellcheck). What cannot be checked is said.
set -euo pipefail
cd "$(dirname "$0")/.."

# Exposure by `systemd-analyze security`, in tenths: more than this is a step back.
# docs/RECORDING.md states the present figures.
readonly RECORD_LIMIT=15 INGEST_LIMIT=5 ALERT_LIMIT=11

failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { echo "error: $*" >&2; failed=1; }

scripts() {
    local script
    for script in packaging/debian/* packaging/openrc/*; do
        sh -n "$script" || fail "$script: not shell"
    done
    for script in scripts/*.sh; do
        bash -n "$script" || fail "$script: not bash"
    done
    if command -v shellcheck >/dev/null; then
        shellcheck -S warning packaging/debian/* || fail "shellcheck"
        # What openrc-run defines and reads is not in sight.
        shellcheck -S warning -s sh -e SC2034 packaging/openrc/imon-record || fail "shellcheck"
        # Constants are declared and assigned at once.
        shellcheck -S warning -s bash -e SC2155 scripts/*.sh || fail "shellcheck"
        echo "scripts: parsed, and looked at by shellcheck"
    else
        echo "scripts: parsed; shellcheck is not installed"
    fi
}

# The dashboard is JSON, and every metric in it and in the alert rules is one that a program writes.
grafana() {
    local metric alert promtool
    if command -v python3 >/dev/null; then
        python3 -c 'import json, sys; json.load(open(sys.argv[1]))' packaging/grafana/imon.json || fail "packaging/grafana/imon.json: not JSON"
    fi
    for metric in $(grep -oh 'imon_[a-z0-9_]*' packaging/grafana/* testdata/prometheus/* | sort -u); do
        case $metric in
        imon_record_*) grep -q "\"${metric#imon_record_}\"" recorder/src/metrics.rs || fail "packaging/grafana: nothing writes $metric" ;;
        *) grep -q "\"$metric\"" analyzer/src/report/gauges.rs || fail "packaging/grafana: nothing writes $metric" ;;
        esac
    done
    # Of each alert a test sees that it tells, and one that it does not.
    for alert in $(sed -n 's/^ *- alert: //p' packaging/grafana/alerts.yml); do
        grep -q exp_alerts <<<"$(grep -A1 "^ *alertname: $alert$" testdata/prometheus/alerts.yml)" &&
            grep -q "{eval_time: [0-9a-z]*, alertname: $alert}" testdata/prometheus/alerts.yml ||
            fail "testdata/prometheus/alerts.yml: $alert is not tested"
    done
    # Metrics themselves are looked at by tests of both programs.
    if promtool=$(scripts/promtool.sh); then
        "$promtool" check rules packaging/grafana/alerts.yml >/dev/null || fail "packaging/grafana/alerts.yml"
        "$promtool" test rules testdata/prometheus/alerts.yml >"$work/rules" 2>&1 ||
            { cat "$work/rules" >&2; fail "testdata/prometheus/alerts.yml"; }
        echo "grafana: metrics known, alert rules checked and tested by promtool"
    else
        echo "grafana: metrics known; alert rules are not tested, there is no promtool (make setup)"
    fi
}

units() {
    if ! command -v systemd-analyze >/dev/null; then
        echo "units: skipped, systemd-analyze is not installed"
        return
    fi
    local unit
    for unit in packaging/systemd/*; do
        # A stand-in for the programs: they need not be installed for this.
        sed -E 's,@bindir@/imon-(record|analyze),/bin/true,' "$unit" >"$work/${unit##*/}"
    done
    mv "$work/imon-record@.service" "$work/imon-record@wlan0.service"
    for unit in imon-record@wlan0.service imon-collect.service imon-{ingest,alert,prune}.{service,timer}; do
        local said
        said=$(cd "$work" && systemd-analyze verify --man=no "./$unit" 2>&1) || fail "$unit is refused: $said"
        # Other units of this machine are not ours to judge.
        ! grep -F imon <<<"$said" || fail "$unit: see above"
    done
    exposure imon-record@wlan0.service "$RECORD_LIMIT"
    exposure imon-collect.service "$RECORD_LIMIT"
    exposure imon-ingest.service "$INGEST_LIMIT"
    exposure imon-alert.service "$ALERT_LIMIT"
    exposure imon-prune.service "$INGEST_LIMIT"
}

# exposure UNIT LIMIT: states the rating, which must not be above the limit.
exposure() {
    local rating
    rating=$(cd "$work" && systemd-analyze security --offline=true --no-pager "./$1" 2>/dev/null |
        sed -n 's/^→ Overall exposure level for .*: \([0-9.]*\) .*/\1/p')
    if [ -z "$rating" ]; then
        echo "units: $1 verified; this systemd-analyze rates no files"
    elif [ "$(tr -d . <<<"$rating")" -gt "$2" ]; then
        fail "$1: exposure $rating (tenths allowed: $2); systemd-analyze security --offline=true says why"
    else
        echo "units: $1 verified, exposure $rating"
    fi
}

# What is installed below a prefix with a space and a per cent sign: units that name it, and nothing
# left after removal. The programs are stand-ins: what is looked at are places and paths.
installation() {
    local file prefix='/opt/my 100% imon' target=$work/target tree=$work/tree
    mkdir -p "$target/dist" "$target/manual"
    for file in dist/imon-record dist/imon-analyze manual/imon-{record,analyze}.{1,bash,fish} manual/_imon-{record,analyze}; do
        printf '#!/bin/true\n' >"$target/$file"
    done
    each() { TARGET_DIR=$target DESTDIR=$tree PREFIX=$prefix ZSH_COMPLETIONS=$prefix/share/zsh scripts/install.sh "$1"; }
    each install || { fail "scripts/install.sh install"; return; }
    grep -qF 'ExecStart="/opt/my 100%% imon/bin/imon-record" --interface %i ' "$tree$prefix/lib/systemd/system/imon-record@.service" ||
        fail "imon-record@.service does not name its program below '$prefix'"
    ! grep -rq '@bindir@\|@datadir@' "$tree" || fail "installed files hold @bindir@ or @datadir@"
    sh -n "$tree$prefix/share/imon/openrc/imon-record" || fail "the OpenRC script of '$prefix' is not shell"
    if command -v systemd-analyze >/dev/null; then
        # The path must exist: below the tree it does, when the tree is the prefix.
        mkdir -p "$work/verify"
        sed "s|/opt/my|$tree/opt/my|" "$tree$prefix/lib/systemd/system/imon-ingest.service" >"$work/verify/imon-ingest.service"
        systemd-analyze verify --man=no "$work/verify/imon-ingest.service" || fail "imon-ingest.service with a space in its path"
    fi
    each uninstall || fail "scripts/install.sh uninstall"
    file=$(find "$tree" ! -type d -o -type d -name imon)
    [ -z "$file" ] || fail "uninstall leaves: $file"
    echo "installation: below '$prefix', and removed without a rest"
}

# What `make uninstall` does to services that run: here to a manager that only takes notes, and to a
# process that runs a stand-in.
removal() {
    local target=$work/target prefix=$work/prefix notes=$work/notes said process
    mkdir -p "$work/fake" "$work/run"
    cat >"$work/fake/systemctl" <<-EOF
	#!/bin/sh
	[ "\$1" != show ] || { echo "$prefix/lib/systemd/system/imon-record@.service"; exit; }
	echo "\$*" >>"$notes"
	EOF
    chmod +x "$work/fake/systemctl"
    here() { PATH=$work/fake:$PATH SYSTEMD_RUN=$work/run TARGET_DIR=$target PREFIX=$prefix ZSH_COMPLETIONS=$prefix/share/zsh scripts/install.sh "$1"; }
    here install >/dev/null || { fail "scripts/install.sh install"; return; }
    [ ! -e "$notes" ] || fail "install tells the manager: $(cat "$notes")"
    cp "$(command -v sleep)" "$prefix/bin/imon-record"
    "$prefix/bin/imon-record" 60 &
    process=$!
    # Until it has become that program.
    sleep 0.2
    said=$(here uninstall) || fail "scripts/install.sh uninstall"
    kill "$process"
    grep -qx "stop imon-record@\*.service imon-collect.service imon-ingest.timer imon-ingest.service imon-alert.timer imon-alert.service imon-prune.timer imon-prune.service" "$notes" || fail "uninstall stops nothing: $(cat "$notes")"
    grep -qx "disable imon-record@.service imon-collect.service imon-ingest.timer imon-alert.timer imon-prune.timer" "$notes" || fail "uninstall disables nothing"
    [ "$(tail -n1 "$notes")" = daemon-reload ] || fail "uninstall does not tell the manager in the end"
    grep -q "process $process still runs" <<<"$said" || fail "uninstall says nothing of process $process: $said"
    echo "removal: what runs is stopped, disabled, or named"
}

# The package's script in a system without /proc and without a manager: it must end well and leave
# the rest to the start.
bare_chroot() {
    local said root=$work/bare
    mkdir -p "$work/bin"
    printf '#!/bin/sh\nexit 1\n' >"$work/bin/systemd-sysusers"
    cp "$work/bin/systemd-sysusers" "$work/bin/systemd-tmpfiles"
    chmod +x "$work"/bin/*
    said=$(PATH=$work/bin:$PATH sh packaging/debian/postinst configure 2>&1) || fail "postinst ends with an error where nothing can be done: $said"
    [ "$(grep -c failed <<<"$said")" -eq 2 ] || fail "postinst does not say what failed: $said"
    # For real, where that can be made: the system as it is, below a layer that is thrown away,
    # without /proc.
    if [ "$(id -u)" -eq 0 ] && command -v systemd-sysusers >/dev/null && command -v unshare >/dev/null; then
        mkdir -p "$root"
        if said=$(unshare --mount sh -c "
            mount -t tmpfs none '$root' && mkdir '$root/upper' '$root/work' '$root/system' &&
            mount -t overlay -o lowerdir=/,upperdir='$root/upper',workdir='$root/work' none '$root/system' || exit 77
            mkdir -p '$root/system/usr/lib/sysusers.d' '$root/system/usr/lib/tmpfiles.d'
            cp packaging/sysusers.d/imon.conf '$root/system/usr/lib/sysusers.d/'
            cp packaging/tmpfiles.d/imon.conf '$root/system/usr/lib/tmpfiles.d/'
            cp packaging/debian/postinst packaging/debian/postrm '$root/system/'
            chroot '$root/system' sh -c '[ ! -e /proc/self ] && sh /postinst configure' || exit 1
            mkdir -p '$root/system/etc/default' '$root/system/var/lib/systemd/timers' '$root/system/etc/systemd/system/timers.target.wants'
            cd '$root/system'
            : >etc/default/imon-record; : >etc/default/imon-collect; : >var/lib/systemd/timers/stamp-imon-prune.timer
            ln -s /lib/systemd/system/imon-prune.timer etc/systemd/system/timers.target.wants/imon-prune.timer
            chroot . sh /postrm purge || exit 1
            find etc var run -xdev -name '*imon*' ! -path 'etc/imon*' ! -path 'var/cache/*' ! -path 'var/lib/dpkg/*' ! -path 'var/tmp/*' -exec echo 'purge leaves' '{}' ';'
            ! grep -q '^imon' etc/passwd etc/group || echo 'purge leaves users'" 2>&1); then
            if grep 'purge leaves' <<<"$said"; then
                fail "packaging/debian/postrm: see above"
            else
                echo "postinst: ends well in a chroot without /proc; postrm: a purge leaves nothing"
            fi
            return
        fi
        [ "$(grep -c 'wrong fs type\|permission denied\|unknown filesystem' <<<"$said")" -gt 0 ] || fail "postinst in a chroot without /proc: $said"
    fi
    echo "postinst: ends well where nothing can be done; a chroot was not made here"
}

# What imon-ship sends, from a spool with a recorder for each interface, is each sealed segment and
# nothing else: by the unit's own command line.
shipping() {
    if ! command -v rsync >/dev/null; then
        echo "shipping: skipped, rsync is not installed"
        return
    fi
    local from=$work/spool to=$work/there words sent
    mkdir -p "$from/wlan0" "$from/eth0"
    touch "$from/a.seg" "$from/wlan0/b.seg" "$from/wlan0/c.part" "$from/wlan0/status.json" "$from/eth0/d.part"
    words=$(sed -n '/^ExecStart=/,/[^\\]$/{s/^ExecStart=//;s/\\$//;p}' packaging/fleet/imon-ship.service | tr '\n' ' ')
    words=${words//\/var\/lib\/imon/$from}
    words=${words//'${IMON_SHIP_TO}'/$to}
    # systemd expands no patterns; neither does this.
    (set -f; $words) || { fail "imon-ship: $words"; return; }
    sent=$(cd "$to" && find . ! -name . | sort | tr '\n' ' ')
    [ "$sent" = "./a.seg ./wlan0 ./wlan0/b.seg " ] || fail "imon-ship sends: $sent"
    echo "shipping: sealed segments of every recorder, and nothing else"
}

# What machines call is what everybody can call: targets of the Makefile.
workflows() {
    local target
    for target in $(cat .github/workflows/*.yml .clusterfuzzlite/build.sh .ci/run | grep -v '^ *#' | grep -oE '\bmake [a-z-]+' |
        sed 's/make //' | sort -u); do
        grep -q "^$target:.*## " Makefile || fail "a workflow calls make $target, which make help does not list"
    done
    ! grep -hE '^ *- uses: ' .github/workflows/*.yml | grep -vE '@v[0-9]' || fail "a workflow uses an action without a version"
    echo "workflows: call targets that make help lists"
}

users() {
    if ! command -v systemd-sysusers >/dev/null || ! systemd-sysusers --help | grep -q -- --dry-run; then
        echo "users: skipped, no systemd-sysusers with --dry-run"
        return
    fi
    local said
    mkdir -p "$work/root/etc"
    said=$(systemd-sysusers --dry-run --root="$work/root" "$PWD/packaging/sysusers.d/imon.conf" 2>&1) ||
        fail "packaging/sysusers.d/imon.conf is refused: $said"
    grep -q "user 'imon'" <<<"$said" || fail "packaging/sysusers.d/imon.conf makes no user: $said"
    echo "users: understood"
}

scripts
grafana
units
installation
removal
bare_chroot
shipping
workflows
users
exit "$failed"
