"""The scorecard: every score of a candidate in one JSON object, which the gate reads and the registry records.

Errors are not scores: an answer that failed is in no mean, and how many were expected, scored and failed is always
there. What is not known (a price) is null, never 0. NaN is refused. What could be known and is not (nobody asked, the
judge is not to be trusted) is named in `undecided`, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from components.errors import TerminalError
from components.evaluate.checks import CHECKS
from components.evaluate.copying import Copied
from components.evaluate.groups import joined, labels_of, rates_by_label
from components.evaluate.intervals import Measure, mean_measure, percentile_measure, rate_measure
from components.evaluate.records import AnswerRecord
from components.evaluate.retrieval import RetrievalScore
from components.evaluate.said_scores import Evaluated, SaidScores, score_said
from components.evaluate.training import TrainingScores

__all__ = ["build_scorecard"]


def build_scorecard(
    *,
    retrieval: RetrievalScore,
    answers: Sequence[AnswerRecord],
    expected: int,
    search_seconds: Sequence[float] = (),
    bootstrap_samples: int = 1000,
    seed: int = 13,
    evidence: Mapping[str, Any] | None = None,
    training: TrainingScores | None = None,
    said: SaidScores | None = None,
    copied: tuple[Measure, Sequence[Copied]] | None = None,
) -> dict[str, Any]:
    """One JSON object, of these keys.

    `metrics, undecided, groups, questions, unanswerable, answers, checks, asked, judge, rules, contestants, pairs,
    tasks, copied, warnings, evidence`.

    `metrics` maps a name to `{value, low, high, n}`: those of `retrieval`, and
    - persona_checks: share of answers that pass every check that applies (Wilson)
    - latency_p50_seconds, latency_p95_seconds: question to answer, search included
    - search_p50_ms, search_p95_ms: of `search_seconds`, one per question
    - cost_per_query_usd (mean), cost_max_usd: value null when the cost of any answer is unknown
    - refused_unanswerable, wrongly_refused: share of answers that say "not in the notes", where it is so and where not
    - sounds_like_her, constitution, tasks_passed: see `components.evaluate.said_scores`
    - copied_answers: see `components.evaluate.copying`

    `groups`: scores of retrieval, persona_checks and sounds_like_her by language, kind and project.

    `expected`: how many answers were asked for; those that never came count as failed. `evidence`: what it was scored
    on (index version, digest of the golden file ...), kept as it is. `training`: of phase optimize; its scores are
    among the metrics (see `components.evaluate.training`), what they rest on is `evidence.training`. `said`: None:
    nobody asked for personality and tasks. `copied`: of phase optimize, the share and the answers.

    Raises TerminalError for NaN, for an answer given twice and for more answers than expected.
    """
    if len({answer.id for answer in answers}) != len(answers) or len(answers) > expected:
        raise TerminalError(f"{len(answers)} answers for {expected} questions: expected at most one for each.")
    scored = [answer for answer in answers if answer.error is None]
    said = said or score_said(Evaluated(), samples=bootstrap_samples, seed=seed)
    metrics = dict(retrieval.metrics)
    if expected:
        metrics |= _answer_metrics(scored, bootstrap_samples, seed)
    if search_seconds:
        milliseconds = [seconds * 1000 for seconds in search_seconds]
        metrics["search_p50_ms"] = percentile_measure(milliseconds, 0.50)
        metrics["search_p95_ms"] = percentile_measure(milliseconds, 0.95)
    known = dict(evidence or {})
    if training is not None:
        metrics |= training.measures
        known["training"] = dict(training.evidence)
    if copied is not None:
        metrics["copied_answers"] = copied[0]
    metrics |= said.metrics
    checked = rates_by_label(
        "persona_checks",
        ((retrieval.labels.get(one.id, labels_of(lang=one.lang)), one.passed) for one in scored),
    )
    groups = joined(retrieval.groups, checked, said.groups)
    return retrieval.to_dict() | {
        "metrics": _dicts(metrics),
        "undecided": dict(said.undecided),
        "groups": {label: _dicts(measures) for label, measures in groups.items()},
        "answers": {
            "expected": expected,
            "scored": len(scored),
            "failed": expected - len(scored),
            "cached": sum(answer.cached for answer in scored),
            "models": sorted({answer.model for answer in scored if answer.model}),
            "local": bool(scored) and all(answer.is_local for answer in scored),
            "errors": [{"id": answer.id, "error": answer.error} for answer in answers if answer.error is not None],
        },
        "checks": _check_counts(scored),
        **said.told,
        "copied": [one.to_dict() for one in copied[1]] if copied else [],
        "evidence": known,
    }


def _dicts(measures: Mapping[str, Measure]) -> dict[str, Any]:
    return {name: measure.to_dict() for name, measure in measures.items()}


def _answer_metrics(scored: Sequence[AnswerRecord], samples: int, seed: int) -> dict[str, Measure]:
    timed = [answer.seconds for answer in scored if answer.seconds is not None]
    costs = [answer.cost_usd for answer in scored if answer.cost_usd is not None]
    unknown = Measure(None, None, None, len(costs))
    known = len(costs) == len(scored) > 0
    return {
        "persona_checks": rate_measure([answer.passed for answer in scored]),
        "latency_p50_seconds": percentile_measure(timed, 0.50),
        "latency_p95_seconds": percentile_measure(timed, 0.95),
        "cost_per_query_usd": mean_measure(costs, samples=samples, seed=seed) if known else unknown,
        "cost_max_usd": Measure(max(costs), None, None, len(costs)) if known else unknown,
        "refused_unanswerable": rate_measure([not answer.found for answer in scored if not answer.answerable]),
        "wrongly_refused": rate_measure([not answer.found for answer in scored if answer.answerable]),
    }


def _check_counts(scored: Sequence[AnswerRecord]) -> dict[str, dict[str, Any]]:
    """Per check: how many passed, failed, did not apply, and which answers failed."""
    counts = {}
    for name in CHECKS:
        results = [(answer.id, check) for answer in scored for check in answer.checks if check.name == name]
        counts[name] = {
            "passed": sum(check.passed is True for _, check in results),
            "failed": sum(check.passed is False for _, check in results),
            "not_applicable": sum(check.passed is None for _, check in results),
            "failures": [{"id": answer_id, "why": check.why} for answer_id, check in results if check.passed is False],
        }
    return counts
