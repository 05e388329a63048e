"""Retrieval scores by file: does the search put a note that answers the question near the top?

Chunks are not scored, files are: a file counts at its best chunk, and all exact duplicates of a note are one file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from components.errors import TerminalError
from components.evaluate.golden import Question
from components.evaluate.groups import by_label, labels_of
from components.evaluate.intervals import Measure, mean_measure, rate_measure

__all__ = ["DEPTH", "QuestionScore", "RankedFile", "RetrievalScore", "rank_files", "score_retrieval"]

DEPTH = 50  # distinct files; a gold file below has no rank
_CUTS = (1, 5, 10)


@dataclass(frozen=True)
class RankedFile:
    """A file of a search result. `paths`: all its names (exact duplicates), `path` among them.

    `score`: fused, 0..1; `cosine`: of its best chunk, None when no vector search took part.
    """

    path: str
    paths: tuple[str, ...] = ()
    score: float = 0.0
    cosine: float | None = None


@dataclass(frozen=True)
class QuestionScore:
    """How one answerable question fared. `rank`: of the first gold file, 1-based; None beyond `DEPTH`.

    `found`: the distinct files, best first, a gold one under the name that the question gives it.
    """

    id: str
    lang: str
    kind: str
    rank: int | None
    found: tuple[str, ...]
    ndcg_at_10: float
    all_gold_recall_at_10: float


@dataclass(frozen=True)
class RetrievalScore:
    """Scores of all questions.

    `metrics`: over answerable questions; `groups`: the same per "lang:it", "kind:why", "project:sito"; `unanswerable`:
    how high the best file scored where no note answers, and what share a threshold could refuse (see
    `score_retrieval`); `labels`: id -> groups of each question, the unanswerable ones too.
    """

    metrics: dict[str, Measure]
    groups: dict[str, dict[str, Measure]]
    questions: tuple[QuestionScore, ...]
    unanswerable: dict[str, Any]
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON: `{metrics: {name: {value, low, high, n}}, groups, questions: [{id, rank, found}], unanswerable}`."""
        return {
            "metrics": {name: measure.to_dict() for name, measure in self.metrics.items()},
            "groups": {
                group: {name: measure.to_dict() for name, measure in metrics.items()}
                for group, metrics in self.groups.items()
            },
            "questions": [
                {"id": question.id, "rank": question.rank, "found": list(question.found)} for question in self.questions
            ],
            "unanswerable": self.unanswerable,
        }


def rank_files(chunks: Iterable[tuple[str, Sequence[str], float, float | None]]) -> list[RankedFile]:
    """Distinct files of chunks (path, all paths, score, cosine), given best first: each at its first chunk.

    The file's cosine is the highest of its chunks. At most `DEPTH` files: let the search return enough chunks, because
    some notes have dozens.
    """
    files: dict[str, RankedFile] = {}
    for path, paths, score, cosine in chunks:
        seen = files.get(path)
        if seen is None:
            files[path] = RankedFile(path, tuple(paths) or (path,), score, cosine)
        elif cosine is not None and (seen.cosine is None or cosine > seen.cosine):
            files[path] = RankedFile(path, seen.paths, seen.score, cosine)
    return list(files.values())[:DEPTH]


def score_retrieval(
    questions: Sequence[Question],
    results: Mapping[str, Sequence[RankedFile]],
    *,
    bootstrap_samples: int = 1000,
    seed: int = 13,
    min_cosine: float | None = None,
) -> RetrievalScore:
    """Score the search results of all `questions` (question id -> files, best first).

    - recall_at_k: share of questions whose first gold file is among the first k files (hit rate; Wilson interval)
    - all_gold_recall_at_10: mean share of a question's gold files among the first 10
    - mrr: mean of 1/rank of the first gold file, 0 beyond `DEPTH` (Voorhees, TREC-8 QA track, 1999)
    - ndcg_at_10: binary gain 1/log2(rank + 1) over the ideal order (Järvelin & Kekäläinen, ACM TOIS 20(4), 2002)

    Means carry seeded bootstrap intervals. Unanswerable questions are in none of these. For them: quartiles of the
    best file's score and cosine; `refused`, the share whose best cosine is below `min_cosine`, next to
    `wrongly_refused`, the share of answerable questions that the same threshold refuses (both None without one).

    Raises TerminalError when a question has no result list, or ids repeat: a missing score is never left out silently.
    """
    missing = [question.id for question in questions if question.id not in results]
    if missing or len({question.id for question in questions}) != len(questions):
        raise TerminalError(
            f"Every question needs one result list; without: {', '.join(missing[:10]) or 'none, but ids repeat'}."
        )
    answerable = [question for question in questions if question.answerable]
    scores = tuple(_score_one(question, results[question.id]) for question in answerable)
    labels = {one.id: labels_of(lang=one.lang, kind=one.kind, project=one.project) for one in questions}
    groups = by_label((labels[score.id], score) for score in scores)
    return RetrievalScore(
        metrics=_measures(scores, bootstrap_samples, seed),
        groups={name: _measures(members, bootstrap_samples, seed) for name, members in groups.items()},
        questions=scores,
        unanswerable=_unanswerable(questions, results, min_cosine),
        labels=labels,
    )


def _score_one(question: Question, files: Sequence[RankedFile]) -> QuestionScore:
    seen: set[str] = set()
    found: list[str] = []
    hits: list[int] = []  # ranks of the gold files
    open_gold = list(question.gold)
    for file in files:
        names = {file.path, *file.paths}
        if seen & names:
            continue
        if len(found) == DEPTH:
            break
        seen |= names
        matched = [path for path in open_gold if path in names]
        open_gold = [path for path in open_gold if path not in names]
        found.append(matched[0] if matched else file.path)
        if matched:
            hits.append(len(found))
    total = len(hits) + len(open_gold)  # distinct gold files, found or not
    gain = sum(1 / math.log2(rank + 1) for rank in hits if rank <= 10)
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(total, 10) + 1))
    return QuestionScore(
        id=question.id,
        lang=question.lang,
        kind=question.kind,
        rank=hits[0] if hits else None,
        found=tuple(found),
        ndcg_at_10=gain / ideal,
        all_gold_recall_at_10=sum(rank <= 10 for rank in hits) / total,
    )


def _measures(scores: Sequence[QuestionScore], samples: int, seed: int) -> dict[str, Measure]:
    measures = {
        f"recall_at_{cut}": rate_measure([score.rank is not None and score.rank <= cut for score in scores])
        for cut in _CUTS
    }
    means = {
        "mrr": [1 / score.rank if score.rank else 0.0 for score in scores],
        "ndcg_at_10": [score.ndcg_at_10 for score in scores],
        "all_gold_recall_at_10": [score.all_gold_recall_at_10 for score in scores],
    }
    return measures | {name: mean_measure(values, samples=samples, seed=seed) for name, values in means.items()}


def _unanswerable(
    questions: Sequence[Question], results: Mapping[str, Sequence[RankedFile]], min_cosine: float | None
) -> dict[str, Any]:
    def best(question: Question, field: str) -> float | None:
        values = [getattr(file, field) for file in results[question.id] if getattr(file, field) is not None]
        return max(values, default=None)

    def refused(wanted: Sequence[Question]) -> dict[str, Any] | None:
        if min_cosine is None:
            return None
        return rate_measure([(best(question, "cosine") or 0.0) < min_cosine for question in wanted]).to_dict()

    apart = [question for question in questions if not question.answerable]
    return {
        "n": len(apart),
        "best_score": _quartiles([best(question, "score") for question in apart]),
        "best_cosine": _quartiles([best(question, "cosine") for question in apart]),
        "best_cosine_answerable": _quartiles([best(q, "cosine") for q in questions if q.answerable]),
        "refused": refused(apart),
        "wrongly_refused": refused([question for question in questions if question.answerable]),
        "questions": [{"id": q.id, "best_score": best(q, "score"), "best_cosine": best(q, "cosine")} for q in apart],
    }


def _quartiles(values: Sequence[float | None]) -> dict[str, float] | None:
    ordered = sorted(value for value in values if value is not None)
    if not ordered:
        return None

    def at(share: float) -> float:
        position = share * (len(ordered) - 1)
        below = math.floor(position)
        above = min(below + 1, len(ordered) - 1)
        return ordered[below] + (ordered[above] - ordered[below]) * (position - below)

    return {name: at(share) for name, share in {"min": 0, "p25": 0.25, "median": 0.5, "p75": 0.75, "max": 1}.items()}
