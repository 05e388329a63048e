"""Writes a bundle: one zip file with all that a training needs on a machine that has a GPU and nothing of ours.

    train-<recipe>-<job>/  README.md  train.py  train.ipynb  manifest.json  requirements.lock  requirements-uv.lock
                           parts/ (what train.py is made of)  job/ (the folder of `components.train.job`)

Equal arguments give equal bytes, on machines with the same zlib. No key, no path and no name of this machine is in it.
A crash leaves the bundle that was there before, or none; a hidden file beside it at most.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import TerminalError
from components.store import StepSpec, file_digest
from components.train.bundle.notebook import notebook
from components.train.bundle.readme import readme
from components.train.environments.find import lock_file, torch_version, trainer_version
from components.train.environments.install import STUBS
from components.train.job import DATA, INSIDE, JOB, MODEL, Job
from components.train.losses import losses_request
from components.train.machine import needs_gpu
from components.train.running.process import QUIET
from components.train.trainers import trainer

__all__ = ["BASE_BYTES", "Bundle", "base_bytes", "bundle_name", "check_size", "pack", "result_name"]

FORMAT, KIND = 1, "cervella.train.bundle"
BASE_BYTES = 2_000_000_000
"""A base model that is larger travels only when it is asked for."""
PYTHON = "3.11"
"""That the locks of trainers are made for."""
_THERE = Path(__file__).with_name("there")
_UV = Path(__file__).parents[3] / "requirements-tools.lock"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first that zip knows


@dataclass(frozen=True)
class Bundle:
    """What was written.

    Attributes:
        file: the bundle.
        bytes: its size.
        result: name of the file that comes back.
        examples: that are in it, held-out ones included.
    """

    file: Path
    bytes: int
    result: str
    examples: int


def bundle_name(recipe: str, fingerprint: str) -> str:
    """File name of a bundle."""
    return f"train-{recipe}-{fingerprint[:16]}.zip"


def result_name(fingerprint: str) -> str:
    """File name of what comes back."""
    return f"result-{fingerprint[:16]}.tar.gz"


def base_bytes(model: Path | None) -> int:
    """Bytes of a base model that travels; 0 where it comes from the hub."""
    return sum(path.stat().st_size for path in _model_files(model)) if model else 0


def pack(
    folder: Path, *, out: Path, spec: StepSpec, recipe: str, version: str, estimate: Sequence[str] = (),
    disk_gb: float = 40, with_base: bool = False,
) -> Bundle:  # fmt: skip
    """Write the bundle of a job.

    Args:
        folder: of the job, as `components.train.prepare.write_job` wrote it.
        out: folder for the bundle.
        spec: identity of the step `train.run`, which the result will be.
        recipe: name of the recipe.
        version: of Cervella.
        estimate: lines: what it will take, and cost.
        disk_gb: that the training will take.
        with_base: whether a base model of more than `BASE_BYTES` travels.

    Raises:
        TerminalError: the base model is too large, or a file names a path of this machine.
    """
    job = Job.from_dict(json.loads((folder / JOB).read_bytes()))
    model = folder / MODEL if (folder / MODEL).exists() else None
    check_size(base_bytes(model), with_base=with_base)
    name, result = bundle_name(recipe, spec.fingerprint), result_name(spec.fingerprint)
    texts, files = _contents(folder, job, model)
    _check_paths(texts, folder)
    facts = _facts(job, estimate)
    texts |= _words(job, recipe=recipe, bundle=name, result=result, facts=facts, model=model, disk_gb=disk_gb)
    listed = {key: _listed(text) for key, text in texts.items()} | {
        key: {"sha256": file_digest(path), "bytes": path.stat().st_size} for key, path in files.items()
    }
    texts["manifest.json"] = _json(
        {
            "format": FORMAT, "kind": KIND, "cervella": version, "recipe": recipe, "fingerprint": spec.fingerprint,
            "spec": spec.to_dict(), "asked": job.params.model_dump(mode="json"), "trainer": _trainer(job),
            "needs_gpu": needs_gpu(job.params),
            "expected": [[one.what, one.path, one.value] for one in trainer(job.params.trainer).expected(job)],
            "losses": losses_request(job.model, revision=job.params.base.revision, precision=job.params.precision),
            "base": str(job.params.base.model or "the base model in job/model"), "environment": QUIET,
            "steps": job.schedule.steps, "rows": {"train": job.train_rows, "validation": job.validation_rows},
            "estimate": list(estimate), "files": dict(sorted(listed.items())),
        }
    )  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    _write(out / name, texts, files)
    return Bundle(out / name, (out / name).stat().st_size, result, job.train_rows + job.validation_rows)


def _contents(folder: Path, job: Job, model: Path | None) -> tuple[dict[str, str], dict[str, Path]]:
    """Texts and files of a bundle, by their names in it, without the words for people."""
    texts = {f"job/{JOB}": (folder / JOB).read_text(encoding="utf-8")}
    for name in trainer(job.params.trainer).files(job):
        texts[f"job/{name}"] = (folder / name).read_text(encoding="utf-8")
    for path in sorted((folder / INSIDE).glob("*.py")):
        texts[f"job/{INSIDE}/{path.name}"] = path.read_text(encoding="utf-8")
    for path in sorted(_THERE.glob("*.py")):
        texts[path.name if path.name == "train.py" else f"parts/{path.name}"] = path.read_text(encoding="utf-8")
    texts["requirements.lock"] = lock_file(job.params.trainer).read_text(encoding="utf-8")
    texts["requirements-uv.lock"] = _UV.read_text(encoding="utf-8")
    files = {f"job/{DATA}/{name}": folder / DATA / name for name in (job.train_file, job.validation_file)}
    files |= {f"job/{MODEL}/{path.name}": path for path in _model_files(model)} if model else {}
    return texts, files


def _words(
    job: Job, *, recipe: str, bundle: str, result: str, facts: Sequence[str], model: Path | None, disk_gb: float
) -> dict[str, str]:  # fmt: skip
    """README and notebook."""
    rows = job.train_rows + job.validation_rows
    where = (
        "The base model is in it too."
        if model
        else f"The base model, {job.model}, is downloaded from the model hub there. If its licence has to be accepted "
        "first, do that and set HF_TOKEN on that machine."
    )
    return {
        "README.md": readme(
            recipe=recipe, bundle=bundle, result=result, facts=facts, rows=rows, model=where,
            hardware=job.params.hardware, disk_gb=max(30, round(disk_gb) + 15),
        ),
        "train.ipynb": notebook(
            recipe=recipe, bundle=bundle, result=result, rows=rows, facts="\n".join(f"- {line}" for line in facts)
        ),
    }  # fmt: skip


def _facts(job: Job, estimate: Sequence[str]) -> list[str]:
    params = job.params
    return [
        f"{params.base.model or 'the base model in job/model'}, LoRA r {params.lora.r}, "
        f"{'4 bit' if params.base.quantization == 'nf4' else 'unquantized'}, {params.precision}, with {params.trainer}",
        f"{job.train_rows} examples, {job.validation_rows} held out, {job.schedule.steps} steps",
        *estimate,
    ]


def _trainer(job: Job) -> dict[str, Any]:
    name = job.params.trainer
    return {
        "name": name, "version": trainer_version(name), "entry": trainer(name).ENTRY, "torch": torch_version(name),
        "lock": file_digest(lock_file(name)), "python": PYTHON, "stubs": list(STUBS.get(name, ())),
    }  # fmt: skip


def _model_files(model: Path) -> Iterator[Path]:
    """The files of a base model, those that a Hugging Face folder has on its top."""
    return (path for path in sorted(model.iterdir()) if path.is_file() and not path.name.startswith("."))


def check_size(size: int, *, with_base: bool) -> None:
    """Raise TerminalError when a base model of that many bytes travels only when it is asked for, and was not."""
    if size > BASE_BYTES and not with_base:
        raise TerminalError(
            f"the base model would travel in the bundle: it has {size / 1e9:.1f} GB. Say --with-base to take it along, "
            "or name a model of the hub in train.base.model, which is downloaded where it is trained"
        )


def _check_paths(texts: Mapping[str, str], folder: Path) -> None:
    """Nothing of this machine leaves it: who works here, and where."""
    here = {str(Path.home()), str(Path.cwd()), str(folder.absolute()), tempfile.gettempdir()} - {"/"}
    for name, text in texts.items():
        if name.startswith("job/") and not name.startswith(f"job/{INSIDE}/"):
            if path := next((path for path in sorted(here) if f"{path}/" in text), None):
                raise TerminalError(
                    f"{name} of the bundle would name a folder of this machine ({path}): no other machine has it. It "
                    "comes from train.extra of the recipe, where a file cannot be named"
                )


def _listed(text: str) -> dict[str, Any]:
    data = text.encode()
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _write(out: Path, texts: Mapping[str, str], files: Mapping[str, Path]) -> None:
    descriptor, half = tempfile.mkstemp(prefix=f".{out.name}.", dir=out.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
                for name in sorted([*texts, *files]):
                    entry = zipfile.ZipInfo(f"{out.stem}/{name}", _EPOCH)
                    entry.compress_type, entry.create_system, entry.external_attr = (
                        zipfile.ZIP_DEFLATED,
                        3,
                        0o100644 << 16,
                    )
                    if name in texts:
                        archive.writestr(entry, texts[name].encode())
                    else:
                        entry.file_size = files[name].stat().st_size  # large ones need to be announced
                        with files[name].open("rb") as source, archive.open(entry, "w") as target:
                            shutil.copyfileobj(source, target, 1 << 20)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(half, 0o644)
        os.replace(half, out)
    except BaseException:
        Path(half).unlink(missing_ok=True)
        raise
