"""A scorecard with numbers that one can check by hand, an MLflow database copied for each test, and a whole page."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.evaluate import AnswerRecord, Question, RankedFile, build_scorecard, score_retrieval
from components.registry import Criterion, GateParams, GateReport, Verdict, build_release, sqlite_uri
from components.registry.report.page import page
from tests.evaluate.spoken import said_scores
from tests.registry.reports import report_of

THRESHOLDS = GateParams().model_dump()


def make_scorecard(*, questions: int = 40, found: int = 40, answers: int = 80, right: int = 80, **changes: Any) -> Any:
    """`found` of `questions` have their note first; `right` of `answers` pass every check."""
    asked = [Question(f"q{n}", f"Dove? {n}", "it", "fact", (f"{n}.md",)) for n in range(questions)]
    results = {q.id: [RankedFile(q.gold[0] if n < found else "no.md", score=0.9)] for n, q in enumerate(asked)}
    spoken = "Sono pronta: la nota dice che la scelta è nella memoria del progetto."
    records = [
        AnswerRecord.answered(
            Question(f"a{n}", "Dove?", "it", "fact", ("a.md",)),
            text=spoken if n < right else spoken.replace("pronta", "pronto"),
            found=True,
            sources=["a.md"],
            cited=["a.md"],
            seconds=changes.get("seconds", 1.0) + n / 1000,
            cost_usd=changes.get("cost", 0.01),
            model="fake/good",
        )
        for n in range(answers)
    ]
    return build_scorecard(
        retrieval=score_retrieval(asked, results), answers=records, expected=changes.get("expected", answers),
        said=said_scores(**changes.get("said", {})),
    )  # fmt: skip


@pytest.fixture(scope="session")
def good_scorecard() -> Any:
    return make_scorecard()


@pytest.fixture
def scorecard(good_scorecard: Any) -> Any:
    return copy.deepcopy(good_scorecard)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's schema takes seconds to make: once a session."""
    from mlflow.tracking import MlflowClient

    folder = tmp_path_factory.mktemp("schema")
    MlflowClient(tracking_uri=sqlite_uri(folder), registry_uri=sqlite_uri(folder)).search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def house(tmp_path: Path, empty_database: Path) -> Iterator[Path]:
    """A workspace with an apostrophe, spaces and other odd signs in its path."""
    folder = tmp_path / "l'amico mio #1 100% è" / "mlflow"
    folder.mkdir(parents=True)
    shutil.copy(empty_database, folder / "mlflow.db")
    yield folder


@pytest.fixture
def arguments(scorecard: Any) -> Callable[[Path], dict[str, Any]]:
    """All arguments of `register` for a workspace folder."""
    return lambda folder: registration(folder, scorecard)


@pytest.fixture(scope="module")
def whole() -> str:
    """The page of a run that is good enough, with every part."""
    return page(report_of())


def gate_report(verdict: Verdict = "GO", *, why: str = "proved") -> GateReport:
    """A report of one criterion: what it says is what counts here, not how it is decided."""
    return GateReport("mvp", verdict, (Criterion("recall_at_5", verdict, 0.9, 0.85, 0.95, 0.8, True, 40, why),))


def registration(folder: Path, scorecard: Any) -> dict[str, Any]:
    prompt = "Sei Cervella, una partner.\nRispondi dalle note: {{domanda}}."
    return {
        "tracking_uri": sqlite_uri(folder),
        "artifact_root": folder / "artifacts",
        "experiment": "cervella",
        "model_name": "cervella",
        "alias": "candidate",
        "run_name": "mvp-1",
        "release": build_release(
            prompt=prompt,
            chat={"model": "fake/good", "temperature": 0.0},
            embedder="fake/e@1",
            chunk={"max_tokens": 200},
            search={"k": 8},
            answer={"min_score": 0.0},
        ),
        "recipe_yaml": "name: mvp\n",
        "params": {"index.chunk.max_tokens": 200, "sncp.include": ["**/*.md"]},
        "scorecard": scorecard,
        "gate": gate_report(),
        "questions": scorecard["questions"],
        "prompt": prompt,
        "prompt_tokens": 17,
    }
