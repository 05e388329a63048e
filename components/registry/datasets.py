"""What a release was scored and trained on, as inputs of its run in MLflow: names, counts and our own digests.

MLflow's own digests leave out nested columns and rows beyond 10,000, so two datasets of conversations look alike to it;
here a digest is the SHA-256 of the bytes (its first 36 digits, which is all that MLflow takes; whole in the tag
`cervella.sha256`). No text of any of them is recorded.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import TerminalError
from components.store import Artefact, file_digest

if TYPE_CHECKING:
    from components.evaluate import EvaluateParams

__all__ = ["Data", "dataset_inputs", "evaluation_data", "training_data"]

_DIGEST = 36  # characters that MLflow takes
_KINDS = ("kind", "lang", "project", "tier")


@dataclass(frozen=True)
class Data:
    """A dataset without its texts.

    Attributes:
        name: such as `golden`.
        context: what it was used for: evaluation or training.
        sha256: of its bytes (hex).
        source: name of its file, or id of its artefact; no path of this machine.
        counts: name -> number, or name -> value -> number.
    """

    name: str
    context: str
    sha256: str
    source: str
    counts: Mapping[str, Any] = field(default_factory=dict)


def evaluation_data(params: EvaluateParams, *, evidence: Mapping[str, Any]) -> list[Data]:
    """The files that section `evaluate` names: golden questions, prompts, checklist, tasks, labels.

    `evidence`: of the scorecard; a digest that it tells under the name of a file counts before the file as it is now,
    and a file that is gone or was changed since then is told without counts. Of other files the digest is that of now.
    """
    files = {"golden": params.golden, "tasks": params.tasks, "labels": params.judge.labels}
    if params.personality:
        files |= {"prompts": params.personality.prompts, "checklist": params.personality.checklist}
    found = []
    for name, path in sorted(files.items()):
        if path is None:
            continue
        now = file_digest(path) if path.is_file() else None
        sha256 = str(evidence.get(name) or now or "")
        if sha256:
            found.append(Data(name, "evaluation", sha256, path.name, _counted(path) if sha256 == now else {}))
    return found


def training_data(split: Artefact | None) -> list[Data]:
    """The two sides of a sealed `dataset.split`, with what its rows say of stage and licence."""
    if split is None:
        return []
    found = []
    for side, name in split.read_json("split.json")["files"].items():
        rows = list(split.read_jsonl(name))
        provenance = [row.get("provenance") if isinstance(row.get("provenance"), dict) else {} for row in rows]
        counts = {
            "rows": len(rows),
            "stage": _tally(row.get("stage") for row in rows),
            "licence": _tally(one.get("licence") for one in provenance),
        }
        context = "training" if side == "train" else "validation"
        found.append(Data(f"{side} examples", context, file_digest(split.file(name)), split.id, counts))
    return found


def dataset_inputs(data: Sequence[Data]) -> list[Any]:
    """As MLflow's `DatasetInput`s."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    return [
        DatasetInput(
            Dataset(
                name=one.name, digest=one.sha256[:_DIGEST], source_type="local",
                source=json.dumps({"source": one.source, "sha256": one.sha256}, ensure_ascii=False),
                profile=json.dumps(one.counts, ensure_ascii=False, sort_keys=True),
            ),
            [InputTag("mlflow.data.context", one.context), InputTag("cervella.sha256", one.sha256)],
        )
        for one in data
    ]  # fmt: skip


def _counted(path: Path) -> dict[str, Any]:
    """How many rows a JSONL file has, and of each kind; how many rules or tasks a YAML file has."""
    try:
        if path.suffix in (".yaml", ".yml"):
            return _counted_yaml(path)
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [row for line in lines if line.strip() and isinstance(row := json.loads(line), dict)]
    except (OSError, ValueError, TerminalError):  # whoever reads it for the scores has said what is wrong
        return {}
    kinds = {name: _tally(row[name] for row in rows if row.get(name)) for name in _KINDS}
    return {"rows": len(rows), **{name: counts for name, counts in kinds.items() if counts}}


def _counted_yaml(path: Path) -> dict[str, Any]:
    import yaml

    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        return {}
    lists = (
        {key: len(value) for key, value in told.items() if isinstance(value, list)} if isinstance(told, dict) else {}
    )
    return lists or ({"rows": len(told)} if isinstance(told, list) else {})


def _tally(values: Any) -> dict[str, int]:
    counts = Counter("not told" if value is None else str(value) for value in values)
    return dict(sorted(counts.items()))
