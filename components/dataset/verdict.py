"""The step `dataset.audit`: what a trainer gets, checked as it lies there; the verdict that training waits for.

The files of the split are checked with every rule, training against validation and golden questions; Great Expectations
asserts the suite on what was found; `datasets`, which all trainers load with, must read as many rows as were written.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.dataset.curation.gather import Origin
from components.dataset.findings import SEVERITIES, Finding, Severity
from components.dataset.params import DatasetParams
from components.dataset.report import Report
from components.dataset.reports.card import dataset_card
from components.dataset.rules import RULES
from components.dataset.steps import check_settings, golden_digest
from components.store import Artefact, Run, Step, StepSpec, file_digest, progress_of, recorded_step, sha256_hex
from components.store.spec import canonical_json

if TYPE_CHECKING:
    from components.dataset.corpus.leaks import Golden
    from components.dataset.reports.audit import AuditResult

__all__ = ["audit_dataset", "audit_spec"]


def audit_spec(
    params: DatasetParams, *, name: str, split: str, examples: str, golden: Sequence[Golden],
    notes: Mapping[str, str],
) -> StepSpec:  # fmt: skip
    """Identity of the audit; `split` and `examples` are digests, `name` is that of the recipe, for the card."""
    check = params.check.model_dump(mode="json", exclude={"suite", "leave_out"})
    inputs = {
        "split": split, "examples": examples, "notes": sha256_hex(canonical_json(dict(notes))),
        "golden": golden_digest(golden),
    }  # fmt: skip
    if params.check.suite is not None:
        inputs["suite"] = file_digest(params.check.suite)
    values = {"name": name, "check": check, "stages": params.stages.model_dump()}
    return StepSpec("dataset.audit", 1, values, inputs)


def audit_dataset(
    run: Run, params: DatasetParams, *, name: str, examples: Artefact, split: Artefact, golden: Sequence[Golden],
    notes: Mapping[str, str],
) -> Artefact:  # fmt: skip
    """Check what was split; seals `verdict.json`, `report.json`, `audit.json` and `card.md`."""
    spec = audit_spec(
        params, name=name, split=split.digest, examples=examples.digest, golden=golden, notes=notes
    )  # fmt: skip
    with recorded_step(run, spec) as step:
        if not step.sealed:
            verdict = _audit(step, params, examples=examples, split=split, golden=golden, notes=notes, name=name)
            step.note(passed=verdict["passed"], train=verdict["rows"]["train"])
    return step.artefact


def _audit(
    step: Step, params: DatasetParams, *, examples: Artefact, split: Artefact, golden: Sequence[Golden],
    notes: Mapping[str, str], name: str,
) -> dict[str, Any]:  # fmt: skip
    from components.dataset.check import check_files

    files = {side: split.path / file for side, file in split.read_json("split.json")["files"].items()}
    filled = [path for path in files.values() if path.stat().st_size]
    settings = check_settings(params.check)
    tell = progress_of("dataset.audit")
    origins = {side: [Origin(*one) for one in split.read_jsonl(f"{side}.origins.jsonl")] for side in files}
    reports = [
        check_files([path], **settings, golden=golden, known_notes=notes, progress=tell,
                    origins=[(one.file, one.line) for one in origins[side]],
                    held_out=[files["validation"]] if side == "train" and files["validation"] in filled else [])
        for side, path in files.items() if path in filled
    ]  # fmt: skip
    reading = [Finding(**one) for one in examples.read_json("gather.json")["findings"]]
    reports = [_by_name(report) for report in reports]
    audit = _asserted(params, reports)
    loaded = _loaded(filled, step.scratch)
    places = {path.name: origins[side] for side, path in files.items()}
    reasons = list(_reasons(params.check.fail_on, reports, reading, audit, places=places))
    rows = {side: _rows(path) for side, path in files.items()}
    if not rows["train"]:
        reasons.append("there is no example left to train on")
    reasons += [
        f"datasets reads {count} rows of {path.name}, and there are {_rows(path)}"
        for path, count in loaded.items() if count != _rows(path)
    ]  # fmt: skip
    verdict = {
        "passed": not reasons,
        "reasons": reasons,
        "rows": rows,
        "left_out": split.read_json("split.json")["left_out"],
        "files": {side: {"name": path.name, "sha256": file_digest(path)} for side, path in files.items()},
        "stages": examples.read_json("gather.json")["stages"],
        "targets": params.stages.model_dump(),
        "findings": {
            severity: sum(report.summary()["findings"][severity] for report in reports) for severity in SEVERITIES
        },
    }
    step.write_json("verdict.json", verdict)
    step.write_json("report.json", [report.to_dict() for report in reports])
    step.write_json("audit.json", [result.to_dict() for result in audit])
    step.write_text("audit.md", "\n\n".join(result.markdown() for result in audit) + "\n")
    step.write_text("card.md", dataset_card(name=name, verdict=verdict, reports=reports, params=params))
    return verdict


def _by_name(report: Report) -> Report:
    """The report with files by their names alone: they tell the content, and are the same in any workspace."""
    return replace(
        report,
        files=[replace(file, path=Path(file.path).name) for file in report.files],
        findings=[replace(one, file=Path(one.file).name) for one in report.findings],
        settings={**report.settings, "held_out": [Path(file).name for file in report.settings["held_out"]]},
    )


def _asserted(params: DatasetParams, reports: Sequence[Report]) -> list[AuditResult]:
    """Great Expectations on each side."""
    if params.check.suite is None:
        return []
    from components.dataset.reports.audit import audit
    from components.dataset.reports.suite import load_suite

    suite = load_suite(params.check.suite)
    return [audit(report, suite=suite) for report in reports]


def _loaded(files: Sequence[Path], scratch: Path) -> dict[Path, int]:
    """Rows that `datasets` reads of each file, as every trainer will."""
    import datasets

    datasets.disable_progress_bars()
    found = {}
    for path in files:
        loaded = datasets.load_dataset("json", data_files=str(path), split="train", cache_dir=str(scratch / "cache"))
        found[path] = len(loaded)
    shutil.rmtree(scratch / "cache", ignore_errors=True)
    return found


def _reasons(
    fail_on: Severity, reports: Sequence[Report], reading: Sequence[Finding], audit: Sequence[AuditResult], *,
    places: Mapping[str, Sequence[Origin]],
) -> Iterator[str]:  # fmt: skip
    """Why the dataset may not be trained on, each with the first place where somebody wrote it; none when it may."""
    bad = SEVERITIES[SEVERITIES.index(fail_on) :]
    yield from (f"{one.file}:{one.line}: {one.rule} {one.message}" for one in reading if one.severity in bad)
    counts: Counter[str] = Counter()
    first: dict[str, Finding] = {}
    for report in reports:
        for (rule, severity), count in report.counts.items():
            counts[rule] += count if severity in bad else 0
        for one in report.findings:
            if one.severity in bad:
                first.setdefault(one.rule, one)
    for rule, count in sorted((+counts).items()):
        one = first[rule]
        where = "all of it"
        if one.conversation is not None:
            origin = places[one.file][one.conversation]
            where = f"{origin.file}:{origin.line}" if origin.line else f"row {origin.place + 1} of {origin.file}"
        often = "" if count == 1 else f"{count} times, first "
        yield f"{rule} {RULES[rule].name}: {often}{where}: {one.message}"
    for result in audit:
        if result.fails(fail_on):
            failed = [check for check in result.checks if not check.success and check.rule not in counts]
            yield from (f"the audit of suite {result.suite}: {check.says} is not met" for check in failed[:5])
    if not +counts and any(result.fails(fail_on) for result in audit):
        yield "the audit of the suite is not met: audit.md says by which expectation"


def _rows(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)
