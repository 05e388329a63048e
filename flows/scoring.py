"""From a built index to a registered release: what phases mvp and optimize have in common. Asked, judged, decided."""

from __future__ import annotations

from dataclasses import dataclass

from components.evaluate.tasks import (
    answer_questions,
    ask_candidate,
    ask_champion,
    ask_control,
    check_judge_with_people,
    judge_answers,
    retrieve_questions,
    score,
)
from components.recipe import Recipe
from components.recipe.privacy import prompts_without_local
from components.registry.tasks import champion, gate, register, release, report
from components.roadmap.tasks import show_roadmap
from components.store import Run

__all__ = ["Adapter", "score_release"]


@dataclass(frozen=True)
class Adapter:
    """Ids of artefacts of phase optimize."""

    split: str
    audit: str
    training: str
    losses: str
    export: str


def score_release(
    run: Run, recipe: Recipe, *, notes: str, index: str, prompt: str, adapter: Adapter | None = None
) -> int | None:
    """Score what a recipe makes, decide, report and register it; returns the version of the release."""
    params, hosts, local = recipe.evaluate, recipe.privacy.trusted_hosts, prompts_without_local(recipe)
    training, export = (adapter.training, adapter.export) if adapter else (None, None)

    retrieval = retrieve_questions(run, params, recipe.index, index=index)
    answers = answer_questions(
        run, params, recipe.index, recipe.llm, recipe.answer, index=index, prompt=prompt, leave_out_local=local,
        trusted_hosts=hosts, exported=export,
    )  # fmt: skip
    judged: dict[str, str | None] = {}
    if params.personality or params.tasks:
        judged = _judged(run, recipe, notes=notes, index=index, prompt=prompt, training=training, export=export)
    scorecard = score(
        run, params, recipe.answer, retrieval=retrieval, answers=answers, losses=adapter.losses if adapter else None,
        split=adapter.split if adapter else None, **judged,
    )  # fmt: skip

    verdict = gate(run, recipe.gate, scorecard=scorecard)
    sealed = release(run, recipe, index=index, prompt=prompt, training=training, export=export)
    page = report(run, recipe, scorecard=scorecard, gate=verdict, release=sealed, training=training)
    if run.read().get("matrix"):
        return None  # a combination of a matrix is recorded with all the others
    version = register(
        run, recipe, index=index, gate=verdict, scorecard=scorecard, prompt=prompt, report=page, training=training,
        losses=adapter.losses if adapter else None, export=export, split=adapter.split if adapter else None,
        audit=adapter.audit if adapter else None,
    )  # fmt: skip
    show_roadmap(run, recipe, prompt=prompt)
    return version


def _judged(
    run: Run, recipe: Recipe, *, notes: str, index: str, prompt: str, training: str | None, export: str | None
) -> dict[str, str | None]:
    """Prompts and tasks asked of the candidate and of those beside it, and judged."""
    params, hosts, local = recipe.evaluate, recipe.privacy.trusted_hosts, prompts_without_local(recipe)
    said: dict[str, str | None] = {"champion": None, "control": None}
    said["candidate"] = candidate = ask_candidate(
        run, params, recipe.index, recipe.llm, recipe.answer, index=index, prompt=prompt, leave_out_local=local,
        trusted_hosts=hosts, exported=export,
    )  # fmt: skip
    if params.personality and params.personality.champion:
        in_service = champion(run, recipe, index=index, prompt=prompt, training=training, trusted_hosts=hosts)
        if in_service:
            said["champion"] = ask_champion(
                run, params, recipe.index, recipe.llm, index=index, release=in_service, leave_out_local=local,
                trusted_hosts=hosts,
            )  # fmt: skip
    if params.personality and params.personality.control:
        said["control"] = ask_control(run, params, recipe.llm, adapted=export is not None, trusted_hosts=hosts)
    agreement = check_judge_with_people(run, params, recipe.llm, notes=notes, prompt=prompt, trusted_hosts=hosts)
    verdicts = judge_answers(
        run, params, recipe.llm, notes=notes, prompt=prompt, name=recipe.persona.name, candidate=candidate,
        champion=said["champion"], control=said["control"], trusted_hosts=hosts,
        base=recipe.train.base.model if export else None,
    )  # fmt: skip
    return {**said, "agreement": agreement, "judge": verdicts}
