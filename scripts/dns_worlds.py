#!/usr/bin/env python3
"""Writes captures in which DNS alone is hard to trust, with the true name inside every flow that counts.

    dns_worlds.py DIR [--seeds 1,2,3] [--worlds NAME,...]      writes DIR/NAME-SEED.pcap; prints nothing
    dns_worlds.py --list                                       the worlds, one a line

`imon-analyze verify` hides the names inside flows, names the flows by DNS, and compares. Public captures are mostly of one device with a cold cache; a
recorder at home sees less: heads of CNAME chains that were asked for before it began, answers hours old, one address for
many sites, devices whose DNS is encrypted. Each world is one such home. Rules are developed on seeds below 100 and judged on seeds from 100 on.

Sites are made up (below .test and .example, RFC 2606); the suffixes of content networks are real ones, and so are the shapes of their chains. Addresses are made up
in ranges that content networks use. Needs nothing but Python's standard library; the same seed gives the same bytes.
"""
import argparse, hashlib, heapq, random, struct, sys
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

T0 = 1_790_000_000  # 2026-09-21 13:33:20 UTC
US = 1_000_000  # time inside is microseconds from T0
A, CNAME, AAAA, HTTPS = 1, 5, 28, 65
NAT64 = int(IPv6Address("64:ff9b::"))
NAT64_OWN = int(IPv6Address("2001:db8:64:64::"))  # a prefix that a network chose, learnt from ipv4only.arpa (RFC 7050)


# Packets.

def wire_name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def dns(ident, question, qtype, records=(), response=False, rcode=0):
    """`records`: (owner, type, ttl, value), the value a name or an address."""
    flags = (0x8180 | rcode) if response else 0x0100
    data = struct.pack(">6H", ident, flags, 1, len(records), 0, 0) + wire_name(question) + struct.pack(">HH", qtype, 1)
    for owner, kind, ttl, value in records:
        rdata = wire_name(value) if kind == CNAME else value.packed
        data += wire_name(owner) + struct.pack(">HHIH", kind, 1, ttl, len(rdata)) + rdata
    return data


def client_hello(host, rng):
    name = host.encode()
    sni = struct.pack(">HHHBH", 0, len(name) + 5, len(name) + 3, 0, len(name)) + name
    extensions = struct.pack(">HHB", 0xFF01, 1, 0) + sni + struct.pack(">HHBH", 43, 3, 2, 0x0304)
    body = b"\x03\x03" + rng.randbytes(32) + b"\x20" + rng.randbytes(32) + struct.pack(">HHH", 4, 0x1301, 0x1302) + b"\x01\x00"
    body += struct.pack(">H", len(extensions)) + extensions
    shake = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + struct.pack(">H", len(shake)) + shake


def udp(sport, dport, payload):
    return 17, struct.pack(">HHHH", sport, dport, 8 + len(payload), 0) + payload, 0


def tcp(sport, dport, seq, ack, flags, payload=b"", more=0):
    """`more`: payload bytes that were on the wire and are not in the capture."""
    return 6, struct.pack(">HHIIBBHHH", sport, dport, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 5 << 4, flags, 64240, 0, 0) + payload, more


def ip(src, dst, segment):
    """The packet as captured, and how many bytes of it are missing."""
    proto, data, more = segment
    if src.version == 4:
        head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(data) + more, 1, 0x4000, 64, proto, 0) + src.packed + dst.packed
    else:
        head = struct.pack(">IHBB", 6 << 28, len(data) + more, proto, 64) + src.packed + dst.packed
    return head + data, more


# Where names live.

def share(text, of):
    """A number below `of` that depends on the text only."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") % of


class Pool:
    """Addresses of a place of a content network; a name gets `count` of them, others after `slot_s`."""

    def __init__(self, base4, base6, size, count, slot_s):
        self.four = [IPv4Address(base4) + 1 + n for n in range(size)]
        self.six = [IPv6Address(base6) + 1 + n for n in range(size)] if base6 else []
        self.count, self.slot_s = count, slot_s

    def addresses(self, name, t):
        slot = t // (self.slot_s * US) if self.slot_s else 0
        first = share(f"{name} {slot}", len(self.four))
        picked = [(first + n) % len(self.four) for n in range(min(self.count, len(self.four)))]
        return [self.four[n] for n in picked], [self.six[n] for n in picked] if self.six else []


class Host:
    """A name with its chain: [(name, ttl of the CNAME to it)…], and the addresses of the last name."""

    def __init__(self, name, site, chain, pool, ttl):
        self.name, self.site, self.chain, self.pool, self.ttl = name, site, chain, pool, ttl

    def names(self):
        return [self.name] + [name for name, _ in self.chain]

    def addresses(self, t):
        return self.pool.addresses(self.names()[-1], t)


WORDS = "amber birch cedar delta ember flint grove harbor iris jasper kelp linen maple nectar onyx prairie quartz river slate tundra umber violet willow yarrow".split()
KINDS = "press shop bank radio travel health forum photo games music school tools".split()


class Net:
    """Sites, third parties, and the content networks that carry them."""

    def __init__(self, rng, sites=36, thirds=14):
        self.rng = rng
        self.pools = {
            "akamai": Pool("23.50.52.0", "2a02:26f0:1700:1::", 40, 2, 1800),
            "akamai-net": Pool("2.18.64.0", "2a02:26f0:1700:2::", 16, 2, 1800),
            "cloudfront": Pool("13.224.100.0", "2600:9000:2000::", 120, 4, 7200),
            "fastly": Pool("151.101.1.0", "2a04:4e42::", 16, 4, 0),
            "front-door": Pool("13.107.246.0", "2620:1ec:bdf::", 4, 1, 0),
            "cloudflare": Pool("104.18.20.0", "2606:4700::6812:0", 80, 2, 0),
            "hosted": Pool("142.250.74.0", "2a00:1450:4001:80b::", 4, 1, 0),
            "store": Pool("185.146.22.0", None, 5, 1, 0),
        }
        self.own = 0
        self.hosts = {}
        names = [f"{a}-{b}" for a in WORDS for b in KINDS]
        rng.shuffle(names)
        self.sites = [self.site(names.pop() + rng.choice([".test", ".example"])) for _ in range(sites)]
        self.thirds = [self.third(names.pop() + rng.choice([".test", ".example"])) for _ in range(thirds)]
        self.direct = [self.infrastructure(n) for n in range(8)]

    def host(self, name, site, kind=None):
        if name not in self.hosts:
            self.hosts[name] = self.hosted(name, site, kind or self.kind())
        return self.hosts[name]

    def kind(self):
        kinds = {"own": 26, "own-cname": 4, "store": 4, "akamai": 12, "akamai-net": 5, "cloudfront": 15, "manager": 6, "front-door": 4,
                 "fastly": 7, "elb": 7, "cloudflare": 12, "hosted": 2}
        return self.rng.choices(list(kinds), list(kinds.values()))[0]

    def own_pool(self, count):
        self.own += 1
        base = int(IPv4Address("91.198.0.0")) + self.own * 8
        six = int(IPv6Address("2a01:4f8::")) + (self.own << 64) if self.rng.random() < 0.5 else None
        return Pool(base, six, count, count, 0)

    def hosted(self, name, site, kind):
        rng = self.rng
        head_ttl = rng.choice([60, 300, 300, 900, 3600, 3600, 21600])
        tag = share(name, 36**5)
        # Customers call their balancers after a project of theirs, seldom after the host.
        flat = f"{name.split('.')[0]}-{WORDS[tag % len(WORDS)]}{tag % 97}"
        if kind == "own":
            return Host(name, site, [], self.own_pool(rng.choice([1, 1, 2, 4])), rng.choice([300, 600, 3600, 3600, 86400]))
        if kind == "own-cname":
            return Host(name, site, [(f"web.{site}", head_ttl)], self.own_pool(1), 3600)
        if kind == "store":  # a hoster that no list of content networks knows, with one name for its customers or one each
            target = f"{flat}-{tag}.tenant-host.example" if tag % 2 else "shops.tenant-host.example"
            return Host(name, site, [(target, head_ttl)], self.pools[kind], 300)
        if kind == "akamai":
            edge = f"e{tag % 90000}.{rng.choice(['a', 'b', 'dsca', 'dscb'])}.akamaiedge.net"
            return Host(name, site, [(f"{name}.edgekey.net", head_ttl), (edge, 14400)], self.pools[kind], 20)
        if kind == "akamai-net":
            return Host(name, site, [(f"{name}.edgesuite.net", head_ttl), (f"a{tag % 2000}.dscr.akamai.net", 14400)], self.pools[kind], 20)
        if kind == "cloudfront":
            return Host(name, site, [(f"d{tag:x}k7.cloudfront.net", head_ttl)], self.pools[kind], 60)
        if kind == "manager":
            return Host(name, site, [(f"{flat}.trafficmanager.net", head_ttl), (f"{flat}-weu.cloudapp.net", 60)], self.own_pool(1), 10)
        if kind == "front-door":
            chain = [(f"{flat}.azureedge.net", head_ttl), (f"{flat}.afd.azureedge.net", 1800),
                     ("star-azureedge-prod.trafficmanager.net", 60), ("shed.dual-low.s-part-0017.t-0009.t-msedge.net", 60)]
            return Host(name, site, chain, self.pools[kind], 60)
        if kind == "fastly":  # many customers have one target
            return Host(name, site, [(f"{rng.choice(['j', 'k', 'dualstack.n', 'prod.map'])}.sni.global.fastly.net", head_ttl)], self.pools[kind], 30)
        if kind == "elb":
            return Host(name, site, [(f"{flat}-{tag}.eu-west-1.elb.amazonaws.com", head_ttl)], self.own_pool(3), 60)
        if kind == "hosted":
            return Host(name, site, [("ghs.googlehosted.com", head_ttl)], self.pools[kind], 300)
        return Host(name, site, [], self.pools["cloudflare"], 300)

    def site(self, domain):
        rng = self.rng
        www = self.host(f"www.{domain}", domain)
        parts = rng.sample(["static", "img", "api", "media", "login"], rng.choice([1, 2, 2, 3]))
        hosts = [self.host(f"{part}.{domain}", domain) for part in parts]
        apex = self.host(domain, domain, "own" if rng.random() < 0.6 else "cloudflare")
        return www, apex, hosts

    def third(self, domain):
        rng = self.rng
        parts = rng.sample(["tags", "cdn", "px", "sync", "fonts", "widgets"], rng.choice([1, 1, 2]))
        return [self.host(f"{part}.{domain}", domain) for part in parts]

    def infrastructure(self, n):
        """Names of content networks that pages name themselves: for them the suffix is no sign of a hidden head."""
        tag = self.rng.randrange(36**5)
        name, pool, chain = [
            (f"d{tag:x}p1.cloudfront.net", self.pools["cloudfront"], []),
            (f"bucket-{tag}.s3.eu-west-1.amazonaws.com", self.own_pool(4), []),
            (f"assets{tag}.azureedge.net", self.pools["front-door"], [("star-azureedge-prod.trafficmanager.net", 60), ("shed.dual-low.s-part-0017.t-0009.t-msedge.net", 60)]),
            (f"store{tag}.blob.core.windows.net", self.own_pool(1), [("blob.ams07prdstr02a.store.core.windows.net", 60)]),
            (f"app{tag}.azurewebsites.net", self.own_pool(1), [(f"waws-prod-am2-{tag % 999}.sip.azurewebsites.windows.net", 1800), (f"waws-prod-am2-{tag % 999}.cloudapp.net", 1800)]),
            (f"d{tag:x}q9.cloudfront.net", self.pools["cloudfront"], []),
            (f"r{n}---sn-{tag:x}.googlevideo.com", self.own_pool(1), []),
            (f"media-{tag}.akamaized.net", self.pools["akamai-net"], [(f"a{tag % 2000}.dscw27.akamai.net", 14400)]),
        ][n % 8]
        host = Host(name, name, chain, pool, 60)
        self.hosts[name] = host
        return host


# Devices.

class Device:
    """`mode`: `stub` (a whole chain in each answer), `heads` (CNAMEs are cached by themselves, so that only what expired is asked for, as in
    mDNSResponder and dnsmasq), `recursor` (likewise, and an answer has one step of a chain), `doh` (no DNS to be seen)."""

    def __init__(self, number, mode, shown=None, v6=True, hold_s=0, prewarm=0.0):
        self.mode, self.hold_s, self.prewarm = mode, hold_s, prewarm
        self.four = IPv4Address("192.168.1.10") + number
        self.six = IPv6Address(f"2001:db8:1:1::{number + 16:x}") if v6 else None
        self.mac = bytes([2, 0, 0, 0, 1, number])
        self.shown = shown or self
        self.port = 32768 + number * 997
        self.kept = {}  # host → (expiry, addresses): the program's own cache
        self.records = {}  # name → expiry of its CNAME: the cache of the resolver on the device
        self.open = {}  # host → until when a connection is reused

    def next_port(self):
        shown = self.shown
        shown.port = 32768 + (shown.port + 1 - 32768) % 28000
        return shown.port


class World:
    """One home, recorded at its router's inner side."""

    def __init__(self, name, seed, **how):
        self.rng = random.Random(f"{name} {seed}")
        self.net = Net(self.rng)
        self.frames, self.order = [], 0
        self.how = {
            "hours": 1.0,  # how long it is recorded
            "visits": 45,  # pages shown in all
            "dual": 0.5,  # connections by IPv6 where there is one
            "prefetch": 1.5,  # names of a page that are asked for and not connected to, in the mean
            "coincidence": 0.02,  # flows beside which something else is asked for
            "stale": 0.03,  # connections to an address whose time to live is over, while it is asked for again
            "lost": 0.01,  # answers that the capture does not hold
            "late": 0.01,  # answers whose visible copy comes after the flow
            "retry": 0.02,  # questions that are asked twice
            "nat64": None,  # prefix of translated addresses
            "clat": 0.0,  # connections of programs that know IPv4 only, translated
            "http": 0.08,
        }
        self.how.update(how)
        self.router = IPv4Address("192.168.1.1")
        self.router_mac = b"\x02\0\0\0\0\xfe"

    # Frames.

    def put(self, t, device, src, dst, segment, outgoing):
        packet, more = ip(src, dst, segment)
        kind = b"\x08\x00" if src.version == 4 else b"\x86\xdd"
        mac = device.shown.mac
        head = (self.router_mac + mac if outgoing else mac + self.router_mac) + kind
        self.order += 1
        self.frames.append((t, self.order, head + packet, len(head) + len(packet) + more))

    def exchange(self, t, device, question, qtype, records, took, rcode=0, server=None, lost=False):
        """A question and its answer; `records` None: it is never answered."""
        server, port, ident = server or self.router, device.next_port(), self.rng.randrange(65536)
        own = device.shown.four
        self.put(t, device, own, server, udp(port, 53, dns(ident, question, qtype)), True)
        if records is not None and not lost:
            answer = dns(ident, question, qtype, records, True, rcode)
            self.put(t + took, device, server, own, udp(53, port, answer), False)

    # Asking.

    def resolve(self, device, host, t):
        """Addresses of the host for a device, and from when on it has them."""
        kept = device.kept.get(host.name)
        if kept and kept[0] > t:
            return kept[1], t
        if kept and device.mode != "doh" and self.rng.random() < self.how["stale"]:
            # An answer that is over is used while it is asked for again (RFC 8767).
            ready = t + self.rng.randrange(500, 8_000)
            _, ttl = self.ask(device, host, t, *host.addresses(t))
            device.kept[host.name] = (t + max(ttl, 60) * US, host.addresses(t))
            return kept[1], ready
        four, six = host.addresses(t)
        ready = t + self.rng.randrange(4_000, 60_000)
        ttl = host.ttl
        if device.mode != "doh":
            ready, ttl = self.ask(device, host, t, four, six)
        hold = self.rng.uniform(0.3, 1.7) * device.hold_s
        device.kept[host.name] = (t + int(max(ttl, 60, hold) * US), (four, six))
        return (four, six), ready

    def ask(self, device, host, t, four, six):
        rng, how, names = self.rng, self.how, host.names()
        ttls = [ttl for _, ttl in host.chain]
        first = 0
        if device.mode in ("heads", "recursor"):
            # CNAMEs that are cached are not asked for again; before the recording some were.
            for n, ttl in enumerate(ttls):
                if names[n] not in device.records and rng.random() < device.prewarm:
                    device.records[names[n]] = int(rng.random() * ttl * 4 * US) + t
                if device.records.get(names[n], -1) <= t:
                    break
                first = n + 1
        elif rng.random() < 0.05 and ".lan" not in host.name:
            self.exchange(t - 2_000, device, f"{host.name}.lan", A, [], 800, rcode=3)
        for n in range(first, len(ttls)):
            device.records[names[n]] = t + ttls[n] * US
        clock = t
        if device.mode == "recursor":
            for n in range(first, len(ttls)):
                took = rng.randrange(8_000, 40_000)
                record = [(names[n], CNAME, ttls[n], names[n + 1])]
                self.exchange(clock, device, names[n], A, record, took, server=self.authority(names[n]))
                clock += took + 300
            first = len(ttls)
        took = rng.randrange(3_000, 70_000)
        chain = [(names[n], CNAME, ttls[n], names[n + 1]) for n in range(first, len(ttls))]
        records = chain + [(names[-1], A, host.ttl, address) for address in four]
        server = self.authority(names[-1]) if device.mode == "recursor" else None
        lost, late = rng.random() < how["lost"], rng.random() < how["late"]
        if rng.random() < how["retry"]:
            self.exchange(clock, device, names[first], A, None, 0, server=server)
            clock += 1_000_000
        shown = took + int(rng.lognormvariate(0, 1.2) * US) if late else took
        self.exchange(clock, device, names[first], A, records, shown, server=server, lost=lost)
        if device.shown.six or self.how["nat64"]:
            chain6 = list(chain)
            sixes = six
            if self.how["nat64"] is not None and not six:
                sixes = [IPv6Address(self.how["nat64"] + int(address)) for address in four]
            answer = chain6 + [(names[-1], AAAA, host.ttl, address) for address in sixes]
            self.exchange(clock + 150, device, names[first], AAAA, answer, shown + rng.randrange(0, 3_000), server=server, lost=lost)
        if rng.random() < 0.3:
            self.exchange(clock + 300, device, names[first], HTTPS, chain, took + 900, server=server)
        return clock + took, host.ttl

    def authority(self, name):
        zone = ".".join(name.split(".")[-2:])
        return IPv4Address("192.12.94.0") + share(zone, 200)

    # Connecting.

    def connect(self, device, host, t):
        if device.open.get(host.name, 0) > t:
            return
        (four, six), ready = self.resolve(device, host, t)
        rng = self.rng
        start = ready + int(rng.expovariate(1 / 3_000)) + rng.choice([0, 0, 0, 20_000, 150_000])
        server, client = rng.choice(four[:2]), device.shown.four
        translated = self.how["nat64"]
        if translated is not None:
            if six and rng.random() > self.how["clat"]:
                server, client = rng.choice(six[:2]), device.shown.six
            else:
                server, client = IPv6Address(translated + int(server)), device.shown.six
        elif six and device.shown.six and rng.random() < self.how["dual"]:
            server, client = rng.choice(six[:2]), device.shown.six
            if rng.random() < 0.2:  # RFC 8305: the other family is tried after 250 ms, and given up
                self.half_open(device, rng.choice(four[:2]), start + 250_000)
        # A program that encrypts its DNS has fewer others beside it that do not.
        if rng.random() < self.how["coincidence"] * (0.3 if device.mode == "doh" else 1):
            self.coincidence(device, start)
        until = self.flow(device, client, server, host, start)
        device.open[host.name] = until
        return until

    def coincidence(self, device, start):
        """Something else is asked for as a flow begins: answered otherwise, with nothing, or never."""
        rng = self.rng
        other = rng.choice(list(self.net.hosts.values()))
        t = start + rng.randrange(-18_000, 18_000)
        four, _ = other.addresses(t)
        names = other.names()
        chain = [(names[n], CNAME, other.chain[n][1], names[n + 1]) for n in range(len(other.chain))]
        kind = rng.random()
        if kind < 0.4:
            self.exchange(t, device, other.name, A, chain + [(names[-1], A, other.ttl, a) for a in four], 25_000)
        elif kind < 0.65:
            self.exchange(t, device, other.name, AAAA, chain, 25_000)
        elif kind < 0.9:
            self.exchange(t, device, f"telemetry.{rng.choice(WORDS)}.example", A, [], 25_000, rcode=3)
        else:
            self.exchange(t, device, other.name, A, None, 0)

    def half_open(self, device, server, t):
        port = device.next_port()
        for wait in (0, 1_000_000):
            self.put(t + wait, device, device.shown.four, server, tcp(port, 443, 7, 0, 2), True)

    def flow(self, device, client, server, host, t):
        """A connection with the host's name inside; returns when it is over."""
        rng = self.rng
        port, dport = device.next_port(), 80 if rng.random() < self.how["http"] else 443
        rtt = rng.randrange(4_000, 40_000)
        hello = client_hello(host.name, rng) if dport == 443 else f"GET / HTTP/1.1\r\nHost: {host.name}\r\nUser-Agent: w/1\r\n\r\n".encode()
        out = lambda t, segment: self.put(t, device, client, server, segment, True)
        back = lambda t, segment: self.put(t, device, server, client, segment, False)
        out(t, tcp(port, dport, 100, 0, 2))
        back(t + rtt, tcp(dport, port, 500, 101, 0x12))
        out(t + rtt + 100, tcp(port, dport, 101, 501, 0x10))
        out(t + rtt + 300, tcp(port, dport, 101, 501, 0x18, hello))
        clock, sent = t + 2 * rtt, 0
        # Median 30 kB; one in forty moves megabytes.
        total = int(rng.lognormvariate(10.3, 1.3)) if rng.random() > 0.025 else int(rng.lognormvariate(14.4, 0.7))
        while sent < total:
            size = min(total - sent, 62_000)
            back(clock, tcp(dport, port, 501 + sent, 101 + len(hello), 0x10, b"", size))
            out(clock + 200, tcp(port, dport, 101 + len(hello), 501 + sent + size, 0x10))
            sent += size
            clock += rng.randrange(1_000, 60_000)
        idle = rng.choice([0, 5, 30, 60]) * US
        out(clock + idle, tcp(port, dport, 101 + len(hello), 501 + sent, 0x11))
        back(clock + idle + rtt, tcp(dport, port, 501 + sent, 102 + len(hello), 0x11))
        return clock + idle

    # Living.

    def visit(self, device, t):
        rng, net = self.rng, self.net
        # Some sites are visited often.
        www, apex, own = net.sites[min(int(rng.expovariate(1 / 9)), len(net.sites) - 1)]
        if rng.random() < 0.15:
            self.connect(device, apex, t)
            t += 120_000
        self.connect(device, www, t)
        t += rng.randrange(120_000, 500_000)
        parts = [host for host in own if rng.random() < 0.7]
        for _ in range(rng.randrange(1, 6)):
            parts += [host for host in rng.choice(net.thirds) if rng.random() < 0.8]
        if rng.random() < 0.4:
            parts.append(rng.choice(net.direct))
        for host in parts:
            t += int(rng.expovariate(1 / 60_000))
            self.connect(device, host, t)
        for _ in range(int(rng.expovariate(1 / self.how["prefetch"])) if self.how["prefetch"] else 0):
            other = rng.choice(net.sites)[0]
            if rng.random() < 0.5:
                other = rng.choice(rng.choice(net.thirds))
            self.resolve(device, other, t + rng.randrange(0, 3_000_000))

    def live(self, devices):
        """Visits of all devices, in the order of time: caches go on from one to the next."""
        rng, span = self.rng, int(self.how["hours"] * 3600 * US)
        visits = []
        while len(visits) < self.how["visits"]:
            device, t = rng.choice(devices), rng.randrange(0, span)
            # A session has some pages within minutes.
            for _ in range(rng.randrange(1, 6)):
                visits.append((t, len(visits), device))
                t += int(rng.expovariate(1 / (40 * US))) + 3 * US
        heapq.heapify(visits)
        if self.how["nat64"] is not None:
            for device in devices:
                records = [("ipv4only.arpa", AAAA, 600, IPv6Address(self.how["nat64"] + int(IPv4Address(a)))) for a in ("192.0.0.170", "192.0.0.171")]
                self.exchange(1_000, device, "ipv4only.arpa", AAAA, records, 9_000)
        while visits:
            t, _, device = heapq.heappop(visits)
            self.visit(device, t)

    def save(self, path, since_s=0):
        """Frames from `since_s` on: the recorder began later than the devices."""
        frames = sorted(frame for frame in self.frames if frame[0] >= since_s * US)
        with open(path, "wb") as out:
            out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
            for t, _, data, length in frames:
                out.write(struct.pack("<IIII", T0 + t // US, t % US, len(data), length) + data)


# The worlds. Each returns the world and from which second on it is recorded.

def upstream_cache(seed):
    """The heads of chains are cached, on the device or by a resolver of the home's own: the wire shows the rest."""
    w = World("upstream-cache", seed, hours=3, visits=80)
    w.live([Device(1, "heads", prewarm=0.25), Device(2, "heads", v6=False, prewarm=0.2), Device(3, "recursor", v6=False, prewarm=0.2), Device(4, "stub"), Device(5, "stub", hold_s=300)])
    return w, 0


def shared_addresses(seed):
    """Several sites lie on each address, and browsers ask for more names than they connect to."""
    w = World("shared-addresses", seed, visits=80, prefetch=4)
    w.live([Device(1, "stub"), Device(2, "stub", v6=False, hold_s=600), Device(3, "stub", hold_s=60)])
    return w, 0


def doh_beside(seed):
    """Two devices encrypt their DNS, two do not, and all go to the same sites."""
    w = World("doh-beside", seed, visits=80)
    w.live([Device(1, "doh"), Device(2, "stub"), Device(3, "stub", v6=False), Device(4, "doh", v6=False)])
    return w, 0


def long_caches(seed):
    """Programs keep addresses for hours, and the recorder begins when they have run for an hour."""
    w = World("long-caches", seed, hours=8, visits=130, coincidence=0.04)
    w.live([Device(1, "stub", hold_s=4 * 3600), Device(2, "stub", hold_s=2 * 3600, v6=False), Device(3, "stub", hold_s=1800)])
    return w, 3600


def late_answers(seed):
    """Answers come from a second resolver, twice, late, or not at all."""
    w = World("late-answers", seed, visits=70, late=0.12, lost=0.08, retry=0.12, coincidence=0.05)
    w.live([Device(1, "stub"), Device(2, "stub", hold_s=900, v6=False), Device(3, "stub", hold_s=120)])
    return w, 300


def eyeballs(seed):
    """IPv6 and IPv4 race, and browsers look names up ahead."""
    w = World("eyeballs", seed, visits=80, dual=0.8, prefetch=5, coincidence=0.05)
    w.live([Device(1, "stub"), Device(2, "stub", hold_s=300), Device(3, "stub")])
    return w, 0


def behind_a_router(seed):
    """Three devices behind a router of their own: one address, one hardware address, three caches."""
    w = World("behind-a-router", seed, visits=80, dual=0.0)
    router = Device(9, "stub", v6=False)
    inner = [Device(1, "stub", shown=router), Device(2, "stub", shown=router, hold_s=1200), Device(3, "doh", shown=router)]
    w.live(inner + [Device(4, "stub", v6=False)])
    return w, 0


def translated(seed):
    """An IPv6-only network with NAT64 (RFC 6146) and 464XLAT (RFC 6877): answers of IPv4, flows to translated addresses."""
    w = World("translated", seed, visits=70, nat64=NAT64 if seed % 2 else NAT64_OWN, clat=0.4)
    w.live([Device(1, "stub"), Device(2, "stub", hold_s=600), Device(3, "stub", hold_s=120)])
    return w, 0


def mixed(seed):
    """A home with some of everything."""
    w = World("mixed", seed, hours=5, visits=140, late=0.02, lost=0.02, prefetch=3, coincidence=0.04)
    router = Device(9, "stub", v6=False)
    w.live([Device(1, "stub"), Device(2, "stub", hold_s=3600), Device(3, "heads", prewarm=0.2), Device(4, "doh"), Device(5, "stub", v6=False),
            Device(6, "stub", shown=router), Device(7, "stub", shown=router, hold_s=900), Device(8, "recursor", v6=False, prewarm=0.2)])
    return w, 1800


WORLDS = {f.__name__.replace("_", "-"): f for f in
          (upstream_cache, shared_addresses, doh_beside, long_caches, late_answers, eyeballs, behind_a_router, translated, mixed)}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", nargs="?", type=Path)
    p.add_argument("--seeds", default="1", help="numbers and ranges, as 1,4-6 [1]")
    p.add_argument("--worlds", default=",".join(WORLDS), help="some of them [all]")
    p.add_argument("--list", action="store_true", help="print the worlds")
    args = p.parse_args()
    if args.list:
        for name, world in WORLDS.items():
            print(f"{name:<18} {world.__doc__}")
        return
    if args.folder is None:
        p.error("which folder?")
    unknown = [name for name in args.worlds.split(",") if name not in WORLDS]
    if unknown:
        p.error(f"no such world: {', '.join(unknown)}; --list prints them")
    seeds = []
    for part in args.seeds.split(","):
        first, _, last = part.partition("-")
        seeds += range(int(first), int(last or first) + 1)
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in args.worlds.split(","):
        for seed in seeds:
            world, since_s = WORLDS[name](seed)
            world.save(args.folder / f"{name}-{seed}.pcap", since_s)


main()
