"""What changed against another scorecard, and how the other one is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from components.registry.champion.record import Champion
from components.registry.report.beside import (
    Setting,
    beside_champion,
    changed_settings,
    previous_run,
    scored_by,
)
from components.registry.report.changes import changes
from components.store import Artefact, Run, StepSpec, recorded_step
from tests.registry.reports import measure, scorecard

RECIPE = "name: mvp\nindex: {chunk: {max_tokens: 300}, uri: null}\nsncp: {include: ['**/*.md']}\n"


def told(name: str, old: Any, new: Any) -> dict[str, str]:
    """The row of one score."""
    found = changes(
        name="x", old={"metrics": {name: old}}, new={"metrics": {name: new}}, settings=(), same=False
    )["rows"]  # fmt: skip
    (row,) = found
    return dict(row)


@pytest.mark.parametrize(
    ("name", "old", "new", "difference", "tells", "mood"),
    [
        ("mrr", measure(0.5, 0.4, 0.6, 9), measure(0.8, 0.7, 0.9, 9), "+0.300", "better: the intervals are apart",
         "good"),
        ("recall_at_5", measure(0.9, 0.8, 0.95, 9), measure(0.5, 0.4, 0.6, 9), "−40.0 points",
         "worse: the intervals are apart", "bad"),
        ("mrr", measure(0.5, 0.4, 0.6, 9), measure(0.55, 0.5, 0.7, 9), "+0.050", "the intervals overlap: may be chance",
         ""),
        ("latency_p95_seconds", measure(4.0, 3.5, None, 9), measure(2.0, 1.5, 3.0, 9), "−2.00 s",
         "better: the intervals are apart", "good"),
        ("latency_p95_seconds", measure(2.0, 1.5, None, 9), measure(4.0, 3.5, None, 9), "+2.00 s",
         "the intervals overlap: may be chance", ""),
        ("cost_max_usd", measure(0.02, None, None, 9), measure(0.01, None, None, 9), "−$0.0100",
         "no interval: may be chance", ""),
        ("base_perplexity", measure(9.0, 8.0, 9.5, 9), measure(3.0, 2.5, 3.5, 9), "−6.000",
         "the intervals are apart", ""),
    ],
    ids=["better", "worse", "overlap", "faster", "open", "bare", "neither"],
)  # fmt: skip
def test_a_difference_is_told_with_what_the_intervals_can_tell(
    name: str, old: Any, new: Any, difference: str, tells: str, mood: str
) -> None:
    row = told(name, old, new)
    assert (row["difference"], row["tells"], row["mood"]) == (difference, tells, mood)


def test_a_score_that_only_one_side_has_is_shown_without_a_difference() -> None:
    found = changes(
        name="x", old={"metrics": {"mrr": measure(0.5, 0.4, 0.6, 9)}},
        new={"metrics": {"loss_gap": measure(None)}}, settings=None, same=False,
    )  # fmt: skip
    assert [(row["label"], row["old"], row["new"], row["difference"]) for row in found["rows"]] == [
        ("Held-out loss less training loss", "not measured", "unknown", ""),
        ("Mean reciprocal rank of the right note", "0.500", "not measured", ""),
    ]
    assert found["settings_unknown"]


def test_what_is_the_same_is_named_in_one_line() -> None:
    found = changes(name="x", old=scorecard(), new=scorecard(), settings=(), same=False)
    assert found["rows"] == []
    assert "Tasks passed" in found["unchanged"]
    assert changes(name="x", old=scorecard(), new=scorecard(), settings=(), same=True)["unchanged"] == []


def test_why_numbers_cannot_be_compared_is_said() -> None:
    old = scorecard(evidence={"golden": "a", "index": "b"})
    new = scorecard(evidence={"golden": "c", "index": "b"})
    new["judge"]["model"] = "anthropic/other"
    notes = changes(name="x", old=old, new=new, settings=(), same=False)["notes"]
    assert notes == [
        "The golden questions are others: scores that rest on them are not of the same questions.",
        "The judge is another: ollama/qwen3:8b then, anthropic/other now. What two judges say cannot be compared.",
    ]


def test_settings_that_differ_are_found_by_their_dotted_key() -> None:
    new = (
        "name: mvp\nindex: {chunk: {max_tokens: 200}}\nsncp: {include: ['**/*.md']}\nllm: {chat: {model: 'a\u202eb'}}\n"
    )
    assert changed_settings(RECIPE, new) == (
        Setting("index.chunk.max_tokens", "300", "200"),
        Setting("index.uri", "null", ""),
        Setting("llm.chat.model", "", "a⟨U+202E⟩b"),
    )
    assert changed_settings(RECIPE, "# another order\n" + RECIPE) == ()
    assert changed_settings(RECIPE + "description: a\n", RECIPE + "description: b\n") == ()


@pytest.mark.parametrize(
    "text", ["", "- a\n", "a: [", "a: &x [*x]", "? [1]\n: 2\n", "a: {1: 2}", "a: 2026-99-99"],
    ids=["empty", "list", "broken", "itself", "key", "number", "date"],
)  # fmt: skip
def test_what_is_no_recipe_cannot_be_compared(text: str) -> None:
    found = changed_settings(text, RECIPE)
    assert found is None or all(isinstance(one.old, str) for one in found)


@given(
    values=st.dictionaries(
        st.text(st.characters(codec="ascii", categories=["L"]), min_size=1),
        st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=3),
    )
)
def test_a_recipe_does_not_differ_from_itself(values: dict[str, Any]) -> None:
    assert changed_settings(yaml.safe_dump(values), yaml.safe_dump(values)) == ()


def scored(run: Run, card: dict[str, Any]) -> Artefact:
    """Seal a scorecard as a run does."""
    with recorded_step(run, StepSpec("evaluate.score", 1, {"card": repr(card)}, {})) as step:
        if not step.sealed:
            step.write_json("scorecard.json", card)
    return step.artefact


def finished(workspace: Path, card: dict[str, Any], *, recipe: str = "mvp", text: str | None = RECIPE) -> Run:
    run = Run.create(workspace, recipe=recipe, phase="mvp")
    if text is not None:
        (run.folder / "recipe.yaml").write_text(text)
    scored(run, card)
    run.update(status="done")
    return run


def test_the_previous_run_is_the_newest_of_the_recipe_that_was_scored_otherwise(tmp_path: Path) -> None:
    oldest = finished(tmp_path, {"metrics": {"mrr": 1}})
    before = finished(tmp_path, {"metrics": {"mrr": 2}})
    finished(tmp_path, {"metrics": {"mrr": 3}}, recipe="another")
    failed = finished(tmp_path, {"metrics": {"mrr": 4}})
    failed.update(status="failed")
    now = finished(tmp_path, {"metrics": {"mrr": 5}})
    same = finished(tmp_path, {"metrics": {"mrr": 5}})
    made = scored(now, {"metrics": {"mrr": 5}})
    for _ in (now, same):  # a repeat is not held against the run that it repeats
        found = previous_run(tmp_path, recipe="mvp", recipe_yaml=RECIPE.replace("300", "200"), scorecard=made.id)
        assert found is not None
        assert found.name == f"run {before.id}"
        assert found.settings == (Setting("index.chunk.max_tokens", "300", "200"),)
    assert scored_by(tmp_path, made.id) == now.id
    assert scored_by(tmp_path, "evaluate.score/none") is None
    assert previous_run(tmp_path, recipe="new", recipe_yaml=RECIPE, scorecard=made.id) is None
    older = scored(oldest, {"metrics": {"mrr": 1}})
    assert previous_run(tmp_path, recipe="mvp", recipe_yaml="", scorecard=older.id) is not None


def test_a_run_whose_scorecard_is_gone_is_passed_over_and_one_without_a_recipe_is_not(tmp_path: Path) -> None:
    first = finished(tmp_path, {"metrics": {"mrr": 1}}, text=None)
    gone = finished(tmp_path, {"metrics": {"mrr": 2}})
    card = scored(gone, {"metrics": {"mrr": 2}})
    (card.path / "scorecard.json").write_text("{}")
    found = previous_run(tmp_path, recipe="mvp", recipe_yaml=RECIPE, scorecard="evaluate.score/other")
    assert found is not None
    assert (found.name, found.settings) == (f"run {first.id}", None)


def champion(run: Run, scorecard: str | None, version: int | None) -> Champion:
    return Champion(
        what="promote", at="2026-11-01T07:00:00+00:00", by="rafa", reason=None, verdict="GO", digest="ab" * 32,
        before=None, release="registry.release/1", scorecard=scorecard, gate="registry.gate/1", run=run.id,
        recipe="mvp", phase="mvp", version=version,
    )  # fmt: skip


def test_the_champion_is_compared_by_the_scorecard_of_its_run(tmp_path: Path) -> None:
    run = finished(tmp_path, {"metrics": {}})
    made = scored(run, {"metrics": {}})
    found = beside_champion(tmp_path, champion(run, made.id, 3), recipe_yaml=RECIPE)
    assert found is not None
    assert (found.name, found.settings) == (f"the champion, version 3, of run {run.id}", ())
    unnamed = beside_champion(tmp_path, champion(run, made.id, None), recipe_yaml=RECIPE)
    assert unnamed is not None
    assert unnamed.name == f"the champion, of run {run.id}"
    assert beside_champion(tmp_path, champion(run, None, 3), recipe_yaml=RECIPE) is None
    assert beside_champion(tmp_path, champion(run, "evaluate.score/gone", 3), recipe_yaml=RECIPE) is None
