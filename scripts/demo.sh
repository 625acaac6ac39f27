#!/usr/bin/env bash
# The main job on real input: a report on a real browser's capture; as root also a live recording in
# two network namespaces of its own, which have no link to the machine's network. What it makes, it
# removes.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly CAPTURE=testdata/netlab/browse-lan.pcap.gz
readonly TARGET=${CARGO_TARGET_DIR:-target}
# Documentation addresses (RFC 5737): they meet nothing of the machine's own.
readonly CLIENT=203.0.113.7 SERVER=198.51.100.1
readonly ID=imon-demo-$$
work='' recorder='' server=''

say() { printf '\n== %s\n' "$*"; }

clean_up() {
    local status=$?
    trap - EXIT INT TERM HUP
    [ -z "$recorder" ] || kill "$recorder" 2>/dev/null || true
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    wait 2>/dev/null || true
    if [ -n "$work" ]; then
        ip netns del "$ID-c" 2>/dev/null || true
        ip netns del "$ID-s" 2>/dev/null || true
        rm -rf "$work"
    fi
    exit "$status"
}

build() {
    say "building (the first time takes some minutes: SQLite and polars are compiled)"
    scripts/release.sh
    # An absolute path: the recorder is started from elsewhere.
    bin=$(cd "$TARGET/release" && pwd)
}

# The report with the wall time of the whole process.
report_capture() {
    say "imon-analyze report $CAPTURE"
    local TIMEFORMAT='(%R s wall, %U s user)'
    time "$bin/imon-analyze" report "$CAPTURE"
    echo
    echo "The truth by the servers' own logs: testdata/netlab/truth-hosts.tsv; all IP bytes must be $(cut -f3 testdata/netlab/truth-total.tsv | tail -n1)."
}

how_to_record() {
    say "recording live"
    cat <<TEXT
$1 To record this machine's default interface for a minute and see the report:
    sudo timeout -s INT 60 $bin/imon-record --spool /tmp/imon-spool
    sudo $bin/imon-analyze report --spool /tmp/imon-spool --database /tmp/imon-spool/imon.db
docs/RECORDING.md says how to record without root.
TEXT
}

# Two namespaces, a cable between them.
make_net() {
    ip netns add "$ID-c" && ip netns add "$ID-s" &&
        ip link add demo0 netns "$ID-c" type veth peer name demo0 netns "$ID-s" &&
        ip -n "$ID-c" addr add "$CLIENT/24" dev demo0 && ip -n "$ID-s" addr add "$SERVER/24" dev demo0 &&
        ip -n "$ID-c" link set demo0 up && ip -n "$ID-s" link set demo0 up &&
        ip -n "$ID-c" route add default dev demo0 && ip -n "$ID-s" route add default dev demo0
}

# Waits up to 10 s until the command succeeds.
await() {
    local _
    for _ in $(seq 100); do
        "$@" && return 0
        sleep 0.1
    done
    echo "error: timed out waiting for: $*" >&2
    return 1
}

has_segment() { compgen -G "$work/spool/*.part" >/dev/null; }
is_ready() { grep -q ready "$work/server"; }

record_live() {
    work=$(mktemp -d)
    # The recorder gives up root: it must be able to pass this folder.
    chmod 755 "$work"
    if ! make_net 2>"$work/why"; then
        how_to_record "The live part needs network namespaces, which this system does not permit ($(tail -n1 "$work/why"))."
        return 0
    fi
    say "imon-record --self-test: what the recorder can do once it records"
    # An old kernel cannot enforce all of it; then the demo records all the same.
    local uncaged=()
    ip netns exec "$ID-c" "$bin/imon-record" --spool "$work/spool" --self-test >"$work/cage" 2>&1 ||
        uncaged=(--allow-uncaged)
    sed '/^$/q' "$work/cage"
    say "imon-record, in a network of its own"
    # Plain commands, not a function: their process ids must be those of the programs.
    ip netns exec "$ID-s" python3 "$PWD/scripts/demo_traffic.py" server "$SERVER" >"$work/server" 2>&1 &
    server=$!
    ip netns exec "$ID-c" "$bin/imon-record" --spool "$work/spool" "${uncaged[@]}" &
    recorder=$!
    await is_ready
    await has_segment
    sleep 0.5
    ip netns exec "$ID-c" python3 "$PWD/scripts/demo_traffic.py" client "$SERVER"
    sleep 1
    kill -TERM "$recorder"
    wait "$recorder"
    recorder=''
    say "imon-analyze report (today, from the recorded segments)"
    "$bin/imon-analyze" report --spool "$work/spool" --database "$work/imon.db"
}

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

build
report_capture
if [ "$(id -u)" -ne 0 ]; then
    how_to_record "The live part of the demo needs root."
elif ! scripts/setup.sh live; then
    how_to_record "The live part needs iproute2 and python3."
else
    record_live
fi
say "done"
