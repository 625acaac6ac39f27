#!/bin/sh
# Compresses us-le.pcap with the tools that people use (gzip 1.12, zstd 1.5.4, xz 5.4.1, lz4 1.9.4): once, and as two parts
# that are joined, as rotated and appended logs are. The results are checked in; other versions of the tools give other bytes.
set -eu
cd "$(dirname "$0")/../pcap"
whole=us-le.pcap
head -c 100 "$whole" >.part-1
tail -c +101 "$whole" >.part-2
gzip -n9 <"$whole" >"$whole.gz"
zstd -q -19 <"$whole" >"$whole.zst"
xz -9 <"$whole" >"$whole.xz"
lz4 -q -9 <"$whole" >"$whole.lz4"
for tool in "gzip -n gz" "zstd -q zst" "xz -z xz" "lz4 -q lz4"; do
    # shellcheck disable=SC2086
    set -- $tool
    { "$1" "$2" <.part-1; "$1" "$2" <.part-2; } >"two-parts.pcap.$3"
done
# Four zeros behind a stream are allowed padding.
printf '\0\0\0\0' >>two-parts.pcap.xz
# States a dictionary of 256 MiB, which is more than a reader should take.
xz --lzma2=preset=0,dict=256MiB <"$whole" >huge-dictionary.pcap.xz
gzip -n <"$whole.gz" >gzip-in-gzip.pcap.gz
rm .part-1 .part-2
