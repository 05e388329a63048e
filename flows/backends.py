"""The own model of a recipe behind a server that `cervella serve` starts: which base and adapter, and what is told."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from components.errors import TerminalError
from components.recipe import LoadedRecipe
from components.serve.backends.pool import Held, Pool
from components.serve.backends.weights import (
    Adapter,
    Base,
    adapter_of,
    base_of,
    base_wanted,
    check_adapted,
    peft_adapter,
    serving_in,
)
from components.serve.desk import Opened
from components.train.environments.find import find_environment

if TYPE_CHECKING:
    from components.llm.chat import Backend
    from components.llm.params import ChatParams

__all__ = ["Backends", "Holding", "Serving"]


class Backends:
    """The servers of a recipe with `serve.backend: vllm`.

    Raises:
        InputError: the recipe's model cannot be served. TerminalError: the environment is not installed.
    """

    def __init__(self, loaded: LoadedRecipe) -> None:
        recipe = loaded.recipe
        if recipe.serve.answers == "recipe":  # of a release it is told when it is opened
            base_wanted(recipe.llm.chat.model, recipe.train.base)
        find_environment("vllm")
        self.has_helper = recipe.serve.router is not None
        self._pool = Pool(recipe.workspace, params=recipe.serve.vllm, say=_say)
        self._serving = ExitStack()
        self._serving.enter_context(serving_in(recipe.workspace))

    def serving(self, loaded: LoadedRecipe, held: ExitStack) -> Serving:
        """What has a model of the recipe, as it is now, served for as long as `held` is open."""
        return Serving(self, loaded, held)

    def take(self, loaded: LoadedRecipe, chat: ChatParams, release: Mapping[str, Any] | None) -> Held:
        """The model of a release, or of what the recipe says, served.

        Raises:
            InputError: `train.base` is no base of it. TerminalError, TransientError: as `Pool.take`.
        """
        recipe = loaded.recipe
        base = base_of(base_wanted(chat.model, recipe.train.base), workspace=recipe.workspace)
        if release is None:
            adapter = _newest(loaded, base)
        else:
            adapter = adapter_of(release, base=base, workspace=recipe.workspace)
        return self._pool.take(base, adapter, chat=chat)

    def told(self) -> dict[str, Any]:
        """For `/health`: the servers."""
        return {"kind": "vllm", "servers": self._pool.told()}

    def hurry(self) -> None:
        """Nobody waits any more for one that is not up."""
        self._pool.hurry()

    def close(self) -> None:
        """End all of them."""
        self._pool.close()
        self._serving.close()


def _newest(loaded: LoadedRecipe, base: Base) -> Adapter | None:
    """Of phase optimize the adapter that this recipe has trained last; else none."""
    from components.store import Store, read_runs

    recipe = loaded.recipe
    if recipe.phase != "optimize":
        return None
    for state in read_runs(recipe.workspace):
        if state["recipe"] != recipe.name or state.get("matrix"):
            continue
        for step in state["steps"]:
            if step["name"] == "train.run" and step.get("artefact"):
                training = Store(recipe.workspace).open(step["artefact"])
                check_adapted(training.manifest["params"]["base"], base=base, whose="the last training of this recipe")
                return peft_adapter(training)
    raise TerminalError(f"nothing was trained by this recipe yet: cervella run {loaded.path} trains")


class Serving:
    """What is called to have one model served; then it says whether its server is up."""

    def __init__(self, backends: Backends, loaded: LoadedRecipe, held: ExitStack) -> None:
        self._backends, self._loaded, self._held, self._taken = backends, loaded, held, list[Held]()

    def __call__(self, chat: ChatParams, release: Mapping[str, Any] | None) -> Backend:
        """See `Serves`."""
        taken = self._backends.take(self._loaded, chat, release)
        self._held.callback(taken.close)
        self._taken.append(taken)
        return taken.backend

    def is_up(self) -> bool:
        """Whether a question could be answered now."""
        return all(one.backend.is_up() for one in self._taken)


@dataclass
class Holding(Opened):
    """What is opened with a model that a server of ours serves for it, where `serve.backend` says so."""

    serving: Serving | None = None
    let_go: Callable[[], None] = lambda: None

    def is_up(self) -> bool:
        """Whether its model could answer now."""
        return self.serving is None or self.serving.is_up()

    def close(self) -> None:
        """The server need not serve it any more."""
        self.let_go()


def _say(text: str) -> None:
    click.echo(text, err=True)
    sys.stderr.flush()
