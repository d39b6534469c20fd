"""Reads a stream over TLS, and tells when each event came: Python's ssl, which is OpenSSL.

    tls_stream.py PORT CA PATH VERSION

Prints a line for each event, microseconds since the first and the event, then how the body ended.
"""

import socket
import ssl
import sys
import time

PORT, CA, PATH, VERSION = sys.argv[1:]


def main():
    made = ssl.create_default_context(cafile=CA)
    plain = socket.create_connection(("127.0.0.1", int(PORT)))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sealed = made.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False)
    sealed.sendall(f"GET {PATH} HTTP/{VERSION}\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    received, first = b"", None
    while True:
        try:
            piece = sealed.recv(65536)
        except OSError:  # A FIN without close_notify, or RST.
            print("end: cut")
            break
        if not piece:
            print("end: close_notify")
            break
        now = time.monotonic_ns()
        received += piece
        while b"data: " in received and b"\n\n" in received:
            event, received = received.split(b"\n\n", 1)
            if b"data: " not in event:
                continue
            first = first or now
            print((now - first) // 1000, event[event.index(b"data: ") + 6:].decode())


main()
