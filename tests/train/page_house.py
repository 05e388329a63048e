"""Reads the page of a training: its tags and words, and in a browser its measures; a report of foreign text alone."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

from components.dataset.checks.tokens import Measurer
from components.train.report.facts import Asked, TrainingReport
from components.train.report.shown import shown_example
from components.train.running.masks import RowMask
from tests.dataset.trainer_rows import conversation
from tests.train.reports import ENVIRONMENT, JOB, PARAMS

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


def section(text: str, name: str) -> str:
    """The words of one section of a page."""
    found = re.search(rf'<section aria-labelledby="{name}">(.*?)</section>', text, re.DOTALL)
    assert found, name
    return Outline(found[1]).text


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
