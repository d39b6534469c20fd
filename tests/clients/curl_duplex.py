"""curl uploads while it downloads: the answer to each piece comes before the next piece is made.

    curl_duplex.py URL

URL leads to /duplex of paced_server.py. `curl -T .` sends standard input as a chunked body as it
comes, asks `Expect: 100-continue` first, and shows the answer meanwhile, as a speech client would:
audio up, text down. Asserts that `100 Continue` comes back,
and that every piece is answered before the next one is given to curl.
"""

import json
import subprocess
import sys
import threading
import time

import evidence

PIECES = 20
INTERVAL_MS = 50
ANSWER_WITHIN_MS = 1000


def main(url):
    # -T . reads without blocking, where -T - would stop curl's own download until input comes. It
    # looks at its input again from the progress meter, which therefore must not be silenced; and
    # with --max-time it waits for input alone, so the time limit is ours.
    command = ["curl", "-N", "--fail", "-T", ".", "-H", "Expect: 100-continue", url]
    curl = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    answers, arrived = [], threading.Condition()

    def read():
        for line in curl.stdout:
            with arrived:
                answers.append((evidence.now(), json.loads(line)))
                arrived.notify()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    round_trips = []
    for number in range(PIECES):
        begun = evidence.now()
        curl.stdin.write(f"audio {number:04}".encode())
        curl.stdin.flush()
        with arrived:
            answered = arrived.wait_for(lambda: len(answers) > number, ANSWER_WITHIN_MS / 1000 + (number == 0))
        evidence.check_time(answered, f"piece {number} is not answered while the upload goes on: the body is held back")
        at, answer = answers[number]
        evidence.check(answer["n"] == number and answer["bytes"] == 10, f"piece {number} is answered by {answer}")
        round_trips.append(at - begun)
        time.sleep(INTERVAL_MS / 1000)
    curl.stdin.close()
    evidence.check(curl.wait(10) == 0, f"curl's exit code is {curl.returncode}")
    reader.join(5)
    evidence.check(answers[-1][1] == {"total": PIECES * 10}, f"the last line is {answers[-1][1]}")
    evidence.check_time(
        round_trips[0] < 900e6,
        f"the first piece took {evidence.milliseconds(round_trips[0])} ms: curl asked for 100 Continue, did not get it "
        "and sent its body when it had waited for a second",
    )
    times = sorted(round_trips[1:])
    median = times[len(times) // 2]
    evidence.check_time(median <= 20e6, f"half of the pieces took over {evidence.milliseconds(median)} ms to be answered")
    evidence.done(
        test="curl_duplex",
        pieces=PIECES,
        first_ms=evidence.milliseconds(round_trips[0]),
        median_ms=evidence.milliseconds(median),
        max_ms=evidence.milliseconds(times[-1]),
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: curl_duplex.py URL")
    evidence.run(lambda: main(sys.argv[1]), 60)
