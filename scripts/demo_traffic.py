#!/usr/bin/env python3
"""demo_traffic.py server|client SERVER: the two ends of the demo's network. No file, no other address, no dependency.

Three sites on one address, so that only evidence can tell them apart: one named by an HTTP request, one by the server name in a
TLS hello, one by its DNS answer alone.
"""
import socket
import ssl
import struct
import sys
import threading

MIB = 1 << 20
# Name, port, bytes that the server sends. A hello is answered with plain bytes: enough to be
# counted, nothing to decrypt.
SITES = [("www.plain.example", 80, 3 * MIB), ("video.hello.example", 443, 2 * MIB), ("backup.silent.example", 7000, MIB)]


def answer(query, server):
    """The query back as a response with one A record (RFC 1035 section 4.1) of 300 seconds."""
    record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 300, 4) + socket.inet_aton(server)
    return query[:2] + b"\x81\x80\0\x01\0\x01\0\0\0\0" + query[12:] + record


def serve_dns(server):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind((server, 53))
        while True:
            query, peer = s.recvfrom(512)
            s.sendto(answer(query, server), peer)


def serve(server, port, amount):
    with socket.create_server((server, port)) as listener:
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(bytes(amount))
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(4096):
                    pass


def resolve(name, server):
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0" + struct.pack("!HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.sendto(struct.pack("!HHHHHH", 4242, 0x0100, 1, 0, 0, 0) + question, (server, 53))
        return socket.inet_ntoa(s.recv(512)[-4:])


def opening(name, port):
    """What a client says first."""
    if port == 80:
        return f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode()
    if port != 443:
        return b"\x01\x02\x03\x04 a protocol that names nothing"
    sent = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return sent.read()


def fetch(name, port, server):
    with socket.create_connection((resolve(name, server), port), timeout=20) as s:
        s.sendall(opening(name, port))
        got = 0
        while chunk := s.recv(1 << 16):
            got += len(chunk)
    print(f"  fetched {got:>9,} bytes from {name}, port {port}", flush=True)


def main(role, server):
    if role == "client":
        for name, port, _ in SITES:
            fetch(name, port, server)
        return
    threading.Thread(target=serve_dns, args=(server,), daemon=True).start()
    for _, port, amount in SITES:
        threading.Thread(target=serve, args=(server, port, amount), daemon=True).start()
    print("ready", flush=True)
    threading.Event().wait()


main(*sys.argv[1:])
