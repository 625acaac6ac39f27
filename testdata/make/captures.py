#!/usr/bin/env python3
"""Writes testdata/pcap/: one small capture per variant of the file formats, and expected.tsv.

Run from anywhere: python3 testdata/make/captures.py. The output depends on nothing but this file.
Expected values are noted while a file is written, so they do not come from the reader under test.
"""
import struct
from pathlib import Path

OUT = Path(__file__).resolve().parent.parent / "pcap"
T0 = 1_760_000_000  # 2025-10-09 08:53:20 UTC
ETHERNET, NULL, RAW_DLT, RAW, SLL = 1, 0, 12, 101, 113


# Packets: a DNS question, its answer, and the first packet of a connection to the address in it.

def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


CLIENT, RESOLVER, SERVER = bytes([192, 168, 7, 2]), bytes([192, 168, 7, 1]), bytes([203, 0, 113, 9])


def ipv4(proto, src, dst, payload):
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, proto, 0) + src + dst
    return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + payload


def transport_checksum(proto, src, dst, data):
    return checksum(src + dst + struct.pack(">BBH", 0, proto, len(data)) + data)


def udp(src, sport, dst, dport, payload):
    def pack(check):
        return struct.pack(">HHHH", sport, dport, 8 + len(payload), check) + payload
    return ipv4(17, src, dst, pack(transport_checksum(17, src, dst, pack(0)) or 0xFFFF))


def tcp_syn(src, sport, dst, dport):
    def pack(check):
        return struct.pack(">HHIIBBHHH", sport, dport, 1000, 0, 5 << 4, 2, 64240, check, 0)
    return ipv4(6, src, dst, pack(transport_checksum(6, src, dst, pack(0))))


QNAME = b"\x03www\x07example\x03org\0"
QUESTION = QNAME + struct.pack(">HH", 1, 1)
QUERY = udp(CLIENT, 40000, RESOLVER, 53, struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + QUESTION)
ANSWER = udp(RESOLVER, 53, CLIENT, 40000, struct.pack(">6H", 7, 0x8180, 1, 1, 0, 0) + QUESTION
             + struct.pack(">HHHIH", 0xC00C, 1, 1, 300, 4) + SERVER)
SYN = tcp_syn(CLIENT, 41000, SERVER, 443)
THREE = [QUERY, ANSWER, SYN]


def link(kind, ip):
    outgoing = ip[12:16] == CLIENT
    if kind == ETHERNET:
        a, b = b"\x02\0\0\0\0\x02", b"\x02\0\0\0\0\x01"
        return (b + a if outgoing else a + b) + b"\x08\x00" + ip
    if kind == SLL:
        return struct.pack(">HHH8sH", 4 if outgoing else 0, 1, 6, b"\x02\0\0\0\0\x01\0\0", 0x0800) + ip
    if kind == NULL:
        return struct.pack("<I", 2) + ip
    return ip


# Files. `Out` collects the bytes and what a reader has to find in them.

class Out:
    def __init__(self, name):
        self.name, self.data, self.rows, self.end, self.dropped = name, b"", [], "ok", "-"

    def expect(self, ts_ns, link_type, data, orig_len):
        self.rows.append((ts_ns, link_type, len(data), orig_len))


FILES = []


def new(name):
    out = Out(name)
    FILES.append(out)
    return out


def pcap(name, order="<", magic=0xA1B2C3D4, link_type=ETHERNET, snaplen=262144, times=None, cut_to=None, orig=None, version=(2, 4),
         extra=None, swapped=False, means=None, packets=THREE):
    """Three packets; `times`: (seconds, fraction) as stored; `cut_to`: captured bytes; `orig`: original length as stated;
    `extra`: what stands behind each packet's header; `swapped`: the original length stands first; `means`: the link type
    that the stored one means to AIX, which also writes nanoseconds."""
    out = new(name)
    unit = 1 if magic == 0xA1B23C4D or means is not None else 1000
    stored, link_type = link_type, link_type if means is None else means
    out.data = struct.pack(order + "IHHiIII", magic, *version, 0, 0, snaplen, stored)
    if extra is None:
        extra = struct.pack(order + "IHBB", 3, 0x0800, 0, 0) if magic == 0xA1B2CD34 else b""
    for number, ip in enumerate(packets):
        frame = link(link_type & 0xFFFF, ip)
        data = frame[:cut_to]
        sec, frac = times[number] if times else (T0 + number, 123456 + number)
        length = orig[number] if orig else len(frame)
        lengths = (length, len(data)) if swapped else (len(data), length)
        out.data += struct.pack(order + "IIII", sec, frac, *lengths) + extra + data
        out.expect(sec * 10**9 + frac * unit, link_type & 0xFFFF, data, length)
    return out


def pad(data):
    return data + b"\0" * (-len(data) % 4)


class Section:
    """One section of a pcapng file."""

    def __init__(self, out, order="<"):
        self.out, self.order, self.interfaces = out, order, []
        self.block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))

    def block(self, kind, body, trailer=None):
        body = pad(body)
        total = 12 + len(body)
        self.out.data += struct.pack(self.order + "II", kind, total) + body + struct.pack(self.order + "I", trailer or total)

    def options(self, options):
        if not options:
            return b""
        packed = b"".join(struct.pack(self.order + "HH", code, len(value)) + pad(value) for code, value in options)
        return packed + struct.pack(self.order + "HH", 0, 0)

    def interface(self, link_type, snaplen=262144, options=()):
        self.interfaces.append(link_type)
        self.block(1, struct.pack(self.order + "HHI", link_type, 0, snaplen) + self.options(options))

    def enhanced(self, index, units, ts_ns, ip, cut_to=None, options=()):
        frame = link(self.interfaces[index], ip)
        data = frame[:cut_to]
        fields = struct.pack(self.order + "IIIII", index, units >> 32, units & 0xFFFFFFFF, len(data), len(frame))
        self.block(6, fields + pad(data) + self.options(options))
        self.out.expect(ts_ns, self.interfaces[index], data, len(frame))

    def old(self, index, units, ts_ns, ip, drops=0xFFFF):
        frame = link(self.interfaces[index], ip)
        self.block(2, struct.pack(self.order + "HHIIII", index, drops, units >> 32, units & 0xFFFFFFFF, len(frame), len(frame)) + frame)
        self.out.expect(ts_ns, self.interfaces[index], frame, len(frame))

    def simple(self, ts_ns, ip, snaplen):
        frame = link(self.interfaces[0], ip)
        data = frame[:snaplen]
        self.block(3, struct.pack(self.order + "I", len(frame)) + data)
        self.out.expect(ts_ns, self.interfaces[0], data, len(frame))

    def statistics(self, index, options):
        self.block(5, struct.pack(self.order + "III", index, 0, 0) + self.options([(c, struct.pack(self.order + "Q", v)) for c, v in options]))


def at(number, units_per_second):
    """`number` seconds and 123,456 µs after T0, in units, rounded down; and the nanoseconds that such a count means."""
    micro = (T0 + number) * 10**6 + 123456
    units = micro * units_per_second // 10**6
    return units, units * 10**9 // units_per_second


def resolution(name, option, units_per_second, order="<", offset=0):
    out = new(name)
    section = Section(out, order)
    options = [] if option is None else [(9, bytes([option]))]
    if offset:
        options.append((14, struct.pack(order + "q", offset)))
    section.interface(ETHERNET, options=options)
    for number, ip in enumerate(THREE):
        units, ns = at(number, units_per_second)
        section.enhanced(0, units - offset * units_per_second, ns, ip)
    return out


def classic():
    pcap("us-le.pcap")
    pcap("us-be.pcap", ">")
    pcap("ns-le.pcap", magic=0xA1B23C4D)
    pcap("ns-be.pcap", ">", magic=0xA1B23C4D)
    pcap("modified-le.pcap", magic=0xA1B2CD34)
    pcap("modified-be.pcap", ">", magic=0xA1B2CD34)
    pcap("raw.pcap", link_type=RAW)
    pcap("raw-as-dlt-12.pcap", link_type=RAW_DLT)
    pcap("sll.pcap", link_type=SLL)
    pcap("null.pcap", link_type=NULL)
    pcap("version-2.3.pcap", version=(2, 3))
    for minor in (0, 1, 2):
        pcap(f"version-2.{minor}.pcap", "<>"[minor % 2], version=(2, minor), cut_to=50, swapped=True)
    pcap("version-2.3-swapped.pcap", version=(2, 3), cut_to=50, swapped=True)
    pcap("version-2.3-cut-be.pcap", ">", version=(2, 3), cut_to=50)
    pcap("version-543-be.pcap", ">", version=(543, 0), cut_to=50, swapped=True)
    pcap("aix-be.pcap", ">", link_type=6, means=ETHERNET, version=(2, 2), cut_to=50, swapped=True)
    # Packet headers of other lengths, told by nothing but where the next one begins.
    patch = lambda order, cpus=b"": struct.pack(order + "IHBB", 2, 0x0800, 0, 0) + cpus
    pcap("headers-24-le.pcap", extra=patch("<"))
    pcap("headers-24-be.pcap", ">", extra=patch(">"))
    pcap("headers-24-cut.pcap", cut_to=41, extra=bytes(8), snaplen=41)
    pcap("headers-24-one-packet.pcap", extra=patch("<"), packets=[SYN])
    pcap("headers-24-null.pcap", link_type=NULL, extra=patch("<"))
    pcap("headers-20-be.pcap", ">", extra=b"\x12\x34\x56\x78")
    pcap("headers-28-modified.pcap", magic=0xA1B2CD34, extra=patch("<", b"\1\2\0\0"))
    pcap("fcs-bits.pcap", link_type=0x24000000 | ETHERNET)
    pcap("snaplen-0.pcap", snaplen=0)
    pcap("snaplen-too-small.pcap", snaplen=16)
    pcap("snaplen-40.pcap", snaplen=40, cut_to=40)
    pcap("orig-len-lies.pcap", orig=[2**31 - 1, 1, 0])
    pcap("fraction-over-a-second.pcap", times=[(T0, 999_999), (T0, 1_000_000), (T0, 0xFFFFFFFF)])
    pcap("after-2038.pcap", times=[(2**31 - 1, 0), (2**31, 0), (2**32 - 1, 999_999)])
    empty = new("no-packets.pcap")
    empty.data = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)


def damaged(name, source, change, end, keep):
    """A copy of `source` with its bytes changed; `keep` packets are still read."""
    out = new(name)
    out.data, out.rows, out.end = change(source.data), source.rows[:keep], end
    return out


def damaged_classic():
    whole = next(f for f in FILES if f.name == "us-le.pcap")
    lengths = [row[2] for row in whole.rows]
    third = 24 + 16 * 2 + lengths[0] + lengths[1]
    damaged("cut-in-packet.pcap", whole, lambda d: d[:-5], f"cut {third} {16 + lengths[2]}", 2)
    damaged("cut-in-packet-header.pcap", whole, lambda d: d[:third + 7], f"cut {third} 16", 2)
    damaged("cut-in-file-header.pcap", whole, lambda d: d[:20], "cut 0 24", 0)
    second = 24 + 16 + lengths[0]
    damaged("cut-behind-8-bytes.pcap", whole, lambda d: d[:second + 8], f"cut {second} 16", 1)
    damaged("zero-tail.pcap", whole, lambda d: d + b"\0" * 64, f"damaged {len(whole.data)}", 3)
    damaged("two-files-joined.pcap", whole, lambda d: d + d, f"damaged {len(whole.data)}", 3)
    damaged("huge-length.pcap", whole, lambda d: d[:third + 8] + b"\xff\xff\xff\x7f" + d[third + 12:], f"damaged {third}", 2)


def ng():
    resolution("ng-us-default-le.pcapng", None, 10**6)
    resolution("ng-us-default-be.pcapng", None, 10**6, ">")
    resolution("ng-tsresol-ms.pcapng", 3, 10**3)
    resolution("ng-tsresol-ns.pcapng", 9, 10**9)
    resolution("ng-tsresol-s.pcapng", 0, 1)
    resolution("ng-tsresol-10ns-be.pcapng", 8, 10**8, ">")
    resolution("ng-tsresol-100ps.pcapng", 10, 10**10)
    resolution("ng-tsresol-bin20.pcapng", 0x80 | 20, 2**20)
    resolution("ng-tsresol-bin32.pcapng", 0x80 | 32, 2**32)
    resolution("ng-tsoffset.pcapng", 9, 10**9, offset=T0 - 100)
    resolution("ng-tsoffset-negative-be.pcapng", 6, 10**6, ">", offset=-3600)

    out = new("ng-many-link-types.pcapng")
    section = Section(out)
    for kind in (ETHERNET, SLL, NULL, RAW):
        section.interface(kind, options=[(2, b"if%d" % kind), (9, b"\x09")])
    for number in range(8):
        units, ns = at(number, 10**9)
        section.enhanced(number * 3 % 4, units, ns, THREE[number % 3])

    out = new("ng-old-packet-block-be.pcapng")
    section = Section(out, ">")
    section.interface(ETHERNET)
    for number, ip in enumerate(THREE):
        section.old(0, *at(number, 10**6), ip, drops=[0xFFFF, 2, 3][number])
    out.dropped = 5

    out = new("ng-simple-packet-block.pcapng")
    section = Section(out)
    section.interface(RAW, snaplen=50)
    section.simple(0, QUERY, 50)
    section.enhanced(0, *at(1, 10**6), ANSWER)
    section.simple(at(1, 10**6)[1], SYN, 50)

    out = new("ng-two-sections-two-orders.pcapng")
    for number, order in enumerate("<>"):
        section = Section(out, order)
        section.interface([ETHERNET, RAW][number], options=[(9, bytes([[6, 9][number]]))])
        for place, ip in enumerate(THREE):
            section.enhanced(0, *at(10 * number + place, [10**6, 10**9][number]), ip)

    out = new("ng-statistics.pcapng")
    section = Section(out)
    section.interface(ETHERNET)
    section.interface(RAW)
    section.statistics(0, [(4, 1000), (5, 1)])
    section.enhanced(0, *at(0, 10**6), QUERY, options=[(4, struct.pack("<Q", 3))])
    section.enhanced(1, *at(1, 10**6), ANSWER, options=[(1, b"a comment"), (4, struct.pack("<Q", 2))])
    section.enhanced(1, *at(2, 10**6), SYN)
    section.statistics(0, [(5, 7), (7, 4)])
    section.statistics(1, [(5, 2**64 - 1)])  # not known: the packets' own counts hold
    out.dropped = 7 + 4 + 2

    out = new("ng-nothing-lost.pcapng")
    section = Section(out)
    section.interface(ETHERNET)
    section.interface(RAW)  # of which nothing is said
    for number, ip in enumerate(THREE):
        section.enhanced(0, *at(number, 10**6), ip)
    section.statistics(0, [(4, 3), (5, 0), (7, 0)])
    out.dropped = 0

    out = new("ng-nothing-lost-by-packets-be.pcapng")
    section = Section(out, ">")
    section.interface(ETHERNET)
    for number, ip in enumerate(THREE):
        section.enhanced(0, *at(number, 10**6), ip, options=[(4, struct.pack(">Q", 0))])
    section.statistics(0, [(5, 2**64 - 1)])  # not known
    out.dropped = 0

    out = new("ng-other-blocks.pcapng")
    section = Section(out)
    section.block(4, struct.pack("<HH4s", 1, 16, SERVER) + b"www.example.org\0" + struct.pack("<HH", 0, 0))
    section.interface(ETHERNET, snaplen=0, options=[(3, b"odd text: \xff\xfe"), (9, b"\x06"), (99, b"unknown option")])
    section.block(0x0A, struct.pack("<II", 0x544C534B, 9) + b"CLIENT_RA")
    section.enhanced(0, *at(0, 10**6), QUERY)
    section.block(0x0BAD, struct.pack("<I", 32473) + b"custom")
    section.block(0x40000BAD, struct.pack("<I", 32473) + b"custom")
    section.block(0x7FFFFFFF, b"")
    section.enhanced(0, *at(1, 10**6), ANSWER, cut_to=41, options=[(2, struct.pack("<I", 1)), (3, b"\x02\1\2\3\4")])
    section.block(9, b"__REALTIME_TIMESTAMP=1\n")
    section.enhanced(0, *at(2, 10**6), SYN)

    out = new("ng-no-packets.pcapng")
    Section(out)


def damaged_ng():
    whole = next(f for f in FILES if f.name == "ng-us-default-le.pcapng")
    last = len(whole.data) - (32 + len(pad(link(ETHERNET, SYN))))
    total = len(whole.data) - last
    damaged("ng-cut-in-block.pcapng", whole, lambda d: d[:-7], f"cut {last} {total}", 2)
    damaged("ng-cut-in-block-header.pcapng", whole, lambda d: d[:last + 6], f"cut {last} 12", 2)
    damaged("ng-bad-trailer.pcapng", whole, lambda d: d[:-4] + b"\1\0\0\0", f"damaged {last}", 2)
    damaged("ng-unknown-interface.pcapng", whole, lambda d: d[:last + 8] + b"\1" + d[last + 9:], f"damaged {last}", 2)
    damaged("ng-captured-length-lies.pcapng", whole, lambda d: d[:last + 20] + b"\xff" + d[last + 21:], f"damaged {last}", 2)
    damaged("ng-4-gib-packet-block.pcapng", whole, lambda d: d[:last + 4] + b"\xfc\xff\xff\xff" + d[last + 8:], f"damaged {last}", 2)
    unknown = b"\x77\0\0\0\xfc\xff\xff\xff"
    damaged("ng-4-gib-unknown-block.pcapng", whole, lambda d: d[:last] + unknown + d[last + 8:], f"cut {last} {0xfffffffc}", 2)
    damaged("ng-version-2.pcapng", whole, lambda d: d[:12] + b"\2" + d[13:], "damaged 0", 0)
    damaged("ng-zero-tail.pcapng", whole, lambda d: d + b"\0" * 16, f"damaged {len(whole.data)}", 3)


def main():
    classic()
    damaged_classic()
    ng()
    damaged_ng()
    OUT.mkdir(exist_ok=True)
    lines = ["# By testdata/make/captures.py. Per file: `file NAME END DROPPED`, then a line per packet:",
             "# ts_ns link_type cap_len orig_len. END: ok | cut RECORD_OFFSET RECORD_LENGTH | damaged RECORD_OFFSET"]
    for out in FILES:
        assert len(out.data) <= 4096, out.name
        (OUT / out.name).write_bytes(out.data)
        lines.append("\t".join(["file", out.name, out.end, str(out.dropped)]))
        lines += ["\t".join(map(str, row)) for row in out.rows]
    (OUT / "expected.tsv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
