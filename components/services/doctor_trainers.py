"""Are the installed trainers whole, and is the one there that a recipe trains with?"""

from __future__ import annotations

from collections.abc import Iterator

from components.services.doctor import Check, Level
from components.train.environments.machine import size
from components.train.environments.state import states

__all__ = ["check_trainers"]


def check_trainers(needed: str | None = None) -> Iterator[Check]:
    """A line for each trainer that is installed, and for the one that is `needed` and is not.

    Looks at files alone; `cervella trainers install NAME` also imports the trainer.
    """
    for state in states():
        about = f"{state.name} {state.version}"
        mend = f"cervella trainers install {state.name}"
        if state.state == "installed":
            build = f"torch {state.torch}, {size(state.bytes)}, {state.folder}"
            yield Check("trainers", "ok", f"{about}: {build}")
        elif state.state == "installing":
            yield Check("trainers", "warning", f"{about} is being installed now", "wait until it is done")
        elif state.state == "broken":
            level: Level = "problem" if state.name == needed else "warning"
            yield Check("trainers", level, f"{about}: {state.why} ({state.folder})", mend)
        elif state.name == needed:
            yield Check("trainers", "problem", f"{about}, which the recipe trains with, is not installed", mend)
