"""Brings the result of a training elsewhere home: is it what the recipe asks for, is it whole, and is it any good?

It becomes the artefact that `train.run` would have sealed here, so the run goes on from it. Only the adapter
(safetensors), the tokenizer and records (JSON, text) come in; nothing of it is unpickled or run. State after a crash: a
folder in the step's scratch, which the next try removes.

Not proved: that the result comes from this very training. Its digests say that nothing was damaged, and the judgement
(configuration, masks, losses, weights) that it is what was asked; who can write a file can write digests.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from components.errors import InputError, TerminalError
from components.store import Artefact, Step, StepSpec, file_digest, write_atomic
from components.train.bundle.archive import Manifest, unpack_files
from components.train.environments.find import find_environment
from components.train.job import EFFECTIVE, INSIDE, Job
from components.train.losses import read_losses
from components.train.prepare import neutral, write_job
from components.train.running.outcome import Outcome, judge
from components.train.running.readback import differences
from components.train.steps import MEASURED, measure, seal_run

__all__ = ["changes", "check_asked", "take_home"]

_FOLDER = "elsewhere"
_CODE = ("auto_map", "custom_pipelines")
"""Keys of JSON files by which libraries import code that comes with a model."""


def check_asked(file: Path, manifest: Manifest, *, spec: StepSpec, job: Job) -> None:
    """Refuse a result that is not of the training that the recipe asks for now.

    Raises:
        TerminalError: the recipe, the examples or the trainer changed since it was packed; says what did.
    """
    if manifest.fingerprint == spec.fingerprint and manifest.spec == spec.to_dict():
        return
    told = "; ".join(changes(manifest, spec=spec, job=job)) or "its record of what was asked was changed"
    raise TerminalError(
        f"{file} is not the result of what the recipe asks for now. What changed since it was packed: {told}. Nothing "
        "was taken. Change it back (`-o KEY=VALUE` for this time), or pack and train again"
    )


def changes(manifest: Manifest, *, spec: StepSpec, job: Job) -> Iterator[str]:
    """What is other in the recipe now than when the bundle was packed, in words."""
    asked, now = manifest.asked, neutral(job.params).model_dump(mode="json")
    settings = list(_differences("train", asked, now))
    yield from settings
    for side, name in (("training", job.train_file), ("held-out", job.validation_file)):
        if f"job/data/{name}" not in manifest.job:
            yield f"the {side} examples"
    then: Mapping[str, Any] = manifest.spec.get("params") or {}
    for key, words in (("version", "the trainer's version"), ("lock", "the trainer's locked packages")):
        if then.get(key) != spec.params[key]:
            yield words
    if then.get("base") != spec.params["base"] and not any(one.startswith("train.base") for one in settings):
        yield "the weights of the base model"
    if not settings and then.get("files") != spec.params["files"]:
        yield "how this version of Cervella configures the trainer"


def _differences(where: str, then: Any, now: Any) -> Iterator[str]:
    if isinstance(then, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*then, *now]):
            yield from _differences(f"{where}.{key}", then.get(key), now.get(key))
    elif then != now:
        yield f"{where} was {json.dumps(then)}, is {json.dumps(now)}"


def take_home(
    file: Path, manifest: Manifest, step: Step, *, job: Job, prepared: Artefact, model: Path | None
) -> Outcome:  # fmt: skip
    """Unpack, judge and write what `train.run` seals.

    Args:
        file: the result; `check_asked` has passed.
        manifest: of it, as it was read then.
        step: the step `train.run`, not sealed yet.
        job: that it was trained for.
        prepared: what the trainer was given.
        model: folder of the base model, where it does not come from the hub.

    Raises:
        InputError: the file is damaged, or made to do harm.
        TerminalError: the training is not what was asked for, or did not succeed.
    """
    folder = step.scratch / _FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    try:
        if unpack_files(file, folder) != manifest:
            raise InputError(f"{file} changed while it was read. Nothing was taken")
        _check_code(file, folder)
        write_job(folder, prepared=prepared.path, model=model)
        _check_job(file, manifest, folder)
        started = float(_read(file, folder / "started.json"))
        if wrong := differences(job, _read(file, folder / EFFECTIVE)):
            raise TerminalError(f"{file}: the trainer used other settings than the recipe's: {'; '.join(wrong)}")
        outcome = judge(folder, job, started=started)
        _losses(file, folder, job)
        environment = dict(_read(file, folder / "environment.json"))
        seal_run(step, folder, job, outcome=outcome, environment={**environment, "elsewhere": True})
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:  # records of another shape
        raise InputError(f"{file}: its records cannot be understood ({error!r}). Nothing was taken") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


def _losses(file: Path, folder: Path, job: Job) -> None:
    """Losses of base and adapter as they were measured there; where that failed, measured here."""
    if (folder / "losses.json").exists():
        try:
            found = read_losses(_read(file, folder / "losses.json"))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{file}: losses.json cannot be understood ({error!r}). Nothing was taken") from None
        if any({len(one.base), len(one.adapted)} != {job.validation_rows} for one in found.splits.values()):
            raise TerminalError(f"{file}: losses.json is not of the {job.validation_rows} held-out examples")
        write_atomic(folder / MEASURED, json.dumps(found.to_dict()).encode())
        return
    try:
        python = find_environment(job.params.trainer).python
    except TerminalError as error:
        raise TerminalError(
            f"{file} has no losses of base and adapter: they could not be measured where it was trained, and cannot be "
            f"here: {error}"
        ) from None
    measure(folder, job, python=python)


def _check_job(file: Path, manifest: Manifest, folder: Path) -> None:
    """The bundle held the very files that are asked for here, our scripts aside: their newer versions may differ."""
    for name, sha256 in manifest.job.items():
        path = folder / name.removeprefix("job/")
        if name.startswith(f"job/{INSIDE}/") or name.startswith("job/model/"):
            continue  # of the base, digests are part of the step's identity
        if not path.is_file() or file_digest(path) != sha256:
            raise TerminalError(
                f"{file}: it was trained with another {name} than the recipe asks for. Nothing was taken"
            )


def _check_code(file: Path, folder: Path) -> None:
    """No configuration names code that a library would import with it."""
    for path in sorted((folder / "out").glob("*.json")):
        found = _read(file, path)
        if isinstance(found, dict) and (bad := next((key for key in _CODE if found.get(key)), None)):
            raise InputError(f"{file}: {path.name} names code to import ({bad}). Nothing was taken")
        mapping = (found.get("auto_mapping") if isinstance(found, dict) else None) or {}
        library = mapping.get("parent_library", "transformers.models.") if isinstance(mapping, dict) else mapping
        if not str(library).startswith("transformers.models."):  # as Unsloth writes it
            raise InputError(f"{file}: {path.name} names code to import ({library}). Nothing was taken")


def _read(file: Path, path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{file}: it has no {path.name}, so it cannot be judged. Nothing was taken") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: {path.name} cannot be read ({error}). Nothing was taken") from None
