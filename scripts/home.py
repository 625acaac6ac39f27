#!/usr/bin/env python3
"""A made-up home as a capture: devices, sites, days and evenings. For pictures and for tests of the page; nothing of it
was ever on a network. The same seed gives the same bytes.

usage: home.py FILE.pcap [--days 30] [--seed 7] [--hostile]
       home.py --live SECONDS [--seed 7]
"""
import argparse
import random
import struct
import sys
import time
from datetime import datetime, timezone
from ipaddress import ip_address
from pathlib import Path

START = int(datetime(2026, 11, 1, tzinfo=timezone.utc).timestamp())
RESOLVER = ip_address("192.168.1.1")
ROUTER_MAC = bytes.fromhex("02ff00000001")
BIG = 60_000  # bytes of a packet: what offload hands over

# Name, share of the day that it is used (morning, day, evening, night), how much it moves.
DEVICES = [("living-room-tv", (.1, .2, 1, .2), 9.0), ("laptop", (.5, 1, .6, .1), 2.0), ("phone-blue", (.8, .6, .8, .2), 1.0),
           ("phone-red", (.7, .7, .9, .3), .9), ("tablet", (.1, .3, .9, .0), 1.5), ("console", (.0, .2, .8, .3), 3.0),
           ("desk-pc", (.2, 1, .5, .1), 1.6), ("backup-box", (.0, .0, .1, 1), 2.5), ("doorbell", (.3, .4, .4, .2), .2), (None, (.3, .3, .3, .3), .1)]
SITES = [("streamhouse.example", 14, ["www", "api", "edge1", "edge2", "edge3", "img"]), ("clips.example", 9, ["www", "v1", "v2", "thumbs"]),
         ("gamedepot.example", 6, ["cdn", "login", "chat"]), ("cloudshelf.example", 5, ["sync", "www", "upload"]),
         ("news-today.example", 2, ["www", "static", "img"]), ("musicbox.example", 3, ["audio", "api"]), ("meetroom.example", 3, ["relay", "www"]),
         ("os-updates.example", 4, ["dl", "meta"]), ("photos.example", 2, ["www", "cdn"]), ("mail.example", .6, ["imap", "www"]),
         ("school.example", .7, ["www", "files"]), ("shop.example", .8, ["www", "img"]), ("maps.example", .5, ["tiles", "api"]),
         ("weather.example", .2, ["api"]), ("forum.example", .3, ["www"])]
HOSTILE = ["<script>alert(1)</script>.example", "x<img src=q onerror=alert(1)>.example", "&lt;b&gt;&amp;.example", "=cmd()|'a'!a1.example",
           "+1-1.example", "@sum(1).example", "-2.example", "a\x1b[2jb.example", "</script><script>alert(2)</script>.example",
           "\u202egnp.exe.example", "'\"><svg onload=alert(3)>.example", "`${alert(4)}`.example", "__proto__.example", "constructor.example",
           ".".join(["l" * 60] * 4)[:245] + ".example"]


def wire_name(name):
    labels = [label.encode() for label in name.split(".")]
    return b"".join(bytes([len(label)]) + label for label in labels if label) + b"\0"


def answer(ident, name, address):
    data = struct.pack(">6H", ident, 0x8180, 1, 1, 0, 0) + wire_name(name) + struct.pack(">HH", 1, 1)
    return data + b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 300, 4) + address.packed


def hello(name, rng):
    name = name.encode()
    sni = struct.pack(">HHHBH", 0, len(name) + 5, len(name) + 3, 0, len(name)) + name
    body = b"\x03\x03" + rng.randbytes(32) + b"\0" + struct.pack(">HH", 2, 0x1301) + b"\x01\x00" + struct.pack(">H", len(sni)) + sni
    shake = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + struct.pack(">H", len(shake)) + shake


def udp(sport, dport, payload):
    return 17, struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload, 0


def tcp(ports, seq, flags, payload=b"", more=0):
    """`more`: bytes of payload that are not in the capture."""
    return 6, struct.pack(">HHIIBBHHH", *ports, seq & 0xFFFFFFFF, 1, 5 << 4, flags, 64240, 0, 0) + payload, more


class Home:
    def __init__(self, args):
        self.rng = random.Random(args.seed)
        self.days, self.packets, self.hostile = args.days, [], args.hostile
        self.addresses = {}
        self.sites = list(SITES)
        # Many that are small, and some that share addresses.
        self.sites += [(f"{word}-{n}.example", .02 + self.rng.expovariate(12), ["www", "cdn"][:1 + n % 2])
                       for word in ("blog", "app", "cdn", "ads", "metrics", "fonts") for n in range(1, 26)]
        self.shared = [name for name, _, _ in self.sites if name.startswith(("ads", "fonts", "photos", "maps"))]
        if args.hostile:
            self.sites += [(name, 1, [""]) for name in HOSTILE]

    def address(self, host, site):
        key = "shared" + str(len(site) % 3) if site in self.shared else host
        if key not in self.addresses:
            n = len(self.addresses) + 10
            self.addresses[key] = ip_address(f"198.51.{100 + n // 200}.{n % 200 + 1}")
        return self.addresses[key]

    def send(self, at, src, dst, segment, macs):
        proto, data, more = segment
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(data) + more, 1, 0x4000, 64, proto, 0) + src.packed + dst.packed
        frame = macs[1] + macs[0] + b"\x08\x00" + head + data
        self.packets.append((at, frame, len(frame) + more))

    def dhcp(self, at, me, mac, name):
        body = bytes([1, 1, 6, 0]) + bytes(8) + me.packed + bytes(12) + mac + bytes(10 + 192) + bytes.fromhex("63825363")
        body += bytes([53, 1, 3, 12, len(name)]) + name.encode() + b"\xff"
        self.send(at, me, RESOLVER, udp(68, 67, body), (mac, ROUTER_MAC))

    def visit(self, at, device, site, hosts, size):
        name, me, mac = device
        rng = self.rng
        host = rng.choice(hosts)
        full = f"{host}.{site}" if host else site
        server = self.address(full, site)
        port = rng.randrange(20_000, 60_000)
        out, back = (mac, ROUTER_MAC), (ROUTER_MAC, mac)
        kind = rng.random()
        if kind < .85:
            self.send(at, RESOLVER, me, udp(53, port, answer(rng.randrange(65_536), full, server)), back)
        self.send(at + .02, me, server, tcp((port, 443), 0, 2), out)
        self.send(at + .04, server, me, tcp((443, port), 0, 0x12), back)
        if kind < .7 or host == "":
            first = hello(full, rng)
            self.send(at + .06, me, server, tcp((port, 443), 1, 0x18, first), out)
        left, seq = size, 1
        at += .1
        up = .6 if name == "backup-box" else .04
        while left > 0:
            now = min(left, BIG)
            to_us = rng.random() > up
            ends = (server, me, (443, port), back) if to_us else (me, server, (port, 443), out)
            self.send(at, ends[0], ends[1], tcp(ends[2], seq, 0x10, b"", now), ends[3])
            left, seq, at = left - now, seq + now, at + rng.uniform(.01, 3)

    def live(self):
        rng = self.rng
        weights = [weight for _, weight, _ in self.sites]
        for nth, (name, use, much) in enumerate(DEVICES):
            me, mac = ip_address(f"192.168.1.{20 + nth}"), bytes([2, 0, 0, 0, 1, nth])
            likes = [weight * rng.uniform(.2, 3) for weight in weights]
            if self.hostile:
                # What a device says of itself may be anything, too.
                self.dhcp(START + nth, me, mac, HOSTILE[nth].removesuffix(".example"))
            elif name:
                self.dhcp(START + nth, me, mac, name)
            for hour in range(self.days * 24):
                part = use[(0 if 6 <= hour % 24 < 9 else 1 if 9 <= hour % 24 < 17 else 2 if 17 <= hour % 24 < 23 else 3)]
                if rng.random() > part:
                    continue
                for _ in range(rng.randrange(1, 5)):
                    site, weight, hosts = rng.choices(self.sites, likes)[0]
                    size = int(rng.lognormvariate(11.5, 1.6) * much * (1 + weight))
                    self.visit(START + hour * 3600 + rng.uniform(0, 3400), (name, me, mac), site, hosts, min(size, 60_000_000))

    def busy(self, start, end):
        """Everybody is at it in this time."""
        for nth, (name, _, much) in enumerate(DEVICES):
            device = (name, ip_address(f"192.168.1.{20 + nth}"), bytes([2, 0, 0, 0, 1, nth]))
            for site, weight, hosts in self.rng.sample(SITES, 6):
                size = int(self.rng.lognormvariate(13, 1) * much * (1 + weight))
                self.visit(self.rng.uniform(start, end), device, site, hosts, min(size, 60_000_000))

    def write(self, out, until=None):
        """All packets; with `until` up to this second, each when its time has come."""
        self.packets.sort(key=lambda packet: packet[0])
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1))
        for at, frame, length in self.packets:
            if until and at > until:
                break
            if until and at > time.time():
                out.flush()
                time.sleep(max(0, at - time.time()))
            out.write(struct.pack("<IIII", int(at), int(at % 1 * 1e6), len(frame), length) + frame)

    def move(self, seconds):
        self.packets = [(at + seconds, frame, length) for at, frame, length in self.packets]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--hostile", action="store_true")
    parser.add_argument("--live", type=int, metavar="SECONDS", help="its first evening is now: to the standard output, as it goes on")
    args = parser.parse_args()
    home = Home(args)
    home.live()
    if args.live:
        now = time.time()
        # The full hours of a day are those of some zone.
        evening = START + 20 * 3600 + now % 3600
        home.busy(evening - 300, evening + args.live)
        home.move(now - evening)
        home.write(sys.stdout.buffer, now + args.live)
    else:
        with Path(args.file).open("wb") as out:
            home.write(out)


if __name__ == "__main__":
    main()
