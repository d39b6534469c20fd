"""A page in a real browser calls the gateway: headless Chromium, as a chat page without a server does.

    page_calls.py GATEWAY_URL ORIGIN_PORT

Serves an empty page on ORIGIN_PORT of 127.0.0.1, which is the origin that the gateway's route
allows, and on another port, which it does not. Asserts, from within the page: a call with a key and
JSON, which the browser asks leave for first, streams token by token; the page can read our fields
and our errors; a call with a cookie is refused by the browser, since the route lends no credentials;
and the page of the stranger gets nothing.
"""

import argparse
import http.server
import json
import tempfile
import threading

import evidence
from browser import Browser

TOKENS, RATE = 10, 20

CALL = """
(async () => {
    const answer = await fetch(%(url)s, {
        method: "POST", credentials: %(credentials)s,
        headers: {"Authorization": "Bearer sk-1", "Content-Type": "application/json", "x-stainless-os": "Linux"},
        body: JSON.stringify({model: "mock", stream: true, messages: [{role: "user", content: "hi"}]}),
    });
    const reader = answer.body.getReader(), arrivals = [], decoder = new TextDecoder();
    let text = "";
    for (;;) {
        const {done, value} = await reader.read();
        if (done) break;
        arrivals.push(performance.now());
        text += decoder.decode(value, {stream: true});
    }
    return {status: answer.status, text, arrivals, id: answer.headers.get("x-request-id"),
            server: answer.headers.get("server")};
})().catch(error => ({error: String(error)}))
"""


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"<!doctype html><title>a page</title><link rel=icon href=data:,>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve(port):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/"


def call(browser, url, credentials="omit"):
    parts = {"url": json.dumps(url), "credentials": json.dumps(credentials)}
    return browser.value(CALL % parts)


def open_page(browser, url):
    browser.call("Page.navigate", url=url)
    browser.wait("document.readyState === 'complete' && document.title === 'a page'", "the page does not come")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("gateway_url")
    parser.add_argument("origin_port", type=int)
    options = parser.parse_args()
    ours, strangers = serve(options.origin_port), serve(0)
    chat = f"{options.gateway_url}/v1/chat/completions"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = Browser(folder)
        try:
            open_page(browser, ours)
            answer = call(browser, f"{chat}?rate={RATE}&tokens={TOKENS}")
            evidence.check(answer.get("status") == 200, f"the page cannot call: {answer}")
            evidence.check(answer["text"].rstrip().endswith("data: [DONE]"), f"no end: {answer['text'][-200:]}")
            evidence.check(answer["id"], "the page cannot read the id of its request")
            evidence.check(answer["server"] is None, "the page reads what was not exposed")
            nanoseconds = [round(at * 1e6) for at in answer["arrivals"]]
            paced = evidence.check_paced("the page", nanoseconds[1:TOKENS], 1000 / RATE)
            missing = call(browser, f"{options.gateway_url}/v1/nothing-here")
            evidence.check(missing.get("status") == 404, f"an error cannot be read: {missing}")
            lent = call(browser, chat, "include")
            evidence.check("TypeError" in lent.get("error", ""), f"credentials were lent: {lent}")
            evidence.check(browser.complaints, "the browser has refused that without a word")
            open_page(browser, strangers)
            stranger = call(browser, f"{chat}?rate={RATE}&tokens={TOKENS}")
            evidence.check("TypeError" in stranger.get("error", ""), f"a stranger's page was served: {stranger}")
        finally:
            browser.end()
    evidence.done(stranger=stranger["error"], **paced)


if __name__ == "__main__":
    evidence.run(main, 90)
