"""The steps of training between `train.prepare` and `train.export`: `train.base`, `train.run`, `train.losses`.

`train.run` works in its scratch folder, which survives kills: the same command goes on from the last whole checkpoint.
Its artefact is sealed only when what the trainer left says that it succeeded; no exit code does.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from components.errors import TerminalError
from components.store import Artefact, Run, Step, StepSpec, progress_of, recorded_step, write_atomic
from components.train.base import base_identity, recover_base
from components.train.environments.find import Environment, lock_digest
from components.train.estimate.probe import remember_training
from components.train.job import EFFECTIVE, JOB, LOG, MODEL, OUT, PROGRESS, Job
from components.train.losses import measure_losses
from components.train.params import TrainParams
from components.train.prepare import files_digest, read_job, write_job
from components.train.running.masks import audit_masks
from components.train.running.outcome import ADAPTER, ADAPTER_CONFIG, Outcome, judge
from components.train.running.process import Progress, run_trainer
from components.train.running.readback import differences
from components.train.running.words import teller
from components.train.trainers import trainer

__all__ = [
    "MEASURED", "base_spec", "check_begin", "losses_spec", "measure",
    "model_of", "recover", "run_spec", "seal_run", "sum_up_losses", "train_adapter",
    "trained_before", "training_facts",
]  # fmt: skip

RESULT, MASKS, MEASURED = "result.json", "masks.json", "measured.json"
_TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", "added_tokens.json",
    "vocab.json", "merges.txt", "tokenizer.model",
)  # fmt: skip
"""Of what a trainer may leave beside the adapter: the files that belong to it."""


def base_spec(params: TrainParams) -> StepSpec | None:
    """Identity of the step that recovers the weights of a packaged model; None where the base is no such model."""
    if not params.base.packaged:
        return None
    return StepSpec("train.base", 1, {}, {"base": str(base_identity(params.base)["sha256"])})


def recover(run: Run, params: TrainParams) -> Artefact | None:
    """Recover the base's weights, where they come in a package; seals a model in Hugging Face's form."""
    spec = base_spec(params)
    if spec is None:
        return None
    with recorded_step(run, spec) as step:
        if not step.sealed:
            recover_base(step.path(JOB).parent)
            step.note(model=str(params.base.model))
    return step.artefact


def model_of(params: TrainParams, base: Artefact | None) -> Path | None:
    """Folder of the base model; None where it comes from the hub."""
    return base.path if base else params.base.folder


def run_spec(params: TrainParams, *, job: Job | None, prepared: str, base: Mapping[str, Any]) -> StepSpec:
    """Identity of a training.

    `prepared`: `outputs_digest` of `train.prepare`, which `job` was read from: the same examples are trained once,
    wherever their files lie and whatever was checked of them. `base`: of `components.train.base.base_identity`.
    Without a job, which is not known before the examples are, the identity is not known either: for plans only.
    """
    values = {
        "trainer": params.trainer, "version": trainer(params.trainer).VERSION, "lock": lock_digest(params.trainer),
        "files": files_digest(job) if job else "?", "base": dict(base),
    }  # fmt: skip
    return StepSpec("train.run", 1, values, {"prepared": prepared})


def trained_before(workspace: Path, params: TrainParams) -> bool:
    """Whether this trainer has trained this base in this workspace: then perhaps nothing has to be trained."""
    wanted = (params.trainer, lock_digest(params.trainer), base_identity(params.base))
    for file in (workspace / "store" / "train.run").glob("[!.]*/manifest.json"):
        try:
            known = json.loads(file.read_bytes())["params"]
            if (known["trainer"], known["lock"], known["base"]) == wanted:
                return True
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return False


def train_adapter(
    run: Run, params: TrainParams, *, prepared: Artefact, base: Artefact | None, environment: Callable[[], Environment],
    live: Callable[[StepSpec, Job], Any], tell: Callable[[Progress], None] = lambda progress: None,
) -> Artefact:  # fmt: skip
    """Train; seals the adapter and all that proves how it came about.

    Args:
        run: the run.
        params: section `train`.
        prepared: what a trainer is given.
        base: the recovered base, where it comes in a package.
        environment: of the trainer; asked only when there is something to train.
        live: makes a context manager whose value is called with each progress (MLflow, Prefect).
        tell: called with each progress too.

    Raises:
        TerminalError: the training failed, or is not what was asked for; what it left is kept, to go on from.
    """
    job = read_job(prepared)
    spec = run_spec(params, job=job, prepared=prepared.outputs_digest, base=base_identity(params.base))
    with recorded_step(run, spec) as step:
        if not step.sealed:
            found = environment()
            folder = step.scratch / "job"
            write_job(folder, prepared=prepared.path, model=model_of(params, base))
            started = _begun(folder)
            (folder / MEASURED).unlink(missing_ok=True)  # of an adapter that may not be the last one
            say = teller(spec.name)
            with live(spec, job) as record:

                def told(progress: Progress) -> None:
                    if progress.event == "begin":
                        check_begin(folder, job)
                    say(progress)
                    record(progress)
                    tell(progress)

                run_trainer(folder, python=found.python, entry=trainer(params.trainer).ENTRY, tell=told)
            outcome = judge(folder, job, started=started)
            measure(folder, job, python=found.python)
            seal_run(step, folder, job, outcome=outcome, environment=_without_paths(found.to_dict()))
        there = step.sealed
    if not there:
        remember_training(run.workspace, params, trained=step.artefact.path, here=True)
    return step.artefact


def _begun(folder: Path) -> float:
    """When the first sitting of this training began (unix seconds)."""
    file = folder / "started.json"
    try:
        return float(json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError):
        write_atomic(file, json.dumps(now := time.time()).encode())
        return now


def check_begin(folder: Path, job: Job) -> None:
    """Stop a training that is not the one that was asked for, before it has cost anything.

    Raises:
        TerminalError: each setting that is other than asked; rows that carry no loss.
    """
    effective = json.loads((folder / EFFECTIVE).read_bytes())
    wrong = differences(job, effective)
    if wrong:
        raise TerminalError(
            f"{job.params.trainer} would not train what the recipe says: {'; '.join(wrong)}. Nothing was trained; "
            f"its own view of it is {folder / EFFECTIVE}"
        )
    audit_masks(folder, job.params.base.template)


def _without_paths(environment: Mapping[str, Any]) -> dict[str, Any]:
    """What tells which environment it was, and nothing of this machine: artefacts are copied to MLflow."""
    return {name: value for name, value in environment.items() if name not in ("folder", "python")}


def measure(folder: Path, job: Job, *, python: Path) -> None:
    """Measure the losses of base and adapter on what was held out; kept in the job's folder as `measured.json`."""
    found = measure_losses(
        python=python, model=str((folder / MODEL).resolve()) if job.model == MODEL else job.model,
        revision=job.params.base.revision, precision=job.params.precision, adapter=folder / OUT,
        masks={"validation": folder / "masks-validation.jsonl"}, folder=folder / "losses",
        tell=progress_of("train.run losses"),
    )  # fmt: skip
    write_atomic(folder / MEASURED, json.dumps(found.to_dict()).encode())


def seal_run(
    step: Step, folder: Path, job: Job, *, outcome: Outcome, environment: Mapping[str, Any]
) -> None:  # fmt: skip
    """Write the artefact of a training that `judge` found good; `folder`: of the job, trained here or elsewhere."""
    from components.train.report.page import run_page

    audits = audit_masks(folder, job.params.base.template)
    for name in (ADAPTER, ADAPTER_CONFIG, *_TOKENIZER):
        if (folder / OUT / name).is_file():
            shutil.copyfile(folder / OUT / name, step.path(name))
    records = (EFFECTIVE, PROGRESS, LOG, MEASURED)
    for file in [*(folder / name for name in records), *folder.glob("masks-*.jsonl")]:
        if file.is_file():
            shutil.copyfile(file, step.path(file.name))
    for name, text in trainer(job.params.trainer).files(job).items():
        step.write_text(Path(name).name, text)
    step.write_json(JOB, job.to_dict())
    step.write_json(RESULT, outcome.to_dict())
    step.write_json(MASKS, {side: audit.to_dict() for side, audit in audits.items()})
    step.write_json("environment.json", dict(environment))
    step.write_text("page.html", run_page(folder, job, outcome=outcome, environment=environment, audits=audits))
    step.note(
        steps=outcome.steps, train_loss=outcome.train_loss, best_eval_loss=outcome.best_eval_loss,
        base_eval_loss=outcome.base_eval_loss, seconds=outcome.seconds,
    )  # fmt: skip


def losses_spec(*, trained: str) -> StepSpec:
    """Identity of what is told of an adapter's losses; `trained`: digest of `train.run`."""
    return StepSpec("train.losses", 1, {}, {"trained": trained})


def sum_up_losses(run: Run, *, trained: Artefact) -> Artefact:
    """Losses of base and adapter, example by example; seals `losses.json`.

    Raises:
        TerminalError: they were not measured where it was trained.
    """
    with recorded_step(run, losses_spec(trained=trained.digest)) as step:
        if not step.sealed:
            if MEASURED not in trained.manifest["outputs"]:
                raise TerminalError(f"{trained.id} has no losses of base and adapter: train it again")
            measured, result = trained.read_json(MEASURED), trained.read_json(RESULT)
            told = {
                **measured, "train_loss": result["mean_last_epoch_loss"], "train_rows": read_job(trained).train_rows,
                "adapter": trained.manifest["outputs"][ADAPTER]["sha256"],
            }  # fmt: skip
            step.write_json("losses.json", told)
            step.note(examples=len(measured["splits"]["validation"]["base"]))
    return step.artefact


def training_facts(trained: Artefact) -> dict[str, Any]:
    """What `cervella run` and `show` tell of a training."""
    result, job = trained.read_json(RESULT), read_job(trained)
    keys = (
        "trainer", "trainer_version", "steps", "steps_asked", "stopped_early", "mean_last_epoch_loss",
        "base_eval_loss", "best_eval_loss", "best_step", "trainable_parameters", "tokens_per_second", "seconds",
    )  # fmt: skip
    return {
        **{key: result[key] for key in keys}, "base": str(job.params.base.model or job.model),
        "train_rows": job.train_rows, "validation_rows": job.validation_rows, "folder": str(trained.path),
        "page": str(trained.path / "page.html"),
    }  # fmt: skip
