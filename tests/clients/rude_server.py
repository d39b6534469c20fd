"""An HTTP/1.1 server that announces keep-alive and does not keep its word, in one way at a time.

    rude_server.py PORT MODE [--lifeline]

Prints `ready ADDRESS:PORT`. A request is answered 200 with its own body, so that an answer which
reached the wrong client is seen. Every answer announces `Keep-Alive: timeout=5`. The modes:

    polite                 the announcement is true
    close_after_response   closes behind every complete answer, as llama.cpp does behind a stream
    close_after_stream     the same behind a chunked answer of three pieces
    close_idle_ms=N        closes a connection idle for N ms, as uvicorn does after 5 s
    rst_idle_ms=N          the same with a RST
    close_on_reuse         takes the second request of a connection and closes without a word
    rst_on_reuse           the same with a RST
    stray_bytes            writes half an answer nobody asked for behind each answer
    stray_408_ms=N         as some do before they close an idle connection: a 408, then the close

`GET /stats` is always answered politely: connections, answered, dropped (requests taken and not
answered), reused (answers that were not the first of their connection).
"""

import json
import socket
import struct
import sys
import threading

import evidence

stats = {"connections": 0, "answered": 0, "dropped": 0, "reused": 0}
lock = threading.Lock()


def count(name):
    with lock:
        stats[name] += 1


class Mode:
    def __init__(self, text):
        self.name, _, milliseconds = text.partition("=")
        self.idle_s = int(milliseconds) / 1000 if milliseconds else None
        known = {"polite", "close_after_response", "close_after_stream", "close_on_reuse", "rst_on_reuse"}
        known |= {"stray_bytes"}
        timed = {"close_idle_ms", "rst_idle_ms", "stray_408_ms"}
        if self.name not in (timed if milliseconds else known):
            sys.exit(f"rude_server.py: no mode {text!r}; the modes are in the head of the file")


def read_request(connection, buffer):
    """(path, body, rest), or None at the end of the connection. Bodies have a Content-Length."""
    while b"\r\n\r\n" not in buffer:
        data = connection.recv(65_536)
        if not data:
            return None
        buffer += data
    head, _, rest = buffer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    length = 0
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            length = int(value)
    while len(rest) < length:
        data = connection.recv(65_536)
        if not data:
            return None
        rest += data
    return lines[0].split(" ")[1], rest[:length], rest[length:]


def answer(body, stream):
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nKeep-Alive: timeout=5\r\n"
    if not stream:
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    third = max(1, len(body) // 3)
    pieces = [body[at : at + third] for at in range(0, len(body), third)]
    chunks = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces)
    return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks + b"0\r\n\r\n"


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def serve(connection, mode):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    buffer, answered = b"", 0
    with connection:
        while True:
            # Idle limits begin with the first answer: a new connection may take its time.
            connection.settimeout(mode.idle_s if answered else 30)
            try:
                request = read_request(connection, buffer)
            except TimeoutError:
                if mode.name == "stray_408_ms":
                    connection.sendall(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                if mode.name == "rst_idle_ms":
                    reset(connection)
                return
            if request is None:
                return
            path, body, buffer = request
            if path == "/stats":
                return connection.sendall(answer(json.dumps(stats).encode(), False))
            if answered and mode.name in ("close_on_reuse", "rst_on_reuse"):
                count("dropped")
                if mode.name == "rst_on_reuse":
                    reset(connection)
                return
            # Counted first: whoever has the answer may ask for the counts.
            count("answered")
            if answered:
                count("reused")
            stray = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstr" if mode.name == "stray_bytes" else b""
            connection.sendall(answer(body, mode.name == "close_after_stream") + stray)
            answered += 1
            if mode.name in ("close_after_response", "close_after_stream"):
                return


def serve_quietly(connection, mode):
    try:
        serve(connection, mode)
    except OSError:
        pass  # The other side left first; what it may have lost is in the counts.


def main(port, mode):
    listener = socket.create_server(("127.0.0.1", port), backlog=512)
    address, port = listener.getsockname()
    print(f"ready {address}:{port}", flush=True)
    while True:
        connection, _ = listener.accept()
        count("connections")
        threading.Thread(target=serve_quietly, args=(connection, mode), daemon=True).start()


if __name__ == "__main__":
    values = [argument for argument in sys.argv[1:] if argument != "--lifeline"]
    if len(values) != 2:
        sys.exit("usage: rude_server.py PORT MODE [--lifeline]")
    chosen = Mode(values[1])
    if "--lifeline" in sys.argv:
        evidence.live_as_long_as_stdin()
    main(int(values[0]), chosen)
