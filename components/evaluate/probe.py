"""Golden questions asked of an index before it is published: the probe that the index takes (`components.index.probe`).

Not noticed: a fall among questions that no file of golden questions asks.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import TYPE_CHECKING

from components.errors import InputError
from components.evaluate.golden import Question, load_golden
from components.evaluate.params import EvaluateParams
from components.evaluate.retrieval import score_retrieval
from components.evaluate.steps import golden_path, ranked, retrieval_spec, retrieve_all
from components.index.params import SearchParams
from components.index.probe import Probed
from components.store import logger

if TYPE_CHECKING:
    from components.index import Index

__all__ = ["GoldenProbe", "golden_probe"]

_CUT = 5  # files: recall at 5, as the gate has it
_SAMPLES = 100  # of the intervals, which nobody reads here


class GoldenProbe:
    """The golden questions of a recipe, with its search. Unanswerable ones are not asked."""

    def __init__(self, params: EvaluateParams, search: SearchParams, *, must_be_good: bool) -> None:
        """`must_be_good`: faulty questions end the run; else they are told, and nothing is asked."""
        self.params, self.search, self.must_be_good = params, search, must_be_good
        self.questions: list[Question] = []

    def prepare(self, paths: Collection[str]) -> bool:
        """Read the questions and check them against `paths` of the notes. False: there is nothing to ask.

        Raises:
            InputError: the questions are faulty, and they must be good.
        """
        try:
            found = load_golden(golden_path(self.params), known_paths=paths)
        except InputError as error:
            if self.must_be_good:
                raise
            logger.warning("index: published without asking the golden questions, which are faulty. %s", error)
            return False
        self.questions = [question for question in found if question.answerable]
        return bool(self.questions)

    def __call__(self, index: Index) -> Probed:
        """Ask them; found means that a note which answers is among the first five files."""
        started = time.perf_counter()
        rows = retrieve_all(self.questions, index=index, search=self.search, progress=lambda done, total: None)
        score = score_retrieval(self.questions, ranked(rows), bootstrap_samples=_SAMPLES)
        return Probed(
            golden=retrieval_spec(self.params, self.search, index="").fingerprint,
            found={one.id: one.rank is not None and one.rank <= _CUT for one in score.questions},
            questions={question.id: question.question for question in self.questions},
            seconds=time.perf_counter() - started,
        )


def golden_probe(params: EvaluateParams, search: SearchParams, *, must_be_good: bool) -> GoldenProbe | None:
    """The probe of a recipe; none when it names no golden questions."""
    return GoldenProbe(params, search, must_be_good=must_be_good) if params.golden else None
