"""What a server is given: the base model in Hugging Face's form, and the adapter of a release as it was trained.

The adapter (PEFT) is told by the digest of its weights, which the release names, and lies in the `train.run` of the
run that the release comes from; `gc` keeps that for as long as the release can be in service. A base that comes in a
package is sealed by no run: `gc` leaves it while a server says by its lock that it may need it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.errors import InputError, TerminalError
from components.store import Artefact, FileLock, Store
from components.train.base import base_identity, recover_base
from components.train.params import PACKAGED, BaseModelParams, TrainParams
from components.train.running.outcome import ADAPTER, ADAPTER_CONFIG
from components.train.steps import base_spec

__all__ = [
    "BASE", "Adapter", "Base", "adapter_of", "base_of", "base_wanted", "check_adapted", "is_serving", "peft_adapter",
    "serving_in",
]  # fmt: skip

BASE = "train.base"
"""The step that recovers a base which comes in a package."""
_CONFIG = "config.json"
_LOCK = "serve.vllm"


@dataclass(frozen=True)
class Base:
    """A base model that can be served.

    Attributes:
        name: for people: of the hub, or of its folder; no path.
        model: what a server is told: a folder, or a name on the hub.
        revision: of a model of the hub; None: the newest.
        identity: SHA-256 (hex) of what identifies its weights.
        template: of its chats.
        here: whether it is a folder of this machine.
        longest: most tokens of prompt and answer together; None: not known.
    """

    name: str
    model: str
    revision: str | None
    identity: str
    template: str
    here: bool
    longest: int | None = None


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter as PEFT saves it. `name`: what it is asked for by; `sha256`: of its weights; `rank`: its r."""

    name: str
    folder: Path
    sha256: str
    rank: int


@contextmanager
def serving_in(workspace: Path) -> Iterator[None]:
    """Keep gc from removing bases from the workspace for the block; nothing is held where nothing may be written."""
    lock = None
    with suppress(OSError):
        (workspace / "locks").mkdir(parents=True, exist_ok=True)
        lock = FileLock(workspace / "locks" / _LOCK)
        while not lock.try_shared():  # nobody holds it alone for longer than a look
            time.sleep(0.01)
    try:
        yield
    finally:
        if lock:
            lock.close()


def is_serving(workspace: Path) -> bool:
    """Whether any process is in `serving_in`, or nobody can tell."""
    path = workspace / "locks" / _LOCK
    if not path.exists():
        return False
    try:
        lock = FileLock(path)
    except OSError:
        return True
    try:
        return not lock.try_exclusive()
    finally:
        lock.close()


def base_wanted(chat: str, train: BaseModelParams) -> BaseModelParams:
    """Which base a recipe answers with. `chat`: `llm.chat.model`; `train`: its `train.base`.

    Raises:
        InputError: nothing that a server of ours could serve.
    """
    if chat == PACKAGED:
        return BaseModelParams(model=PACKAGED, template="smollm2", quantization="none")
    if chat.startswith(("hosted_vllm/", "openai/")):
        return train
    raise InputError(
        f"serve.backend: vllm cannot serve llm.chat.model {chat}: it serves {PACKAGED}, and as hosted_vllm/NAME the "
        "model that train.base names"
    )


def base_of(base: BaseModelParams, *, workspace: Path) -> Base:
    """The base, its weights recovered first where they come in a package (540 MB under `workspace`, once).

    Raises:
        InputError: its folder holds no model. TerminalError: its package is not installed, or the disk is full.
    """
    identity = str(base_identity(base)["sha256"])
    if base.packaged:
        spec = base_spec(TrainParams(base=base))
        assert spec is not None  # noqa: S101 - it is packaged
        with Store(workspace).step(spec) as step:
            if not step.sealed:
                recover_base(step.path(_CONFIG).parent)
        model, here = str(step.artefact.path), True
    elif base.folder is not None:
        model, here = str(base.folder.absolute()), True
    else:
        model, here = str(base.model), False
    name = str(base.model or Path(model).name).removeprefix("local/")
    return Base(name, model, base.revision, identity, base.template, here, _longest(Path(model)) if here else None)


def _longest(folder: Path) -> int | None:
    try:
        told = json.loads((folder / _CONFIG).read_bytes()).get("max_position_embeddings")
    except (OSError, ValueError):
        return None  # vLLM says what is wrong with it
    return told if isinstance(told, int) else None


def adapter_of(release: Mapping[str, Any], *, base: Base, workspace: Path) -> Adapter | None:
    """The adapter of a release; None: it answers with the base alone. `release`: its `release.json`.

    With an adapter the release says which base it was trained on; without one, it says no more of its weights than the
    name of its model, so that name must be the base's. Not seen: other weights of that name, such as a newer revision.

    Raises:
        InputError: the release answers with another base.
        TerminalError: the weights of its adapter are not in the workspace any more.
    """
    wanted = release.get("adapter")
    if not wanted:
        _check_named(str(release["base_model"]["model"]), base)
        return None
    check_adapted(release.get("adapted") or {}, base=base, whose="the release")
    for training in Store(workspace).newest("train.run"):
        if training.manifest["outputs"].get(ADAPTER, {}).get("sha256") == wanted:
            return peft_adapter(training)
    raise TerminalError(
        f"the adapter of the release (SHA-256 {str(wanted)[:12]}...) is in no train.run of {workspace}: run its recipe "
        "again, which trains it anew where it is gone, and promote"
    )


def _check_named(model: str, base: Base) -> None:
    name = model.removeprefix("local/") if model == PACKAGED else model.partition("/")[2]
    if name not in (base.name, base.model):
        raise InputError(
            f"the release answers with {model}, and train.base of this recipe is {base.name}, which may be another "
            "model: serve it with the recipe that it was made of, or with a train.base of that name (the name on the "
            "hub, or of its folder)"
        )


def check_adapted(adapted: Mapping[str, Any], *, base: Base, whose: str) -> None:
    """Raise InputError unless an adapter was trained on `base`. `adapted`: as `base_identity` tells it."""
    if adapted.get("sha256") != base.identity:
        raise InputError(
            f"the adapter of {whose} was trained on another base than {base.name}: serve it with the recipe that it "
            "was made of"
        )


def peft_adapter(training: Artefact) -> Adapter:
    """The adapter of a sealed `train.run`."""
    sha256 = str(training.manifest["outputs"][ADAPTER]["sha256"])
    rank = training.read_json(ADAPTER_CONFIG).get("r")
    if not isinstance(rank, int):
        raise TerminalError(f"{training.path / ADAPTER_CONFIG}: no rank (`r`), so it is no LoRA adapter")
    return Adapter(f"adapter-{sha256[:16]}", training.path, sha256, rank)
