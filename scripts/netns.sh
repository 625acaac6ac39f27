# Read by scripts that measure live: two network namespaces, and a sender that fills the link
# between them. Sets work, here, link, target; everything is gone at the end of the script that
# reads this.

[ "$(id -u)" = 0 ] || { echo 'error: needs root (network namespaces); run it with sudo -E' >&2; exit 1; }
command -v ip >/dev/null || { echo 'error: needs the program ip (package iproute2)' >&2; exit 1; }
target=${CARGO_TARGET_DIR:-target}
work=$(mktemp -d)
chmod 755 "$work" # the recorder's user passes through
here=imb-$$-h there=imb-$$-t link=imb$$h

build() { scripts/release.sh --quiet -p imon-record --bin imon-record --example send; }

net() {
    trap gone EXIT
    ip netns add "$here"
    ip netns add "$there"
    # Not the address that the frames carry: the system in `here` leaves them alone, and the capture
    # sees them all the same.
    ip link add "$link" address 02:00:00:00:00:11 netns "$here" type veth peer name "imb$$t" netns "$there"
    ip -n "$here" addr add 203.0.113.250/24 dev "$link"
    ip -n "$here" link set lo up
    ip -n "$here" link set "$link" up
    ip -n "$there" link set "imb$$t" up
}

gone() {
    local job
    for job in $(jobs -p); do kill "$job" 2>/dev/null || true; done
    wait 2>/dev/null || true
    ip netns del "$here" 2>/dev/null || true
    ip netns del "$there" 2>/dev/null || true
    rm -rf "$work"
}

# send RATE SECONDS [CAPTURE]: see recorder/examples/send.rs.
send() { ip netns exec "$there" "$target/release/examples/send" "imb$$t" "$@"; }
