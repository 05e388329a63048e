"""Whether the release in service can be asked beside a candidate, and if not, why."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from components.errors import TerminalError
from components.evaluate.asking.contestants import no_champion
from components.llm.places import leaves_to
from components.registry.champion.record import read_champion
from components.registry.champion.release_step import RELEASE
from components.store import Artefact, Store

__all__ = ["champion_beside"]


def champion_beside(
    workspace: Path, *, model_name: str, candidate: Mapping[str, Any], trusted_hosts: Collection[str] = ()
) -> tuple[Artefact | None, str]:  # fmt: skip
    """The sealed release in service that is asked beside `candidate`; or none, and why, in words.

    Args:
        workspace: where releases are sealed.
        model_name: the registered model.
        candidate: its release, from `components.registry.steps.release_of`.
        trusted_hosts: of `api_base`, count as this machine. A champion that is elsewhere is not asked beside a
            candidate that is here: nobody has said that this recipe's notes may go there.
    """
    champion = read_champion(workspace, model_name)
    if champion is None:
        return None, "nothing is in service yet"
    try:
        sealed = Store(workspace).open(champion.release)
    except TerminalError as error:
        return None, f"the release in service cannot be read: {error}"
    release = sealed.read_json(RELEASE)
    why = no_champion(release, candidate=candidate, files=list(sealed.manifest["outputs"]))
    if not why and (away := _place(release, trusted_hosts)) and not _place(candidate, trusted_hosts):
        why = f"the release in service is answered by {release['base_model']['model']}, which is elsewhere ({away}), "
        why += "and this recipe's model is here: its notes do not go there"
    return (None, why) if why else (sealed, "")


def _place(release: Mapping[str, Any], trusted_hosts: Collection[str]) -> str | None:
    """Where the words go that a release's model is given; None: they stay here."""
    base = release["base_model"]
    return leaves_to(base["model"], api_base=base.get("api_base"), trusted_hosts=trusted_hosts)
