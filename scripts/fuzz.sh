#!/bin/sh
# Runs every fuzz target for a time: scripts/fuzz.sh [SECONDS [TARGET...]]
# Default: 60 seconds each. Ends with 1 if a target found something; the input is then in fuzz/artifacts/TARGET/.
# Seeds come from testdata/, and from the captures of $IMON_CORPUS where that is set.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-60}
[ $# -gt 0 ] && shift
case $seconds in
'' | *[!0-9]*) echo "error: '$seconds' is no number of seconds" >&2; exit 2 ;;
esac

missing=
need() { missing="$missing
  $1
    hint: $2"; }
command -v cargo >/dev/null 2>&1 || need "cargo" "https://rustup.rs"
if command -v cargo >/dev/null 2>&1; then
    cargo +nightly --version >/dev/null 2>&1 || need "a nightly toolchain (the sanitizers need it)" \
        "rustup toolchain install nightly --profile minimal"
    cargo fuzz --version >/dev/null 2>&1 || need "cargo-fuzz" "cargo install cargo-fuzz --locked"
fi
command -v c++ >/dev/null 2>&1 || need "a C++ compiler (libFuzzer is built from source)" "apt-get install g++"
if [ -n "$missing" ]; then
    echo "error: cannot fuzz, this is missing:$missing" >&2
    exit 1
fi

targets=${*:-$(cargo +nightly fuzz list)}
cargo +nightly fuzz build

# The generator needs no sanitizer: an ordinary build, kept apart.
set -- testdata/pcap/*
[ -n "${IMON_CORPUS:-}" ] && set -- "$@" "$IMON_CORPUS"/captures/*
cargo run --quiet --release --manifest-path fuzz/Cargo.toml --example seeds -- fuzz/seeds.new "$@"
for target in $targets; do
    mkdir -p "fuzz/corpus/$target" "fuzz/seeds.new/$target"
    cp -n fuzz/seeds.new/"$target"/* "fuzz/corpus/$target/" 2>/dev/null || true
    # Former findings and other small inputs that are kept with the sources.
    [ -d "testdata/fuzz/$target" ] && cp testdata/fuzz/"$target"/* "fuzz/corpus/$target/"
done
rm -rf fuzz/seeds.new

# One unit may take two seconds under the sanitizer and the process half a gigabyte: more is a finding.
found=
for target in $targets; do
    echo "== $target, $seconds s"
    dict=
    [ -f "fuzz/dictionaries/$target.dict" ] && dict="-dict=fuzz/dictionaries/$target.dict"
    cargo +nightly fuzz run "$target" -- -max_total_time="$seconds" -timeout=2 -rss_limit_mb=512 -max_len=65536 \
        -print_final_stats=1 $dict || found="$found $target"
done
if [ -n "$found" ]; then
    echo "error: findings in$found; see fuzz/artifacts/" >&2
    exit 1
fi
echo "no findings"
