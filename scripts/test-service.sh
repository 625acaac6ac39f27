#!/usr/bin/env bash
# The package and its services under a real systemd: a small Debian of its own is started by
# systemd-nspawn, the package is installed there, and scripts/service/machine.py tries it. As root,
# on Linux. The root of that Debian is made once by debootstrap, which needs a network, into
# TARGET/service; ROOT= names one that is there. DEB= names the package, otherwise what `make deb`
# built. Without what it needs it is skipped, and says why.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly TARGET=$(realpath -m "${TARGET_DIR:-${CARGO_TARGET_DIR:-target}}")
readonly SUITE=bookworm
# What the units need, the shells whose completions are tried, and what the checks are made with.
readonly PACKAGES=systemd,systemd-sysv,dbus,iproute2,libpcap0.8,bash-completion,zsh,fish,rsync,python3-minimal
# Longer than all checks take, on a slow machine.
readonly SECONDS_AT_MOST=1800

skip() { echo "skipped: $1" >&2; exit 0; }
fail() { echo "error: $1" >&2; echo "  hint:  $2" >&2; exit 1; }

[ "$(uname -s)" = Linux ] || skip "services of systemd need Linux"
[ "$(id -u)" -eq 0 ] || skip "it needs root (a machine of systemd-nspawn): sudo -E make test-service"
for program in systemd-nspawn unshare; do
    command -v "$program" >/dev/null || skip "there is no $program: apt-get install systemd-container util-linux"
done
deb=${DEB:-$(find "$TARGET/debian" -maxdepth 1 -name 'imon_*.deb' 2>/dev/null | sort | tail -n1)}
[ -n "$deb" ] && [ -e "$deb" ] || fail "there is no package to try" "make deb, or DEB=FILE make test-service"

root=${ROOT:-$TARGET/service/$SUITE}
if [ ! -e "$root/usr/bin/zsh" ]; then
    [ -z "${ROOT:-}" ] || fail "$ROOT is no root of a Debian with $PACKAGES" "without ROOT one is made"
    command -v debootstrap >/dev/null || skip "there is no debootstrap: apt-get install debootstrap"
    echo "makes a small Debian in $root, once"
    rm -rf "$root" "$root.part"
    mkdir -p "${root%/*}"
    debootstrap --variant=minbase --include="$PACKAGES" "$SUITE" "$root.part" ${MIRROR:+"$MIRROR"} >"$root.log" 2>&1 ||
        { rm -rf "$root.part"; skip "debootstrap could not make a root: $(tail -n1 "$root.log"); MIRROR= names another mirror"; }
    mv "$root.part" "$root"
fi

work=$(mktemp -d)
trap 'umount "$work/root" 2>/dev/null; umount "$work/layer" 2>/dev/null; rm -rf "$work"' EXIT

# The root stays as it is: what is done in the machine goes into a layer that is thrown away.
mkdir "$work/layer" "$work/root" "$work/try"
mount -t tmpfs none "$work/layer"
mkdir "$work/layer/upper" "$work/layer/work"
mount -t overlay -o "lowerdir=$root,upperdir=$work/layer/upper,workdir=$work/layer/work" none "$work/root" ||
    skip "this kernel has no overlay file system"

# What the checks read: the package, and what `make install` takes.
echo "${PARTS:-}" >"$work/try/only"
cp "$deb" "$work/try/imon.deb"
cp scripts/service/*.py "$work/try/"
mkdir -p "$work/try/checkout/target"
cp -a Makefile packaging scripts "$work/try/checkout/"
cp -a "$TARGET/dist" "$TARGET/manual" "$work/try/checkout/target/"
cp analyzer/tests/support/complete.zsh "$work/try/"

# First, a system that is only being made, as an image is: no manager, no /proc.
[ ! -e "$work/root/proc/self" ] || fail "$root has a /proc" "umount it"
cp "$deb" "$work/root/root/imon.deb"
chroot "$work/root" dpkg --install /root/imon.deb >"$work/chroot" 2>&1 ||
    fail "in a chroot without /proc the package is not installed: $(cat "$work/chroot")" "packaging/debian/postinst"
rm "$work/root/root/imon.deb"
echo "ok    in a chroot without /proc the package is installed"

cat >"$work/root/etc/systemd/system/try.service" <<'UNIT'
[Unit]
After=basic.target
[Service]
ExecStart=/usr/bin/python3 -u /srv/try/machine.py
StandardOutput=append:/srv/try/said
StandardError=inherit
[Install]
WantedBy=multi-user.target
UNIT
mkdir -p "$work/root/etc/systemd/system/multi-user.target.wants" "$work/root/srv/try"
ln -s ../try.service "$work/root/etc/systemd/system/multi-user.target.wants/try.service"
# Its own timers would only disturb.
rm -f "$work"/root/etc/systemd/system/timers.target.wants/*
# Nothing here may need a program of procps.
rm -f "$work"/root/usr/bin/{kill,ps,pgrep,pkill}

touch "$work/try/said"
tail -n +1 -f "$work/try/said" &
tail=$!
began=$SECONDS
# 133: the machine wants to be started again.
code=133
while [ "$code" -eq 133 ] && [ $((SECONDS - began)) -lt "$SECONDS_AT_MOST" ]; do
    code=0
    timeout --kill-after=10 "$SECONDS_AT_MOST" systemd-nspawn --quiet --boot --register=no --keep-unit --private-network \
        --system-call-filter='landlock_create_ruleset landlock_add_rule landlock_restrict_self' \
        --directory="$work/root" --bind="$work/try:/srv/try" --console=pipe </dev/null >"$work/console" 2>&1 || code=$?
done
sleep 1
kill "$tail"
if ! grep -q '^done: ' "$work/try/said"; then
    tail -n 20 "$work/console" >&2
    fail "the checks did not come to their end (systemd-nspawn: $code)" "the last lines of the machine are above"
fi
! grep -q '^FAIL' "$work/try/said"
