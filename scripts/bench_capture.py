#!/usr/bin/env python3
"""A capture for measuring: bench_capture.py PACKETS SNAPLEN >FILE

Forty clients look names up, open TLS connections with a hello, and load; half of the packets are of
1,500 bytes, a third bare acknowledgements. The same numbers give the same bytes. It knows no QUIC, no
IPv6 and no shared addresses: what naming costs is measured with more varied captures.
"""

import random
import struct
import sys

packets, snaplen = int(sys.argv[1]), int(sys.argv[2])
# Made up and no secret: it need only be the same each time.
chance = random.Random(20261127)
SITES, CLIENTS = 2_000, 40
# 2026-01-01: a month that is over and is closed once it is ingested, whenever this is run.
START_US = 1_767_225_600_000_000


def checksum_free_ip(source, target, protocol, payload):
    head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, 64, protocol, 0, source, target)
    return head + payload


def frame(client, up, ip):
    card, router = bytes([2, 0, 0, 0, 1, client]), bytes([2, 0, 0, 0, 0, 1])
    return (router + card if up else card + router) + b"\x08\x00" + ip


def labels(name):
    return b"".join(bytes([len(part)]) + part for part in name.split(b".")) + b"\0"


def hello(name):
    entry = b"\0" + struct.pack(">H", len(name)) + name
    names = struct.pack(">H", len(entry)) + entry
    extension = struct.pack(">HH", 0, len(names)) + names
    padding = struct.pack(">HH", 21, max(0, 400 - len(extension))) + bytes(max(0, 400 - len(extension)))
    extensions = extension + padding
    body = b"\x03\x03" + bytes(32) + b"\0" + b"\0\x02\x13\x01" + b"\x01\0"
    body += struct.pack(">H", len(extensions)) + extensions
    handshake = b"\x01" + struct.pack(">I", len(body))[1:] + body
    return b"\x16\x03\x01" + struct.pack(">H", len(handshake)) + handshake


def connection(number):
    """Frames of a lookup and a connection, with the microseconds after which each comes."""
    client = chance.randrange(CLIENTS)
    site = min(int(chance.paretovariate(0.9)), SITES) - 1
    name = b"www%d.site-%d.example" % (number % 3, site)
    own, resolver = bytes([10, 0, 0, 10 + client]), bytes([10, 0, 0, 1])
    server = bytes([203, 0, 113, site % 250 + 1]) if site < 250 else bytes([198, 18, site // 250, site % 250 + 1])
    port, query_id = 32_768 + number % 28_000, number & 0xFFFF

    def udp(source, target, ports, payload):
        return checksum_free_ip(source, target, 17, struct.pack(">HHHH", *ports, 8 + len(payload), 0) + payload)

    def tcp(up, flags, sequence, payload=b""):
        ports, ends = ((port, 443), (own, server)) if up else ((443, port), (server, own))
        head = struct.pack(">HHIIBBHHH", *ports, sequence, 0, 0x50, flags, 64_000, 0, 0)
        return frame(client, up, checksum_free_ip(*ends, 6, head + payload))

    question = labels(name) + b"\0\x01\0\x01"
    query = struct.pack(">HHHHHH", query_id, 0x0100, 1, 0, 0, 0) + question
    answer = struct.pack(">HHHHHH", query_id, 0x8180, 1, 1, 0, 0) + question + b"\xc0\x0c\0\x01\0\x01\0\0\x01\x2c\0\x04" + server
    yield 0, frame(client, True, udp(own, resolver, (port, 53), query))
    yield 8_000, frame(client, False, udp(resolver, own, (53, port), answer))
    yield 1_000, tcp(True, 0x02, 0)
    yield 9_000, tcp(False, 0x12, 0)
    yield 200, tcp(True, 0x10, 1)
    yield 300, tcp(True, 0x18, 1, hello(name))
    sequence, full = 1, bytes(1_460)
    for i in range(int(chance.paretovariate(1.1) * 6) % 400):
        yield 400, tcp(False, 0x10, sequence, full)
        sequence += len(full)
        if i % 3 != 2:
            yield 100, tcp(True, 0x10, 500)
    yield 1_000, tcp(True, 0x11, 500)
    yield 9_000, tcp(False, 0x11, sequence)


write = sys.stdout.buffer.write
write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, snaplen, 1))
# Some connections at a time, as people use them.
now, number, written, open_ones = START_US, 0, 0, []
while written < packets:
    while len(open_ones) < 12:
        open_ones.append(connection(number))
        number += 1
    place = chance.randrange(len(open_ones))
    after = next(open_ones[place], None)
    if after is None:
        open_ones.pop(place)
        now += 150_000
        continue
    now += after[0] // len(open_ones) + 1
    data = after[1]
    write(struct.pack("<IIII", now // 1_000_000, now % 1_000_000, min(len(data), snaplen), len(data)) + data[:snaplen])
    written += 1
