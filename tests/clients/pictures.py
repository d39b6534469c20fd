"""Pictures of the dashboard's pages, for the documentation."""

import pathlib
import time

# name, page, dark, phone, seconds to wait
PICTURES = [
    ("overview", "", False, False, 6),
    ("overview-dark", "", True, False, 3),
    ("overview-phone", "", False, True, 3),
    ("upstream", "upstream/*", False, False, 5),
    ("streams", "streams", False, False, 3),
    ("errors", "errors/no_route", False, False, 4),
    ("models", "models", False, False, 4),
    ("configuration", "config", False, False, 3),
]
# Pixels from the top that say enough of a page.
MOST = 1160


def take_pictures(page, folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    browser = page.browser
    page.open("", "document.querySelector('table[aria-label=Upstreams] tbody tr')", "no upstream")
    upstream = page.rows("Upstreams")[-1][0]
    for name, path, dark, phone, seconds in PICTURES:
        browser.screen(390 if phone else 1360, 844 if phone else 860, phone=phone)
        browser.scheme("dark" if dark else "light")
        page.open(path.replace("*", upstream), "document.querySelector('.page h1')", f"{name} is not there")
        time.sleep(seconds)
        browser.picture(folder / f"{name}.png", 844 if phone else MOST)
    browser.scheme("light")
    browser.screen(1360, 860)
    page.open("streams", "document.querySelector('tbody tr.opens')", "no stream")
    browser.value("document.querySelector('tbody tr.opens').click()")
    time.sleep(8)
    browser.picture(folder / "stream.png", MOST)
    page.open("playground", "document.querySelector('#model-names option')", "no playground")
    browser.value("document.querySelector('.fields input').value = '/v1/chat/completions?rate=30&tokens=60&first_token=400ms'")
    page.press("i")
    browser.call("Input.insertText", text="How does a sluice gate work?")
    page.press("Enter")
    time.sleep(7)
    browser.picture(folder / "playground.png", MOST)
