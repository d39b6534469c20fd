"""`sluicegate top` in a terminal, as its user meets it.

    top_window.py SLUICEGATE ADMIN_URL

Starts it in a terminal of 80 columns and 24 rows and asserts that no screen is larger than that, and
none larger than a smaller window when the window has become one; that keys are not shown while it
runs; and that the terminal has the modes that it had before, whichever way `top` is ended: by `q`, by
SIGTERM, by SIGHUP.
"""

import os
import re
import signal
import subprocess
import sys
import termios
import threading

import evidence

PATIENCE_SECONDS = 30
HOME = "\x1b[H"
ENDINGS = ["q", signal.SIGTERM, signal.SIGHUP]


class Terminal:
    """A terminal, and all that was written to it."""

    def __init__(self, columns, rows):
        self.ours, self.theirs = os.openpty()
        self.size(columns, rows)
        self.before = self.modes()
        self.written = ""
        threading.Thread(target=self.read, daemon=True).start()

    def size(self, columns, rows):
        termios.tcsetwinsize(self.theirs, (rows, columns))

    def modes(self):
        return termios.tcgetattr(self.theirs)

    def read(self):
        while data := os.read(self.ours, 65536):
            self.written += data.decode(errors="replace")

    def frames(self):
        """The screens that are whole, each as lines of text."""
        frames = self.written.split(HOME)[1:-1]
        return [re.sub(r"\x1b\[[?0-9]*[a-zA-Z]", "", frame).split("\r\n") for frame in frames]


def fits(frame, columns, rows):
    return len(frame) <= rows and all(len(line) < columns for line in frame)


def follow(program, admin, ending):
    terminal = Terminal(80, 24)
    top = subprocess.Popen([program, "top", "--admin", admin], stdin=terminal.theirs, stdout=terminal.theirs,
                           stderr=terminal.theirs, start_new_session=True)
    drawn = lambda: [frame for frame in terminal.frames() if any("serving" in line for line in frame)]
    try:
        evidence.wait_until(drawn, PATIENCE_SECONDS, "no screen is drawn")
        evidence.check(fits(drawn()[0], 80, 24), f"it is larger than its window: {drawn()[0]}")
        evidence.check("q quits" in drawn()[0][0], f"its head is not on the screen: {drawn()[0]}")
        evidence.check(not terminal.modes()[3] & termios.ECHO, "keys are shown")
        terminal.size(50, 8)
        evidence.wait_until(lambda: fits(drawn()[-1], 50, 8), PATIENCE_SECONDS, "it does not follow its window")
        if ending == "q":
            os.write(terminal.ours, b"q")
        else:
            top.send_signal(ending)
        evidence.check(top.wait(PATIENCE_SECONDS) == 0, f"ended by {ending!r} it is a failure: {top.returncode}")
        evidence.check(terminal.modes() == terminal.before, f"ended by {ending!r} it leaves the terminal as it had it")
    finally:
        top.kill()
        top.wait()
    return len(drawn())


def main():
    program, admin = sys.argv[1:]
    evidence.done(screens=[follow(program, admin, ending) for ending in ENDINGS])


if __name__ == "__main__":
    evidence.run(main, 120)
