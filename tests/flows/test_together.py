"""Two runs at once on a workspace that is not there yet: both end well, and nothing is there twice."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

THRESHOLDS = ("recall_at_5=0", "mrr=0", "persona_checks=0", "latency_p95_seconds=60")


def test_two_runs_at_once_make_one_index_and_one_release(program: Any, new_workspace: Any, here: Any) -> None:
    workspace = new_workspace(
        "-o", "evaluate.answers=80", *(word for t in THRESHOLDS for word in ("-o", f"gate.{t}")), first=False
    )
    shutil.rmtree(workspace.path / "mlflow")  # its database is made by one of the two
    golden = workspace.path.parent / "eighty.jsonl"  # enough answers for a verdict on the 95th percentile
    rows = [
        {"id": f"q{n}", "question": f"Quanto si paga di caparra? {n}", "lang": "it", "kind": "fact",
         "gold": ["NORD.md"], "evidence": "x", "answer": "y"}
        for n in range(80)
    ]  # fmt: skip
    golden.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    command = ("run", "mvp", *workspace.options, "-o", f"evaluate.golden={golden}", "--json")
    both = [program.start(*command) for _ in range(2)]
    done = [program.end(process) for process in both]
    for one in done:
        assert "Traceback" not in one.err, one.err
        assert one.code == 1, one.err  # nobody has checked the judge
        assert one.json["gate"]["verdict"] == "INCONCLUSIVE"
        assert one.json["status"] == "done"
    assert done[0].json["scorecard"] == done[1].json["scorecard"]
    assert done[0].json["mlflow"] == done[1].json["mlflow"]
    made = [sorted(name for name, status in one.steps.items() if status == "done") for one in done]
    assert not set(made[0]) & set(made[1])  # each step was done by one of them
    assert workspace.is_quiet()
    assert_index(workspace)
    assert_release(workspace)


def assert_index(workspace: Any) -> None:
    import lancedb

    pointer = json.loads((workspace.path / "index" / "live.json").read_text(encoding="utf-8"))
    table = lancedb.connect(str(workspace.path / "index")).open_table(pointer["table"])
    ids = table.search().select(["chunk_id"]).limit(100_000).to_arrow()["chunk_id"].to_pylist()
    assert len(ids) == len(set(ids)) == table.count_rows() > 100


def assert_release(workspace: Any) -> None:
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{workspace.path / 'mlflow' / 'mlflow.db'}"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    assert len(client.search_model_versions("name = 'cervella'")) == 1
    assert len(client.search_runs([client.get_experiment_by_name("cervella").experiment_id])) == 1
    assert len(client.search_prompt_versions("cervella-persona")) == 1
