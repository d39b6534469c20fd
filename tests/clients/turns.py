"""A page of `sluicegate turns --html` in a real browser.

    turns.py FILE [--screenshots FOLDER]

Asserts: the page loads without an error in its console and without a request; it has a lane for each
socket and a mark for each step; the arrow keys go a step or a turn further and back, and so do the
buttons, the slider and a click on a mark; what is said, the bits and the queue follow; light and dark
differ, by the system's wish and by the switch; on a phone's screen nothing is wider than the screen.
"""

import argparse
import pathlib
import tempfile

import evidence
from browser import Browser

KEY = "dispatchEvent(new KeyboardEvent('keydown', {{key: '{}'}}))"


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("--screenshots")
    return parser.parse_args()


def text(browser, element):
    return browser.value(f"document.getElementById('{element}').textContent")


def position(browser):
    return tuple(int(part) for part in text(browser, "count").split(" / "))


def press(browser, key):
    browser.value(KEY.format(key))


def check_structure(browser):
    record = browser.value("JSON.parse(document.getElementById('record').textContent)")
    lanes = browser.value("[...document.querySelectorAll('#heads b')].map(name => name.textContent)")
    evidence.check(lanes == [lane["name"] for lane in record["lanes"]], f"the lanes are {lanes}")
    evidence.check({"listener", "client 1", "server A1"} <= set(lanes), f"the lanes are {lanes}")
    marks = sum(len(turn["marks"]) for turn in record["turns"])
    drawn = browser.value("document.querySelectorAll('#lanes .mark').length")
    evidence.check(drawn == marks > 10, f"{drawn} of {marks} marks are drawn")
    for kind in ["bar in", "bar out", "dot event", "dot driven", "dot call", "drive", "stripe r", "stripe w"]:
        selector = "." + kind.replace(" ", ".")
        evidence.check(browser.value(f"document.querySelector('#lanes {selector}') !== null"), f"no {kind} is drawn")
    tall = browser.value("[...document.querySelectorAll('#lanes .bar')].map(bar => +bar.getAttribute('height'))")
    evidence.check(len(set(tall)) > 1, "bars do not tell how many bytes there were")
    return record, marks


def check_steps(browser, marks):
    first, of = position(browser)
    evidence.check(of == marks and 1 < first < of, f"it opens at {first} of {of}")
    press(browser, "ArrowRight")
    evidence.check(position(browser)[0] == first + 1, "→ is not the next step")
    press(browser, "ArrowLeft")
    press(browser, "ArrowLeft")
    evidence.check(position(browser)[0] == first - 1, "← is not the step before")
    turn = text(browser, "turn")
    press(browser, "ArrowDown")
    evidence.check(text(browser, "turn") != turn, "↓ is not the next turn")
    press(browser, "ArrowUp")
    evidence.check(text(browser, "turn") == turn, "↑ is not the turn before")
    press(browser, "Home")
    press(browser, "ArrowLeft")
    evidence.check(position(browser)[0] == 1, "Home is not the first step")
    press(browser, "End")
    press(browser, "ArrowRight")
    evidence.check(position(browser)[0] == of, "End is not the last step")
    browser.value("document.getElementById('back').click()")
    evidence.check(position(browser)[0] == of - 1, "the button does not step back")
    browser.value("const slider = document.getElementById('slider'); slider.value = 4; slider.dispatchEvent(new Event('input'))")
    evidence.check(position(browser)[0] == 5, "the slider does not step")
    browser.value("document.querySelector('[data-step=\"6\"]').dispatchEvent(new MouseEvent('click'))")
    evidence.check(position(browser)[0] == 7, "a click on a mark does not step")


def check_a_short_read(browser, record):
    """Goes to the first short read of a server's bytes: the bit is cleared, and the lane's lamp goes out."""
    marks = [mark for turn in record["turns"] for mark in turn["marks"]]
    lane = next(index for index, lane in enumerate(record["lanes"]) if lane["name"] == "server A1")
    step = next(index for index, mark in enumerate(marks)
                if mark["lane"] == lane and mark["what"].startswith("read(") and mark["bits"] == ["rw--", "-w--"])
    lamp = f"document.querySelectorAll('#heads .head')[{lane}].querySelector('.lamp.r').classList.contains('on')"
    browser.value(f"document.querySelector('[data-step=\"{step - 1}\"]').dispatchEvent(new MouseEvent('click'))")
    evidence.check(browser.value(lamp), "before the read the server is not readable")
    evidence.check(text(browser, "what") == "driven" and "server A1" in text(browser, "why"), "the drive has no reason")
    press(browser, "ArrowRight")
    evidence.check(not browser.value(lamp), "the short read leaves the lamp on")
    evidence.check("readable is cleared" in text(browser, "bits"), text(browser, "bits"))
    evidence.check(text(browser, "phase") == "run" and text(browser, "queue") == "empty", "the queue is not followed")


def ground(browser):
    return browser.value("getComputedStyle(document.body).backgroundColor")


def check_themes(browser):
    browser.scheme("light")
    light = ground(browser)
    browser.scheme("dark")
    dark = ground(browser)
    evidence.check(light != dark, f"light and dark are both {light}")
    seen = {}
    for _ in range(3):
        browser.value("document.getElementById('theme').click()")
        seen[text(browser, "theme")] = ground(browser)
    evidence.check(seen == {"light": light, "dark": dark, "auto": dark}, f"the switch gives {seen}")


def take_pictures(browser, folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ["light", "dark"]:
        browser.scheme(name)
        browser.screen(1400, 900, scale=2)
        browser.picture(folder / f"turns-{name}.png")
    browser.screen(390, 844, scale=2, phone=True)
    browser.picture(folder / "turns-phone.png")


def main():
    options = arguments()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = Browser(folder)
        try:
            browser.screen(1400, 900)
            browser.call("Page.navigate", url=pathlib.Path(options.file).absolute().as_uri())
            browser.wait("document.readyState === 'complete' && !document.querySelector('main').hidden",
                         "the page does not come up")
            record, marks = check_structure(browser)
            check_steps(browser, marks)
            check_a_short_read(browser, record)
            check_themes(browser)
            browser.screen(390, 844, phone=True)
            wide = browser.value("document.documentElement.scrollWidth")
            evidence.check(wide <= 390, f"on a phone the page is {wide} pixels wide")
            asked = browser.value("performance.getEntriesByType('resource').length")
            evidence.check(asked == 0, f"the page has asked for {asked} things")
            evidence.check(not browser.complaints, f"the browser complains: {browser.complaints}")
            if options.screenshots:
                take_pictures(browser, options.screenshots)
        finally:
            browser.end()
    evidence.done(lanes=len(record["lanes"]), steps=marks)


if __name__ == "__main__":
    evidence.run(main, 60)
