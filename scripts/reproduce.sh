#!/usr/bin/env bash
# Builds the Debian package of the commit that is checked out twice, from nothing, in two folders of
# different names and depths, and compares: the same sources give the same bytes. Takes two release
# builds. PROGRAM=imon-record builds and compares that program alone, which is quick.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export SOURCE_DATE_EPOCH
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)

build() {
    local tree=$1
    git clone --quiet --no-hardlinks . "$tree"
    unset CARGO_TARGET_DIR TARGET_DIR
    if [ -n "${PROGRAM:-}" ]; then
        (cd "$tree" && scripts/release.sh --quiet -p "$PROGRAM")
        cp "$tree/target/release/$PROGRAM" "$work/$2"
    else
        make -s -C "$tree" deb >&2
        cp "$tree"/target/debian/*.deb "$work/$2"
    fi
}

build "$work/one" first
build "$work/another/folder/deeper" second
sha256sum "$work/first" "$work/second" | sed "s|$work/||"
cmp "$work/first" "$work/second" || { echo "error: not the same bytes" >&2; exit 1; }
echo "the same bytes, built in two folders"
