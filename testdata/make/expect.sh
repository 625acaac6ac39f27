#!/bin/sh
# What tshark and awk find in the captures of pcap/: frames, IP packets, IP bytes, frames without IP, then every flow (both
# directions of a 5-tuple, bytes by the IP header). Run from testdata/: `sh make/expect.sh > expect/flows.tsv`.
# Left out: xz, which tshark does not unpack, and files in whose damage it sees frames where our reader stops, or takes
# the cut for longer packet headers.
set -eu
echo "# By testdata/make/expect.sh with $(tshark --version 2>/dev/null | head -1)"
printf '# file NAME packets ip_packets ip_bytes not_ip_packets; flow proto a aport b bport pkts_ab pkts_ba bytes_ab bytes_ba\n'
for file in pcap/*.pcap pcap/*.pcapng pcap/*.gz pcap/*.zst pcap/*.lz4; do
    case $file in */cut-behind-8-bytes.pcap | */huge-length.pcap | */two-files-joined.pcap | */zero-tail.pcap) continue ;; esac
    tshark -n -o ip.defragment:FALSE -r "$file" -T fields -E occurrence=f -E separator=/t \
        -e ip.src -e ipv6.src -e ip.dst -e ipv6.dst -e ip.proto -e ipv6.nxt -e ip.len -e ipv6.plen \
        -e tcp.srcport -e udp.srcport -e tcp.dstport -e udp.dstport 2>/dev/null |
        awk -F'\t' -v OFS='\t' -v name="${file#pcap/}" '
            { packets++ }
            $1 $2 == "" { other++; next }
            {
                ip++; len = ($7 != "") ? $7 : $8 + 40; bytes += len
                proto = $5 $6; sub(/^6$/, "tcp", proto); sub(/^17$/, "udp", proto)
                a = $1 $2 OFS ($9 $10 == "" ? 0 : $9 $10); b = $3 $4 OFS ($11 $12 == "" ? 0 : $11 $12)
                if ((proto OFS b OFS a) in first) { key = proto OFS b OFS a; down[key]++; down_bytes[key] += len }
                else { key = proto OFS a OFS b; if (!(key in first)) { first[key] = ++flows; order[flows] = key }
                       up[key]++; up_bytes[key] += len }
            }
            END {
                if (packets == 0) exit
                print "file", name, packets, ip + 0, bytes + 0, other + 0
                for (i = 1; i <= flows; i++) { k = order[i]; print "flow", k, up[k], down[k] + 0, up_bytes[k], down_bytes[k] + 0 }
            }'
done
