#!/usr/bin/env bash
# The page in a real Chromium: sorting, searching, narrowing, comparing, opening, by keyboard, dark, printed and narrow; no
# request, no complaint, no serious finding of axe-core, the sums of JSON. Where there is no Chromium, or no network to get
# playwright-core and axe-core by npm, it says so and is skipped: exit 0. With `pictures FOLDER` it draws the pictures of the
# documents instead.
set -euo pipefail
cd "$(dirname "$0")/.."

# Exact versions; npm checks them against the hashes in the lock file.
readonly TOOLS=scripts/page
readonly TARGET=${CARGO_TARGET_DIR:-target}

skip() {
    echo "skipped: the page was not looked at in a browser: $*" >&2
    exit 0
}

find_chromium() { command -v chromium || command -v chromium-browser || command -v google-chrome; }

# Only root installs anything, and only where that is done with apt-get.
install_chromium() {
    [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null || return 1
    timeout 600 env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends chromium </dev/null >&2
}

browser=${CHROMIUM:-$(find_chromium || true)}
if [ -z "$browser" ]; then
    install_chromium || skip "there is no Chromium (Debian: apt-get install chromium; CHROMIUM=PATH names one)"
    browser=$(find_chromium) || skip "there is no Chromium"
fi
command -v npm >/dev/null && command -v node >/dev/null || skip "there is no npm (Debian: apt-get install npm)"

modules=$TARGET/page-test
mkdir -p "$modules"
cp "$TOOLS/package.json" "$TOOLS/package-lock.json" "$modules/"
if ! cmp -s "$modules/package-lock.json" "$modules/installed.json"; then
    timeout 300 npm ci --prefix "$modules" --ignore-scripts --no-audit --no-fund </dev/null >&2 || skip "npm cannot install playwright-core and axe-core"
    cp "$modules/package-lock.json" "$modules/installed.json"
fi

analyze=$TARGET/debug/imon-analyze
${CARGO:-cargo} build --quiet --locked -p imon-analyze

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export NODE_PATH=$modules/node_modules CHROMIUM=$browser TZ=Europe/Berlin
readonly RANGE=(--from 2026-11-01 --to 2026-11-27)

# A report as it is on a terminal: its text with its colours.
terminal() {
    local line="imon-analyze report home.pcap --in 2026-11 -n 12"
    command -v tmux >/dev/null || { echo "note: no picture of a terminal without tmux" >&2; return; }
    mkdir -p "$work/bin" && ln -sf "$(realpath "$analyze")" "$work/bin/imon-analyze"
    env -u TMUX tmux -L "imon-$$" -f /dev/null new-session -d -x 104 -y 24 \
        "cd '$work' && export LC_ALL=C.UTF-8 TZ=Europe/Berlin PATH='$work/bin':\$PATH && printf '$ %s\n' '$line' && $line; sleep 60"
    for _ in $(seq 60); do
        sleep 1
        tmux -L "imon-$$" capture-pane -ep >"$work/terminal.txt"
        ! grep -q "books balance" "$work/terminal.txt" || break
    done
    tmux -L "imon-$$" kill-server
}

# `top` in the same home, in the evening of its first day, after a minute of it.
terminal_now() {
    command -v tmux >/dev/null || return 0
    local hours=$((20 - 10#$(date -u +%H)))
    [ "$hours" -le 12 ] || hours=$((hours - 24))
    ${CARGO:-cargo} build --quiet --locked -p imon-record
    mkfifo "$work/wlan0"
    timeout 120 scripts/home.py --days 1 --live 75 >"$work/wlan0" &
    timeout 120 "$TARGET/debug/imon-record" --read "$work/wlan0" --spool "$work/spool" >"$work/spool.log" 2>&1 &
    for _ in $(seq 60); do
        ! compgen -G "$work/spool/*.part" >/dev/null || break
        sleep 1
    done
    env -u TMUX tmux -L "imon-$$" -f /dev/null new-session -d -x 104 -y 24 \
        "cd '$work' && export LC_ALL=C.UTF-8 HOME='$work' PATH='$work/bin':\$PATH && imon-analyze top '$work/spool' --zone $(printf '%+03d:00' "$hours")"
    sleep 65
    tmux -L "imon-$$" capture-pane -ep >"$work/now.txt"
    tmux -L "imon-$$" kill-server
    wait
}

report() { "$analyze" -q report "$@"; }

scripts/home.py "$work/home.pcap" --days 27
report "$work/home.pcap" "${RANGE[@]}" --format html -o "$work/home.html"
if [ "${1:-}" = pictures ]; then
    terminal
    terminal_now
    node scripts/page/pictures.js "$work" "$2"
    exit
fi
report "$work/home.pcap" "${RANGE[@]}" --json -o "$work/home.json"
report "$work/home.pcap" --from 2026-11-10 --to 2026-11-12 --json -o "$work/days.json"
report "$work/home.pcap" "${RANGE[@]}" --by device,day --format html -o "$work/table.html"
scripts/home.py "$work/hostile.pcap" --days 3 --hostile
report "$work/hostile.pcap" --format html -o "$work/hostile.html"
report "$work/hostile.pcap" --by device --format html -o "$work/hostile-table.html"
report testdata/netlab/browse-lan.pcap.gz --format html -o "$work/shared.html"
report testdata/pcap/no-packets.pcap --format html -o "$work/empty.html"
node scripts/page/test.js "$work"
