"""Frames of made-up traffic for benchmarks: answers of DNS, and TCP of which the headers are kept."""

import struct

ROUTER = bytes([2, 0, 0, 0, 0, 1])
RESOLVER = bytes([10, 255, 255, 1])


class Capture:
    """A pcap, written into a file that is open."""

    def __init__(self, file):
        self.file = file
        self.file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 128, 1))
        self.packets = 0

    def frame(self, now_us, data, length):
        self.file.write(struct.pack("<IIII", now_us // 1_000_000, now_us % 1_000_000, len(data), length) + data)
        self.packets += 1

    def close(self):
        self.file.close()


def address(number):
    return bytes([10, number >> 16 & 0xFF, number >> 8 & 0xFF, number & 0xFF])


def server(number):
    """Addresses of servers, of which each name has its own: the space is public and nobody's here."""
    return bytes([45 + (number >> 16 & 0x3F), number >> 8 & 0xFF, number & 0xFF, 1])


def ip(source, target, protocol, payload, length=None):
    total = 20 + (len(payload) if length is None else length)
    return struct.pack(">BBHHHBBH4s4s", 0x45, 0, total, 0, 0, 64, protocol, 0, source, target) + payload


def ethernet(device, up, packet):
    card = b"\x02\x01" + struct.pack(">I", device + 1)
    return (ROUTER + card if up else card + ROUTER) + b"\x08\x00" + packet


def labels(name):
    return b"".join(bytes([len(part)]) + part for part in name.split(b".")) + b"\0"


def answer(capture, now_us, device, number):
    """A device asks for a name and is told its address."""
    own, port, query_id = address(device + 1), 20_000 + number % 12_000, number & 0xFFFF
    question = labels(b"www.site-%d.example" % number) + b"\0\x01\0\x01"
    query = struct.pack(">HHHHHH", query_id, 0x0100, 1, 0, 0, 0) + question
    told = struct.pack(">HHHHHH", query_id, 0x8180, 1, 1, 0, 0) + question
    told += b"\xc0\x0c\0\x01\0\x01\0\0\x01\x2c\0\x04" + server(number)
    for up, data in ((True, query), (False, told)):
        ports = (port, 53) if up else (53, port)
        udp = struct.pack(">HHHH", *ports, 8 + len(data), 0) + data
        ends = (own, RESOLVER) if up else (RESOLVER, own)
        frame = ethernet(device, up, ip(*ends, 17, udp))
        capture.frame(now_us + (0 if up else 200), frame, len(frame))


def segment(capture, now_us, device, name, port, flags, up, length=0):
    """One TCP packet of `length` bytes, of which the headers are kept."""
    ports = (port, 443) if up else (443, port)
    ends = (address(device + 1), server(name)) if up else (server(name), address(device + 1))
    tcp = struct.pack(">HHIIBBHHH", *ports, 1, 1, 0x50, flags, 64_000, 0, 0)
    frame = ethernet(device, up, ip(*ends, 6, tcp, 20 + length))
    capture.frame(now_us, frame, len(frame) + length)


def flow(capture, now_us, device, name, port):
    segment(capture, now_us, device, name, port, 0x02, True)
    segment(capture, now_us + 300, device, name, port, 0x12, False)
    segment(capture, now_us + 600, device, name, port, 0x18, False, 1_400)


def port_of(number):
    return 32_768 + number % 28_000
