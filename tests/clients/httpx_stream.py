"""httpx: a paced answer, a body uploaded while it is made, and a stream left early.

    httpx_stream.py BASE_URL --direct DIRECT_URL

BASE_URL leads to paced_server.py, through the gateway; DIRECT_URL is that server itself, and is
asked only for what the gateway must not be believed on: what the server saw.
"""

import argparse
import json
import statistics
import time

import httpx

import evidence

INTERVAL_MS = 15
CHUNKS = 60
UPLOAD_PIECES = 20
UPLOAD_INTERVAL_MS = 50
LEFT_SEEN_WITHIN_S = 1.0


def check_answer(client):
    arrivals, delays = [], []
    with client.stream("POST", f"/stream?chunks={CHUNKS}&interval_ms={INTERVAL_MS}", json={"prompt": "hi"}) as answer:
        evidence.check(answer.status_code == 200, f"/stream: status {answer.status_code}")
        for line in answer.iter_lines():
            arrived, event = evidence.now(), json.loads(line)
            evidence.check(event["n"] == len(arrivals), f"/stream: line {event['n']} came as number {len(arrivals)}")
            arrivals.append(arrived)
            delays.append(arrived - event["sent_ns"])
    evidence.check(len(arrivals) == CHUNKS, f"/stream: {len(arrivals)} lines of {CHUNKS}")
    return evidence.check_paced("/stream", arrivals, INTERVAL_MS) | evidence.check_prompt("/stream", delays)


def check_upload(client):
    """A chunked body of unknown length reaches the server piece by piece, while it is being made."""
    sent = []

    def pieces():
        for number in range(UPLOAD_PIECES):
            sent.append(evidence.now())
            yield f"audio {number:04} ".encode() * 32
            time.sleep(UPLOAD_INTERVAL_MS / 1000)

    seen = client.post("/upload", content=pieces()).raise_for_status().json()
    evidence.check(seen["total"] == UPLOAD_PIECES * 11 * 32, f"/upload: {seen['total']} bytes arrived")
    arrivals = [piece["received_ns"] for piece in seen["pieces"]]
    evidence.check(
        len(arrivals) == UPLOAD_PIECES,
        f"/upload: {UPLOAD_PIECES} pieces were sent {UPLOAD_INTERVAL_MS} ms apart, {len(arrivals)} arrived",
    )
    delays = [arrived - begun for arrived, begun in zip(arrivals, sent)]
    return evidence.check_paced("/upload", arrivals, UPLOAD_INTERVAL_MS) | evidence.check_prompt("/upload", delays)


def check_large_upload(client):
    """Eight mebibytes, chunked, come back as they went."""
    body = bytes(range(256)) * 4096 * 8
    answer = client.post("/echo", content=(body[at : at + 65_536] for at in range(0, len(body), 65_536)))
    evidence.check(answer.status_code == 200, f"/echo: status {answer.status_code}")
    evidence.check(answer.content == body, f"/echo: {len(answer.content)} bytes came back, not the {len(body)} sent")


def check_leaving(client, direct):
    """A client that leaves is gone for the server too, long before the next piece would have told."""

    def stats():
        return httpx.get(f"{direct}/stats").json()

    before = stats()
    with client.stream("POST", "/stream?chunks=5&interval_ms=4000", json={"prompt": "hi"}) as answer:
        lines = answer.iter_lines()  # kept: dropping the iterator closes the stream
        next(lines)
        evidence.check(stats()["open"] == before["open"] + 1, "/stream: the server has not got the stream open")
    took = evidence.wait_until(
        lambda: stats()["left_early"] == before["left_early"] + 1,
        LEFT_SEEN_WITHIN_S,
        f"/stream: the client left, the server still sends {LEFT_SEEN_WITHIN_S} s later",
    )
    evidence.check(stats()["open"] == before["open"], "/stream: the stream left early is still open at the server")
    return {"seen_after_ms": took}


def check_keep_alive(client):
    """Short answers one after another on one connection."""
    times = []
    for _ in range(50):
        begin = evidence.now()
        answer = client.get("/v1/models")
        evidence.check(answer.status_code == 200, f"/v1/models: status {answer.status_code}")
        times.append(evidence.now() - begin)
    return {"requests": len(times), "median_ms": evidence.milliseconds(statistics.median(times))}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("base_url")
    parser.add_argument("--direct", required=True)
    asked = parser.parse_args()
    with httpx.Client(base_url=asked.base_url, timeout=20, trust_env=False) as client:
        answer = check_answer(client)
        upload = check_upload(client)
        check_large_upload(client)
        left = check_leaving(client, asked.direct)
        keep_alive = check_keep_alive(client)
    evidence.done(test="httpx_stream", answer=answer, upload=upload, left=left, keep_alive=keep_alive)


if __name__ == "__main__":
    evidence.run(main, 60)
