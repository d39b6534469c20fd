"""A server that speaks TLS, for the gateway to talk to: Python's ssl, which is OpenSSL.

    tls_server.py CERTIFICATE KEY [CLIENT_CA]

Prints its port, and for each connection how the other side has ended it. What it answers is in the path:

    /stream   ten events in chunks, 30 ms apart
    /whole    a body that ends with the connection, and close_notify in front of the end
    /cut      the same without close_notify
    else      what it knows of who asks, as JSON
"""

import json
import socket
import ssl
import sys
import threading
import time

CERTIFICATE, KEY, *REST = sys.argv[1:]


def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(CERTIFICATE, KEY)
    made.set_alpn_protocols(["http/1.1"])
    made.sni_callback = note_name
    if REST:
        made.load_verify_locations(REST[0])
        made.verify_mode = ssl.CERT_REQUIRED
    return made


def note_name(sealed, name, _):
    sealed.asked_for = name


def read_head(sealed):
    head = b""
    while b"\r\n\r\n" not in head:
        try:
            piece = sealed.recv(4096)
        except OSError:  # A FIN without close_notify, or RST.
            print("end: cut", flush=True)
            return None
        if not piece:
            print("end: close_notify", flush=True)
            return None
        head += piece
    return head.decode()


def told(sealed, head, served):
    subject = dict(part[0] for part in (sealed.getpeercert() or {}).get("subject", ()))
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    return json.dumps({
        "name": getattr(sealed, "asked_for", None),
        "host": fields.get("Host"),
        "path": head.split(" ")[1],
        "alpn": sealed.selected_alpn_protocol(),
        "resumed": sealed.session_reused,
        "client": subject.get("commonName"),
        "served": served,
    }).encode()


def serve(plain, made):
    try:
        sealed = made.wrap_socket(plain, server_side=True, suppress_ragged_eofs=False)
    except (ssl.SSLError, OSError):
        return plain.close()
    served = 0
    while (head := read_head(sealed)) is not None:
        served += 1
        path = head.split(" ")[1]
        if path == "/stream":
            sealed.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                           b"Transfer-Encoding: chunked\r\n\r\n")
            for number in range(10):
                event = b"data: %d.\n\n" % number
                sealed.sendall(b"%x\r\n%s\r\n" % (len(event), event))
                time.sleep(0.03)
            sealed.sendall(b"0\r\n\r\n")
        elif path in ("/whole", "/cut"):
            sealed.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it")
            if path == "/whole":
                try:
                    sealed.unwrap()
                except (ssl.SSLError, OSError):
                    pass
            else:
                time.sleep(0.05)
            break
        else:
            body = told(sealed, head, served)
            sealed.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    try:
        plain = socket.socket(fileno=sealed.detach())
        plain.shutdown(socket.SHUT_RDWR)
        plain.close()
    except OSError:
        pass


def main():
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    made = context()
    while True:
        plain, _ = listener.accept()
        threading.Thread(target=serve, args=(plain, made), daemon=True).start()


main()
