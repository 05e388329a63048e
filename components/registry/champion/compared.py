"""Whether the release in service can be asked beside a candidate, and if not, why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.errors import TerminalError
from components.evaluate.asking.contestants import no_champion
from components.registry.champion.record import read_champion
from components.registry.champion.release_step import RELEASE
from components.store import Artefact, Store

__all__ = ["champion_beside"]


def champion_beside(
    workspace: Path, *, model_name: str, candidate: Mapping[str, Any]
) -> tuple[Artefact | None, str]:  # fmt: skip
    """The sealed release in service that is asked beside `candidate`; or none, and why, in words.

    Args:
        workspace: where releases are sealed.
        model_name: the registered model.
        candidate: its release, from `components.registry.steps.release_of`.
    """
    champion = read_champion(workspace, model_name)
    if champion is None:
        return None, "nothing is in service yet"
    try:
        sealed = Store(workspace).open(champion.release)
    except TerminalError as error:
        return None, f"the release in service cannot be read: {error}"
    why = no_champion(sealed.read_json(RELEASE), candidate=candidate, files=list(sealed.manifest["outputs"]))
    return (None, why) if why else (sealed, "")
