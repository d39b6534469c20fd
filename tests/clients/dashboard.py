"""The dashboard in a real browser: headless Chromium, driven by the DevTools protocol.

    dashboard.py ADMIN_URL TOKEN GATEWAY_URL [--streams 12] [--tokens 100000] [--screenshots FOLDER]

Opens streams through the gateway, some with names that would act on a page that took them for more
than text, then walks through every page and asserts what it shows: the values, the order after a
click on a heading, the rows after a word in the filter, the row that keys choose; that a button asks
for the token if the tab has none, and ends a stream, which its client sees cut off; that the
playground streams an answer through the gateway, and says what became of one that broke off or fell
silent; that no name became anything but text; that on a phone's screen and on two usual ones nothing is cut
off or wider than the screen; that dark is dark; and that the browser complained of
nothing. With --screenshots, pictures of every page are left.
"""

import argparse
import json
import tempfile
import threading

import httpx

import evidence
from browser import PATIENCE_SECONDS, Browser
from pictures import take_pictures

SCRIPT = "<script>window.struck=1</script>"
TURNED = "evil\u202egnp.exe"
PAGES = ["", "streams", "errors", "models", "config", "fleet", "playground", "upstream/server", "errors/no_route"]


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

    def __init__(self, url, rate, tokens, model):
        super().__init__(daemon=True)
        self.url = f"{url}/v1/chat/completions?rate={rate}&tokens={tokens}"
        self.body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
        self.ended = None

    def run(self):
        try:
            with httpx.stream("POST", self.url, json=self.body, timeout=90) as response:
                for _ in response.iter_raw():
                    pass
            self.ended = "whole"
        except httpx.RemoteProtocolError:
            self.ended = "cut"
        except Exception as error:
            self.ended = repr(error)


class Dashboard:
    """The pages, and how to ask them."""

    def __init__(self, browser, url):
        self.browser, self.url = browser, url

    def open(self, page, ready, sentence):
        self.browser.value(f"location.hash = {json.dumps('#/' + page)}")
        self.see(ready, sentence)

    def see(self, expression, sentence):
        # An element is told as an object without members, which Python takes for nothing.
        self.browser.wait(f"Boolean({expression})", sentence)

    def rows(self, label):
        """The rows of a table, a list of texts each."""
        return self.browser.value(
            f"[...document.querySelectorAll('table[aria-label={json.dumps(label)}] tbody tr')]"
            ".map(row => [...row.children].map(cell => cell.textContent))")

    def column(self, label, number):
        return [row[number] for row in self.rows(label)]

    def sort(self, label, heading):
        self.browser.value(
            f"[...document.querySelectorAll('table[aria-label={json.dumps(label)}] .sorter')]"
            f".find(button => button.textContent === {json.dumps(heading)}).click()")

    def order(self, label, heading):
        return self.browser.value(
            f"[...document.querySelectorAll('table[aria-label={json.dumps(label)}] th')]"
            f".find(head => head.textContent === {json.dumps(heading)}).getAttribute('aria-sort')")

    def filter(self, label, word):
        self.browser.value(
            f"(() => {{ const field = document.querySelector('input[aria-label={json.dumps('Filter: ' + label)}]');"
            f"field.value = {json.dumps(word)}; field.dispatchEvent(new Event('input')); }})()")

    def press(self, *keys):
        for key in keys:
            text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
            self.browser.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
            self.browser.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def wait(self, found, sentence):
        return evidence.wait_until(found, PATIENCE_SECONDS, sentence)


# What has more in it than it shows.
CUT = ("[...document.querySelectorAll('.place, .table td, .tile p')].filter(part => part.scrollWidth > part.clientWidth + 1)"
       ".map(part => `${part.className} ${part.dataset.name ?? ''}: ${part.textContent.slice(0, 80)}`)")


# What the playground tells of the last answer, by its name.
FACTS = "Object.fromEntries([...document.querySelectorAll('.tight div')].map(fact => [...fact.children].map(part => part.textContent)))"


def seconds(text):
    value, _, unit = text.partition("\u202f")
    return float(value) * {"µs": 1e-6, "ms": 1e-3, "s": 1, "min": 60}[unit] if unit else 0


def number(text):
    digits = text.replace("≈", "").replace("\u2009", "").strip()
    factor = {"k": 1e3, "M": 1e6}.get(digits[-1:], 1)
    return float(digits.rstrip("kM ")) * factor


def look_at_overview(page, streams):
    browser = page.browser
    browser.screen(1360, 900)
    browser.call("Page.navigate", url=page.url)
    page.see("document.getElementById('state')?.textContent === 'serving'", "the page does not come to serve")
    figure = "document.querySelectorAll('.tile .figure')[%d].textContent"
    page.see(f"{figure % 1} === '{len(streams)}'", "not every stream is counted")
    page.wait(lambda: number(browser.value(figure % 0)) > 0, "the rate of tokens stays 0")
    evidence.check("≈" in browser.value(figure % 0), "tokens that no server has told are marked")
    page.see(f"{figure % 3} !== '–'", "no time between tokens is shown")
    page.see("document.querySelectorAll('.chart .line[d^=M]').length >= 4", "the charts stay empty")
    page.wait(lambda: page.rows("Upstreams") and page.rows("Upstreams")[0][2] == str(len(streams)), "the upstream has no row with what is in flight")
    page.press("r")
    page.see("document.querySelector('.segments [aria-pressed=true]').textContent === '1 h'", "the key does not change the range")
    page.press("r")


def look_at_streams(page, streams):
    browser = page.browser
    page.press("g", "s")
    page.wait(lambda: len(page.rows("Live streams")) == len(streams), "not every stream has a row")
    names = page.column("Live streams", 2)
    evidence.check(SCRIPT in names, f"a name that is a script is no text: {names}")
    evidence.check("evil\\u202egnp.exe" in names, f"a name that turns the text around does: {names}")
    page.wait(lambda: all(text != "–" for text in page.column("Live streams", 6)), "a stream has no tokens")
    page.sort("Live streams", "Tokens")
    evidence.check(page.order("Live streams", "Tokens") == "descending", "the order of a heading is not told")
    told = [number(text) for text in page.column("Live streams", 6)]
    evidence.check(told == sorted(told, reverse=True), f"not sorted: {told}")
    page.sort("Live streams", "Tokens")
    told = [number(text) for text in page.column("Live streams", 6)]
    evidence.check(told == sorted(told), f"not sorted the other way: {told}")
    page.press("/")
    evidence.check(browser.value("document.activeElement.type") == "search", "the key does not lead to the filter")
    page.filter("Live streams", "<SCRIPT>")
    wanted = sum(stream.body["model"] == SCRIPT for stream in streams)
    evidence.check(len(page.rows("Live streams")) == wanted, "the filter keeps other rows")
    page.filter("Live streams", "")
    page.press("Escape", "j", "j")
    chosen = browser.value("[...document.querySelectorAll('tbody tr')].findIndex(row => row.ariaSelected === 'true')")
    evidence.check(chosen == 1, f"two steps down is row {chosen}")
    page.press("Enter")
    look_at_stream(page)


def look_at_stream(page):
    browser = page.browser
    page.see("location.hash.startsWith('#/stream/')", "the key does not open the row")
    events = "document.querySelectorAll('.events li code').length"
    page.see(f"{events} > 5", "its events do not come")
    said = browser.value("[...document.querySelectorAll('.events code')].slice(-3).map(event => event.textContent).join()")
    evidence.check('"content":"x' in said, f"the text is not masked: {said}")
    page.see("document.querySelector('.line.water[d^=M]')", "its tokens are not drawn")
    page.see("document.querySelector('.phase-list').textContent.includes('stream')", "it has no phases")
    phases = browser.value("[...document.querySelectorAll('.phase-list dd')].map(value => value.textContent)")
    evidence.check(all(text != "–" for text in phases), f"a phase is not known: {phases}")


def end_one(page, token, streams):
    """The milliseconds from the click to the client's seeing it."""
    browser = page.browser
    page.open("streams", "document.querySelector('button.kill')", "no row has a button")
    browser.value("document.querySelector('button.kill').click()")
    page.see("document.getElementById('ask').open", "a tab without the token is not asked for it")
    begin = evidence.now()
    browser.value(f"document.getElementById('token').value = {json.dumps(token)};"
                  "document.querySelector('#ask button[value=ok]').click()")
    evidence.wait_until(lambda: any(stream.ended for stream in streams), PATIENCE_SECONDS, "nothing was ended")
    took = evidence.now() - begin
    ended = [stream.ended for stream in streams if stream.ended]
    evidence.check(ended == ["cut"], f"one stream should have been cut: {ended}")
    page.wait(lambda: len(page.rows("Live streams")) == len(streams) - 1, "its row stays")
    page.wait(lambda: "killed" in page.column("Ended last", 5), "it is not among those that ended")
    return took


def look_at_errors(page):
    page.open("errors", "document.title.startsWith('Errors')", "there is no page of errors")
    page.wait(lambda: {"no_route", "killed"} <= set(page.column("Errors", 0)), "the errors are not told")
    row = next(row for row in page.rows("Errors") if row[0] == "no_route")
    evidence.check(row[1] == "3" and "base URL" in row[4], f"the row of no_route: {row}")
    page.open("errors/no_route", "document.querySelector('.explained')?.textContent.includes('Cause.')", "it is not explained")
    page.wait(lambda: len(page.rows("Examples")) == 3, "its examples are not shown")
    page.wait(lambda: all(row[4] == "404" for row in page.rows("Examples")), "an example has another status")


def look_at_models(page):
    page.open("models", "document.querySelector('table[aria-label=Models]')", "there is no page of models")
    page.wait(lambda: any(row[6] not in ("0", "–") and row[9] == "1" for row in page.rows("Models")), "the stream that was ended is in no row with its tokens and its error")
    page.wait(lambda: page.column("Keys", 0) == ["without a key"], "requests without a key have no row")


def look_at_configuration(page, token):
    browser = page.browser
    page.open("config", "document.querySelector('pre.config')?.textContent.includes('[server]')", "the configuration is not shown")
    evidence.check(token not in browser.value("document.body.textContent"), "the token is shown")
    page.wait(lambda: page.rows("History") and page.rows("History")[0][1] == "generation 0", "the first read is not in the history")
    page.press("/")
    browser.call("Input.insertText", text="playground")
    page.see("document.querySelector('.config .hit')?.textContent.startsWith('playground')", "a word is not found")
    page.press("Escape")
    browser.value("[...document.querySelectorAll('button')].find(button => button.textContent === 'Read it again').click()")
    page.wait(lambda: "generation 1" in page.column("History", 1), "the reload is not in the history")


def look_at_changes(page):
    """What a store would tell of its changes, and that it is away: told to the page in its place."""
    browser = page.browser
    browser.value("""window.told = { status: 200, body: { store: "etcd:/p", changes: [{ number: 7, revision: 9,
        at: "2026-11-30T10:00:00Z", by: "the-deployment-of-anna@build-machine.example", message: "more room", changed: ["config"], canary: null }] } };
        window.asked = window.fetch;
        window.fetch = (url, ...more) => url === "/config/history"
          ? Promise.resolve(Response.json(told.body, { status: told.status })) : asked(url, ...more); 0""")
    page.open("", "document.title.startsWith('Overview')", "no overview")
    page.open("config", "document.querySelector('table[aria-label=\"Changes of the store\"]')", "no table of changes")
    page.wait(lambda: page.column("Changes of the store", 4) == ["more room"], "a change is not told")
    evidence.check("2026" in page.column("Changes of the store", 1)[0], "a change of another day has no date")
    browser.screen(390, 844, phone=True)
    browser.value("told.body.changes[0].message = 'more room for the long prompts of the second team, until monday'; 0")
    page.open("", "document.title.startsWith('Overview')", "no overview")
    page.open("config", "document.querySelector('table[aria-label=\"Changes of the store\"] td[data-name=Why]')?.textContent.includes('monday')", "no change")
    evidence.check(not browser.value(CUT), f"on a phone parts are cut: {browser.value(CUT)}")
    browser.screen(1360, 900)
    browser.value("told = { status: 503, body: { error: { message: 'no member answers' } } }; 0")
    page.open("", "document.title.startsWith('Overview')", "no overview")
    page.open("config", "document.querySelector('p.late:not([hidden])')?.textContent.includes('no member answers')", "that the store is away is not told")
    evidence.check(not browser.value("document.querySelector('.page').innerText.includes('Nobody has changed')"), "what is not known is told")
    browser.value("window.fetch = window.asked; 0")


def look_at_upstream(page):
    browser = page.browser
    page.open("upstream/server", "document.querySelector('table[aria-label=Endpoints] tbody tr')", "the upstream has no page")
    evidence.check(page.column("Endpoints", 1) == ["up"], "its endpoint is not up")
    browser.value("document.querySelector('table[aria-label=Endpoints] button.plain').click()")
    page.wait(lambda: page.column("Endpoints", 1) == ["draining"], "it cannot be drained")
    browser.value("document.querySelector('table[aria-label=Endpoints] button.plain').click()")
    page.wait(lambda: page.column("Endpoints", 1) == ["up"], "it cannot be taken back")


def look_at_fleet(page):
    page.open("fleet", "document.querySelector('.page h1')?.textContent === 'Fleet'", "there is no page of the fleet")
    page.see("document.querySelector('.calm') && !document.querySelector('.page > section').hidden && document.querySelector('.calm').textContent.startsWith('There is no fleet')", "it does not say that there is none")


def put_question(page, path, text):
    """Asks the model of the playground, by this path."""
    browser = page.browser
    browser.value(f"document.querySelector('.fields input').value = {json.dumps(path)}; document.activeElement.blur()")
    page.press("i")
    browser.call("Input.insertText", text=text)
    page.press("Enter")


def play(page):
    browser = page.browser
    page.open("playground", "document.querySelector('.chat textarea')", "there is no playground")
    page.see("document.querySelector('#model-names option')?.value === 'mock'", "the models are not listed")
    put_question(page, "/v1/chat/completions?rate=20&tokens=12", "hi")
    said = "document.querySelector('.bubble.assistant .said')?.textContent ?? ''"
    page.see(f"{said}.length > 3", "no answer comes")
    first = len(browser.value(said))
    page.see(f"{said}.length > {first}", "the answer does not stream")
    page.wait(lambda: browser.value(FACTS)["Tokens"] == "12", "its tokens are not told")
    told = browser.value(FACTS)
    evidence.check(told["Status"] == "200" and told["First token"] != "–", f"the facts of the answer: {told}")
    events = browser.value("[...document.querySelectorAll('.events code')].map(event => event.textContent)")
    evidence.check(events[-1] == "[DONE]" and len(events) > 12, f"the raw events: {events}")
    page.wait(lambda: browser.value("document.querySelector('.side-parts .legend dd').textContent") != "–", "nobody was waited for")
    # One that goes on is stopped, and the gateway sees its client leave.
    put_question(page, "/v1/chat/completions?rate=20&tokens=100000", "and on")
    page.see("document.querySelectorAll('.bubble.assistant').length === 2 && document.querySelectorAll('.bubble.assistant .said')[1].textContent.length > 3", "the second answer does not come")
    name = browser.value("document.querySelector('.page-head a').textContent")
    browser.value("[...document.querySelectorAll('.chat button')].find(button => button.textContent === 'Stop').click()")
    page.see("document.querySelector('.bubble.gateway.stopped')", "it cannot be stopped")
    page.open("streams", "document.querySelector('table[aria-label=\"Ended last\"]')", "no page of streams")
    page.wait(lambda: [row for row in page.rows("Ended last") if row[1] == name and row[5] == "client_gone"], "the gateway did not see it leave")


def play_badly(page):
    """Answers that break off or fall silent: the page says what the gateway has said of them."""
    browser = page.browser
    page.open("playground", "document.querySelector('.chat textarea')", "there is no playground")
    browser.value("[...document.querySelectorAll('.chat button')].find(button => button.textContent === 'New').click()")
    page.see("document.querySelector('#model-names option')?.value === 'mock'", "the models are not listed")
    put_question(page, "/v1/chat/completions?rate=50&cut=3", "break off")
    page.see("document.querySelector('.bubble.gateway.failed')", "that it broke off is not told")
    said = browser.value("document.querySelector('.bubble.gateway.failed .said').textContent")
    evidence.check("inside its answer" in said, f"of an answer that broke off it says: {said}")
    put_question(page, "/v1/chat/completions?rate=50&stall=3", "fall silent")
    page.see("document.querySelectorAll('.bubble.assistant .said')[1]?.textContent.length > 3", "the answer does not begin")
    page.wait(lambda: seconds(browser.value(FACTS)["Took"]) > 1.5, "a silence is no part of what it takes")
    browser.value("[...document.querySelectorAll('.chat button')].find(button => button.textContent === 'Stop').click()")
    page.see("document.querySelector('.bubble.gateway.stopped')", "it cannot be stopped")
    took = browser.value(FACTS)["Took"]
    evidence.check(seconds(took) > 1.5, f"a silence is no part of what it took: {took}")


def look_at_widths(page):
    """On no screen is a part of a page, a column of a table for one, cut off or out of sight."""
    browser = page.browser
    for width in [390, 1024, 1280]:
        browser.screen(width, 844, phone=width == 390)
        for name in PAGES:
            where = f"{name or 'the overview'} at {width}"
            page.open(name, "document.querySelector('.page h1')", f"{where} is not there")
            page.see("document.querySelectorAll('.page *').length > 5", f"{where} stays empty")
            if name not in ["fleet", "playground"]:
                page.see("document.querySelector('.page tbody tr')", f"{where} has no row")
            wide = browser.value("document.documentElement.scrollWidth")
            evidence.check(wide <= width, f"{where} is {wide} pixels wide")
            evidence.check(not browser.value(CUT), f"of {where} parts are cut: {browser.value(CUT)}")
            outside = browser.value("[...document.querySelectorAll('.page button, .page td, #nav [aria-current]')].filter(part => part.offsetWidth > 0)"
                                    f".filter(part => part.getBoundingClientRect().right > {width} + 1).map(part => part.textContent)")
            evidence.check(not outside, f"of {where} parts are outside the screen: {outside}")
    browser.screen(1360, 900)


def look_at_shapes(page):
    """Dark, keys."""
    browser = page.browser
    ground = "getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0)"
    browser.scheme("light")
    evidence.check(browser.value(ground) > 600, "light is not light")
    browser.scheme("dark")
    evidence.check(browser.value(ground) < 150, "dark is not dark")
    page.press("t")
    evidence.check(browser.value("document.documentElement.dataset.theme") == "light" and browser.value(ground) > 600, "the key does not make it light")
    page.press("t", "t")
    browser.scheme("light")
    page.press("?")
    evidence.check(browser.value("document.getElementById('keys').open"), "the key does not show the keys")
    browser.value("document.getElementById('keys').close()")


def main():
    options = arguments()
    models = ["mock", SCRIPT, "mock", TURNED]
    streams = [Stream(options.gateway_url, 5 + 3 * place, options.tokens, models[place % 4]) for place in range(options.streams)]
    for stream in streams:
        stream.start()
    for _ in range(3):
        httpx.post(f"{options.gateway_url}/nowhere", json={})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = Browser(folder)
        try:
            page = Dashboard(browser, options.admin_url)
            look_at_overview(page, streams)
            look_at_streams(page, streams)
            browser.value("document.activeElement.blur()")
            evidence.check(not browser.complaints, f"the browser complains: {browser.complaints[:3]}")
            took = end_one(page, options.token, streams)
            browser.complaints.clear()
            look_at_errors(page)
            look_at_models(page)
            look_at_configuration(page, options.token)
            look_at_changes(page)
            look_at_upstream(page)
            look_at_fleet(page)
            play(page)
            play_badly(page)
            look_at_widths(page)
            look_at_shapes(page)
            evidence.check(browser.value("window.struck") is None and browser.value("document.querySelectorAll('main script').length") == 0, "a name became a script")
            complaints = [told for told in browser.complaints if "/fleet" not in json.dumps(told)]
            evidence.check(not complaints, f"the browser complains: {complaints[:3]}")
            if options.screenshots:
                take_pictures(page, options.screenshots)
        finally:
            browser.end()
    evidence.done(rows=len(streams), ended_after_ms=evidence.milliseconds(took))


if __name__ == "__main__":
    evidence.run(main, 170)
