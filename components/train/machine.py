"""Whether this machine can train what a recipe asks for."""

from __future__ import annotations

from pathlib import Path

from components.errors import TerminalError
from components.train.environments.find import find_environment
from components.train.environments.machine import has_nvidia_gpu
from components.train.params import TrainParams
from components.train.steps import trained_before

__all__ = ["can_train", "check_machine", "machine_problem", "needs_gpu"]


def needs_gpu(params: TrainParams) -> str | None:
    """Why the training needs a GPU; None when a processor will do."""
    if params.trainer == "unsloth" and params.hardware != "cpu":
        return f"train.hardware is {params.hardware}: inside/run_unsloth.py takes a processor for cpu only"
    if params.base.quantization != "none":
        return f"train.base.quantization is {params.base.quantization}"
    if params.precision != "fp32":
        return f"train.precision is {params.precision}"
    if params.optimizer != "adamw_torch":
        return f"train.optimizer is {params.optimizer}"
    return None


def machine_problem(params: TrainParams) -> str | None:
    """Why this machine cannot train it, and what to do; None when it can."""
    why = needs_gpu(params)
    if why and not has_nvidia_gpu():
        return (
            f"this machine has no NVIDIA GPU, and {why}. Train elsewhere: `cervella train pack RECIPE` makes one file "
            "for Colab's free T4 or any other machine. To see the machinery here: recipes/optimize-smoke.yaml"
        )
    try:
        found = find_environment(params.trainer)
    except TerminalError as error:
        return str(error)
    if why and not found.cuda:
        return (
            f"the installed {params.trainer} is built for processors alone, and {why}: "
            f"cervella trainers install {params.trainer} --repair takes the build for the GPU of this machine"
        )
    return None


def check_machine(params: TrainParams) -> None:
    """Raise TerminalError when this machine cannot train it."""
    problem = machine_problem(params)
    if problem:
        raise TerminalError(problem)


def can_train(workspace: Path, params: TrainParams) -> None:
    """Say at once when this machine cannot train, unless such a training is sealed here, perhaps the very one.

    Raises:
        TerminalError: the trainer is not installed, or needs a GPU that is not there.
    """
    if not trained_before(workspace, params):
        check_machine(params)
