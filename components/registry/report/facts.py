"""All that the page of a run is made of, gathered from sealed artefacts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from components.registry.release import release_digest
from components.registry.report.beside import Beside, Setting
from components.registry.report.reading import mapping
from components.store import Artefact
from components.train.report.curves import Curves, read_curves

__all__ = ["Comparison", "RunReport", "gather"]

_MOST_WORST = 50
_MOST_QUESTIONS = 5000


@dataclass(frozen=True)
class Comparison:
    """Another scorecard, as `components.registry.report.beside.Beside` has it, read. `same`: it is this very one."""

    name: str
    scorecard: Mapping[str, Any]
    settings: tuple[Setting, ...] | None
    same: bool = False


@dataclass(frozen=True)
class RunReport:
    """What a page is made of.

    Attributes:
        recipe: its name.
        scorecard, gate: scorecard.json and gate.json.
        ids: what they are called in the store: (what, id).
        run: the first run that made the scorecard; None: unknown.
        worst: rows of worst.jsonl.
        questions: rows of questions.jsonl.
        release: release.json; None: there is none.
        digest: of the release.
        prompt_tokens: of the system prompt; None: unknown.
        curves: of the training; None: nothing was trained.
        champion, previous: to compare with.
    """

    recipe: str
    scorecard: Mapping[str, Any]
    gate: Mapping[str, Any]
    ids: tuple[tuple[str, str], ...] = ()
    run: str | None = None
    worst: tuple[Mapping[str, Any], ...] = ()
    questions: tuple[Mapping[str, Any], ...] = ()
    release: Mapping[str, Any] | None = None
    digest: str = ""
    prompt_tokens: int | None = None
    curves: Curves | None = None
    champion: Comparison | None = None
    previous: Comparison | None = None


def gather(
    *, recipe: str, run: str | None, scorecard: Artefact, gate: Artefact, release: Artefact | None,
    training: Artefact | None, champion: Beside | None, previous: Beside | None,
) -> RunReport:  # fmt: skip
    """Read what the page shows; arguments as `components.registry.report.steps.write_report` has them."""
    told = mapping(release.read_json("release.json")) if release else None
    prompt = mapping(release.read_json("prompt.json")) if release else {}
    tokens = prompt.get("tokens")
    return RunReport(
        recipe=recipe,
        scorecard=mapping(scorecard.read_json("scorecard.json")),
        gate=mapping(gate.read_json("gate.json")),
        ids=tuple((one.step, one.id) for one in (scorecard, gate, release, training) if one),
        run=run,
        worst=tuple(islice(_rows(scorecard, "worst.jsonl"), _MOST_WORST)),
        questions=tuple(islice(_rows(scorecard, "questions.jsonl"), _MOST_QUESTIONS)),
        release=told,
        digest=release_digest(told) if told else "",
        prompt_tokens=tokens if isinstance(tokens, int) else None,
        curves=_curves(training) if training else None,
        champion=_compared(champion, scorecard),
        previous=_compared(previous, scorecard),
    )


def _rows(artefact: Artefact, name: str) -> Iterator[Mapping[str, Any]]:
    if name in artefact.manifest["outputs"]:
        yield from (row for row in artefact.read_jsonl(name) if isinstance(row, Mapping))


def _curves(training: Artefact) -> Curves:
    best = mapping(training.read_json("result.json")).get("best_step")
    return read_curves(training.read_jsonl("progress.jsonl"), best_step=best if isinstance(best, int) else None)


def _compared(beside: Beside | None, scorecard: Artefact) -> Comparison | None:
    if beside is None:
        return None
    try:
        other = mapping(beside.scorecard.read_json("scorecard.json"))
    except (OSError, json.JSONDecodeError):  # gc took it since it was opened
        return None
    return Comparison(beside.name, other, beside.settings, same=beside.scorecard.digest == scorecard.digest)
