"""The steps of the dataset: `dataset.generate`, `.gather`, `.check`, `.split`, `.audit`.

What a trainer gets is checked and audited last, as it lies there: `dataset.audit` holds the verdict, and no flow trains
on files that it refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.dataset.conversation import Conversation
from components.dataset.curation.gather import Gathered, Origin, expand, gather
from components.dataset.curation.generation_prompts import PROMPT_VERSION
from components.dataset.files.chat_exports import ExportReport, read_export
from components.dataset.files.formats import to_conversation
from components.dataset.findings import Finding
from components.dataset.params import CheckParams, DatasetParams
from components.dataset.report import Report
from components.errors import InputError, TerminalError
from components.store import Artefact, Run, Step, StepSpec, Store, progress_of, read_runs, recorded_step, sha256_hex
from components.store.spec import canonical_json

if TYPE_CHECKING:
    from components.dataset.corpus.leaks import Golden
    from components.llm import Budget, Chat
    from components.sncp import Document

__all__ = [
    "check_dataset", "check_settings", "check_spec", "chosen_notes", "example_files", "gather_examples",
    "gather_spec", "gathered", "generate", "generate_spec", "golden_digest", "note_hashes", "read_rows",
    "split_dataset", "split_spec", "stage_facts", "waiting_file", "write_gathered",
]  # fmt: skip

EXAMPLES = "examples.jsonl"
GENERATED = "generated.jsonl"
ALL = "all examples"
WAITING = "waiting.jsonl"
"""Examples that are held back until somebody has reviewed them."""


def check_settings(params: CheckParams) -> dict[str, Any]:
    """The arguments of `check_files` that a recipe sets."""
    return params.model_dump(exclude={"fail_on", "leave_out", "suite"})


def chosen_notes(params: DatasetParams, documents: Sequence[Document]) -> list[Document]:
    """The notes that examples are made from: current ones of the kinds that are asked for, the newest first."""
    wanted = params.generate
    if not wanted.per_note:
        return []
    found = [one for one in documents if one.kind in wanted.kinds and one.status == "current"]
    found.sort(key=lambda one: one.path)
    found.sort(key=lambda one: one.date or "", reverse=True)
    return found[: wanted.most_notes]


def generate_spec(
    params: DatasetParams, documents: Sequence[Document], *, chat: Mapping[str, Any], judge: Mapping[str, Any],
    persona: str, leave_out_local: bool,
) -> StepSpec:  # fmt: skip
    """Identity of the step that writes examples. `chat`, `judge`: `ChatParams.sampled` of their sections."""
    values = {
        **params.generate.model_dump(mode="json", include={"per_note", "stage"}), "chat": chat, "judge": judge,
        "prompts": PROMPT_VERSION, "leave_out_local": leave_out_local,
    }  # fmt: skip
    notes = [[one.path, one.content_hash, one.local] for one in documents]
    inputs = {"notes": sha256_hex(canonical_json(notes)), "persona": sha256_hex(persona.encode("utf-8", "replace"))}
    return StepSpec("dataset.generate", 1, values, inputs)


def generate(
    run: Run, params: DatasetParams, documents: Sequence[Document], *, spec: StepSpec, chat: Chat, judge: Chat,
    budget: Budget, persona: str, leave_out_local: bool,
) -> Artefact:  # fmt: skip
    """Write examples from notes; seals `generated.jsonl` and `generation.json` (what could not be used, and why)."""
    from components.dataset.curation.generate import generate_examples

    before = Store(run.workspace).find(spec)
    unanswered = before is not None and before.facts["unanswered"] > 0  # a key, a network: asked again
    with recorded_step(run, spec, force=unanswered) as step:
        if not step.sealed:
            result = generate_examples(
                documents, chat=chat, judge=judge, budget=budget, per_note=params.generate.per_note, persona=persona,
                stage=params.generate.stage, leave_out_local=leave_out_local, progress=progress_of(spec.name),
            )  # fmt: skip
            report = result.report()
            step.write_jsonl(GENERATED, result.rows)
            step.write_json("generation.json", report)
            step.note(examples=len(result.rows), lost=report["lost"], unparsable_marks=result.unparsable,
                      unanswered=result.unanswered)  # fmt: skip
    return step.artefact


def note_hashes(documents: Sequence[Document]) -> dict[str, str]:
    """Path -> content hash of the notes, for all paths that a note has."""
    return {path: one.content_hash for one in documents for path in one.paths}


def stage_facts(params: DatasetParams, found: Gathered) -> dict[str, Any]:
    """How many examples there are, and of each stage how many of how many."""
    stages, wanted = found.report()["stages"], params.stages.model_dump()
    told = {stage: f"{stages[stage]} of {wanted[stage]}" for stage in wanted}
    return {"examples": len(found.rows), "waiting": len(found.waiting), "stages": told}


def example_files(params: DatasetParams) -> list[Path]:
    """The files of `dataset.examples`. Raises InputError for one that is not there."""
    return expand(params.examples, key="dataset.examples")


def gathered(params: DatasetParams, *, generated: Artefact | None) -> Gathered:
    """Read all examples of a recipe; nothing is written.

    Raises:
        InputError: a file is not there or cannot be read, or there are no examples at all.
    """
    files, exports = example_files(params), expand(params.logs, key="dataset.logs")
    if not files and not exports and generated is None:
        raise InputError(
            "no examples: name files in dataset.examples or dataset.logs, or set dataset.generate.per_note"
        )
    reports = [ExportReport(str(path)) for path in exports]

    def others() -> Iterator[tuple[str, int, Mapping[str, Any]]]:
        for path, report in zip(exports, reports, strict=True):
            rows = read_export(path, report=report, personal_data=params.check.personal_data, allow=params.check.allow)
            yield from ((str(path), number, row) for number, row in enumerate(rows))
        if generated is not None:
            yield from (("generated", number, row) for number, row in enumerate(generated.read_jsonl(GENERATED)))

    found = gather(files, rows=others(), reviews=params.reviews, needs_review=params.needs_review)
    return replace(found, exports=[report.to_dict() for report in reports])


def gather_spec(params: DatasetParams, found: Gathered) -> StepSpec:
    """Identity of what was gathered: the rows, where each is from, and what is wrong about reading them."""
    said = sha256_hex(canonical_json([found.rows, found.origins, found.waiting, found.report()]))
    return StepSpec("dataset.gather", 1, params.model_dump(mode="json", include={"needs_review"}), {"examples": said})


def gather_examples(run: Run, params: DatasetParams, *, generated: Artefact | None) -> Artefact:
    """Read, review and bring into one form; seals `examples.jsonl`, `origins.jsonl` and `gather.json`."""
    found = gathered(params, generated=generated)
    with recorded_step(run, gather_spec(params, found)) as step:
        if not step.sealed:
            write_gathered(step, found)
    return step.artefact


def write_gathered(step: Step, found: Gathered) -> None:
    """Write what `gather_examples` seals; a plan does it too, into a step that keeps nothing."""
    report = found.report()
    step.write_jsonl(EXAMPLES, found.rows)
    step.write_jsonl("origins.jsonl", found.origins)
    step.write_jsonl(WAITING, found.waiting)
    step.write_json("gather.json", report)
    step.note(examples=len(found.rows), waiting=len(found.waiting), **report["stages"])


def waiting_file(workspace: Path, *, recipe: str) -> Path | None:
    """The examples that wait for a review since the newest run of this recipe; None where there are none."""
    for state in read_runs(workspace):
        for step in state["steps"]:
            if state["recipe"] == recipe and step["name"] == "dataset.gather" and step.get("artefact"):
                gathered = Store(workspace).open(step["artefact"])
                return gathered.path / WAITING if gathered.facts["waiting"] else None
    return None


def golden_digest(golden: Sequence[Golden]) -> str:
    """Of the questions as they were read: the file may change while a run is at work."""
    return sha256_hex(canonical_json([[one.id, one.question, one.evidence, one.answer] for one in golden]))


def check_spec(
    params: DatasetParams, *, examples: str, golden: Sequence[Golden], notes: Mapping[str, str]
) -> StepSpec:  # fmt: skip
    """Identity of the check; `examples` is the digest of `dataset.gather`."""
    check = params.check.model_dump(mode="json", exclude={"leave_out", "suite"})
    inputs = {"examples": examples, "notes": sha256_hex(canonical_json(dict(notes))), "golden": golden_digest(golden)}
    values = {"check": check, "stages": params.stages.model_dump()}
    return StepSpec("dataset.check", 1, values, inputs)


def check_dataset(
    run: Run, params: DatasetParams, *, examples: Artefact, golden: Sequence[Golden],
    notes: Mapping[str, str],
) -> Artefact:  # fmt: skip
    """Check all examples, where they were written; seals `report.json`, `rows.jsonl` and `page.html`."""
    spec = check_spec(params, examples=examples.digest, golden=golden, notes=notes)
    with recorded_step(run, spec) as step:
        if not step.sealed:
            from components.dataset.check import check_files
            from components.dataset.reports.page import page
            from components.dataset.reports.report_text import report_markdown

            origins = [Origin(*origin) for origin in examples.read_jsonl("origins.jsonl")]
            report = check_files(
                [examples.path / EXAMPLES], **check_settings(params.check), targets=params.stages.model_dump(),
                golden=golden, known_notes=notes, origins=[(one.file, one.line) for one in origins],
                progress=progress_of(spec.name),
            )  # fmt: skip
            reading = [Finding(**one) for one in examples.read_json("gather.json")["findings"]]
            report = _where_written(report, origins, reading)
            step.write_json("report.json", report.to_dict())
            step.write_jsonl("rows.jsonl", (asdict(row) for row in report.rows))
            rows = dict(
                zip([(one.file, one.place) for one in origins], read_rows(examples.path / EXAMPLES), strict=True)
            )
            step.write_text("page.html", page(
                report, read=lambda file, place: rows.get((file, place)), fail_on=params.check.fail_on, made=None,
                title=ALL,
            ))  # fmt: skip
            step.write_text("report.md", report_markdown(report, fail_on=params.check.fail_on))
            counts = report.summary()["findings"]
            step.note(examples=len(report.rows), errors=counts["error"], warnings=counts["warning"])
    return step.artefact


def _where_written(report: Report, origins: Sequence[Origin], reading: Iterable[Finding]) -> Report:
    """The report with each finding where a person can mend it, and with what was wrong about reading the files."""
    found = []
    counts = report.counts.copy()
    for one in report.findings:
        if one.rule == "A5":  # told of the files themselves
            counts[one.rule, one.severity] -= 1
        elif one.conversation is None:
            found.append(replace(one, file=ALL))
        else:
            origin = origins[one.conversation]
            found.append(replace(one, file=origin.file, line=origin.line, conversation=origin.place))
    reading = list(reading)
    counts.update((one.rule, one.severity) for one in reading)
    files = [replace(file, path=ALL) for file in report.files]
    return replace(report, files=files, findings=[*reading, *found], counts=+counts)


def read_rows(path: Path) -> Iterator[Conversation]:
    """The conversations of a file that `gather_examples` or `split_dataset` wrote."""
    with path.open("rb") as file:
        for index, line in enumerate(file):
            yield to_conversation(json.loads(line), index=index, line=index + 1, format="sharegpt")[0]


def split_spec(params: DatasetParams, *, examples: str, check: str) -> StepSpec:
    """Identity of the split; `examples` and `check` are digests."""
    values = {**params.split.model_dump(mode="json"), "leave_out": sorted(params.check.leave_out)}
    return StepSpec("dataset.split", 1, values, {"examples": examples, "check": check})


def split_dataset(run: Run, params: DatasetParams, *, examples: Artefact, check: Artefact) -> Artefact:
    """Leave out what must not be trained twice or at all, and divide the rest.

    Seals `train-<digest>.jsonl` and `validation-<digest>.jsonl` (named by their content, since trainers cache what
    they prepare by a file's name), `left_out.jsonl` and `split.json`.
    """
    with recorded_step(run, split_spec(params, examples=examples.digest, check=check.digest)) as step:
        if not step.sealed:
            from components.dataset.corpus.splits import split

            rows = (examples.path / EXAMPLES).read_bytes().splitlines()  # of bytes: a text may hold other line ends
            broken = [set(row["rules"]) & set(params.check.leave_out) for row in check.read_jsonl("rows.jsonl")]
            kept = [at for at, rules in enumerate(broken) if not rules]
            origins = list(examples.read_jsonl("origins.jsonl"))
            if not len(rows) == len(broken) == len(origins):
                raise TerminalError(f"{len(rows)} examples, {len(broken)} were checked, {len(origins)} have a place")
            step.write_jsonl("left_out.jsonl", (
                {"from": origins[at], "rules": sorted(rules), "row": json.loads(rows[at])}
                for at, rules in enumerate(broken) if rules
            ))  # fmt: skip
            conversations = list(read_rows(examples.path / EXAMPLES))
            divided = split([conversations[at] for at in kept], share=params.split.validation_share,
                            seed=params.split.seed)  # fmt: skip
            files = {}
            for side, places in (("train", divided.train), ("validation", divided.validation)):
                data = b"".join(rows[kept[at]] + b"\n" for at in places)
                files[side] = f"{side}-{sha256_hex(data)[:16]}.jsonl"
                step.path(files[side]).write_bytes(data)
                step.write_jsonl(f"{side}.origins.jsonl", [origins[kept[at]] for at in places])
            left_out = len(rows) - len(kept)
            step.write_json("split.json", {"files": files, "left_out": left_out, **divided.report})
            step.note(train=len(divided.train), validation=len(divided.validation), left_out=left_out)
    return step.artefact
