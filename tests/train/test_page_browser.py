"""The page of a training in a real browser: it fits, it can be read, and nothing foreign runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.train.report.facts import TrainingReport
from components.train.report.page import page
from tests.browser import LEAST_CONTRAST, SMALLEST, VISIBLE, Tab
from tests.pages import ATTACK
from tests.train.reports import hostile_report


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, report: TrainingReport, decoder: Any) -> Path:
    path = tmp_path_factory.mktemp("hostile") / "page.html"
    path.write_text(page(hostile_report(report, decoder, ATTACK + "parolalunghissima" * 60)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory, report: TrainingReport) -> Path:
    path = tmp_path_factory.mktemp("good") / "page.html"
    path.write_text(page(report), encoding="utf-8")
    return path


@pytest.mark.slow
class TestInABrowser:
    @pytest.mark.parametrize("width", [390, 1280])
    @pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
    def test_it_fits_and_runs_nothing_foreign(self, browser: Tab, hostile: Path, width: int, dark: bool) -> None:
        browser.open(hostile, width=width, dark=dark)
        browser.ask("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        assert browser.ask("document.documentElement.scrollWidth <= innerWidth")
        assert browser.ask("innerWidth") == width
        assert "Held-out loss fell" in browser.ask("document.title")
        assert browser.requests() == [hostile.as_uri()]
        assert browser.ask("getComputedStyle(document.body).backgroundColor") == (
            "rgb(21, 24, 27)" if dark else "rgb(251, 251, 250)"
        )

    @pytest.mark.parametrize("width", [390, 1280])
    @pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
    def test_it_can_be_read(self, browser: Tab, good: Path, width: int, dark: bool) -> None:
        browser.open(good, width=width, dark=dark)
        assert browser.ask(VISIBLE) == ["narrow" if width < 560 else "wide"]
        assert browser.ask(SMALLEST) >= 11
        assert browser.ask("document.querySelectorAll('mark').length") > 5
        browser.ask("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        assert browser.ask(LEAST_CONTRAST) >= 4.5  # WCAG 2.2, AA
        assert browser.ask("document.documentElement.scrollWidth <= innerWidth")

    def test_the_policy_stops_what_is_not_ours(self, browser: Tab, good: Path, tmp_path: Path) -> None:
        broken = tmp_path / "broken.html"
        text = good.read_text(encoding="utf-8")
        broken.write_text(text.replace("<main>", "<main><script>document.title='in'</script><img src='http://x.y/z'>"))
        browser.open(broken, width=390)
        assert browser.ask("document.title") != "in"
        assert browser.requests() == [broken.as_uri()]
