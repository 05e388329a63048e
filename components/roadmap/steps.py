"""The decision whether to train: `roadmap.triggers`, before anything is paid for."""

from __future__ import annotations

from typing import Any

from components.errors import RefusedError
from components.persona.steps import read_persona
from components.roadmap.params import RoadmapParams
from components.roadmap.triggers import refuse_without, triggers_of
from components.store import Artefact, Run, told_step

__all__ = ["decide_training"]


def decide_training(run: Run, params: RoadmapParams, *, prompt: Artefact) -> dict[str, Any]:
    """Measure the triggers of phase optimize, and record them in `run.json` with the reason that forced it.

    Not a step of the store: what is measured changes without any input of the run. Returns `{met, forced, triggers,
    break_even}`, also kept as `triggers` of the run; `forced` is None when all are met.

    Args:
        run: of phase optimize.
        params: section `roadmap`.
        prompt: the sealed `persona.compile`.

    Raises:
        RefusedError: a trigger is not met, and `roadmap.force` gives no reason.
    """
    with told_step(run, "roadmap.triggers") as told:
        persona, _ = read_persona(prompt)
        triggers = triggers_of(
            run.workspace, params, full_tokens=persona.full_tokens, prompt_text=persona.text,
            tokenizer=persona.tokenizer,
        )  # fmt: skip
        record: dict[str, Any] = {"forced": None, **triggers.to_dict()}
        try:
            record["forced"] = refuse_without(triggers, params.force)
        except RefusedError:
            run.update(triggers=record)  # what was measured is told of a refused run as well
            raise
        run.update(triggers=record)
        met = sum(trigger.met is True for trigger in triggers.all)
        told["facts"] = {"triggers": f"{met} of {len(triggers.all)} met"} | (
            {"forced": f"forced: {record['forced']}"} if record["forced"] else {}
        )
    return record
