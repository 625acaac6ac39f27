#!/bin/bash -eu
# Targets, seeds and dictionaries into $OUT, by the same script as `make fuzz`: it sets the flags of
# the sanitizer itself.
unset RUSTFLAGS CFLAGS CXXFLAGS
exec make fuzz-build OUT="$OUT"
