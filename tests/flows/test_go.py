"""From a judge that people have checked to gate GO and a release in service: no step is left out but the models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from components.evaluate.instrument.labels import LabelLog
from components.evaluate.said import Item, Said
from components.evaluate.suite import judge_questions, load_checklist

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

EASY = ("recall_at_5=0", "mrr=0", "persona_checks=0", "latency_p95_seconds=60", "sounds_like_her=0.8", "constitution=0")


def write_labels(path: Path, checklist: Path) -> None:
    """Thirty-six verdicts on each kind of question, half of them no, as the double of a judge gives them."""
    log, rules = LabelLog(path), load_checklist(checklist)
    for number in range(36):
        item = Item("personality", f"p{number}", f"Come va? {number}", "it", "values")
        text = "Va bene, ci penso io." if number % 2 else "[[bad]] Non saprei."
        asked = judge_questions([Said(item=item, text=text)], contestant="candidate", checklist=rules, tasks=None)
        for question in asked[:2]:  # whether it sounds like her, and a rule
            log.add(question, "yes" if number % 2 else "no", by="Bianca")


def test_a_checked_judge_and_good_answers_are_go_and_may_be_promoted(
    program: Any, here: Any, one_server: Any, new_workspace: Any, tmp_path: Path, examples: Path
) -> None:
    labels = tmp_path / "labels.jsonl"
    write_labels(labels, examples / "evaluation" / "checklist.yaml")
    workspace = new_workspace(
        *(word for threshold in EASY for word in ("-o", f"gate.{threshold}")),
        "-o", "llm.judge.model=fake/chat?mode=judge", "-o", "evaluate.personality.ask=0", "-o", "evaluate.at_once=4",
        "-o", f"evaluate.judge.labels={labels}",
        "-o", "evaluate.answers=80", "-o", "evaluate.golden=" + str(many(tmp_path / "golden.jsonl")),
        first=False,
    )  # fmt: skip
    refused = here("promote", "mvp", *workspace.options)
    assert refused.code == 3 and "cervella run" in refused.err
    one_server(workspace)
    done = program("run", "mvp", *workspace.options, "--json")
    assert done.json["gate"]["verdict"] == "GO", [
        one for one in done.json["gate"]["criteria"] if one["verdict"] != "GO"
    ]
    assert done.code == 0
    card = done.json["scorecard"]
    assert card["judge"]["agreement"]["sounds"]["trusted"] and card["judge"]["agreement"]["constitution"]["trusted"]
    assert card["metrics"]["sounds_like_her"]["n"] == 100
    taken = program("promote", "mvp", *workspace.options, "--json")
    assert taken.code == 0, taken.err
    stands = here("roadmap", "mvp", *workspace.options, "--json")
    assert stands.json["reached"] == "mvp"
    again = program("run", "mvp", *workspace.options, "-o", "index.search.k=5", "--json")  # another release
    assert again.code == 0, again.err
    assert again.steps["evaluate.champion"] == "done"
    pairs = again.json["scorecard"]["pairs"]
    assert pairs["candidate"] + pairs["champion"] + pairs["tie"] + pairs["unread"] == 100
    back = program("rollback", "mvp", *workspace.options)
    assert back.code == 3  # there is none before the first


def many(path: Path) -> Path:
    """Enough questions for a verdict on the 95th percentile."""
    line = (
        '{"id": "q%d", "question": "Quanto si paga di caparra? %d", "lang": "it", "kind": "fact", "gold": ["NORD.md"]}'
    )
    path.write_text("".join(line % (number, number) + "\n" for number in range(80)), encoding="utf-8")
    return path
