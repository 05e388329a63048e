"""Which release is to go into service: the newest that was registered, or one whose probation was interrupted.

A promotion of a run of this phase is *pending* until its `scale.switch` is sealed: killed between the two, the next
run goes on there. `gc` may remove what was sealed long ago; then the record of the run tells.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from components.errors import InputError
from components.evaluate.asking.contestants import no_champion
from components.index.params import IndexParams
from components.llm.counting import embedder_id
from components.llm.params import ChatParams
from components.llm.places import leaves_to
from components.registry.champion import Champion, read_history
from components.registry.champion.candidate import Proposed, proposed
from components.registry.champion.record import line_of
from components.registry.champion.release_step import RELEASE
from components.store import Artefact, StepSpec, Store, read_runs

__all__ = [
    "Candidate",
    "Standing",
    "candidate_spec",
    "check_candidate",
    "find_candidate",
    "promoter",
    "switch_of",
    "switch_spec",
]

Standing = Literal["new", "pending", "in service"]
"""new: another one than what is in service; pending: in service, by a run of this phase that did not end."""
_BY = "scale run "


@dataclass(frozen=True)
class Candidate:
    """A release that was registered.

    Attributes:
        run: that it came from.
        registered_by: that run, or the matrix that it was the best of.
        recipe: of that run.
        phase: of that recipe.
        release: id of its sealed artefact.
        digest: of the release.
        version: of the registered model; None: unknown.
        gate: id of the sealed verdict of its run.
        verdict: of that gate.
        standing: see `Standing`.
        before: digest of the release that is in service, or was before it; None: none is or was.
        before_version: of that release.
        since: when what is in service now was put there (`Champion.at`), a pending one itself; None: nothing is.
    """

    run: str
    registered_by: str
    recipe: str
    phase: str
    release: str
    digest: str
    version: int | None
    gate: str
    verdict: str
    standing: Standing
    before: str | None = None
    before_version: int | None = None
    since: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON; `Candidate(**...)` reads it back."""
        return asdict(self)


def promoter(run: str) -> str:
    """Who promotes and rolls back in a run of this phase, as the history of the champions tells it."""
    return f"{_BY}{run}"


def switch_spec(promotion: Champion) -> StepSpec:
    """Identity of the probation of a promotion: once for each, whatever the limits are."""
    return StepSpec("scale.switch", 1, {"promoted": promotion.at}, {"release": promotion.digest})


def find_candidate(workspace: Path, *, recipe: str | None, model_name: str) -> Candidate:
    """The candidate of a workspace. A promotion that is pending goes before what was registered since.

    Args:
        workspace: where runs and releases are.
        recipe: name of the recipe that it has to be of; None: any.
        model_name: the registered model.

    Raises:
        TerminalError: nothing was registered, or what was is gone or damaged.
    """
    history = read_history(workspace, model_name)
    now = history[-1] if history else None
    if now is not None and is_pending(workspace, now):
        return _of_champion(now, line_of(history))
    offer = proposed(workspace, recipe=recipe, model_name=model_name)
    if now is not None and now.digest == offer.digest:
        line = line_of(history)
        return _of_offer(offer, "in service", line[-2] if len(line) > 1 else None, since=now.at)
    return _of_offer(offer, "new", now, since=now.at if now else None)


def is_pending(workspace: Path, now: Champion) -> bool:
    """Whether the release in service was put there by a run of this phase, and its probation has not ended."""
    if now.what != "promote" or not now.by.startswith(_BY) or switch_of(workspace, now) is not None:
        return False
    ended = (state.get("scale") or {} for state in read_runs(workspace) if state["phase"] == "scale")
    return not any(told.get("promoted_at") == now.at and "switched" in told for told in ended)


def switch_of(workspace: Path, promotion: Champion) -> dict[str, Any] | None:
    """What came of the probation of a promotion (`switch.json`); None: it has not ended, or `gc` has removed it."""
    sealed = Store(workspace).find(switch_spec(promotion))
    return sealed.read_json("switch.json") if sealed else None


def candidate_spec(candidate: Candidate, *, release: str, gate: str) -> StepSpec:
    """Identity of what is known of a candidate. `release`, `gate`: digests of its sealed artefacts."""
    return StepSpec("scale.candidate", 1, candidate.to_dict(), {"release": release, "gate": gate})


def check_candidate(
    sealed: Artefact, *, index: IndexParams, chat: ChatParams, trusted_hosts: Collection[str]
) -> None:  # fmt: skip
    """Raise where a release cannot be asked by this recipe, or its model is elsewhere and nobody has said it may be.

    Args:
        sealed: its artefact.
        index: section `index` of the recipe.
        chat: section `llm.chat` of the recipe.
        trusted_hosts: of `api_base`, count as this machine.

    Raises:
        InputError: why, and what to write.
    """
    release = sealed.read_json(RELEASE)
    files = list(sealed.manifest["outputs"])
    embedding = index.embedding
    asked = {
        "embedder": embedder_id(model=embedding.model, dimensions=embedding.dimensions, api_base=embedding.api_base),
        "chunk": index.chunk.model_dump(mode="json"),
    }
    if why := no_champion(release, candidate={"index": asked}, files=files):
        told = why.replace("the release in service", "the candidate")
        raise InputError(f"{told}. Write index as the recipe of the candidate has it")
    base = release["base_model"]
    away = leaves_to(base["model"], api_base=base.get("api_base"), trusted_hosts=trusted_hosts)
    if away and not leaves_to(chat.model, api_base=chat.api_base, trusted_hosts=trusted_hosts):
        raise InputError(
            f"the candidate is answered by {base['model']}, which is elsewhere ({away}), and llm.chat of this recipe "
            "is here: its notes do not go there. Write llm.chat as the recipe of the candidate has it"
        )


def _of_offer(offer: Proposed, standing: Standing, before: Champion | None, *, since: str | None) -> Candidate:
    return Candidate(
        run=offer.run, registered_by=offer.registered_by, recipe=offer.recipe, phase=offer.phase, release=offer.release,
        digest=offer.digest, version=offer.version, gate=offer.gate_artefact, verdict=offer.gate.verdict,
        standing=standing, before=before.digest if before else None, before_version=before.version if before else None,
        since=since,
    )  # fmt: skip


def _of_champion(now: Champion, line: list[Champion]) -> Candidate:
    before = line[-2] if len(line) > 1 else None
    return Candidate(
        run=now.run, registered_by=now.run, recipe=now.recipe, phase=now.phase, release=now.release, digest=now.digest,
        version=now.version, gate=now.gate, verdict=now.verdict, standing="pending",
        before=before.digest if before else None, before_version=before.version if before else None, since=now.at,
    )  # fmt: skip
