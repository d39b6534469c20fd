"""A stand-in for Ollama and for Gemini, which no test machine has, until standard input ends.

    stand_in.py PORT [--lifeline]

Prints `ready ADDRESS:PORT`. Its events are those that real servers have sent, as
src/service/dialects/*/recorded/ has them: a token is the recorded one with another text, and what ends
an answer is the recorded end, with its counts. The model's name says what comes: `tools` is a call
(its results are told as text), `missing` and `busy` are errors, `breaks` an error behind the first
tokens, any other as many words as may be told, one every 15 ms.

    POST /api/chat, /api/generate                      Ollama
    GET  /api/tags
    POST /v1beta/models/NAME:generateContent           Gemini
    POST /v1beta/models/NAME:streamGenerateContent
    GET  /stats                                        streams open now, streams left early, the last request
"""

import http.server
import itertools
import json
import pathlib
import re
import sys
import time

import evidence

PAUSE_S = 0.015
RECORDED = pathlib.Path(__file__).resolve().parents[2] / "src/service/dialects"
OLLAMA = [json.loads(line) for line in (RECORDED / "ollama/recorded/chat.txt").read_text().splitlines()]
GEMINI = [
    json.loads(line.removeprefix("data: "))
    for line in (RECORDED / "gemini/recorded/stream.txt").read_text().splitlines()
    if line
]
GEMINI_ERROR = json.loads((RECORDED / "gemini/recorded/error.txt").read_text())
CALLS = [("weather", {"city": "Köln"}), ("clock", {"zone": "Europe/Berlin"})]

stats = {"open": 0, "left_early": 0, "last": None}


def words(count):
    return [f" word{number}" for number in range(count)]


def ollama_events(body, path):
    def event(text, **more):
        member = {"response": text} if path == "/api/generate" else {"message": {"role": "assistant", "content": text}}
        recorded = {name: value for name, value in OLLAMA[0].items() if name not in ("message", "done")}
        return recorded | {"model": body["model"]} | member | {"done": False} | more

    results = [message["content"] for message in body.get("messages", []) if message["role"] == "tool"]
    if body["model"] == "tools" and not results:
        for name, arguments in CALLS:
            yield event("", message={"role": "assistant", "content": "",
                                     "tool_calls": [{"function": {"name": name, "arguments": arguments}}]})
    else:
        told = results or words((body.get("options") or {}).get("num_predict", 20))
        for number, text in enumerate(told):
            if body["model"] == "breaks" and number == 3:
                yield {"error": "an error was encountered while running the model: signal: killed"}
                return
            yield event(text)
    end = OLLAMA[-1] | {"model": body["model"]}
    if path == "/api/generate":
        end = {name: value for name, value in end.items() if name != "message"} | {"response": ""}
    yield end


def ollama_document(events):
    """All of its events in one, as Ollama joins them."""
    *told, end = events
    if "response" in end:
        return end | {"response": "".join(event["response"] for event in told)}
    message = {"role": "assistant", "content": "".join(event["message"]["content"] for event in told)}
    calls = [call for event in told for call in event["message"].get("tool_calls", [])]
    return end | {"message": message | ({"tool_calls": calls} if calls else {})}


def gemini_events(body, model):
    parts = [part for content in body["contents"] for part in content["parts"]]
    results = [part["functionResponse"]["response"] for part in parts if "functionResponse" in part]
    if model == "tools" and not results:
        yield from GEMINI
        return
    told = [json.dumps(result, ensure_ascii=False) for result in results]
    told = told or words((body.get("generationConfig") or {}).get("maxOutputTokens", 20))
    for number, text in enumerate(told):
        event = GEMINI[1] | {"candidates": [{"content": {"parts": [{"text": text}], "role": "model"}, "index": 0}]}
        if number == len(told) - 1:
            event["candidates"][0]["finishReason"] = "STOP"
        yield event


def gemini_document(events):
    parts = itertools.chain.from_iterable(event["candidates"][0]["content"]["parts"] for event in events)
    end = events[-1]
    candidate = end["candidates"][0] | {"content": {"parts": list(parts), "role": "model"}}
    return end | {"candidates": [candidate]}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def document(self, value, status=200):
        data = json.dumps(value, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def stream(self, media, lines):
        self.send_response(200)
        self.send_header("Content-Type", media)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        stats["open"] += 1
        try:
            for line in lines:
                data = line.encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
                time.sleep(PAUSE_S)
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            stats["left_early"] += 1
            self.close_connection = True
        finally:
            stats["open"] -= 1

    def do_GET(self):
        if self.path == "/api/tags":
            return self.document({"models": [{"name": "llama3.2", "model": "llama3.2"}]})
        self.document(stats)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        stats["last"] = {"path": self.path, "body": body}
        if self.path.startswith("/api/"):
            return self.ollama(body)
        model, method = re.fullmatch(r"/v1beta/models/([^:?]+):(\w+)(?:\?alt=sse)?", self.path).groups()
        if model == "busy":
            return self.document(GEMINI_ERROR, 503)
        events = gemini_events(body, model)
        if method == "generateContent":
            return self.document(gemini_document(list(events)))
        self.stream("text/event-stream", (f"data: {json.dumps(event, ensure_ascii=False)}\r\n\r\n" for event in events))

    def ollama(self, body):
        if body["model"] == "missing":
            return self.document({"error": "model 'missing' not found"}, 404)
        if body["model"] == "busy":
            return self.document({"error": "server busy, please try again.  maximum pending requests exceeded"}, 503)
        events = ollama_events(body, self.path)
        # Ollama streams unless it is told not to.
        if body.get("stream", True):
            return self.stream("application/x-ndjson", (json.dumps(it, ensure_ascii=False) + "\n" for it in events))
        self.document(ollama_document(list(events)))


def main(port):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
    print(f"ready 127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    if "--lifeline" in sys.argv:
        evidence.live_as_long_as_stdin()
    main(int(sys.argv[1]))
