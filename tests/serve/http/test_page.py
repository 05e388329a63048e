"""The page in a real browser: it talks, shows sources, takes feedback, runs nothing that an answer holds."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.browser import Tab, installed, tab
from tests.serve.http.conftest import Answers, up
from tests.waiting import soon

HOSTILE = (
    "<img src='http://evil.example/x.png' onerror='window.bad=1'><script>window.bad=1</script> "
    "![](http://evil.example/y) "
)


def until(page: Tab, expression: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not page.ask(expression):
        assert time.monotonic() < end, page.ask("document.body.innerText")
        time.sleep(0.05)


def ask(page: Tab, text: str) -> None:
    page.ask(f"question.value = {text!r}; form.requestSubmit()")


@pytest.mark.slow
def test_a_conversation(tmp_path: Path) -> None:
    browser = installed()
    if browser is None:
        pytest.skip("no Chromium is installed")
    with up(Answers(pieces=(HOSTILE, "La caparra ", "[1]."))) as here, tab(browser, tmp_path / "profile") as page:
        page.open(here.url, width=900)
        assert page.ask("document.title") == "cervella"
        ask(page, "Quanto è la caparra?")
        until(page, "document.querySelectorAll('.foot button').length == 2")
        shown = page.ask("document.querySelector('.hers span').textContent")
        assert shown == f"{HOSTILE}La caparra [1]."  # as text, without the list of sources, which stands below
        assert "caparra d'agosto.md:3-7" in page.ask("document.querySelector('.hers ol').innerText")
        assert page.ask("window.bad") is None and page.ask("document.querySelectorAll('main img').length") == 0
        page.ask("document.querySelector('.foot button').click()")
        assert soon(lambda: here.scored) and here.scored[0].score == 1
        until(page, "document.querySelector('.foot button').getAttribute('aria-pressed') == 'true'")

        ask(page, "E a luglio?")
        assert soon(lambda: len(here.desk.wanted) == 2)
        first, second = here.desk.wanted
        assert [turn["role"] for turn in second.history] == ["user", "assistant"]
        assert second.conversation == first.conversation and second.history[1]["content"] == shown
        until(page, "document.querySelectorAll('.foot').length == 2")
        assert {url for url in page.requests() if not url.startswith(("data:", here.url))} == set()


@pytest.mark.slow
def test_it_can_be_stopped(tmp_path: Path) -> None:
    browser = installed()
    if browser is None:
        pytest.skip("no Chromium is installed")
    with up(Answers(waits_at=1)) as here, tab(browser, tmp_path / "profile") as page:
        page.open(here.url, width=400, dark=True)
        ask(page, "Quanto è la caparra?")
        until(page, "document.querySelector('.hers span').textContent.startsWith('La caparra')")
        page.ask("stop.click()")
        until(page, "!send.disabled")
        assert soon(lambda: here.desk.closed == 1) and here.is_idle()
        assert here.ended[0].fault == "ClientGone"


@pytest.mark.slow
@pytest.mark.parametrize(
    "limits", [{"messages": 6}, {"body_kilobytes": 8}], ids=["more turns than are taken", "more bytes than are taken"]
)
def test_of_a_long_conversation_the_newest_turns_are_sent(limits: dict[str, int], tmp_path: Path) -> None:
    browser = installed()
    if browser is None:
        pytest.skip("no Chromium is installed")
    desk = Answers(pieces=(f"La caparra {'e ancora ' * 300}", "[1]."))
    with up(desk, **limits) as here, tab(browser, tmp_path / "profile") as page:
        page.open(here.url, width=400)
        for number in range(1, 6):
            ask(page, f"Domanda {number}?")
            until(page, f"document.querySelectorAll('.foot').length == {number}")
        assert [len(wanted.history) for wanted in desk.wanted] == [0, 2, 4, 4, 4]
        assert desk.wanted[-1].history[0] == {"role": "user", "content": "Domanda 3?"}
        assert desk.wanted[-1].question == "Domanda 5?"
