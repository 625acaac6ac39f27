#!/usr/bin/env python3
"""dump.py FILE: every field of a segment file of format versions 1 to 5, with its offset.

Written from docs/SEGMENT-FORMAT.md alone, as a second reader: if it and imon disagree, one of the three is wrong. It stops
at the first thing that is not as the document says; it does not look for good blocks after damage.
"""
import ipaddress
import sys

KINDS = {1: "dns", 2: "mdns", 3: "llmnr", 4: "sni", 5: "quic", 6: "http", 7: "ech-outer", 8: "dns, unpaired", 9: "dhcp",
         10: "dns query"}


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


class Bytes:
    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def take(self, n, what=None, show=bytes.hex):
        part = self.data[self.at : self.at + n]
        if len(part) < n:
            sys.exit(f"{self.at:4}: the file ends inside this field ({what})")
        self.at += n
        return self.say(part, what, show(part))

    def say(self, part, what, value):
        if what:
            print(f"{self.at - len(part):4}  {part.hex(' ', -4) if len(part) < 9 else part[:6].hex(' ', -4) + ' …':24}  {what}: {value}")
        return part

    def number(self, n, what):
        return int.from_bytes(self.take(n, what, lambda p: int.from_bytes(p, "little")), "little")

    def varint(self, what, signed=False):
        start, value, shift = self.at, 0, 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if signed:
            value = value >> 1 ^ -(value & 1)
        self.say(self.data[start : self.at], what, value)
        return value


def address(b, what):
    family = b.take(1)[0]
    b.take({4: 4, 6: 16}[family], what, lambda p: ipaddress.ip_address(p))


def header(b):
    assert b.take(8, "magic", repr) == b"IMONSEG\0"
    version = b.number(2, "version")
    assert b.number(2, "oldest reader's version") in (1, 2, 3, 4, 5)
    length = b.number(4, "header length")
    segment = b.take(16, "segment")
    b.take(16, "recorder")
    if version >= 3:
        b.take(16, "run")
    b.number(8, "sequence")
    if version >= 3:
        b.take(16, "segment before")
        b.take(32, "its SHA-256")
        b.take(16, "boot")
    for n, what in [(8, "start"), (8, "monotonic start"), (8, "interval"), (2, "link type")]:
        b.number(n, what)
    b.take(b.number(1, "interface length"), "interface", repr)
    for _ in range(b.number(2, "local networks")):
        address(b, "network")
        b.number(1, "prefix length")
    assert b.at == length - 4
    assert b.number(4, "checksum") == crc32c(b.data[: b.at - 4])
    return segment, version


def addresses(b):
    for _ in range(b.varint("addresses added")):
        address(b, "address")


def hardware_addresses(b):
    for _ in range(b.varint("hardware addresses added")):
        b.take(6, "hardware address", lambda p: p.hex(":"))


def dictionary_names(b):
    for _ in range(b.varint("names added")):
        b.take(b.varint("name: own length"), "  own beginning", lambda p: p.decode("ascii"))
        if b.varint("  1 + name that has the same ending, or 0"):
            b.varint("  length of that ending")


def interfaces(b, version):
    for _ in range(b.varint("interfaces added")):
        b.varint("interface: number")
        b.varint("  link type")
        if version >= 4:
            b.varint("  1 + VLAN id, or 0")
        b.take(b.varint("  name length"), "  name", repr)


def clients(b):
    for _ in range(b.varint("clients added")):
        b.varint("client: address")
        b.varint("  1 + hardware address, or 0")


def kind(b, bits=0x3F):
    return b.take(1, "  kind", lambda p: KINDS.get(p[0] & bits, "of a newer version") + (", asker is the server" if p[0] & 0x80 else "") + (", behind a relay" if p[0] & 0x40 & ~bits else ""))[0]


class Tables:
    """What later blocks of the group call by index: flags of shapes, and how many addresses a statement has."""

    def __init__(self):
        self.shapes, self.statements = [], []


def shapes(b, tables):
    for _ in range(b.varint("shapes added")):
        b.number(1, "shape: protocol")
        tables.shapes.append(b.number(1, "  flags"))
        b.varint("  server port")
        if tables.shapes[-1] & 128:
            b.varint("  interface")


def statements(b, tables):
    for _ in range(b.varint("statements added")):
        of, count = kind(b), 0
        b.varint("  name")
        if not 4 <= of & 0x3F <= 7:
            for _ in range(b.varint("  chain")):
                b.varint("    name")
            count = b.varint("  addresses")
            for _ in range(count):
                b.varint("    4 × address + record")
        tables.statements.append(count)


def flows(b, tables):
    for _ in range(b.varint("flows added")):
        flags = tables.shapes[b.varint("flow: shape")]
        if flags & 8:
            b.varint("  number, distance", signed=True)
        b.varint("  client")
        b.varint("  server address")
        b.number(2, "  client port")
        b.varint("  µs before the block's time", signed=True)
        if flags & 16:
            kind(b)
            b.varint("  name")


def names_seen(b, tables):
    count = b.varint("names seen")
    for _ in range(count):
        b.varint("name seen: flow, distance", signed=True)
        b.varint("  µs after its flow began, or the block", signed=True)
        for _ in range(tables.statements[b.varint("  statement")]):
            b.varint("    time to live")
    return count


def usage_rows(b):
    count = b.varint("usage rows")
    for _ in range(count):
        b.varint("usage: flow, distance", signed=True)
        packets = b.take(1, "  packets", lambda p: f"{p[0] & 15} up, {p[0] >> 4} down")[0]
        for what, few in [("up", packets & 15), ("down", packets >> 4)]:
            if few == 15:
                b.varint(f"  packets {what}, less 15")
        b.varint("  bytes up")
        b.varint("  bytes down")
    return count


def counts_of(b):
    count = b.varint("counts")
    for _ in range(count):
        b.varint("count: time, distance", signed=True)
        b.number(1, "  number")
        for what in ["detail", "packets", "bytes"]:
            b.varint("  " + what)
    return count


def compact(b, tables):
    """A payload since format 5."""
    lists = b.varint("lists that there are (bits)")
    for bit, read in [(6, addresses), (7, hardware_addresses), (5, dictionary_names), (8, lambda b: interfaces(b, 5)), (9, clients),
                      (10, lambda b: shapes(b, tables)), (4, lambda b: statements(b, tables)), (1, lambda b: flows(b, tables))]:
        if lists >> bit & 1:
            read(b)
    for bit, read in [(2, lambda b: names_seen(b, tables)), (0, usage_rows), (3, counts_of)]:
        if lists >> bit & 1:
            read(b)
    assert lists < 1 << 11


def additions(b, version):
    """A payload before format 5; gives the number of its records."""
    addresses(b)
    hardware_addresses(b)
    dictionary_names(b)
    if version >= 3:
        interfaces(b, version)
    for _ in range(b.varint("flows added")):
        b.varint("flow: number, distance", signed=True)
        for what in ["client address", "server address", "server port"]:
            b.varint("  " + what)
        b.number(2, "  client port")
        b.number(1, "  protocol")
        flags = b.number(1, "  flags")
        b.varint("  µs before the block's time", signed=True)
        if flags & 8:
            b.varint("  hardware address")
        if flags & 16:
            b.number(1, "  kind of name")
            b.varint("  name")
        if flags & 128 and version >= 3:
            b.varint("  interface")
    kind_bits = 0x3F if version >= 3 else 0x7F
    names = b.varint("names seen")
    for _ in range(names):
        b.varint("name seen: flow")
        b.varint("  µs, distance", signed=True)
        of = kind(b, kind_bits)
        b.varint("  name")
        if 4 <= of & kind_bits <= 7:
            continue
        for _ in range(b.varint("  chain")):
            b.varint("    name")
        for _ in range(b.varint("  addresses")):
            b.varint("    4 × address + record")
            b.varint("    time to live")
    usage = b.varint("usage rows")
    for _ in range(usage):
        b.varint("usage: flow, distance", signed=True)
        for what in ["packets up", "packets down", "bytes up", "bytes down"]:
            b.varint("  " + what)
    return names + usage + counts_of(b)


def end(b, version, to):
    for what in ["records in all", "packets in all", "bytes in all"]:
        b.varint(what)
    if version >= 3:
        b.varint("flags (1: stop requested)")
        for _ in range(b.varint("identities")):
            b.varint("identity: packets")
            b.take(16, "  of these")
    if b.at < to:  # since it was added
        b.varint("recorded for ns from the start", signed=True)


def long_block(b, version, segment):
    """A block before format 5."""
    start = b.at
    assert b.take(4, "block magic", repr) == b"IMBK"
    kind = b.number(1, "type (1 records, 2 end)")
    assert b.number(1, "codec") == 0
    b.number(2, "flags (1: fresh dictionaries)")
    stored = b.number(4, "stored length")
    assert b.number(4, "raw length") == stored
    count = b.number(4, "records")
    for n, what in [(8, "time"), (4, "sequence"), (4, "group")]:
        b.number(n, what)
    crc = b.number(4, "checksum")
    block = b.data[start : b.at + stored]
    assert len(block) == 40 + stored, "the file ends inside this block"
    assert crc == crc32c(segment + block[:36] + block[40:]), "checksum"
    if kind == 2:
        end(b, version, start + len(block))
    else:
        assert additions(b, version) == count
    assert b.at == start + len(block)


def block(b, version, segment, tables):
    start = b.at
    assert b.take(4, "block magic", repr) == b"IMBK"
    flags = b.number(1, "1 records or 2 end; 4: fresh dictionaries; 8: goes on")
    length = b.varint("length")
    b.varint("sequence")
    b.varint("intervals since the first one", signed=True)
    head = b.data[start : b.at]
    crc = b.number(4, "checksum")
    to = b.at + length
    assert to <= len(b.data), "the file ends inside this block"
    assert crc == crc32c(segment + head + b.data[b.at : to]), "checksum"
    if flags & 3 == 2:
        end(b, version, to)
    else:
        if flags & 4:
            tables.__init__()
        compact(b, tables)
    assert b.at == to


def main(path):
    b = Bytes(open(path, "rb").read())
    segment, version = header(b)
    tables = Tables()
    while b.at < len(b.data):
        print()
        if version >= 5:
            block(b, version, segment, tables)
        else:
            long_block(b, version, segment)


main(sys.argv[1])
