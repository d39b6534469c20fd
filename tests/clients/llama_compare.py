"""llama.cpp's own server, direct and through the gateway: the same text, as promptly, as cancellable.

    llama_compare.py GATEWAY_URL --direct DIRECT_URL

DIRECT_URL is llama/serve.py. Asserts: streams through the gateway give the text the server gives
direct, which is also the text of the unstreamed answer; tokens arrive as they are made and not in
bunches; twenty streams in a row all succeed, though the server announces keep-alive and closes
behind each of them; a client that leaves (its socket closed, or only its sending side) frees its
slot long before the generation would have ended.
"""

import argparse
import json
import socket
import statistics
import urllib.parse

import httpx

import evidence

TOKENS = 300
# Enough that a path which waits 40 ms for an acknowledgement shows it many times.
LONG_TOKENS = 1200
ENDLESS_TOKENS = 3900
STALL_MS = 30
FREE_WITHIN_S = 1.0


def request(tokens, stream):
    # cache_prompt off: a prompt partly remembered may round differently, and so choose differently.
    return {
        "prompt": "water gate river",
        "n_predict": tokens,
        "temperature": 0,
        "ignore_eos": True,
        "cache_prompt": False,
        "stream": stream,
    }


def chat(tokens):
    return {
        "messages": [{"role": "user", "content": "water gate river"}],
        "max_tokens": tokens,
        "temperature": 0,
        "cache_prompt": False,
        "stream": True,
    }


def completion_text(event):
    return event["content"]


def chat_text(event):
    return "".join(choice["delta"].get("content") or "" for choice in event["choices"])


def events_of(client, path, body):
    """(arrival, event) of every data event. Bytes that are no UTF-8 end the script."""
    with client.stream("POST", path, json=body) as answer:
        evidence.check(answer.status_code == 200, f"{path}: status {answer.status_code}")
        rest = b""
        for data in answer.iter_raw():
            arrived = evidence.now()
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                if line.startswith(b"data: ") and line != b"data: [DONE]":
                    yield arrived, json.loads(line.removeprefix(b"data: ").decode())


def streamed(client, path, body, text_of):
    """(text, arrivals of the events that carried some of it)"""
    words, arrivals = [], []
    for arrived, event in events_of(client, path, body):
        if text_of(event):
            words.append(text_of(event))
            arrivals.append(arrived)
    return "".join(words), arrivals


def check_same_text(direct, gateway):
    whole = direct.post("/completion", json=request(TOKENS, False)).json()["content"]
    for path, body, text_of in (
        ("/completion", request(TOKENS, True), completion_text),
        ("/v1/chat/completions", chat(TOKENS), chat_text),
    ):
        there, _ = streamed(direct, path, body, text_of)
        here, arrivals = streamed(gateway, path, body, text_of)
        evidence.check(here == there, f"{path}: through the gateway {here[:60]!r}…, direct {there[:60]!r}…")
        # One word a token, though a word at a stop string's edge may be held back by the server.
        evidence.check(
            len(arrivals) >= TOKENS - 2, f"{path}: {len(arrivals)} events with text of {TOKENS} tokens"
        )
        if path == "/completion":
            evidence.check(here == whole, f"{path}: streamed {here[:60]!r}…, whole {whole[:60]!r}…")
    answers = [client.post("/completion", json=request(TOKENS, False)).json()["content"] for client in (direct, gateway)]
    evidence.check(answers[0] == answers[1] == whole, "unstreamed answers are not the same text")
    evidence.check(gateway.get("/v1/models").json()["data"][0]["id"] == "tiny", "/v1/models is not the server's")
    return {"tokens": TOKENS, "characters": len(whole), "begins": whole[:32].strip()}


def stalls(arrivals):
    return sum(gap >= STALL_MS * 1e6 for gap in evidence.gaps(arrivals))


def check_increments(direct, gateway):
    """A token is made in about half a millisecond: bunches of 40 or 200 ms would be plain to see."""
    _, there = streamed(direct, "/completion", request(LONG_TOKENS, True), completion_text)
    _, here = streamed(gateway, "/completion", request(LONG_TOKENS, True), completion_text)
    evidence.check_time(
        stalls(here) <= 2 * stalls(there) + 3,
        f"{stalls(here)} gaps of {STALL_MS} ms and more through the gateway, {stalls(there)} direct",
    )
    # Events read at one moment came together. Some do: client and server share the machine.
    largest = max(here.count(moment) for moment in set(here))
    evidence.check_time(largest <= LONG_TOKENS / 10, f"{largest} of {LONG_TOKENS} events arrived in one piece")
    span = here[-1] - here[0]
    first_half = sum(arrived - here[0] <= span / 2 for arrived in here)
    evidence.check_time(
        LONG_TOKENS / 4 <= first_half, f"{first_half} of {LONG_TOKENS} events came in the first half of the time"
    )
    moments = sorted(set(here))
    return {
        "gateway": evidence.gap_summary(moments),
        "direct": evidence.gap_summary(sorted(set(there))),
        "stalls": stalls(here),
        "largest_bunch": largest,
    }


def check_streams_in_a_row(gateway):
    times = []
    for _ in range(20):
        begin = evidence.now()
        text, _ = streamed(gateway, "/completion", request(8, True), completion_text)
        evidence.check(text, "a stream without text")
        times.append(evidence.now() - begin)
    return {"streams": len(times), "median_ms": evidence.milliseconds(statistics.median(times))}


def check_cancel(direct, gateway_url, how):
    """Milliseconds from the client's leaving to the slot being free."""

    def busy():
        return [slot for slot in direct.get("/slots").json() if slot["is_processing"]]

    evidence.wait_until(lambda: not busy(), 5, "slots are busy before the test")
    address = urllib.parse.urlsplit(gateway_url)
    body = json.dumps(request(ENDLESS_TOKENS, True)).encode()
    head = f"POST /completion HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=5) as client:
        client.sendall(head.encode() + body)
        received = b""
        while received.count(b"data: ") < 5:
            data = client.recv(4096)
            evidence.check(data, "the stream ended at its beginning")
            received += data
        evidence.check(len(busy()) == 1, f"{len(busy())} slots are busy while one stream runs")
        if how == "closed":
            client.close()
        else:
            client.shutdown(socket.SHUT_WR)
        took = evidence.wait_until(
            lambda: not busy(), FREE_WITHIN_S, f"client {how}: its slot is still busy {FREE_WITHIN_S} s later"
        )
    return took


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("gateway_url")
    parser.add_argument("--direct", required=True)
    asked = parser.parse_args()
    settings = {"timeout": 30, "trust_env": False}
    with (
        httpx.Client(base_url=asked.direct, **settings) as direct,
        httpx.Client(base_url=asked.gateway_url, **settings) as gateway,
    ):
        text = check_same_text(direct, gateway)
        increments = check_increments(direct, gateway)
        row = check_streams_in_a_row(gateway)
        free = {how: check_cancel(direct, asked.gateway_url, how) for how in ("closed", "half-closed")}
    evidence.done(test="llama_compare", text=text, increments=increments, row=row, slot_free_after_ms=free)


if __name__ == "__main__":
    evidence.run(main, 90)
