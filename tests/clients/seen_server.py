"""Python's http.server, with a program behind it that reads the bodies of its requests.

    seen_server.py PORT

Prints each request line that it has understood, and `bad` for what it has not. Answers 200 `seen`, and
in `X-Means` the file that http.server would look for.
"""

import sys
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote


class Seen(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    directory = "/"

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.seen
        raise AttributeError(name)

    def seen(self):
        print(self.requestline, flush=True)
        self.read_body()
        body = b"" if self.command == "HEAD" else b"seen"
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.send_header("X-Means", quote(SimpleHTTPRequestHandler.translate_path(self, self.path)))
        self.end_headers()
        self.wfile.write(body)

    def read_body(self):
        if self.headers.get("Transfer-Encoding", "").strip().lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                self.rfile.read(size + 2)
            while self.rfile.readline().strip():
                pass
        else:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def send_error(self, code, message=None, explain=None):
        print(f"bad {code} {self.raw_requestline!r}", flush=True)
        self.close_connection = True

    def log_message(self, *arguments):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, address):
        # A body that is cut off: the request has been printed.
        pass


Server(("127.0.0.1", int(sys.argv[1])), Seen).serve_forever()
