"""The page of a run in a real browser: it fits, it can be read, nothing foreign runs, and nobody is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.registry.report.page import page
from tests.browser import LEAST_CONTRAST, SMALLEST, VISIBLE, Tab
from tests.pages import ATTACK
from tests.registry.reports import gate_of, hostile_report, report_of, scorecard

pytestmark = pytest.mark.slow
OPEN_ALL = "document.querySelectorAll('details').forEach(one => { one.open = true; })"
TOO_WIDE = """
[...document.querySelectorAll('body *')].filter(one => !one.closest('.skip') && !one.closest('thead'))
  .filter(one => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map(one => `${one.tagName}.${one.getAttribute('class')}: ${one.textContent.slice(0, 40)}`)
"""
IN_SIGHT = "[...document.querySelectorAll('{}')].every(one => one.offsetHeight > 0)"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hostile") / "report.html"
    path.write_text(page(hostile_report(ATTACK + "parolalunghissima" * 60)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    card = scorecard(trusted=False)
    card["metrics"]["latency_p95_seconds"] = {"value": 3.2, "low": 2.9, "high": None, "n": 40}
    card["rules"][0]["measure"] = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 100}
    path = tmp_path_factory.mktemp("good") / "report.html"
    path.write_text(page(report_of(card, gate=gate_of(card))), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [375, 1280])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits_and_runs_nothing_foreign(browser: Tab, hostile: Path, width: int, dark: bool) -> None:
    browser.open(hostile, width=width, dark=dark)
    browser.ask(OPEN_ALL)
    assert browser.ask(TOO_WIDE) == []
    assert browser.ask("document.documentElement.scrollWidth <= innerWidth")
    assert browser.ask("innerWidth") == width
    assert not browser.ask("document.title").startswith("broken into")
    assert browser.requests() == [hostile.as_uri()]
    assert browser.ask("getComputedStyle(document.body).backgroundColor") == (
        "rgb(21, 24, 27)" if dark else "rgb(251, 251, 250)"
    )


@pytest.mark.parametrize("width", [375, 1280])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_can_be_read(browser: Tab, good: Path, width: int, dark: bool) -> None:
    browser.open(good, width=width, dark=dark)
    assert browser.ask(VISIBLE) == ["narrow" if width < 560 else "wide"]
    assert browser.ask(SMALLEST) >= 11
    browser.ask(OPEN_ALL)
    assert browser.ask(LEAST_CONTRAST) >= 4.5  # WCAG 2.2, AA
    assert browser.ask(TOO_WIDE) == []
    smallest = "Math.min(...[...document.querySelectorAll('.gauge')].map(one => one.getBoundingClientRect().{}))"
    assert browser.ask(smallest.format("width")) >= 120
    assert browser.ask(smallest.format("height")) >= 10


def test_the_policy_stops_what_is_not_ours(browser: Tab, good: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.html"
    text = good.read_text(encoding="utf-8")
    broken.write_text(text.replace("<main>", "<main><script>document.title='in'</script><img src='http://x.y/z'>"))
    browser.open(broken, width=375)
    assert browser.ask("document.title") != "in"
    assert browser.requests() == [broken.as_uri()]


def test_headline_and_gate_can_be_read_without_scripts(browser: Tab, good: Path) -> None:
    browser.open(good, width=375, script=False)
    assert browser.ask("document.querySelector('h1').innerText") == "NO-GO: not good enough to go live"
    assert browser.ask("document.querySelectorAll('.gate tbody tr').length") == 13
    for selector in ("h1", ".verdict li", ".gate tbody tr", ".gate .badge", ".gate .gauge"):
        shown = IN_SIGHT.format(selector).replace("offsetHeight", "getBoundingClientRect().height")
        assert browser.ask(shown), selector


def test_a_keyboard_reaches_the_parts_in_their_order(browser: Tab, good: Path) -> None:
    browser.open(good, width=1280)
    reached = []
    for _ in range(40):
        for kind in ("rawKeyDown", "keyUp"):
            browser.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
        reached.append(browser.ask("[document.activeElement.tagName, document.activeElement.hash || '', "
                                   "document.activeElement.getBoundingClientRect().top + scrollY]"))  # fmt: skip
    links = ["#gate", "#gate", "#personality", "#tasks", "#retrieval", "#cost", "#training", "#changes", "#worst",
             "#errors", "#unshown"]  # fmt: skip
    assert [one[1] for one in reached[: len(links)]] == links  # the first leads past the rest
    after = reached[len(links) :]
    assert {one[0] for one in after} <= {"SUMMARY", "DIV"}
    places = [one[2] for one in after]
    assert places == sorted(places)


def test_an_answer_is_unfolded_by_the_keyboard(browser: Tab, good: Path) -> None:
    browser.open(good, width=375)
    browser.ask("document.querySelector('.example summary').focus()")
    assert not browser.ask("document.querySelector('.example .text').checkVisibility()")
    for kind in ("keyDown", "keyUp"):
        browser.call(
            "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r"
        )
    assert browser.ask("document.querySelector('.example').open")
    assert browser.ask("document.querySelector('.example .text').checkVisibility()")
