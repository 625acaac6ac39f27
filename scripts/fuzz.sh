#!/usr/bin/env bash
# Runs every fuzz target for a time: scripts/fuzz.sh [SECONDS [TARGET...]], 60 seconds each by
# default. JOBS=2 runs two targets side by side. ASAN=0 leaves the address sanitizer out. Ends with
# 1 if a target found something; the input is then in fuzz/artifacts/TARGET/, and its log beside it.
# Seeds come from testdata/, and from the captures of $IMON_CORPUS where that is set.
#   scripts/fuzz.sh --out DIR    runs nothing: targets, seeds and dictionaries go into DIR as ClusterFuzzLite wants them
#
# The stable toolchain is enough: what cargo-fuzz does for these targets is the flags below.
# Coverage needs nothing unstable. The address sanitizer does (-Z): RUSTC_BOOTSTRAP makes the stable
# compiler take that flag.
set -euo pipefail
cd "$(dirname "$0")/.."

out='' seconds=60
if [ "${1:-}" = --out ]; then
    out=${2:?--out DIR}
    shift 2
elif [ $# -gt 0 ]; then
    seconds=$1
    shift
fi
readonly JOBS=${JOBS:-1} CARGO=${CARGO:-cargo}
case $seconds$JOBS in
*[!0-9]*) echo "error: '$seconds' seconds and '$JOBS' jobs must be numbers" >&2; exit 2 ;;
esac

missing=
need() { missing="$missing
  $1
    hint: $2"; }
command -v "$CARGO" >/dev/null || need "cargo" "https://rustup.rs"
command -v rustc >/dev/null || need "rustc" "https://rustup.rs"
command -v c++ >/dev/null || need "a C++ compiler (libFuzzer is built from source)" "apt-get install g++"
if [ -n "$missing" ]; then
    echo "error: cannot fuzz, this is missing:$missing" >&2
    exit 1
fi

host=$(rustc -vV | sed -n 's/^host: //p')
flags="--cfg fuzzing -Cpasses=sancov-module -Ccodegen-units=1 -Cforce-frame-pointers
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares
    -Cllvm-args=-simplifycfg-branch-fold-threshold=0"
case $host in
x86_64-*-linux-gnu) flags="$flags -Cllvm-args=-sanitizer-coverage-stack-depth" ;;
esac
if [ "${ASAN:-1}" = 0 ]; then
    echo "address sanitizer: left out, as asked" >&2
elif ls "$(rustc --print sysroot)/lib/rustlib/$host/lib/"*asan* >/dev/null 2>&1; then
    flags="$flags -Zsanitizer=address"
    export RUSTC_BOOTSTRAP=1
else
    echo "address sanitizer: left out, this rustc has none for $host (rustup's has)" >&2
fi

# A place of its own: nothing here may make the ordinary build begin again.
target_dir=${TARGET_DIR:-${CARGO_TARGET_DIR:-target}}/fuzz
mkdir -p "$target_dir"
target_dir=$(cd "$target_dir" && pwd)
unset CARGO_TARGET_DIR
build() { "$CARGO" build --locked --quiet -p imon-fuzz --profile fuzz --target-dir "$target_dir" "$@"; }
# An explicit --target keeps the flags from build scripts and macros.
RUSTFLAGS=$flags build --target "$host" --features libfuzzer --bins
# The generator of seeds is an ordinary build.
env -u RUSTC_BOOTSTRAP "$CARGO" build --locked --quiet -p imon-fuzz --profile fuzz --target-dir "$target_dir" --example seeds
readonly BUILT=$target_dir/$host/fuzz

names=$(sed -n 's,^path = "fuzz_targets/\(.*\)\.rs",\1,p' fuzz/Cargo.toml | tr '\n' ' ')
read -r -a targets <<<"${*:-$names}"
for target in "${targets[@]}"; do
    [ -x "$BUILT/$target" ] || { echo "error: no target is called $target" >&2; exit 2; }
done

# Seeds of all targets into fuzz/seeds.new: made from captures, former findings, and the segments
# kept with the sources, whose first byte says that they are read as they are.
captures=(testdata/pcap/* testdata/field/*.pcap)
[ -z "${IMON_CORPUS:-}" ] || captures+=("$IMON_CORPUS"/captures/*)
rm -rf fuzz/seeds.new
"$target_dir/fuzz/examples/seeds" fuzz/seeds.new "${captures[@]}" >&2
for segment in testdata/segments/*.seg; do
    { printf '\0'; cat "$segment"; } >"fuzz/seeds.new/segment/$(basename "$segment")"
done
for target in "${targets[@]}"; do
    mkdir -p "fuzz/seeds.new/$target"
    [ ! -d "testdata/fuzz/$target" ] || cp "testdata/fuzz/$target"/* "fuzz/seeds.new/$target/"
    # There is always one: no corpus begins empty.
    printf 'seed' >"fuzz/seeds.new/$target/four-bytes"
done

if [ -n "$out" ]; then
    mkdir -p "$out"
    for target in "${targets[@]}"; do
        cp "$BUILT/$target" "$out/"
        python3 -m zipfile -c "$out/${target}_seed_corpus.zip" "fuzz/seeds.new/$target"/*
        [ ! -f "fuzz/dictionaries/$target.dict" ] || cp "fuzz/dictionaries/$target.dict" "$out/"
    done
    rm -rf fuzz/seeds.new
    exit 0
fi

for target in "${targets[@]}"; do
    mkdir -p "fuzz/corpus/$target" "fuzz/artifacts/$target"
    cp "fuzz/seeds.new/$target"/* "fuzz/corpus/$target/"
done
rm -rf fuzz/seeds.new

# One unit may take two seconds under the sanitizer and the process half a gigabyte: more is a
# finding.
one() {
    local target=$1 status=0
    local arguments=(-max_total_time="$seconds" -timeout=2 -rss_limit_mb=512 -max_len=65536 -print_final_stats=1
        -artifact_prefix="fuzz/artifacts/$target/")
    [ ! -f "fuzz/dictionaries/$target.dict" ] || arguments+=(-dict="fuzz/dictionaries/$target.dict")
    "$BUILT/$target" "${arguments[@]}" "fuzz/corpus/$target" \
        </dev/null >"fuzz/artifacts/$target/log" 2>&1 || status=$?
    awk -v target="$target" -v status="$status" '
        /stat::number_of_executed_units/ { runs = $2 }
        /stat::peak_rss_mb/ { peak = $2 }
        / cov: / { for (i = 1; i < NF; i++) if ($i == "cov:") cov = $(i + 1) }
        END { printf "%-18s %12d %9d %6d MiB  %s\n", target, runs, cov, peak, status ? "FOUND, see fuzz/artifacts/" target "/" : "nothing" }
    ' "fuzz/artifacts/$target/log"
    [ "$status" -eq 0 ] ||
        grep -E -A 2 'panicked|ERROR|SUMMARY|Test unit written' "fuzz/artifacts/$target/log" | cut -c 1-200 | head -n 20 >&2
    return "$status"
}

printf '%-18s %12s %9s %10s  %s\n' target executions coverage peak "found in $seconds s"
failed=0 running=0
for target in "${targets[@]}"; do
    if [ "$running" -ge "$JOBS" ]; then
        wait -n || failed=1
        running=$((running - 1))
    fi
    one "$target" &
    running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
    wait -n || failed=1
    running=$((running - 1))
done
[ "$failed" -eq 0 ] || { echo "error: findings" >&2; exit 1; }
echo "no findings"
