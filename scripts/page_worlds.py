#!/usr/bin/env python3
"""Makes browsing worlds from seeds: a capture, and a table of which page pulled in what.

    page_worlds.py [--kind one-tab|hurry|tabs] [--minutes N] [--exact] --out FOLDER SEED...

Writes FOLDER/KIND-SEED.pcap.gz and FOLDER/KIND-SEED.tsv for each seed, in the format that score_pages.py reads: a line
for each response with page (URL of the document in the tab), host, bytes, time, and the client's address. --exact also
writes KIND-SEED.exact.tsv: for each connection and second the bytes of each page, as they were on the wire.

The same seed gives the same files. Nothing in a world has a meaning for any rule of imon: names, sizes, delays, who is
pulled in by whom and how often are drawn anew for each seed, from ranges that are wide on purpose.

What happens in every world: documents first, then what they name, in waves, then what scripts ask for; frames with a
document of their own that pull in more; images on scrolling; players that fetch pieces for minutes; beacons and adverts
that come again; third parties named `www.` or by their bare domain, some of which are visited, too; connections that are
kept open and used by the next page; files and pages out of the browser's cache; names out of the resolver's cache; HTTP/3
whose hello cannot be read; programs that call home. In `tabs` also: several tabs at once, some restored in the same
second, two clients behind one router (one hardware address), and bulk downloads from the same sites in the same second.
In `hurry` the next page comes after a second or some, and few are seen twice: there is little to learn from.
What no browser's tab asked for is not in the tables.
"""
import argparse, collections, gzip, heapq, itertools, math, os, random, struct

START_S = 1_795_000_000
RESOLVER = bytes([198, 51, 100, 53])
SYLLABLES = "ba be bo da de do fa fi ga go ha he jo ka ke ki la le lo lu ma me mi mo na ne no pa pe po ra re ri ro sa se so su ta te ti to va ve vi za zo".split()
# First labels by which even a stranger knows a third party.
PLAIN = ["cdn", "static", "t", "pixel", "api", "assets", "fonts", "ads", "img", "media", "c1"]
# Payload of the largest packet: what receive offload leaves, and IPv4's 65,535 bytes hold.
PIECE = 32_000
SLICE_S = 0.04


class Wire:
    """Packets of a capture, written in the order of time."""

    def __init__(self, exact):
        self.packets, self.exact, self.number = [], {} if exact else None, itertools.count()

    def packet(self, ts, client, server, up, proto, ports, payload, size=None, flags=0x18):
        """One packet of `size` payload bytes, of which `payload` is kept."""
        size = len(payload) if size is None else size
        c_port, s_port = ports
        source, target = (client.address, server) if up else (server, client.address)
        from_port, to_port = (c_port, s_port) if up else (s_port, c_port)
        if proto == 6:
            transport = struct.pack(">HHIIBBHHH", from_port, to_port, 1, 1, 0x50, flags, 65535, 0, 0)
        else:
            transport = struct.pack(">HHHH", from_port, to_port, 8 + size, 0)
        total = 20 + len(transport) + size
        head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, total, next(self.number) & 0xffff, 0x4000, 64, proto, 0, source, target)
        macs = client.gateway + client.mac if up else client.mac + client.gateway
        self.packets.append((ts, macs + b"\x08\x00" + head + transport + payload, 14 + total))
        return total

    def save(self, path):
        self.packets.sort(key=lambda packet: packet[0])
        with gzip.GzipFile(path, "wb", 6, mtime=0) as out:
            out.write(struct.pack("<IHHiIII", 0xa1b23c4d, 2, 4, 0, 0, 262144, 1))
            for ts, data, size in self.packets:
                s, ns = divmod(round(ts * 1e9), 1_000_000_000)
                out.write(struct.pack("<IIII", s, ns, len(data), size) + data)


def dns(identity, host, address=None, ttl=60):
    name = b"".join(bytes([len(part)]) + part.encode() for part in host.split(".")) + b"\0"
    head = struct.pack(">HHHHHH", identity, 0x8180 if address else 0x0100, 1, 1 if address else 0, 0, 0)
    answer = struct.pack(">HHHIH", 0xc00c, 1, 1, ttl, 4) + address if address else b""
    return head + name + b"\0\1\0\1" + answer


def hello(host):
    name = host.encode()
    sni = struct.pack(">HHHBH", 0, len(name) + 5, len(name) + 3, 0, len(name)) + name
    extensions = sni + struct.pack(">HHH", 23, 0, 43) + b"\0\3\2\3\4"
    body = b"\3\3" + bytes(32) + b"\0" + b"\0\2\x13\1" + b"\1\0" + struct.pack(">H", len(extensions)) + extensions
    return b"\x16\3\1" + struct.pack(">H", len(body) + 4) + b"\1\0" + struct.pack(">H", len(body)) + body


class Host:
    """A server: its name, address, distance and protocol."""

    def __init__(self, world, name):
        chance = world.chance
        self.name, self.address = name, world.address()
        self.rtt = chance.uniform(0.006, 0.09)
        self.rate = 10 ** chance.uniform(6.3, 7.3)
        self.keep_s = chance.choice([10, 30, 60, 120, 180])
        self.h3 = chance.random() < 0.15
        self.lanes = chance.choice([1, 1, 1, 1, 6])
        self.ttl = chance.choice([30, 60, 300, 3600])


class Connection:
    def __init__(self, client, host, port, ready):
        self.client, self.host, self.port, self.ready, self.last, self.busy = client, host, port, ready, ready, ready


class Client:
    """A device with one browser, and other programs."""

    def __init__(self, world, number, gateway_mac=None):
        self.world = world
        self.address = bytes([192, 168, 1, 20 + number])
        self.mac = gateway_mac or bytes([2, 0, 0, 0, 1, number])
        self.gateway = bytes([2, 0, 0, 0, 0, 99])
        self.text = ".".join(map(str, self.address))
        self.ports = itertools.count(40_000 + 997 * number)
        self.pool, self.names, self.cache = collections.defaultdict(list), {}, set()
        self.rate = 10 ** world.chance.uniform(6.5, 7.5)

    def resolve(self, t, host):
        """When the address is known."""
        if self.names.get(host.name, 0) > t:
            return t
        self.names[host.name] = t + host.ttl
        chance, wire, ports = self.world.chance, self.world.wire, (next(self.ports) & 0xffff, 53)
        identity, took = chance.randrange(65536), chance.choice([0.002, 0.004, 0.02, 0.05])
        wire.packet(t, self, RESOLVER, True, 17, ports, dns(identity, host.name))
        wire.packet(t + took, self, RESOLVER, False, 17, ports, dns(identity, host.name, host.address, host.ttl))
        return t + took

    def connect(self, t, host, page):
        t = self.resolve(t, host)
        wire, port = self.world.wire, next(self.ports) & 0xffff
        ports, proto, rtt = (port, 443), 17 if host.h3 else 6, host.rtt
        connection = Connection(self, host, port, t)
        count = lambda at, size: self.world.count(at, connection, page, size)
        if host.h3:
            # A hello that cannot be read: only the answer of DNS names this one.
            count(t, wire.packet(t, self, host.address, True, 17, ports, b"\x40" + bytes(20), 1200))
            for i in range(3):
                count(t + rtt, wire.packet(t + rtt + i / 1e4, self, host.address, False, 17, ports, b"\x40" + bytes(20), 1200))
            connection.ready = t + 1.1 * rtt
        else:
            count(t, wire.packet(t, self, host.address, True, 6, ports, b"", flags=2))
            count(t + rtt, wire.packet(t + rtt, self, host.address, False, 6, ports, b"", flags=0x12))
            count(t + rtt, wire.packet(t + rtt + 1e-5, self, host.address, True, 6, ports, b"", flags=0x10))
            count(t + rtt, wire.packet(t + rtt + 2e-5, self, host.address, True, 6, ports, hello(host.name)))
            count(t + 2 * rtt, wire.packet(t + 2 * rtt, self, host.address, False, 6, ports, b"\x17\3\3\x0f\0" + bytes(60), 3900))
            connection.ready = t + 2.1 * rtt
        return connection

    def transfer(self, t, connection, size, up, page):
        """A request and its response; when the first and the last byte came."""
        host, wire, chance = connection.host, self.world.wire, self.world.chance
        proto, ports = (17 if host.h3 else 6), (connection.port, 443)
        t = max(t, connection.ready)
        self.world.count(t, connection, page, wire.packet(t, self, host.address, True, proto, ports, b"\x17\3\3" + bytes(5), up))
        first = at = max(t + host.rtt + chance.expovariate(1 / 0.03), connection.busy if host.lanes > 1 else 0)
        rate, left = min(host.rate, self.rate), size
        while left > 0:
            piece = min(left, max(1200, int(rate * SLICE_S)))
            left -= piece
            while piece > 0:
                part = min(piece, PIECE)
                piece -= part
                total = wire.packet(at, self, host.address, False, proto, ports, b"\x17\3\3" + bytes(5), part)
                # Acknowledgements.
                back = wire.packet(at + 1e-4, self, host.address, True, proto, ports, b"", flags=0x10)
                self.world.count(at, connection, page, total + back)
                at += part / rate
        connection.last = connection.busy = at
        return first, at

    def fetch(self, t, host, size, page, up=None, fresh=False):
        """Gets something over a kept connection if there is one."""
        chance, world = self.world.chance, self.world
        kept = [c for c in self.pool[host.name] if t - c.last < host.keep_s]
        self.pool[host.name] = kept
        free = [c for c in kept if host.lanes == 1 or c.busy <= t]
        if fresh:
            connection = self.connect(t, host, page)
        elif free:
            connection = free[0]
        elif len(kept) < host.lanes:
            connection = self.connect(t, host, page)
            kept.append(connection)
        else:
            connection = min(kept, key=lambda c: c.busy)
        first, last = self.transfer(t, connection, size, up or chance.randrange(150, 1400), page)
        if page:
            world.rows.append((page, host.name, size, t, self.text))
        return first, last


class Thing:
    """What a document can name: on a host, so large, so often, so much later, with what it names itself."""

    def __init__(self, host, size, often=1.0, delay=0.05, cached=False, more=(), count=1):
        self.host, self.size, self.often, self.delay, self.cached = host, size, often, delay, cached
        self.more, self.count = list(more), count


class Site:
    """Pages of one site, and what they pull in."""

    def __init__(self, name, document):
        self.name, self.document = name, document
        self.things, self.lazy, self.again, self.player = [], [], [], None
        self.cached_document = 0.0
        self.frame = []


class World:
    def __init__(self, kind, seed, minutes, exact):
        self.chance = random.Random(f"{kind} {seed}")
        self.wire, self.rows, self.queue, self.order = Wire(exact), [], [], itertools.count()
        self.used, self.addresses, self.hosts = set(), itertools.count(1), {}
        self.end = START_S + 60 * minutes
        self.kind = kind
        self.plain = self.chance.choice([0, 0, 0.3, 0.8])
        self.make_sites()
        self.live()

    # -- what there is --

    def word(self):
        while True:
            word = "".join(self.chance.choice(SYLLABLES) for _ in range(self.chance.choice([2, 3, 3, 4])))
            if word not in self.used:
                self.used.add(word)
                return word

    def address(self):
        n = next(self.addresses)
        return bytes([203, 0, 112 + n // 250, 1 + n % 250])

    def host(self, name):
        if name not in self.hosts:
            self.hosts[name] = Host(self, name)
        return self.hosts[name]

    def size(self, median, spread=0.8):
        return max(60, int(median * math.exp(self.chance.gauss(0, spread))))

    def third(self, labels):
        label = self.chance.choice(PLAIN if self.chance.random() < self.plain else labels)
        return self.host((label + "." if label else "") + self.word() + ".test")

    def make_sites(self):
        chance, host = self.chance, self.host
        pick = lambda pool, low, high: chance.sample(pool, min(len(pool), chance.randint(low, high)))
        plain = ["www", "www", "", "", "cdn", "static", "js", "a", "go"]
        beacons = [Thing(self.third(["www", "", "stats", "collect", "t", "px", "ssl"]), self.size(600), 0.9, chance.uniform(0.1, 2.5), count=chance.choice([1, 1, 2]))
                   for _ in range(chance.randint(5, 9))]
        tags = []
        for _ in range(chance.randint(3, 6)):
            more = [Thing(b.host, b.size, 0.8, chance.uniform(0.05, 0.6)) for b in pick(beacons, 1, 3)]
            tags.append(Thing(self.third(["www", "www", "", "tag", "cdn"]), self.size(60_000), 1.0, 0.1, chance.random() < 0.5, more))
        libraries = [Thing(self.third(["cdn", "", "ajax", "unpkg", "code", "www"]), self.size(90_000), 1.0, 0.06, True) for _ in range(chance.randint(3, 6))]
        fonts = [Thing(self.third(["fonts", "use", "", "p"]), self.size(45_000), 1.0, 0.15, True, count=chance.randint(1, 4)) for _ in range(chance.randint(2, 3))]
        images = [self.third(["img", "images", "i", "media", "", "www", "res"]) for _ in range(chance.randint(4, 7))]
        media = [self.third(["v", "vod", "video", "cdn", "", "edge7", "stream"]) for _ in range(chance.randint(3, 5))]
        adverts = []
        for _ in range(chance.randint(2, 5)):
            more = [Thing(chance.choice(images), self.size(70_000), 0.8, 0.1), Thing(chance.choice(beacons).host, self.size(500), 0.9, 0.3)]
            frame = Thing(self.third(["www", "", "ads", "securepubads", "secure"]), self.size(25_000), 0.9, 0.2, False, more)
            adverts.append(Thing(self.third(["ad", "www", "", "bid", "pagead2"]), self.size(30_000), 0.9, chance.uniform(0.2, 1.2), False, [frame]))
        everyone = [chance.choice(tags), chance.choice(beacons)]

        def site(embedded=False):
            name = self.word() + ".test"
            s = Site(name, host(chance.choice(["www.", "www.", "www.", "", "", "m.", "news.", "app.", "en."]) + name))
            own = [host(f"{label}.{name}") for label in pick(["static", "img", "api", "assets", "cdn", "login"], 0, 3)] + [s.document]
            s.things = [Thing(chance.choice(own), self.size(30_000), 0.9, 0.05, chance.random() < 0.6, count=chance.randint(1, 5)) for _ in range(chance.randint(1, 4))]
            s.cached_document = chance.choice([0, 0, 0.1, 0.3])
            if chance.random() < 0.4:
                # A second domain for its own files.
                aside = self.third([self.word(), "static", "www", ""])
                s.things.append(Thing(aside, self.size(120_000), 1.0, 0.05, chance.random() < 0.5, count=chance.randint(1, 6)))
            s.things += [t for t in everyone if chance.random() < 0.7]
            for pool, low, high in ((tags, 0, 2), (beacons, 1, 3), (libraries, 0, 3), (fonts, 0, 2), (adverts, 0, 2)):
                s.things += pick(pool, low, high)
            s.things += [Thing(image, self.size(60_000), 0.9, 0.15, chance.random() < 0.3, count=chance.randint(1, 8)) for image in pick(images, 0, 2)]
            if chance.random() < 0.5:
                s.lazy = [Thing(image, self.size(110_000), 0.8, 0.2, count=chance.randint(1, 6)) for image in pick(images, 1, 2)]
            s.again = pick(beacons + adverts, 0, 2)
            if chance.random() < 0.35:
                s.player = (chance.choice(media), 10 ** chance.uniform(5.6, 6.6), chance.choice([2, 4, 6, 10]))
            if not embedded and chance.random() < 0.25:
                # A page with little on it.
                s.things, s.lazy, s.again, s.player = chance.sample(s.things, min(len(s.things), chance.randint(0, 2))), [], [], None
            return s

        # Sites that are visited, and stand in frames of others, come first.
        embedded = chance.randint(2, 4)
        self.sites = [site(n < embedded) for n in range(chance.randint(9, 18))]
        self.embedded = self.sites[:embedded]
        for s in self.embedded:
            s.player = s.player or (chance.choice(media), 10 ** chance.uniform(5.6, 6.6), chance.choice([2, 5, 8]))
            s.frame = [Thing(s.document, self.size(40_000), 1.0, 0.15, False, pick(s.things, 1, 4))]
        framed = [Thing(self.third(["www", "", "player", "embed"]), self.size(30_000), 1.0, 0.2, False,
                        pick(beacons, 0, 2) + pick(libraries, 0, 2) + [Thing(chance.choice(images), self.size(90_000), 1.0, 0.1)]) for _ in range(3)]
        for s in self.sites:
            if chance.random() < 0.4 and s not in self.embedded and len(s.things) > 2:
                guest = chance.choice(self.embedded)
                s.things += guest.frame
                if chance.random() < 0.5:
                    s.player = guest.player
            if chance.random() < 0.3 and len(s.things) > 2:
                s.things.append(chance.choice(framed))
            chance.shuffle(s.things)
        self.vendors = [self.third(["update", "www", "", "api", "push", "time", "telemetry"]) for _ in range(chance.randint(2, 5))]

    # -- what happens --

    def at(self, t, action, *args):
        if t < self.end:
            heapq.heappush(self.queue, (t, next(self.order), action, args))

    def count(self, t, connection, page, size):
        if self.wire.exact is not None:
            key = (int(t), connection.client.text, connection.port, connection.host.name, page or "")
            first, before = self.wire.exact.get(key, (t, 0))
            self.wire.exact[key] = (min(first, t), before + size)

    def live(self):
        chance = self.chance
        tabs = self.kind == "tabs"
        router = bytes([2, 0, 0, 0, 0, 77]) if tabs else None
        self.clients = [Client(self, n, router) for n in range(2 if tabs else 1)]
        for client in self.clients:
            favourites = chance.sample(self.sites, max(6, len(self.sites) * 3 // 4))
            count = chance.randint(2, 4) if tabs else 1
            dwell_s = 10 ** chance.uniform(0.8, 1.6)
            if self.kind == "hurry":
                favourites, dwell_s = self.sites, 10 ** chance.uniform(-0.3, 0.7)
            restored = tabs and chance.random() < 0.5
            for _ in range(count):
                first = START_S + (3 + chance.uniform(0, 0.8) if restored else chance.uniform(2, 60 if tabs else 5))
                self.at(first, self.step, client, Tab(favourites, dwell_s), None)
            if tabs and chance.random() < 0.5:
                again = START_S + chance.uniform(300, 900)
                for _ in range(chance.randint(3, 6)):
                    self.at(again + chance.uniform(0, 0.5), self.step, client, Tab(favourites, dwell_s, chance.randint(1, 3)), None)
            for vendor in self.vendors:
                self.at(START_S + chance.uniform(0, 120), self.ping, client, vendor, chance.choice([20, 45, 60, 300]))
            if tabs:
                self.at(START_S + chance.uniform(20, 90), self.bulk, client)
        while self.queue:
            t, _, action, args = heapq.heappop(self.queue)
            action(t, *args)

    def ping(self, t, client, vendor, every):
        client.fetch(t, vendor, self.size(400) if self.chance.random() < 0.95 else self.size(3_000_000), None)
        self.at(t + every * self.chance.uniform(0.9, 1.1), self.ping, client, vendor, every)

    def bulk(self, t, client):
        """Another program gets files, over connections of its own."""
        host = self.chance.choice(list(self.hosts.values()))
        for i in range(self.chance.choice([1, 1, 2, 5])):
            self.at(t + i * self.chance.uniform(0.2, 0.5), lambda at: client.fetch(at, host, self.size(1_500_000, 1.2), None, 90, True))
        # Often just when a page is opened: the next one in the queue.
        due = [item[0] for item in self.queue if item[2] == self.step and item[0] > t + 5]
        next_t = min(due) + self.chance.uniform(-0.3, 0.6) if due and self.chance.random() < 0.6 else t + self.chance.uniform(20, 120)
        self.at(next_t, self.bulk, client)

    def step(self, t, client, tab, site):
        """The person opens the next page in a tab."""
        chance = self.chance
        if tab.lasts == 0:
            tab.page = None
            return
        tab.lasts -= 1
        favourites = tab.favourites
        if site is None or chance.random() < 0.65:
            rank = int(chance.expovariate(2 / len(favourites))) % len(favourites)
            site = favourites[rank]
        tab.visit += 1
        path = chance.randrange(1, 9)
        page = f"https://{site.document.name}/{path}"
        visit = (tab, tab.visit)
        if chance.random() < site.cached_document and (client.text, page) in client.cache:
            opened = t
        else:
            opened, _ = client.fetch(t, site.document, self.size(25_000), page)
        client.cache.add((client.text, page))
        opened += chance.uniform(0.01, 0.12)
        for thing in site.things:
            self.ask(opened, client, visit, page, thing)
        dwell = min(400, chance.lognormvariate(math.log(tab.dwell_s), 0.9))
        if site.lazy:
            for _ in range(chance.randint(1, 5)):
                self.at(t + chance.uniform(2, max(3, dwell)), self.scroll, client, visit, page, site)
        for thing in site.again:
            self.at(t + chance.uniform(10, 60), self.repeat, client, visit, page, thing, chance.choice([10, 15, 30, 60]))
        if site.player and chance.random() < 0.7:
            dwell += chance.choice([0, 20, 60, 180]) if self.kind != "hurry" else 0
            self.at(opened + chance.uniform(0.4, 4), self.play, client, visit, page, site.player, 3)
        self.at(t + max(0.3 if self.kind == "hurry" else 1.5, dwell), self.step, client, tab, site)

    def gone(self, visit):
        tab, number = visit
        return tab.visit != number or tab.page is None

    def ask(self, t, client, visit, page, thing):
        if self.chance.random() < thing.often:
            for i in range(thing.count):
                self.at(t + self.chance.expovariate(1 / thing.delay) + 0.002 * i, self.get, client, visit, page, thing, i)

    def get(self, t, client, visit, page, thing, i):
        if self.gone(visit):
            return
        # Half of the files of a site are the same on all of its pages.
        name = (client.text, thing, i, page if i % 2 else "")
        if thing.cached and name in client.cache:
            last = t + 0.002
        else:
            _, last = client.fetch(t, thing.host, max(60, int(thing.size * self.chance.uniform(0.5, 1.5))), page)
            client.cache.add(name)
        if i == 0:
            for more in thing.more:
                self.ask(last + self.chance.uniform(0.005, 0.08), client, visit, page, more)

    def scroll(self, t, client, visit, page, site):
        for thing in site.lazy:
            self.ask(t, client, visit, page, thing)

    def repeat(self, t, client, visit, page, thing, every):
        if not self.gone(visit):
            self.ask(t, client, visit, page, thing)
            self.at(t + every * self.chance.uniform(0.95, 1.05), self.repeat, client, visit, page, thing, every)

    def play(self, t, client, visit, page, player, ahead):
        if self.gone(visit):
            return
        host, rate, every = player
        _, last = client.fetch(t, host, self.size(rate * every / 8, 0.3), page, fresh=self.chance.random() < 0.03)
        wait = 0.05 if ahead else every * self.chance.uniform(0.7, 1.2)
        self.at(max(last, t + wait), self.play, client, visit, page, player, max(0, ahead - 1))


class Tab:
    def __init__(self, favourites, dwell_s, lasts=-1):
        self.favourites, self.dwell_s, self.lasts, self.visit, self.page = favourites, dwell_s, lasts, 0, ""


def write(kind, seed, minutes, folder, exact):
    """Writes one world into `folder`."""
    world = World(kind, seed, minutes or (3 if kind == "hurry" else 20), exact)
    base = os.path.join(folder, f"{kind}-{seed}")
    world.wire.save(base + ".pcap.gz")
    with open(base + ".tsv", "w") as out:
        out.write("page\thost\tbytes\ttime\tclient\n")
        for page, host, size, t, client in sorted(world.rows, key=lambda row: row[3]):
            out.write(f"{page}\t{host}\t{size}\t{t:.4f}\t{client}\n")
    if exact:
        with open(base + ".exact.tsv", "w") as out:
            out.write("second\tclient\tport\thost\tpage\tfirst\tbytes\n")
            for key, (first, size) in sorted(world.wire.exact.items()):
                out.write("\t".join(map(str, key)) + f"\t{first:.6f}\t{size}\n")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--kind", choices=["one-tab", "tabs", "hurry"], default="one-tab")
    p.add_argument("--minutes", type=int)
    p.add_argument("--exact", action="store_true")
    p.add_argument("--out", required=True, metavar="FOLDER")
    p.add_argument("seeds", nargs="+", type=int, metavar="SEED")
    args = p.parse_args()
    os.makedirs(args.out, exist_ok=True)
    for seed in args.seeds:
        write(args.kind, seed, args.minutes, args.out, args.exact)


if __name__ == "__main__":
    main()
