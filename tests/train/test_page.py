"""The page and the text of a training: what they say, that nothing foreign runs in them, and a real browser."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.dataset.checks.tokens import Measurer
from components.train.estimate.estimate import Estimate
from components.train.job import EFFECTIVE
from components.train.report.facts import Asked, TrainingReport, gather
from components.train.report.page import page, run_page
from components.train.report.shown import decode_tokens, load_decoder, shown_example
from components.train.report.text import duration, headline, size, training_markdown, what_was_done
from components.train.running.masks import RowMask, compare_masks
from tests.browser import NAMES, Tab, installed, tab
from tests.dataset.trainer_rows import conversation
from tests.train.reports import ENVIRONMENT, JOB, PARAMS, events, finished_job, outcome_of, talks

ATTACK = (
    "<script>document.title='broken into'</script></style></script><svg onload=\"document.title='broken into'\">"
    '<img src=x onerror="document.title=\'broken into\'">"\'><a href="javascript:alert(1)">x</a>{{ 7 * 7 }}<!--'
)


class Outline(HTMLParser):
    """Tags, attributes and text of a page, as a browser would read them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = [""]
        self.attributes: list[tuple[str, str, str | None]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in ("i", "b", "mark", "code"):
            self.words.append(" ")

    def handle_data(self, data: str) -> None:
        if self.tags[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


@pytest.fixture(scope="module")
def told() -> list[dict[str, Any]]:
    return events(sittings=2)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, told: list[dict[str, Any]]) -> TrainingReport:
    """Of a training that went well."""
    folder = tmp_path_factory.mktemp("job")
    audits = finished_job(folder, told=told)
    return gather(folder, JOB, outcome=outcome_of(told), environment=ENVIRONMENT, audits=audits)


def section(text: str, name: str) -> str:
    """The words of one section of a page."""
    found = re.search(rf'<section aria-labelledby="{name}">(.*?)</section>', text, re.DOTALL)
    assert found, name
    return Outline(found[1]).text


def test_the_head_says_what_was_trained_on_what_how_long_and_what_came_of_it(report: TrainingReport) -> None:
    text = page(report)
    head = Outline(text.partition("</header>")[0]).text
    best = report.outcome.best_eval_loss
    assert f"Held-out loss fell: 2.500 to {best:.3f}, perplexity 12.18 to " in head
    assert "Qwen/Qwen3-4B with LoRA (r 16) on 540 examples, 203 steps in 68 min with axolotl 0.19.0." in head
    assert "in 2 sittings" in head
    assert 'class="good"' in text
    assert ENVIRONMENT["folder"] not in text  # no path of this machine


def test_a_training_that_did_not_help_is_told_in_red(report: TrainingReport) -> None:
    worse = replace(report, outcome=replace(report.outcome, base_eval_loss=0.5))
    text = page(worse)
    assert '<h1 class="bad">Held-out loss did not fall: 0.500 to ' in text
    assert "no better than its base" in Outline(text).text
    unknown = page(replace(report, outcome=replace(report.outcome, base_eval_loss=None)))
    assert '<h1 class="">Held-out loss ' in unknown
    assert "the trainer did not evaluate it" in section(unknown, "unchecked")


def test_every_token_is_shown_as_what_carries_loss_or_not(report: TrainingReport) -> None:
    measurer = Measurer(template="qwen3")
    shown = [one for one in report.examples if one.side == "train"]
    for one, talk in zip(shown, talks(), strict=True):
        ids, trained = measurer.mask(talk) or ([], [])
        assert (one.count, one.trained) == (len(ids), len(trained))
        assert sum(turn.count for turn in one.turns) == len(ids)
        assert [turn.trained for turn in one.turns if turn.role != "assistant"] == [0] * (len(one.turns) - _own(talk))
    words = "".join(token.text for token in shown[0].turns[1].tokens if token.trained)
    assert words == "Il venerdì mattina: così è stato deciso. 🧠✨<|im_end|>"
    text = page(report)
    assert re.sub("</?i>", "", text).count(f"<mark>{words.replace('<', '&lt;').replace('>', '&gt;')}</mark>") == 2


def _own(talk: Any) -> int:
    return sum(turn.role == "gpt" for turn in talk.turns)


def test_the_masks_say_how_many_tokens_carry_loss_and_that_they_are_as_audited(report: TrainingReport) -> None:
    masks = section(page(report), "masks")
    assert "3 training examples: token by token as audited" in masks
    assert "165 of 249 tokens of the training examples carry loss (66%)" in masks
    assert "Training example 1 (row 1 of its file) 17 of 38 tokens carry loss (45%); as audited" in masks


def test_a_mask_that_differs_comes_first_and_is_told_in_red(tmp_path: Path, told: list[dict[str, Any]]) -> None:
    finished_job(tmp_path, told=told)
    rows = [json.loads(line) for line in (tmp_path / "masks-train.jsonl").read_text().splitlines()]
    rows[2]["trained"] = rows[2]["trained"][:-1]  # the end of the turn is not learnt
    (tmp_path / "masks-train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    audits = {"train": compare_masks(talks(), rows, "qwen3")}
    text = run_page(tmp_path, JOB, outcome=outcome_of(told), environment=ENVIRONMENT, audits=audits)
    masks = section(text, "masks")
    assert "1 of 3 training examples differ from what was audited" in masks
    assert masks.index("Training example 3") < masks.index("Training example 1")
    assert "1 tokens carry none that should" in masks
    assert '<h1 class="bad">' in text
    assert "learnt other tokens than those that were audited" in Outline(text).text


def test_a_setting_that_differs_comes_first_in_red(tmp_path: Path, told: list[dict[str, Any]]) -> None:
    audits = finished_job(tmp_path, told=told)
    effective = json.loads((tmp_path / EFFECTIVE).read_text())
    effective["peft"]["r"] = 8
    effective["arguments"]["learning_rate"] = 1e-3
    (tmp_path / EFFECTIVE).write_text(json.dumps(effective))
    text = run_page(tmp_path, JOB, outcome=outcome_of(told), environment=ENVIRONMENT, audits=audits)
    settings_ = section(text, "settings")
    assert "2 of 40 settings are not as asked." in settings_
    assert "train.lora.r (differs) 16 8 peft.r" in settings_
    assert text.index("train.learning_rate (differs)") < text.index("All 40 settings")
    assert "asked 16, the trainer uses 8 (peft.r)" in Outline(text).text
    assert '<h1 class="bad">' in text


def test_data_environment_and_files_have_their_digests(report: TrainingReport) -> None:
    text = page(report)
    for name, count, digest in report.files + report.data:
        assert name in text
        assert digest in text
        assert size(count) in text
    assert "adapter_model.safetensors" in section(text, "files")
    assert "torch 2.13.0+cpu, transformers 5.16.1" in section(text, "environment")
    assert ENVIRONMENT["lock"] in section(text, "environment")
    assert "training 540 249 165 190" in section(text, "data")


def test_the_estimate_is_held_against_what_it_took(report: TrainingReport) -> None:
    assert isinstance(report.estimate, Estimate)
    found = replace(report.estimate, hours=(0.5, 2.0), memory_gib=(10.0, 12.0), usd=(0.2, 0.9))
    words = section(page(replace(report, estimate=found)), "estimate")
    assert "hours 0.5 to 2 h 1.13 h yes" in words
    assert "8.57 GiB" in words
    assert "below" in words
    assert "$0.20 to $0.90" in words
    assert "There is no estimate" in section(page(replace(report, estimate=None)), "estimate")


def test_what_was_not_checked_is_said(report: TrainingReport) -> None:
    words = section(page(report), "unchecked")
    assert "The masks of 537 training examples: 3 of 540 were looked at" in words
    assert "train.base.revision names no commit" in words
    assert "4 bit" not in words
    assert "only counted" in section(page(replace(report, audits={})), "unchecked")


def test_without_a_tokenizer_the_examples_are_not_shown_and_the_rest_is(tmp_path: Path, told: Any) -> None:
    audits = finished_job(tmp_path, told=told, tokenizer=False, measured=False)
    text = run_page(tmp_path, JOB, outcome=outcome_of(told), environment=ENVIRONMENT, audits=audits)
    assert "there is no tokenizer.json beside the adapter" in section(text, "masks")
    assert "3 training examples: token by token as audited" in section(text, "masks")
    (tmp_path / "out" / "tokenizer.json").write_text("{")
    text = run_page(tmp_path, JOB, outcome=outcome_of(told), environment=ENVIRONMENT, audits=audits)
    assert "there is no tokenizer.json beside the adapter" in section(text, "masks")


def test_secrets_and_personal_data_are_masked(tmp_path: Path, told: Any) -> None:
    key = "ghp_" + "a8Kd72mQzX0pLr5TvB1nYcW4sEj9HfGu3oRi"
    rows = [conversation(("human", f"usa {key}"), ("gpt", "Scrivo a mario@azienda-vera.it, +39 347 1234567."))]
    audits = finished_job(tmp_path, told=told, rows=rows)
    text = run_page(tmp_path, JOB, outcome=outcome_of(told), environment=ENVIRONMENT, audits=audits)
    plain = Outline(text).text
    for secret in (key, "mario@", "1234567"):
        assert secret not in plain
    assert "[REDACTED:" in plain
    assert "its tokens are only counted" in plain


def test_a_long_turn_shows_its_begin_and_its_end(tmp_path: Path, told: Any) -> None:
    rows = [conversation(("human", "?"), ("gpt", "inizio " + "mezzo " * 1500 + "fine."))]
    audits = finished_job(tmp_path, told=told, rows=rows)
    masks = section(run_page(tmp_path, JOB, outcome=outcome_of(told), environment=ENVIRONMENT, audits=audits), "masks")
    assert "inizio" in masks
    assert "fine.<|im_end|>" in masks
    assert re.search(r"… [\d,]+ tokens …", masks)
    assert masks.count("mezzo") < 500


@given(text=st.text(max_size=40))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_tokens_together_are_the_text(text: str, decoder: Any) -> None:
    ids = decoder.encode(text.encode("utf-8", "replace").decode(), add_special_tokens=False).ids
    tokens = list(decode_tokens([(one, True) for one in ids], decoder))
    assert "".join(token.text for token in tokens) == decoder.decode(ids, skip_special_tokens=False)


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("tokenizer")
    finished_job(folder)
    return load_decoder(folder / "out" / "tokenizer.json")


def test_a_character_of_many_tokens_that_is_learnt_in_part_counts_as_not_learnt(decoder: Any) -> None:
    ids = decoder.encode("🧬", add_special_tokens=False).ids
    assert len(ids) > 1
    pairs = [(one, number > 0) for number, one in enumerate(ids)]
    assert [(token.text, token.trained) for token in decode_tokens(pairs, decoder)] == [("🧬", False)]


@given(ids=st.lists(st.integers(0, 151_668), max_size=30), trained=st.lists(st.integers(0, 40), max_size=10))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_tokens_can_be_shown(ids: list[int], trained: list[int], decoder: Any) -> None:
    found = shown_example({"ids": ids, "trained": trained}, side="train", place=0, decoder=decoder)
    assert sum(turn.count for turn in found.turns) == len(ids)


def hostile_report(report: TrainingReport, decoder: Any, word: str) -> TrainingReport:
    """Every text that somebody else could write is `word`."""
    measurer = Measurer(template="qwen3")
    ids, trained = measurer.mask(conversation(("human", word), ("gpt", word))) or ([], [])
    example = shown_example({"ids": ids, "trained": trained}, side="train", place=0, decoder=decoder)
    effective = {
        **report.effective, word: word, "packages": {word: word}, "model": {"class": word, "gpu": word, "device": word},
    }  # fmt: skip
    audit = replace(report.audits["train"], rows=(RowMask(0, 1, 1, word or "-"),))
    job = replace(JOB, params=PARAMS.model_copy(update={"base": PARAMS.base.model_copy(update={"model": word or "-"})}))
    return replace(
        report, job=job, effective=effective, examples=(example,), audits={"train": audit},
        outcome=replace(report.outcome, trainer_version=word), differences=(word,),
        settings=(Asked(word, word, [word, word], word, True), Asked(word, {word: word}, None, word, False)),
        environment={**ENVIRONMENT, "torch": word, "trainer_version": word},
        files=((word, 1, word),), data=((word, 1, word),),
    )  # fmt: skip


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(), max_size=60) | st.just(ATTACK))
def test_no_foreign_text_becomes_markup(text: str, report: TrainingReport, decoder: Any) -> None:
    clean = Outline(page(hostile_report(report, decoder, "innocent")))
    found = page(hostile_report(report, decoder, text))
    found.encode()
    foreign = Outline(found)
    assert set(foreign.tags) <= set(clean.tags)
    names = {(tag, name) for tag, name, _ in clean.attributes}
    assert {(tag, name) for tag, name, _ in foreign.attributes} <= names
    assert (foreign.tags.count("script"), foreign.tags.count("style")) == (0, 1)


def test_nothing_is_asked_of_anybody(report: TrainingReport) -> None:
    text = page(report)
    addresses = {value for _, name, value in Outline(text).attributes if name in ("src", "href", "action", "data")}
    parts = ("curves", "masks", "settings", "data", "estimate", "environment", "files", "unchecked")
    assert addresses == {"data:,", *(f"#{part}" for part in parts)}
    assert "url(" not in text
    assert "@import" not in text


def test_headings_and_landmarks_are_in_order(report: TrainingReport) -> None:
    outline = Outline(page(report))
    levels = [int(tag[1]) for tag in outline.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
    assert {"header", "nav", "main", "footer"} <= set(outline.tags)
    ids = [value for _, name, value in outline.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    labels = [value for _, name, value in outline.attributes if name == "aria-labelledby"]
    assert {label for value in labels for label in str(value).split()} <= set(ids)


def test_the_same_report_gives_the_same_page(report: TrainingReport) -> None:
    assert page(report) == page(report)


class Trained:
    """As much of a sealed artefact as its text needs."""

    def __init__(self, folder: Path, files: dict[str, Any]) -> None:
        self.path, self.files = folder, files
        self.manifest = {"outputs": dict.fromkeys(files)}

    def read_json(self, name: str) -> Any:
        return self.files[name]


def test_the_text_says_the_same_in_a_dozen_lines(report: TrainingReport, tmp_path: Path, told: Any) -> None:
    audits = finished_job(tmp_path, told=told)
    files = {
        "job.json": JOB.to_dict(), "result.json": report.outcome.to_dict(),
        "masks.json": {side: audit.to_dict() for side, audit in audits.items()},
    }  # fmt: skip
    text = training_markdown(Trained(tmp_path, files))  # type: ignore[arg-type]
    assert text.startswith(f"## {headline(report.outcome)}\n")
    assert "| examples | 540 to train on, 60 held out |" in text
    assert "| masks | 3 training examples: token by token as audited |" in text
    assert "perplexity, measured on the saved adapter" in text
    assert len(text.splitlines()) <= 20
    assert all(line.count("|") - line.count("\\|") in (0, 3) for line in text.splitlines())


def test_foreign_text_cannot_leave_its_cell(report: TrainingReport, tmp_path: Path) -> None:
    hostile = replace(report.outcome, trainer_version="1 | <script> `x` [a](b)\n\n# no")
    files = {"job.json": JOB.to_dict(), "result.json": hostile.to_dict()}
    text = training_markdown(Trained(tmp_path, files))  # type: ignore[arg-type]
    assert "\n# no" not in text
    assert "<script>" not in text


@pytest.mark.parametrize(
    ("seconds", "said"), [(7.4, "7 s"), (99, "99 s"), (100, "2 min"), (4069, "68 min"), (5400, "1 h 30 min")]
)
def test_times_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_what_was_done_names_the_kind_of_training(report: TrainingReport) -> None:
    assert "with LoRA (r 16)" in what_was_done(JOB, report.outcome)
    stopped = replace(report.outcome, stopped_early=True, steps=120)
    assert "120 steps of 203 in" in what_was_done(JOB, stopped)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    command = installed()
    if command is None:
        pytest.skip(f"no browser here: none of {', '.join(NAMES)} is installed")
    with tab(command, tmp_path_factory.mktemp("browser") / "profile") as opened:
        yield opened


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


VISIBLE = (
    "[...document.querySelectorAll('.drawing > div')].filter(one => one.offsetHeight > 0).map(one => one.className)"
)
SMALLEST = (
    "Math.min(...[...document.querySelectorAll('.drawing text')].map(one => one.getBoundingClientRect().height)"
    ".filter(height => height > 0))"
)
LEAST_CONTRAST = """
(() => {
  const light = text => {
    const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3).map(Number)
      .map(one => one / 255).map(one => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = one => {
    for (; one; one = one.parentElement) {
      const found = getComputedStyle(one).backgroundColor;
      if (!found.startsWith('rgba(0, 0, 0, 0')) { return found; }
    }
    return 'rgb(255, 255, 255)';
  };
  let least = 21;
  for (const one of document.querySelectorAll('p, h1, h2, h3, li, dt, dd, td, th, small, mark, i, b, a, summary')) {
    if (!one.offsetHeight || !one.textContent.trim()) { continue; }
    const [a, b] = [light(getComputedStyle(one).color), light(ground(one))].sort((x, y) => y - x);
    least = Math.min(least, (a + 0.05) / (b + 0.05));
  }
  return least;
})()
"""


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
