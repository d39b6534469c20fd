"""The dashboard in a real browser: headless Chromium, driven by the DevTools protocol.

    dashboard.py ADMIN_URL TOKEN GATEWAY_URL [--streams 12] [--tokens 100000] [--screenshots FOLDER]

Opens streams through the gateway, then asserts: the page loads without an error in its console and
without a request that fails; its numbers move; each stream has a row; the button of a row asks for
the token if the tab has none, and ends that stream, which its client sees cut off; the model it asked
has a row with its tokens, times and error; on a phone's
screen nothing is wider than the screen. With --screenshots, pictures are left in light, dark and
on a phone.
"""

import argparse
import json
import pathlib
import tempfile
import threading
import time

import httpx

import evidence
from browser import PATIENCE_SECONDS, Browser

BODY = {"model": "mock", "stream": True, "messages": [{"role": "user", "content": "hi"}]}


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("admin_url")
    parser.add_argument("token")
    parser.add_argument("gateway_url")
    parser.add_argument("--streams", type=int, default=12)
    parser.add_argument("--tokens", type=int, default=100_000)
    parser.add_argument("--screenshots")
    return parser.parse_args()


class Stream(threading.Thread):
    """One client that reads until its stream ends, and remembers how it did."""

    def __init__(self, url, rate, tokens):
        super().__init__(daemon=True)
        self.url = f"{url}/v1/chat/completions?rate={rate}&tokens={tokens}"
        self.ended = None

    def run(self):
        try:
            with httpx.stream("POST", self.url, json=BODY, timeout=60) as response:
                for _ in response.iter_raw():
                    pass
            self.ended = "whole"
        except httpx.RemoteProtocolError:
            self.ended = "cut"
        except Exception as error:
            self.ended = repr(error)


def look_at(browser, admin_url, streams):
    browser.screen(1360, 900)
    browser.call("Page.navigate", url=admin_url)
    browser.wait("document.readyState === 'complete' && document.getElementById('state').textContent === 'serving'",
                 "the page does not come to serve")
    browser.wait(f"document.querySelectorAll('#streams tr').length === {len(streams)}", "not every stream has a row")
    tokens = "parseFloat(document.querySelector('#streams td:nth-child(6)').textContent.replace('~', ''))"
    first = browser.value(tokens)
    browser.wait(f"{tokens} > {first}", "the tokens of a stream do not move")
    browser.wait("parseFloat(document.getElementById('tokens').textContent.replace('~', '')) > 0", "the rate of tokens stays 0")
    browser.wait("document.getElementById('itl-p50').textContent !== '–'", "no time between tokens is shown")


def look_at_models(browser):
    """What was asked of each model: the stream that was killed is over, and has a row."""
    row = "document.querySelector('#models tr')"
    browser.wait(f"{row} && {row}.children.length === 13", "the model that was asked has no row")
    for cell, what in [(0, "no model was asked"), (3, "no request"), (6, "no token"), (10, "no time to the first token")]:
        browser.wait(f"!['–', '0', ''].includes({row}.children[{cell}].textContent)", what)
    browser.wait(f"{row}.children[9].textContent === '1'", "the killed stream is no error")


def kill_one(browser, token, streams):
    """The milliseconds from the click to the client's seeing it."""
    row = "document.querySelector('#streams tr')"
    browser.value(f"{row}.querySelector('button.kill').click()")
    browser.wait("document.getElementById('ask').open", "a tab without the token is not asked for it")
    begin = evidence.now()
    browser.value(f"document.getElementById('token').value = {json.dumps(token)};"
                  "document.querySelector('#ask button[value=ok]').click()")
    evidence.wait_until(lambda: any(stream.ended for stream in streams), PATIENCE_SECONDS, "nothing was killed")
    took = evidence.now() - begin
    ended = [stream.ended for stream in streams if stream.ended]
    evidence.check(ended == ["cut"], f"one stream should have been cut: {ended}")
    browser.wait(f"document.querySelectorAll('#streams tr').length === {len(streams) - 1}", "its row stays")
    return took


def take_pictures(browser, folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    time.sleep(30)
    for name in ["light", "dark"]:
        browser.scheme(name)
        browser.screen(1360, 900, scale=2)
        browser.picture(folder / f"dashboard-{name}.png")
    browser.screen(390, 844, scale=2, phone=True)
    browser.picture(folder / "dashboard-phone.png")


def main():
    options = arguments()
    rates = [5 + 3 * number for number in range(options.streams)]
    streams = [Stream(options.gateway_url, rate, options.tokens) for rate in rates]
    for stream in streams:
        stream.start()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = Browser(folder)
        try:
            look_at(browser, options.admin_url, streams)
            browser.screen(390, 844, phone=True)
            wide = browser.value("document.documentElement.scrollWidth")
            evidence.check(wide <= 390, f"on a phone the page is {wide} pixels wide")
            cut = browser.value("[...document.querySelectorAll('#streams button')]"
                                ".filter(button => button.getBoundingClientRect().right > 390).length")
            evidence.check(cut == 0, f"on a phone {cut} buttons are outside the screen")
            browser.screen(1360, 900)
            complaints = list(browser.complaints)
            evidence.check(not complaints, f"the browser complains: {complaints}")
            took = kill_one(browser, options.token, streams)
            look_at_models(browser)
            if options.screenshots:
                take_pictures(browser, options.screenshots)
        finally:
            browser.end()
    evidence.done(rows=len(streams), killed_after_ms=evidence.milliseconds(took))


if __name__ == "__main__":
    evidence.run(main, 110)
