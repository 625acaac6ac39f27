#!/usr/bin/env bash
# Builds as it is installed: release.sh [cargo's arguments], by default both programs;
# release.sh --dist also copies both programs to TARGET/dist, from where `make install` and `make
# deb` take them: other builds do not replace them there. The same sources give the same bytes,
# whoever builds them in whatever folder.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly TARGET=${TARGET_DIR:-${CARGO_TARGET_DIR:-target}} CARGO=${CARGO:-cargo}
dist=
if [ "${1:-}" = --dist ]; then
    dist=1
    shift
fi
[ $# -gt 0 ] || set -- -p imon-record -p imon-analyze

# Panics name source files: not where they lie on this machine.
flags=$(printf '%s\x1f' --remap-path-prefix="${CARGO_HOME:-$HOME/.cargo}=/cargo" --remap-path-prefix="$PWD=/imon")
export CARGO_ENCODED_RUSTFLAGS=${flags%$'\x1f'}${RUSTFLAGS:+$'\x1f'${RUSTFLAGS// /$'\x1f'}}
# For C: SQLite and zstd.
export CFLAGS="${CFLAGS:-} -ffile-prefix-map=${CARGO_HOME:-$HOME/.cargo}=/cargo -ffile-prefix-map=$PWD=/imon"

if [ -n "$dist" ] && "$CARGO" auditable --version >/dev/null 2>&1; then
    echo "cargo-auditable: the programs say which crates they are made of" >&2
    "$CARGO" auditable build --locked --release "$@"
else
    [ -z "$dist" ] || echo "cargo-auditable is not installed: the programs do not name their crates (make sbom does)" >&2
    "$CARGO" build --locked --release "$@"
fi
if [ -n "$dist" ]; then
    install -D -m 755 -t "$TARGET/dist" "$TARGET/release/imon-record" "$TARGET/release/imon-analyze"
fi
