"""A page in a browser: no fault, nothing from outside, all pictures, keyboard, dark mode, print."""

import base64
import json
import shutil
import time

import pytest

from objclass.report.page import rendered
from tests.report.made_run import run_page
from tests.report.test_page import page

pytestmark = pytest.mark.browser

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)


@pytest.fixture
def browser(tmp_path):
    """A browser that keeps its console and all requests."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("chromium and chromedriver: not installed here")
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium: not installed here")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = webdriver.Chrome(options=options, service=Service(driver))
    yield found
    found.quit()


def requests(browser):
    """Addresses that were asked for."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]


def media(browser, kind="screen", scheme="light"):
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": kind, "features": features})


def brightness(browser, what):
    """Of the color of the body's text or ground, 0 to 255."""
    color = browser.execute_script(f"return getComputedStyle(document.body).{what}")
    return sum(map(int, color[color.index("(") + 1 : -1].split(",")[:3])) / 3


def tabbed(browser, times):
    """What has the focus after each press of the tabulator."""
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    for _ in range(times):
        ActionChains(browser).send_keys(Keys.TAB).perform()
        yield browser.execute_script(
            "return [document.activeElement.tagName, document.activeElement.className]"
        )


def of_evaluation(folder):
    return rendered(page())


@pytest.mark.parametrize("made", [of_evaluation, pytest.param(run_page, marks=pytest.mark.slow)])
def test_the_page_in_a_browser(browser, tmp_path, made):
    """One start for all checks, since it takes the longest."""
    (tmp_path / "report.html").write_bytes(made(tmp_path))
    address = (tmp_path / "report.html").as_uri()
    requests(browser)  # those of the browser's own first page
    browser.get(address)
    count, loaded = browser.execute_script(
        "const all = [...document.images]; return [all.length, all.filter(i => i.complete && i.naturalWidth > 0).length]"
    )
    assert count == loaded > 20
    assert browser.execute_script("return document.documentElement.lang") == "en"
    assert browser.execute_script(
        "return [...document.querySelectorAll('svg')].every(s => s.getBBox().width > 100)"
    )

    # narrow: tables scroll in their own place, the page does not
    narrow = {"width": 380, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", narrow)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 380
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    # keyboard
    first, *reached = tabbed(browser, 40)
    assert first == ["A", "skip"]
    assert {tag for tag, _ in reached} >= {"A", "SUMMARY", "DIV"}
    assert {"scroll", "plot"} <= {name for _, name in reached}
    folded = "return document.querySelector('figure details').open"
    assert not browser.execute_script(folded)
    from selenium.webdriver.common.by import By

    browser.find_element(By.CSS_SELECTOR, "figure details summary").send_keys("\n")
    assert browser.execute_script(folded)

    # light, dark, print
    media(browser)
    assert brightness(browser, "backgroundColor") > 240
    assert brightness(browser, "color") < 60
    media(browser, scheme="dark")
    assert brightness(browser, "backgroundColor") < 40
    assert brightness(browser, "color") > 200
    label = "return getComputedStyle(document.querySelector('.plot text')).fill"
    assert browser.execute_script(label) == "rgb(228, 233, 239)"
    media(browser, "print", "dark")
    assert browser.execute_script("return getComputedStyle(document.querySelector('nav')).display") == "none"
    assert brightness(browser, "color") == 0
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
    assert pdf.startswith(b"%PDF")
    assert len(pdf) > 50_000

    time.sleep(0.2)  # what a page would load late
    assert [line["message"] for line in browser.get_log("browser")] == []
    asked = [url for url in requests(browser) if not url.startswith(("data:", "chrome:"))]
    assert asked == [address]
