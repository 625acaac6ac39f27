#!/usr/bin/env python3
"""make.py IN.pcap OUT.pcap: cuts the payload of packets that a slim capture holds in part.

The slim capture keeps DNS and the first data packets of every flow whole, and 90 bytes of all others. The bytes that such a
cut packet has behind its TCP or UDP header are the middle of an encrypted record: no name begins there, and they do not
compress. They are cut off; lengths on the wire stay as they are. Reads classic little-endian pcap of Ethernet frames.
"""
import struct
import sys

SLIM_LEN = 90


def headers_len(frame):
    """Bytes of the Ethernet, IP and TCP or UDP headers; the whole frame where it is neither."""
    kind = struct.unpack("!H", frame[12:14])[0]
    if kind == 0x0800:
        proto, at = frame[23], 14 + (frame[14] & 15) * 4
    elif kind == 0x86DD:
        proto, at = frame[20], 54
    else:
        return len(frame)
    if proto == 17:
        return at + 8
    if proto == 6 and len(frame) > at + 12:
        return at + (frame[at + 12] >> 4) * 4
    return len(frame)


def main(source, target):
    data = open(source, "rb").read()
    out = bytearray(data[:24])
    at = 24
    while at < len(data):
        seconds, fraction, kept, wire = struct.unpack_from("<IIII", data, at)
        frame = data[at + 16 : at + 16 + kept]
        at += 16 + kept
        if kept == SLIM_LEN < wire:
            frame = frame[: headers_len(frame)]
        out += struct.pack("<IIII", seconds, fraction, len(frame), wire) + frame
    open(target, "wb").write(out)


main(*sys.argv[1:])
