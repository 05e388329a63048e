"""The report's page: what it says, that nothing foreign runs in it, and how it behaves in a real browser."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.dataset.conversation import Conversation, Turn
from components.dataset.report import Report
from components.dataset.reports.page import page, write_page
from components.dataset.reports.page_charts import bars
from tests.browser import Tab
from tests.dataset.reports import report_of
from tests.pages import ATTACK, Outline

MADE = datetime(2026, 11, 29, 8, 30, tzinfo=UTC)


def words(text: str) -> str:
    return Outline(text, inline=()).text


def conversation(index: int, *turns: tuple[Any, Any], **more: Any) -> Conversation:
    return Conversation(index=index, line=index + 1, turns=tuple(Turn(role, value) for role, value in turns), **more)


def page_of(report: Report, *conversations: Conversation, **more: Any) -> str:
    shown = {found.index: found for found in conversations}
    return page(report, read=lambda file, index: shown.get(index), made=MADE, **more)


def test_the_head_says_the_verdict_the_counts_and_when() -> None:
    text = words(page_of(report_of([("B6", 2), ("C2", 3)])))
    assert "Dataset check of train.jsonl Not fit for training 1 error and 1 warning in 10 conversations" in text
    assert "Made 2026-11-29 08:30 UTC · template qwen3 · most tokens 2,048" in text
    assert "clean 8 · 80%" in text
    assert "tokens 1,045" in text
    fit = words(page_of(report_of([("C2", 3)]), title="anteprima"))
    assert "anteprima Fit for training 1 warning in 10 conversations, of which 9 are clean." in fit
    assert "Nothing found." in words(page_of(report_of()))
    assert "Not fit for training" in page_of(report_of(conversations=0))
    assert "Not fit for training" in page_of(report_of([("C2", 3)]), fail_on="warning")


def test_a_rule_says_why_it_matters_how_to_mend_it_and_where_it_is_broken() -> None:
    found = [("B6", number, {"turn": 1, "message": f"role number {number}"}) for number in range(30)]
    text = words(page_of(report_of(found, conversations=40)))
    assert "B6 role 30 times Why it matters the chat template leaves the turn out without a word" in text
    assert "How to mend it use system, human, gpt, function_call or observation" in text
    assert "train.jsonl:1 turn 1 role number 0" in text
    assert "and 20 more" in text
    assert "role number 10" not in text.partition("Worst conversations")[0]


def test_a_finding_with_a_fix_of_its_own_says_so() -> None:
    assert "Mend: write 'human'" in words(page_of(report_of([("B6", 1, {"fix": "write 'human'"})])))


def test_the_worst_conversations_come_first_and_remarks_alone_are_not_shown() -> None:
    report = report_of([("C2", 1), ("C2", 2), ("C3", 2), ("B6", 3), ("E5", 4)])
    text = words(page_of(report, *(conversation(number, ("human", f"testo {number}")) for number in range(10))))
    worst = text.partition("Worst conversations")[2]
    assert re.findall(r"testo \d", worst) == ["testo 3", "testo 2", "testo 1"]


def test_a_turn_shows_what_was_found_in_it_and_long_ones_are_cut() -> None:
    turns = [("human", f"domanda {number}") for number in range(40)]
    turns[30] = ("gpt", "parola " * 500)
    report = report_of([("C12", 0, {"turn": 30, "message": "the same word 500 times"})])
    text = words(page_of(report, conversation(0, *turns, system="Sei Cervella."))).partition("Worst")[2]
    assert "system the column Sei Cervella. human turn 0 domanda 0" in text
    assert "19 turns left out gpt turn 30 parola" in text
    assert "and 2,900 characters more" in text
    assert "warning C12 repetition: the same word 500 times … 9 turns left out" in text


def test_a_conversation_that_cannot_be_read_is_told_without_it() -> None:
    assert "The conversation itself cannot be shown." in words(page_of(report_of([("A1", 1)])))
    rowless = Conversation(index=1, line=2, turns=None)
    assert "The conversation itself cannot be shown." in words(page_of(report_of([("B1", 1)]), rowless))


def test_secrets_and_personal_data_are_masked() -> None:
    key = "ghp_" + "a8Kd72mQzX0pLr5TvB1nYcW4sEj9HfGu3oRi"
    report = report_of([("F1", 0, {"turn": 0, "message": f"a key: {key}"})], rows={0: {"id": "mario@azienda-vera.it"}})
    text = page_of(report, conversation(0, ("human", f"usa {key} e scrivi a mario@azienda-vera.it, +39 347 1234567")))
    for secret in (key, "mario@", "1234567"):
        assert secret not in text
    assert "usa [REDACTED:" in text


def test_what_is_hidden_is_shown() -> None:
    report = report_of([("C3", 0, {"turn": 0})], files=("tr\u202eain\ud800.jsonl",))
    text = page_of(report, conversation(0, ("human", "a\u200bb\x07\ud800 c\tg\n")))
    assert "a<mark>⟨U+200B⟩</mark>b<mark>⟨U+0007⟩</mark><mark>⟨U+D800⟩</mark> c\tg\n" in text
    assert "tr⟨U+202E⟩ain⟨U+D800⟩.jsonl" in text


@settings(deadline=None, max_examples=60)
@given(
    text=st.text(st.characters(), max_size=60) | st.just(ATTACK),
    value=st.recursive(st.none() | st.integers() | st.floats() | st.text(st.characters()), st.lists, max_leaves=5),
)
def test_no_foreign_text_becomes_markup(text: str, value: Any) -> None:
    clean, foreign = (
        Outline(
            page_of(
                report_of(
                    [("B6", 0, {"turn": 1, "message": word, "fix": word, "file": word or "-"}), ("A5", None)],
                    files=(word or "-",), rows={0: {"id": word, "stage": word, "language": word, "source": word}},
                    settings={"template": word},
                    statistics={"roles": {word: 3, "gpt": 1}, "openings": {word: 1, "sì": 2}},
                ),
                conversation(0, (word, word), ("gpt", one), system=word),
                title=word,
            )
        )
        for word, one in (("innocent", "innocent"), (text, value))
    )  # fmt: skip
    assert set(foreign.tags) <= set(clean.tags) | {"mark"}
    names = {(tag, name) for tag, name, _ in clean.attributes}
    assert {(tag, name) for tag, name, _ in foreign.attributes} <= names
    assert foreign.tags.count("script") == foreign.tags.count("style") == 1


def test_nothing_is_asked_of_anybody() -> None:
    text = page_of(report_of([("B6", 0)]), conversation(0, ("human", "vedi https://example.com/x.png")))
    addresses = {value for _, name, value in Outline(text).attributes if name in ("src", "href", "action", "data")}
    assert addresses == {"data:,", "#findings", "#shape", "#worst", "#files"}
    assert "url(" not in text
    assert "@import" not in text


def test_headings_and_landmarks_are_in_order() -> None:
    outline = Outline(page_of(report_of([("B6", 0)]), conversation(0, ("human", "x"))))
    levels = [int(tag[1]) for tag in outline.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
    assert {"header", "nav", "main", "footer"} <= set(outline.tags)
    ids = [value for _, name, value in outline.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    labels = [value for _, name, value in outline.attributes if name in ("aria-labelledby", "for")]
    assert {label for value in labels for label in str(value).split()} <= set(ids)


@given(counts=st.dictionaries(st.text(st.characters()), st.integers(0, 10**9), max_size=30))
def test_bars_are_as_long_as_they_should_be(counts: dict[str, int]) -> None:
    drawn = Outline(str(bars(counts, title="t", name="n")))
    widths = [float(value or 0) for tag, name, value in drawn.attributes if (tag, name) == ("rect", "width")]
    assert len(widths) == min(len(counts), 12)
    assert all(0 <= width <= 320 for width in widths)


def test_the_conversations_are_read_from_the_files_where_nobody_gives_them(examples: Path, tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    rows = [f'{{"conversations": [{{"from": "human", "value": "domanda {number}"}}]}}\n' for number in range(10)]
    file.write_text("".join(rows))
    write_page(tmp_path / "page.html", report_of([("B9", 7, {"turn": 0})], files=(str(file),)), made=MADE)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "domanda 7" in text
    assert "domanda 6" not in text


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    long = "parolalunghissima" * 60
    report = report_of(
        [
            ("B6", 0, {"turn": 0, "message": ATTACK, "fix": ATTACK}), ("B6", 1, {"message": long}),
            ("C2", 2, {"turn": 1, "message": ATTACK}), ("C3", 2), ("E5", None, {"message": ATTACK}),
        ],
        files=(ATTACK, long + ".jsonl"),
        rows={0: {"id": ATTACK, "stage": ATTACK, "language": ATTACK}},
        statistics={"roles": {ATTACK: 3, long: 9}, "openings": {ATTACK: 4}},
    )  # fmt: skip
    path = tmp_path_factory.mktemp("page") / "page.html"
    shown = {number: conversation(number, (ATTACK, long), ("gpt", ATTACK), system=ATTACK) for number in range(3)}
    write_page(path, report, read=lambda file, index: shown.get(index), made=MADE)
    return path


SHOWN = "[...document.querySelectorAll('.rule, .example')].filter(part => !part.hidden).map(part => part.dataset.rules)"


@pytest.mark.slow
class TestInABrowser:
    @pytest.mark.parametrize("width", [390, 1280])
    @pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
    def test_it_fits_and_runs_nothing_foreign(self, browser: Tab, hostile: Path, width: int, dark: bool) -> None:
        browser.open(hostile, width=width, dark=dark)
        assert browser.ask("document.documentElement.scrollWidth <= innerWidth")
        assert browser.ask("innerWidth") == width
        assert "Not fit for training" in browser.ask("document.title")
        assert not browser.ask("document.title").startswith("broken into")
        assert browser.requests() == [hostile.as_uri()]
        assert browser.ask("getComputedStyle(document.body).backgroundColor") == (
            "rgb(21, 24, 27)" if dark else "rgb(251, 251, 250)"
        )

    def test_the_policy_stops_what_is_not_ours(self, browser: Tab, hostile: Path, tmp_path: Path) -> None:
        broken = tmp_path / "broken.html"
        text = hostile.read_text(encoding="utf-8")
        broken.write_text(text.replace("<main>", "<main><script>document.title='in'</script><img src='http://x.y/z'>"))
        browser.open(broken, width=390)
        assert browser.ask("document.title") != "in"
        assert browser.requests() == [broken.as_uri()]

    def test_filters_show_what_is_asked_for(self, browser: Tab, hostile: Path) -> None:
        browser.open(hostile, width=390)
        everything = ["B6", "C2", "C3", "E5", "B6", "B6", "C2 C3"]
        assert browser.ask(SHOWN) == everything
        browser.ask("document.querySelector('input[value=error]').click()")
        assert browser.ask(SHOWN) == ["C2", "C3", "E5", "C2 C3"]
        assert browser.ask("told.textContent") == "3 of 4 shown"
        browser.ask("filter.elements.rule.value = 'C3', filter.dispatchEvent(new Event('change'))")
        assert browser.ask(SHOWN) == ["C3", "C2 C3"]
        assert browser.ask("document.querySelectorAll('.rule:not([hidden])')[0].offsetHeight > 20")
        assert browser.ask("document.querySelector('.rule[hidden]').offsetHeight") == 0
        browser.ask("filter.elements.rule.value = '', document.querySelector('input[value=error]').click()")
        browser.ask("filter.dispatchEvent(new Event('change'))")
        assert browser.ask(SHOWN) == everything

    def test_a_keyboard_reaches_all_that_can_be_done(self, browser: Tab, hostile: Path) -> None:
        browser.open(hostile, width=1280)
        reached = []
        for _ in range(30):
            for kind in ("rawKeyDown", "keyUp"):
                browser.call("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)
            reached.append(browser.ask("document.activeElement.tagName"))
        assert reached[0] == "A"
        assert {"A", "INPUT", "SELECT", "SUMMARY", "DIV"} <= set(reached)

    def test_without_script_everything_is_there_but_the_filter(self, browser: Tab, hostile: Path) -> None:
        browser.open(hostile, width=390, script=False)
        assert browser.ask("document.querySelectorAll('.rule').length") == 4
        assert browser.ask("document.querySelector('form').hidden")
        assert browser.ask("document.querySelector('.rule').open")
