#!/usr/bin/env bash
# A long recording under steady load: memory must stay flat, and what is recorded be what the
# interface counted. Needs root. MINUTES=60 RATE=20000 scripts/soak.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/netns.sh

MINUTES=${MINUTES:-60}
RATE=${RATE:-20000}
# Made-up connections fill the flow table (65,536) within this time at the usual rate; then memory
# has to stay.
SETTLE_MINUTES=$((MINUTES < 20 ? (MINUTES + 3) / 4 : 5))

counter() { ip -n "$here" -s link show dev "$link" 2>/dev/null | awk '/RX:/ { getline; p += $2 } /TX:/ { getline; p += $2 } END { print p }'; }
memory() { awk '/^VmRSS/ { print $2 }' "/proc/$pid/status"; }

build
net
mkdir -m 777 "$work/out"
before=$(counter)
ip netns exec "$here" "$target/release/imon-record" -i "$link" --spool "$work/out/spool" --rotate-every 1m --keep-size 64MiB 2>"$work/said" &
pid=$!
sleep 1
send "$RATE" "$((MINUTES * 60))" >"$work/sent" &
sender=$!
echo 'minute  resident KiB  spool KiB'
minute=0 settled=0 most=0
while sleep 60 && kill -0 "$sender" 2>/dev/null; do
    minute=$((minute + 1)) now=$(memory)
    printf '%6d %13d %10d\n' "$minute" "$now" "$(du -sk "$work/out" | cut -f1)"
    [ "$minute" != "$SETTLE_MINUTES" ] || settled=$now
    [ "$now" -le "$most" ] || most=$now
done
wait "$sender"
sleep 1
kill -TERM "$pid"
wait "$pid" || { cat "$work/said"; exit 1; }
counted=$(($(counter) - before))
cat "$work/sent" "$work/said"
recorded=$(awk '/^packets:/ { print $2 }' "$work/said")
dropped=$(awk '/^dropped by the kernel:/ { print $5 }' "$work/said")
drift=$((counted - recorded - dropped))
echo "interface counted $counted packets; recorded $recorded, dropped $dropped: drift $drift"
echo "resident after $SETTLE_MINUTES min: $settled KiB; most at any time: $most KiB"
# Some packets of the system's own pass before the recorder starts and after it stops.
[ "$drift" -le 20 ] && [ "$drift" -ge -20 ] || { echo 'error: the books and the interface drift apart' >&2; exit 1; }
# An allocator takes its memory in steps.
[ "$settled" = 0 ] || [ "$most" -le $((settled + 6144)) ] || { echo 'error: memory grows' >&2; exit 1; }
