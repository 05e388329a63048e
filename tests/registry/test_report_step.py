"""The step `registry.report`: its identity, what it seals, the link in the folder of the run; and the short text."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from components.registry.report import Beside, previous_run, report_markdown, report_spec, write_report
from components.registry.report.beside import Setting
from components.store import Artefact, Run, Step, StepSpec, recorded_step
from components.train.running.outcome import Outcome
from tests.registry.reports import gate_of, questions, release, scorecard, worst
from tests.train.reports import events, outcome_of


def sealed(run: Run, name: str, made: dict[str, Any], key: str = "") -> Artefact:
    """An artefact with these outputs: JSON, or rows."""

    def write(step: Step) -> None:
        for file, value in made.items():
            if file.endswith(".jsonl"):
                step.write_jsonl(file, value)
            else:
                step.write_json(file, value)

    with recorded_step(run, StepSpec(name, 1, {"key": key}, {})) as step:
        if not step.sealed:
            write(step)
    return step.artefact


def of_run(run: Run, *, key: str = "") -> dict[str, Artefact]:
    """All that a run of phase optimize hands to the report."""
    card = scorecard(good=not key)
    outcome: Outcome = outcome_of(events())
    return {
        "scorecard": sealed(
            run, "evaluate.score",
            {"scorecard.json": card, "worst.jsonl": worst(3), "questions.jsonl": questions()}, key,
        ),
        "gate": sealed(run, "registry.gate", {"gate.json": gate_of(card)}, key),
        "release": sealed(run, "registry.release", {"release.json": release(), "prompt.json": {"tokens": 1380}}),
        "training": sealed(run, "train.run", {"result.json": outcome.to_dict(), "progress.jsonl": events()}),
    }  # fmt: skip


def begin(workspace: Path) -> Run:
    run = Run.create(workspace, recipe="optimize-qwen3-4b", phase="optimize")
    (run.folder / "recipe.yaml").write_text("name: optimize-qwen3-4b\n")
    return run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return begin(tmp_path)


def test_the_page_is_sealed_and_lies_in_the_folder_of_the_run(run: Run) -> None:
    made = write_report(run, **of_run(run))
    link = run.folder / "report.html"
    text = link.read_text(encoding="utf-8")
    assert text == made.read_text("report.html")
    assert link.is_symlink()
    assert not link.readlink().is_absolute()
    for words in ("GO: good enough to go live", run.id, "1,380", 'class="curves"'):
        assert words in text
    assert [step["name"] for step in run.read()["steps"]][-1] == "registry.report"


def test_a_workspace_that_is_moved_keeps_its_links(run: Run, tmp_path: Path) -> None:
    write_report(run, **of_run(run))
    moved = tmp_path.with_name(f"{tmp_path.name}-moved")
    shutil.copytree(tmp_path, moved, symlinks=True)
    assert "GO: good" in (moved / "runs" / run.id / "report.html").read_text(encoding="utf-8")


def test_a_repeat_is_skipped_and_gets_its_link(run: Run) -> None:
    first = write_report(run, **of_run(run))
    run.update(status="done")
    again = begin(run.workspace)
    second = write_report(again, **of_run(again))
    assert second.id == first.id
    assert again.read()["steps"][-1]["status"] == "skipped"
    assert (again.folder / "report.html").read_text() == (run.folder / "report.html").read_text()


def test_the_same_scores_give_the_same_bytes(tmp_path: Path) -> None:
    """Made anew by a later run, after the page was lost: it names the run that scored, and no time."""
    first = begin(tmp_path)
    made = write_report(first, **of_run(first))
    before = (made.path / "report.html").read_bytes()
    shutil.rmtree(made.path)
    first.update(status="done")
    later = begin(tmp_path)
    again = write_report(later, **of_run(later))
    assert (again.path / "report.html").read_bytes() == before
    assert again.digest == made.digest


def test_a_link_that_points_nowhere_or_a_file_in_its_place_is_replaced(run: Run) -> None:
    link = run.folder / "report.html"
    for there in (lambda: link.symlink_to("nowhere"), lambda: link.write_text("old")):
        link.unlink(missing_ok=True)
        there()
        write_report(run, **of_run(run))
        assert "GO: good" in link.read_text()
    assert [path.name for path in run.folder.glob(".report*")] == []


def test_only_a_scorecard_and_a_gate_are_needed(run: Run) -> None:
    card = {"metrics": {}}
    made = write_report(
        run,
        scorecard=sealed(run, "evaluate.score", {"scorecard.json": card}),
        gate=sealed(run, "registry.gate", {"gate.json": gate_of(card, phase="mvp")}),
    )
    assert "NO-GO" in made.read_text("report.html")


def test_it_is_held_against_the_run_before_it(run: Run) -> None:
    write_report(run, **of_run(run, key="before"))
    run.update(status="done")
    now = begin(run.workspace)
    made = of_run(now)
    previous = previous_run(
        run.workspace, recipe="optimize-qwen3-4b", recipe_yaml="name: optimize-qwen3-4b\nindex: {k: 3}\n",
        scorecard=made["scorecard"].id,
    )  # fmt: skip
    text = write_report(now, **made, previous=previous).read_text("report.html")
    assert f"Against run {run.id}" in text
    assert "index.k" in text
    assert "better: the intervals are apart" in text


def test_everything_that_changes_the_page_changes_its_identity(run: Run) -> None:
    card = of_run(run)["scorecard"]
    beside = Beside("run 1", card, (Setting("a", "1", "2"),))
    given: dict[str, Any] = {"recipe": "mvp", "scorecard": "s", "gate": "g"}
    others = [
        {"recipe": "other"}, {"scorecard": "t"}, {"gate": "h"}, {"release": "r"}, {"training": "t"},
        {"champion": beside}, {"previous": beside}, {"previous": Beside("run 2", card, beside.settings)},
        {"previous": Beside("run 1", card, None)}, {"previous": Beside("run 1", card, (Setting("a", "1", "3"),))},
    ]  # fmt: skip
    found = [report_spec(**given | one).fingerprint for one in [{}, *others]]
    assert len(set(found)) == len(found)
    assert report_spec(**given).fingerprint == found[0]


def test_the_short_text_has_verdict_gate_what_is_open_and_where_the_page_lies(tmp_path: Path) -> None:
    card = scorecard(trusted=False, trained=False)
    text = report_markdown(gate=gate_of(card, phase="mvp"), scorecard=card, page=tmp_path / "report.html")
    assert text.startswith("# INCONCLUSIVE: it cannot be told yet\n")
    assert "## Gate of phase mvp: INCONCLUSIVE" in text
    assert "- Sounds like her: the judge's word does not count: kappa 0.31 is below 0.60" in text
    assert f"`{tmp_path / 'report.html'}`" in text
    assert len(text.splitlines()) < 45


def test_foreign_text_cannot_become_markdown(tmp_path: Path) -> None:
    card = scorecard(undecided={"mrr": "x\n# no\n<script> [a](b)"})
    text = report_markdown(gate=gate_of(card), scorecard=card, page=tmp_path / "a`b.html")
    assert "\n# no" not in text
    assert "<script>" not in text
