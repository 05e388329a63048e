"""Are the installed trainers and backends whole, and is the one there that a recipe trains with, or is served by?"""

from __future__ import annotations

from collections.abc import Iterator

from components.services.doctor import Check, Level
from components.store import bytes_in_words
from components.train.environments.find import BACKENDS, NAMES, EnvironmentName, install_command
from components.train.environments.state import states

__all__ = ["check_backends", "check_trainers"]


def check_trainers(needed: str | None = None) -> Iterator[Check]:
    """A line for each trainer that is installed, and for the one that is `needed` and is not.

    Looks at files alone; `cervella trainers install NAME` also imports the trainer.
    """
    yield from _check("trainers", NAMES, needed=needed, use="which the recipe trains with")


def check_backends(needed: str | None = None) -> Iterator[Check]:
    """The same for backends; `needed`: `serve.backend` of the recipe."""
    yield from _check("backends", BACKENDS, needed=needed, use="which the recipe is served by")


def _check(what: str, names: tuple[EnvironmentName, ...], *, needed: str | None, use: str) -> Iterator[Check]:
    for state in states(names):
        about = f"{state.name} {state.version}"
        mend = install_command(state.name)
        if state.state == "installed":
            build = f"torch {state.torch}, {bytes_in_words(state.bytes)}, {state.folder}"
            yield Check(what, "ok", f"{about}: {build}")
        elif state.state == "installing":
            yield Check(what, "warning", f"{about} is being installed now", "wait until it is done")
        elif state.state == "broken":
            level: Level = "problem" if state.name == needed else "warning"
            yield Check(what, level, f"{about}: {state.why} ({state.folder})", mend)
        elif state.name == needed:
            yield Check(what, "problem", f"{about}, {use}, is not installed", mend)
