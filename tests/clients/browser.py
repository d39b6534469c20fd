"""Headless Chromium, driven by the DevTools protocol: what the scripts that look at pages share."""

import base64
import json
import re
import shutil
import subprocess
import threading

import httpx
from websockets.sync.client import connect

import evidence

PATIENCE_SECONDS = 20


class Browser:
    """A page of Chromium, and what it complained about."""

    def __init__(self, folder):
        program = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
        evidence.check(program, "chromium is not installed: run `tests/run --install` first")
        self.process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--disable-background-networking", "--disable-component-update",
             "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank"],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        address = None
        for line in self.process.stderr:
            found = re.search(r"DevTools listening on ws://([^/]+)/", line)
            if found:
                address = found.group(1)
                break
        evidence.check(address, "chromium did not start")
        threading.Thread(target=self.process.stderr.read, daemon=True).start()
        pages = httpx.get(f"http://{address}/json/list").json()
        page = next(page for page in pages if page["type"] == "page")
        # The protocol has no pings, and a page at work does not answer them in time.
        self.connection = connect(page["webSocketDebuggerUrl"], max_size=None, ping_interval=None)
        self.socket = self.connection.__enter__()
        self.calls, self.complaints = 0, []
        for domain in ["Page", "Runtime", "Log", "Network"]:
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        self.calls += 1
        self.socket.send(json.dumps({"id": self.calls, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.recv(timeout=PATIENCE_SECONDS))
            if message.get("id") == self.calls:
                evidence.check("error" not in message, f"{method}: {message.get('error')}")
                return message["result"]
            self.hear(message)

    def hear(self, message):
        method, told = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.complaints.append(told["exceptionDetails"])
        elif method == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning"):
            self.complaints.append(told["args"])
        elif method == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
            self.complaints.append(told["entry"])
        elif method == "Network.loadingFailed" and not told.get("canceled"):
            self.complaints.append(told)

    def value(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        evidence.check("exceptionDetails" not in result, f"{expression}: {result}")
        return result["result"].get("value")

    def wait(self, expression, sentence):
        return evidence.wait_until(lambda: self.value(expression), PATIENCE_SECONDS, sentence)

    def screen(self, width, height, scale=1, phone=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=scale, mobile=phone)

    def scheme(self, name):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def picture(self, path, most=10_000):
        """The page down to its end, or to so many pixels."""
        size = self.value("[innerWidth, document.documentElement.scrollHeight]")
        clip = {"x": 0, "y": 0, "width": size[0], "height": min(size[1], most), "scale": 1}
        taken = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(taken["data"]))

    def end(self):
        self.process.kill()
        self.process.wait()
