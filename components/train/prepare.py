"""The step `train.prepare`, which turns an audited dataset into what a trainer is given; and the folder of a job.

Nothing is trained on that the audit did not pass. Rows are written in the trainer's own form, under names that tell
their content, since trainers keep prepared data by name.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from components.dataset.checks.templates import TemplateName
from components.dataset.conversation import Conversation
from components.dataset.steps import read_rows
from components.errors import TerminalError
from components.store import Artefact, Run, Step, StepSpec, recorded_step, sha256_hex, write_atomic
from components.train.job import AUDITED, DATA, INSIDE, JOB, MODEL, Job, schedule
from components.train.params import TrainParams
from components.train.trainers import Trainer, trainer

__all__ = ["Counts", "count_rows", "neutral", "prepare", "prepare_spec", "read_job", "write_job", "write_prepared"]

Counts = dict[str, int]
"""Of the rows of one side: rows, tokens, trained (tokens that carry loss), longest."""
_TOLD = 10
_MEASURED: tuple[TemplateName, ...] = ("qwen3", "smollm2")


def neutral(params: TrainParams) -> TrainParams:
    """The section without what belongs to this machine or to later steps: the same wherever the job is done."""
    base = params.base.model_copy(update={"gguf": None, "folder": Path(MODEL) if params.base.folder else None})
    kept = {"base": base, "prices": None, "export": type(params.export)()}
    return params.model_copy(update=kept)


def prepare_spec(params: TrainParams, *, split: str, audit: str, template: TemplateName) -> StepSpec:
    """Identity of what a trainer is given. `split`, `audit`: digests; `template`: of the check, for counting."""
    values = {
        "train": neutral(params).model_dump(mode="json"), "version": trainer(params.trainer).VERSION,
        "counted": _template(params, template),
    }  # fmt: skip
    return StepSpec("train.prepare", 1, values, {"split": split, "audit": audit})


def _template(params: TrainParams, stand_in: TemplateName) -> TemplateName:
    """The template that tokens are counted with: the base's own where it is known here."""
    own = params.base.template
    return own if own in ("qwen3", "smollm2") else stand_in


def prepare(
    run: Run, params: TrainParams, *, split: Artefact, audit: Artefact, template: TemplateName
) -> Artefact:  # fmt: skip
    """Write the job's data; seals `job.json`, `counts.json`, the two files of rows, and both as audited.

    Raises:
        TerminalError: the audit did not pass, nothing is held out, or an example is too long for the trainer.
    """
    spec = prepare_spec(params, split=split.digest, audit=audit.digest, template=template)
    with recorded_step(run, spec) as step:
        if not step.sealed:
            verdict = audit.read_json("verdict.json")
            if not verdict["passed"]:
                reasons = "; ".join(verdict["reasons"][:3])
                raise TerminalError(
                    f"the examples are not fit for training: {reasons}. "
                    f"`cervella data check` lists everything; the audit is {audit.path}"
                )
            files = {side: split.path / name for side, name in split.read_json("split.json")["files"].items()}
            write_prepared(step, params, files=files, template=template)
    return step.artefact


def write_prepared(step: Step, params: TrainParams, *, files: dict[str, Path], template: TemplateName) -> None:
    """Write what `prepare` seals."""
    module = trainer(params.trainer)
    names: dict[str, str] = {}
    counts: dict[str, Counts] = {}
    for side in ("train", "validation"):
        conversations = list(read_rows(files[side]))
        if not conversations:
            what = "no example is left to train on" if side == "train" else "no example is held out"
            raise TerminalError(f"{what}: add examples, or raise dataset.split.validation_share")
        rows = _rows(module, conversations)
        data = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
        names[side] = f"{side}-{sha256_hex(data)[:16]}.jsonl"
        step.path(names[side]).write_bytes(data)
        shutil.copyfile(files[side], step.path(f"{AUDITED}-{side}.jsonl"))  # masks are held against these
        counts[side] = count_rows(conversations, template=_template(params, template))
    longest = max(one["longest"] for one in counts.values())
    if longest > params.max_tokens and params.base.template in _MEASURED:
        raise TerminalError(
            f"the longest example has {longest} tokens, train.max_tokens is {params.max_tokens}: the trainer would "
            "drop or cut it. Raise train.max_tokens, or set dataset.check.max_tokens to it and mend what is told"
        )
    job = Job(
        params=neutral(params),
        model=MODEL if params.base.folder or params.base.packaged else str(params.base.model),
        train_file=names["train"],
        validation_file=names["validation"],
        train_rows=counts["train"]["rows"],
        validation_rows=counts["validation"]["rows"],
        schedule=schedule(params, rows=counts["train"]["rows"]),
    )
    step.write_json(JOB, job.to_dict())
    step.write_json("counts.json", counts)
    step.note(train=job.train_rows, validation=job.validation_rows, steps=job.schedule.steps)


def _rows(module: Trainer, conversations: Sequence[Conversation]) -> list[dict[str, Any]]:
    """In the trainer's form; all that it cannot train are told at once."""
    rows, wrong = [], []
    for one in conversations:
        try:
            rows.append(module.row(one))
        except TerminalError as error:
            wrong.append(str(error))
    if wrong:
        more = f"\n- and {len(wrong) - _TOLD} more" if len(wrong) > _TOLD else ""
        listed = "".join(f"\n- {text}" for text in wrong[:_TOLD])
        count = f"{len(wrong)} of {len(conversations)} examples"
        raise TerminalError(f"{count} cannot be trained as they stand:{listed}{more}")
    return rows


def count_rows(conversations: Sequence[Conversation], *, template: TemplateName) -> Counts:
    """Rows, tokens, tokens that carry loss and the longest row, as the tokenizer of `template` counts them."""
    from components.dataset.checks.tokens import Measurer

    measured = Measurer(template=template).measure(conversations)
    tokens = [one.tokens or 0 for one in measured]
    return {
        "rows": len(measured), "tokens": sum(tokens), "trained": sum(one.trainable or 0 for one in measured),
        "longest": max(tokens, default=0),
    }  # fmt: skip


def read_job(prepared: Artefact) -> Job:
    """The job of a sealed `train.prepare`."""
    return Job.from_dict(prepared.read_json(JOB))


def write_job(folder: Path, *, prepared: Path, model: Path | None) -> Job:
    """Write the folder of a job, or complete one that was begun: what the trainer wrote in it stays.

    Args:
        folder: made when missing.
        prepared: folder of a sealed `train.prepare`.
        model: folder of the base model, where it does not come from the hub; linked.
    """
    job = Job.from_dict(json.loads((prepared / JOB).read_bytes()))
    (folder / DATA).mkdir(parents=True, exist_ok=True)
    for name in (job.train_file, job.validation_file):
        shutil.copyfile(prepared / name, folder / DATA / name)
    for name, text in _texts(job):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / name, text.encode())
    inside = Path(__file__).parent / "inside"
    (folder / INSIDE).mkdir(exist_ok=True)
    for script in inside.glob("*.py"):
        shutil.copyfile(script, folder / INSIDE / script.name)
    (folder / AUDITED).mkdir(exist_ok=True)
    for rows in prepared.glob(f"{AUDITED}-*.jsonl"):
        shutil.copyfile(rows, folder / AUDITED / rows.name.removeprefix(f"{AUDITED}-"))
    link = folder / MODEL
    if model is not None and not link.exists():
        link.unlink(missing_ok=True)
        os.symlink(model, link, target_is_directory=True)
    return job


def _texts(job: Job) -> Iterator[tuple[str, str]]:
    yield JOB, json.dumps(job.to_dict(), indent=1) + "\n"
    yield from trainer(job.params.trainer).files(job).items()


def files_digest(job: Job) -> str:
    """Of the trainer's configuration: what changes in it is another training."""
    said: list[Any] = sorted(trainer(job.params.trainer).files(job).items())
    return sha256_hex(json.dumps(said).encode())
