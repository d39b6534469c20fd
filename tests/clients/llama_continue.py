"""A stream of llama.cpp's server that is cut in the middle and continued.

    llama_continue.py GATEWAY_URL --direct DIRECT_URL --cutter PORT

DIRECT_URL is llama/serve.py; the gateway's upstream is this script, on PORT: it passes everything on
to the server, and cuts the first stream of each case behind some of its events. Asserts: what a client
of the gateway reads is the beginning of the text that the server gives direct, and then what it gives
direct for the prompt with that beginning in it; there is one mark of a seam; the second request asks
for as many tokens as the first one lacked.

Both parts together are not the text of one answer here, as they are with a real model and greedy
decoding: the tiny model's vocabulary cuts words of a prompt into bytes, and says them in one token.
"""

import argparse
import json
import socket
import threading
import time
import urllib.parse

import httpx

import evidence

PROMPT = "water gate river"
TOKENS = 60
# The floor of the retry budget is three continuations a second.
PAUSE_S = 0.4


class Cutter:
    """Passes requests on to a server, and cuts the next stream behind `events` events, if any."""

    def __init__(self, port, server):
        self.server = server
        self.events = None
        self.asked = []
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        with client, socket.create_connection(self.server, timeout=20) as server:
            request = b""
            while b"\r\n\r\n" not in request:
                data = client.recv(65536)
                if not data:
                    return
                request += data
            head, _, body = request.partition(b"\r\n\r\n")
            fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            while len(body) < int(fields.get(b"content-length", 0)):
                body += client.recv(65536)
            self.asked.append(json.loads(body))
            events, self.events = self.events, None
            server.sendall(head + b"\r\n\r\n" + body)
            passed = b""
            while data := server.recv(65536):
                if events is None:
                    client.sendall(data)
                    continue
                before, passed = len(passed), passed + data
                at = -1
                for _ in range(events):
                    at = passed.find(b"\n\n\r\n", at + 1)
                    if at < 0:
                        break
                if at >= 0:
                    return client.sendall(passed[before : at + 4])
                client.sendall(data)


def completion(prompt, tokens):
    # cache_prompt off: a prompt partly remembered may round differently, and so choose differently.
    return "/v1/completions", {
        "prompt": prompt,
        "max_tokens": tokens,
        "temperature": 0,
        "ignore_eos": True,
        "cache_prompt": False,
        "stream": True,
    }


def read(client, path, body):
    """(text, marks of a seam, the last finish_reason)"""
    with client.stream("POST", path, json=body) as answer:
        evidence.check(answer.status_code == 200, f"{path}: status {answer.status_code}")
        lines = b"".join(answer.iter_raw()).decode().split("\n")
    text, end = "", None
    for line in lines:
        if line.startswith("data: {"):
            event = json.loads(line.removeprefix("data: "))
            evidence.check("error" not in event, f"{path}: {line}")
            for choice in event["choices"]:
                text += choice["text"]
                end = choice["finish_reason"] or end
    return text, sum(line.startswith(": continued by ") for line in lines), end


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("gateway_url")
    parser.add_argument("--direct", required=True)
    parser.add_argument("--cutter", required=True, type=int)
    asked = parser.parse_args()
    address = urllib.parse.urlsplit(asked.direct)
    cutter = Cutter(asked.cutter, (address.hostname, address.port))
    settings = {"timeout": 30, "trust_env": False}
    cuts = [1, 2, 7, 30, TOKENS - 1]
    with (
        httpx.Client(base_url=asked.direct, **settings) as direct,
        httpx.Client(base_url=asked.gateway_url, **settings) as gateway,
    ):
        path, body = completion(PROMPT, TOKENS)
        whole, marks, end = read(direct, path, body)
        evidence.check((marks, end) == (0, "length"), f"direct: {marks} marks, {end}")
        for cut in cuts:
            time.sleep(PAUSE_S)
            cutter.events, cutter.asked = cut, []
            text, marks, end = read(gateway, path, body)
            evidence.check((marks, end) == (1, "length"), f"cut behind {cut}: {marks} marks, {end}")
            first, second = cutter.asked
            begun = second["prompt"].removeprefix(PROMPT)
            evidence.check(first == body, f"cut behind {cut}: first asked {first}")
            evidence.check(begun and whole.startswith(begun), f"cut behind {cut}: asked with {begun!r}")
            evidence.check(second["max_tokens"] == TOKENS - cut, f"cut behind {cut}: {second['max_tokens']} tokens")
            rest, _, _ = read(direct, *completion(PROMPT + begun, TOKENS - cut))
            evidence.check(text == begun + rest, f"cut behind {cut}: {text!r}, direct {begun!r} and {rest!r}")
    evidence.done(test="llama_continue", tokens=TOKENS, cuts=cuts, begins=whole[:32].strip())


if __name__ == "__main__":
    evidence.run(main, 60)
