"""`cervella roadmap`, and what `cervella ask` leaves in the usage log."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.usage import UsageLog, usage_file
from tests.flows.test_commands import ASK, HEAVY, INSPECT


def test_it_works_in_an_empty_workspace_and_makes_none(here: Any, new_workspace: Any) -> None:
    workspace = new_workspace()
    done = here("roadmap", "mvp", *workspace.options)
    assert (done.code, done.err) == (1, "")
    assert "phase reached: before mvp" in done.out and "cervella run mvp" in done.out
    assert max(map(len, done.out.splitlines())) <= 100
    assert not workspace.path.exists()


def test_json_is_one_value(here: Any, new_workspace: Any) -> None:
    done = here("roadmap", "optimize-smoke", *new_workspace().options, "--json")
    assert done.code == 1
    assert (done.json["reached"], done.json["ready"]) == ("before mvp", False)
    assert {one["name"]: one["met"] for one in done.json["triggers"]} == {
        "prompt_tokens": True, "validated": False, "volume": False,
    }  # fmt: skip
    answers = {one["what"]: one["on"] for risk in done.json["risks"] for one in risk["answers"]}
    assert answers["the dataset is audited"] and not answers["people check the judge"]


def test_it_imports_nothing_heavy(root: Path, new_workspace: Any) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INSPECT, "roadmap", "mvp", *new_workspace().options],
        cwd=root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["code"] == 1, done.stderr
    assert set(told["modules"]) & HEAVY == set()


def test_own_costs_are_used_and_their_faults_told(here: Any, new_workspace: Any, tmp_path: Path) -> None:
    workspace, file = new_workspace(), tmp_path / "costs.yaml"
    file.write_text(
        'date: "2027"\nsource: mine\napi: A\nself_hosted: B\ntable:\n'
        "  - {conversations: 1, api_usd: 1, self_hosted_usd: 5}\n"
        "  - {conversations: 9, api_usd: 9, self_hosted_usd: 5}\n"
    )
    done = here("roadmap", "mvp", *workspace.options, "-o", f"roadmap.costs={file}", "--json")
    assert done.json["break_even"]["conversations"] == 5
    file.write_text(file.read_text().replace("api_usd: 9", "api_usd: nine"))
    done = here("roadmap", "mvp", *workspace.options, "-o", f"roadmap.costs={file}")
    assert (done.code, done.out) == (2, "") and f"{file}:7:24: table.1.api_usd: expected a number" in done.err


def test_a_persona_that_does_not_fit_is_unknown_and_said(here: Any, new_workspace: Any) -> None:
    done = here("roadmap", "mvp", *new_workspace().options, "-o", "persona.max_tokens=140")
    assert done.code == 1
    assert "persona.max_tokens is 140" in done.err
    assert "unknown  prompt_tokens" in done.out


def test_a_matrix_of_weights_that_is_none_is_a_fault_of_the_recipe(here: Any, new_workspace: Any) -> None:
    done = here("roadmap", "mvp", *new_workspace().options, "-o", "roadmap.decision.weights.costs=50")
    assert done.code == 2 and "without a weight: effort" in done.err


@pytest.mark.slow
def test_each_question_is_in_the_usage_log_the_failed_ones_too(here: Any, spoiled: Any) -> None:
    shutil.rmtree(spoiled.path / "usage", ignore_errors=True)
    new = f"{ASK}?"  # which no other test has asked: a cached answer reads no token
    assert here("ask", "mvp", *spoiled.options, new).code == 0
    assert here("ask", "mvp", *spoiled.options, new).code == 0
    assert here("ask", "mvp", *spoiled.options, "  ").code == 2
    failing = ("-o", "llm.chat.model=fake/chat?fail_prob=1", "-o", "llm.chat.retries=0")
    assert here("ask", "mvp", *spoiled.options, *failing, f"{ASK} Davvero?").code == 3
    use = UsageLog(usage_file(spoiled.path)).last_30_days().use
    assert (use.queries, use.failed, use.conversations, use.repeated, use.cost_unknown) == (4, 2, 2, 1, 0)
    assert use.prompt_tokens > 100 and use.p95_seconds is not None
    kept = b"".join(file.read_bytes() for file in (spoiled.path / "usage").iterdir())
    assert ASK.encode() not in kept and b"CAPARRA" in kept  # a path of a source
    done = here("roadmap", "mvp", *spoiled.options, "--json")
    assert [one["value"] for one in done.json["triggers"] if one["name"] == "volume"] == [2]


@pytest.mark.slow
def test_an_answer_is_given_where_the_log_cannot_be_written(here: Any, spoiled: Any) -> None:
    shutil.rmtree(spoiled.path / "usage", ignore_errors=True)
    (spoiled.path / "usage").write_text("a file where a folder should be")
    done = here("ask", "mvp", *spoiled.options, ASK)
    assert done.code == 0 and done.out


@pytest.mark.slow
def test_after_a_run_it_says_what_the_gate_said(here: Any, published: Any) -> None:
    done = here("roadmap", "mvp", *published.options)
    assert done.code == 1
    assert "the newest gate, of run" in done.out and "missing for phase mvp" in done.out
