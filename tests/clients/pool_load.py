"""Sixty of sixty: whatever the server behind the pool does to its connections, clients get 200.

    pool_load.py GATEWAY_URL [--direct SERVER_URL --reuse none|some|most]
                 [--rate N] [--connections 4] [--body JSON]

GATEWAY_URL leads to a server that answers a request with its own body, as rude_server.py does.
Three loads, each of them sixty POST requests over a few connections kept alive:

* `hey`, as fast as it goes,
* `hey` at `--rate` requests a second and connection, so that pooled connections are idle in
  between for as long as the server's mode needs,
* clients of our own, each answer compared with what was asked: stray bytes of one answer must
  never become another.

`--reuse` says what the server must have seen of the pool, so that a gateway without one does not
pass: `most` of the requests on connections used before, `some`, or `none` (it closes every time).
"""

import argparse
import http.client
import json
import re
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request

import evidence

REQUESTS = 60


def hey(url, connections, rate, body):
    """Runs hey and returns its summary; any answer but 200 and any error ends the script."""
    evidence.check(shutil.which("hey"), "`hey` is not installed; tests/run installs it")
    command = ["hey", "-n", str(REQUESTS), "-c", str(connections), "-t", "10", "-m", "POST"]
    command += ["-q", str(rate)] if rate else []
    command += ["-d", body, url]
    text = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    statuses = {int(status): int(number) for status, number in re.findall(r"\[(\d{3})\]\s+(\d+) responses", text)}
    what = f"hey{f' at {rate} a second' if rate else ''}"
    errors = text.partition("Error distribution:")[2].strip()
    evidence.check(
        statuses == {200: REQUESTS} and not errors, f"{what}: {REQUESTS} asked, answers {statuses}, errors: {errors}"
    )
    slowest = float(re.search(r"Slowest:\s+([\d.]+)", text)[1])
    return {"answered": statuses[200], "slowest_ms": round(slowest * 1e3, 2)}


def own_clients(url, connections, rate):
    """Each answer is the answer to its own request."""
    parts = urllib.parse.urlsplit(url)
    wrong = []

    def client(number):
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=10)
        for turn in range(REQUESTS // connections):
            body = f"client {number} turn {turn} {'x' * (number * 700)}".encode()
            try:
                connection.request("POST", parts.path, body)
                answer = connection.getresponse()
                data = answer.read()
                if answer.status != 200 or data != body:
                    wrong.append(f"{body[:20]!r} answered {answer.status} {data[:60]!r}")
            except (OSError, http.client.HTTPException) as error:
                wrong.append(f"{body[:20]!r} failed: {error!r}")
                connection.close()
            time.sleep(1 / rate if rate else 0)
        connection.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    evidence.check(not wrong, f"{len(wrong)} of {REQUESTS} answers are not the answer asked for: {wrong}")
    return {"answered": REQUESTS}


def check_pool_was_used(direct, reuse):
    with urllib.request.urlopen(f"{direct}/stats", timeout=5) as answer:
        seen = json.load(answer)
    evidence.check(seen["answered"] >= 3 * REQUESTS, f"the server answered {seen['answered']} requests only: {seen}")
    used_again = seen["reused"] + seen["dropped"]
    enough = {"none": 0, "some": 1, "most": 2 * REQUESTS}[reuse]
    evidence.check(used_again >= enough, f"the pool was to be used for {reuse} of the requests: {seen}")
    return seen


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--direct")
    parser.add_argument("--reuse", choices=("none", "some", "most"), default="some")
    parser.add_argument("--rate", type=float, default=20)
    parser.add_argument("--connections", type=int, default=4, help="divides sixty")
    parser.add_argument("--body")
    asked = parser.parse_args()
    body = asked.body or '{"prompt":"hi"}'
    result = {"fast": hey(asked.url, asked.connections, None, body)}
    result["slow"] = hey(asked.url, asked.connections, asked.rate, body)
    if asked.body is None:
        result["own"] = own_clients(asked.url, asked.connections, asked.rate)
    if asked.direct:
        result["server"] = check_pool_was_used(asked.direct, asked.reuse)
    evidence.done(test="pool_load", **result)


if __name__ == "__main__":
    evidence.run(main, 90)
