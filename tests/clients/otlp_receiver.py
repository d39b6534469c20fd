#!/usr/bin/env python3
"""Takes spans as an OpenTelemetry collector does, and checks that they are OTLP.

    otlp_receiver.py PORT FILE [--lifeline]

The bodies are read by the message classes of OpenTelemetry itself (opentelemetry-proto), unknown
fields refused; each span becomes one line of JSON in FILE. The first request is answered with 503
and Retry-After, so that it has to come again. What is wrong with a request is written to FILE as
well, as {"wrong": reason}: the test that reads it fails.
"""

import base64
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf.json_format import MessageToDict, ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

IDS = ("traceId", "spanId", "parentSpanId")


def with_bytes(value):
    """OTLP's JSON has ids in hex, where protobuf's has base64."""
    if isinstance(value, list):
        return [with_bytes(element) for element in value]
    if not isinstance(value, dict):
        return value
    return {
        name: base64.b64encode(bytes.fromhex(inner)).decode() if name in IDS else with_bytes(inner)
        for name, inner in value.items()
    }


def attributes(pairs):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


def spans(request):
    for resource in request.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                if len(span.trace_id) != 16 or len(span.span_id) != 8:
                    raise ValueError("an id has the wrong length")
                if not 0 < span.start_time_unix_nano <= span.end_time_unix_nano:
                    raise ValueError("a span ends before it begins")
                yield {
                    "trace": span.trace_id.hex(),
                    "span": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "name": span.name,
                    "kind": span.kind,
                    "error": span.status.code == span.status.STATUS_CODE_ERROR,
                    "micros": (span.end_time_unix_nano - span.start_time_unix_nano) // 1000,
                    "events": [event.name for event in span.events],
                    "attributes": attributes(span.attributes),
                    "resource": attributes(resource.resource.attributes),
                }


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    lock = threading.Lock()
    requests = 0

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with Receiver.lock:
            Receiver.requests += 1
            if Receiver.requests == 1:
                return self.answer(503, b"", {"Retry-After": "1"})
            self.note(body)
        message = json.dumps(MessageToDict(ExportTraceServiceResponse())).encode()
        self.answer(200, message, {"Content-Type": "application/json"})

    def note(self, body):
        lines = []
        try:
            if self.path != "/v1/traces" or self.headers["Content-Type"] != "application/json":
                raise ValueError(f"{self.path} {self.headers['Content-Type']}")
            request = ParseDict(with_bytes(json.loads(body)), ExportTraceServiceRequest())
            lines = list(spans(request))
        except Exception as wrong:  # whatever it is, the test has to see it
            lines = [{"wrong": repr(wrong)}]
        with open(sys.argv[2], "a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)

    def answer(self, status, body, fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
    if "--lifeline" in sys.argv:
        threading.Thread(target=lambda: (sys.stdin.read(), server.shutdown()), daemon=True).start()
    print(f"ready 127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


main()
