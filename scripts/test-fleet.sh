#!/usr/bin/env bash
# Every query of docs/FLEET.md, run by the engine that it is for, beside `imon-analyze report`.
# Engines are installed into a folder of their own (VENV=), one by one: what cannot be had is skipped.
# ENGINES="duckdb polars" takes these only. Then the commands for object storage of the same page,
# with a store on loopback, by rclone and aws.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
venv=${VENV:-$target/fleet-venv}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
for engine in ${ENGINES:-duckdb polars chdb pyspark}; do
    if [ "$engine" = pyspark ] && ! command -v java >/dev/null; then
        echo "skipped: pyspark needs a Java (package default-jre-headless)"
        continue
    fi
    "$venv/bin/python" -c "import $engine" 2>/dev/null || "$venv/bin/pip" install --quiet "$engine" ||
        echo "skipped: $engine cannot be installed here"
done
for package in 'moto[server]' awscli; do
    "$venv/bin/pip" install --quiet "$package" || echo "skipped: $package cannot be installed here"
done
command -v rclone >/dev/null || echo "skipped: copies by rclone (package rclone)"
cargo build --quiet --locked -p imon-analyze
"$venv/bin/python" scripts/test_fleet.py "$target/debug/imon-analyze"
exec "$venv/bin/python" scripts/test_object_store.py "$target/debug/imon-analyze"
