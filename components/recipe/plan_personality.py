"""The plan of what is asked beside golden questions: candidate, champion, bare model, the judge and its checking.

How many judge calls there will be is known from the prompts and rules alone. Whether the champion is asked hangs on
what is in service and on the settings of both releases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.errors import InputError, TerminalError
from components.evaluate.asking.contestants import no_control
from components.evaluate.asking.items import Asked, asked_items
from components.evaluate.asking.steps import candidate_spec, champion_spec, control_spec, failed_said
from components.evaluate.instrument import steps as instrument
from components.evaluate.instrument.labels import read_labels
from components.evaluate.judge import steps as judge
from components.evaluate.judge.opening import check_judge, judge_chat
from components.evaluate.judge.words import PERSONA_TOKENS
from components.evaluate.said import CONTESTANTS, Contestant, Item, Said
from components.llm.counting import counter_of
from components.llm.params import ChatParams
from components.recipe.model import Recipe
from components.recipe.plan_money import chat_dollars, chat_seconds
from components.recipe.plan_steps import UNKNOWN, Input, Planner
from components.recipe.plan_work import NOTHING, Work
from components.recipe.plan_world import ModelOfIndex, World
from components.recipe.privacy import prompts_without_local
from components.registry.champion.compared import champion_beside
from components.registry.needed import needed_for
from components.store import Artefact

if TYPE_CHECKING:
    from components.recipe.plan_scores import Persona

__all__ = ["judging", "plan_personality", "say_what_it_takes"]

_AROUND = 600
"""Tokens of the judge's own words around persona, prompt and answer, at most."""


_WORDS = {"items": "the prompts or tasks were changed", "checklist": "the rules were changed",
          "tasks": "the tasks were changed"}  # fmt: skip


def plan_personality(
    planner: Planner, recipe: Recipe, *, who: Persona, prompt: Input, index: Input, exported: Input | None,
    release: Mapping[str, Any] | None, world: World,
) -> tuple[dict[str, Input], list[str]]:  # fmt: skip
    """Plan the steps from `evaluate.candidate` to `evaluate.judge`.

    `release`: what would be put into service, as far as it is known. Returns the inputs of the scorecard by their
    names, and why the run would stop.
    """
    params = recipe.evaluate
    if not (params.personality or params.tasks):
        return {}, []
    try:
        asked = asked_items(params, patterns=False)
        check_judge(params.judge, judge_chat(recipe.llm))
        labelled = read_labels(params.judge.labels)
    except InputError as error:
        return {}, [str(error)]
    local = prompts_without_local(recipe)
    made: dict[str, Input] = {}

    made["candidate"] = planner.plan(
        lambda index, prompt, exported=None: candidate_spec(
            asked.items, chat=recipe.llm.chat, search=recipe.index.search, answer=recipe.answer, index=index,
            prompt=prompt, leave_out_local=local, adapter=exported,
        ),
        words=_WORDS, redo=_failed(failed_said, "answers"), index=index, prompt=prompt, exported=exported,
    )  # fmt: skip
    _add_answers(planner, recipe, asked.items, recipe.llm.chat, world=world, who=who)

    sealed = _champion(recipe, asked, release)
    if sealed is not None:
        made["champion"] = planner.plan(
            lambda index: champion_spec(asked.items, release=sealed.digest, index=index, leave_out_local=local),
            words=_WORDS, redo=_failed(failed_said, "answers"), index=index,
        )  # fmt: skip
        _add_answers(planner, recipe, asked.items, _chat_of(sealed, recipe), world=world, who=who)
    if asked.control and not no_control(recipe.llm, adapter=exported is not None):
        made["control"] = planner.plan(
            lambda: control_spec(asked.of_control, chat=recipe.llm.chat), words=_WORDS,
            redo=_failed(failed_said, "answers"),
        )  # fmt: skip
        _add_answers(planner, recipe, asked.of_control, recipe.llm.chat, world=world, who=None)

    persona = who.compiled[0].text
    wordings = asked.wordings(name=recipe.persona.name)
    labels = [one for one in instrument.labels_that_count(labelled, wordings)[0] if one.verdict is not None]
    made["agreement"] = planner.plan(
        lambda: instrument.agreement_spec(
            params, recipe.llm, persona=persona, wordings=wordings, labelled=labelled
        ),
        words={"labels": "there are other labels"}, redo=_failed(instrument.failed_verdicts, "verdicts"),
    )  # fmt: skip
    if planner.last.action == "run":
        new = _new(planner, recipe, "evaluate.judge", "evaluate.agreement")
        work = judging(recipe, len(labels), least=len(labels) if new else 0, world=world)
        planner.add(facts={"labels": len(labels)}, work=work)
    base = recipe.train.base.model if exported is not None else None
    said: dict[str, Any] = {name: made[name] for name in CONTESTANTS if name in made}
    made["judge"] = planner.plan(
        lambda **said: judge.judge_spec(
            params, recipe.llm, said={name: said[name] for name in CONTESTANTS if name in said},
            checklist=asked.checklist.digest if asked.checklist else None,
            tasks=asked.tasks.digest if asked.tasks else None, persona=persona, name=recipe.persona.name, base=base,
        ),
        words=_WORDS, redo=_failed(judge.failed_verdicts, "verdicts"), **said,
    )  # fmt: skip
    if planner.last.action != "skip":
        of_candidate, others = _questions(recipe, asked, said)
        pairs = 2 * len(asked.items) if "champion" in said else 0
        # Equal answers are one request, or none: those of the candidate alone are asked for certain.
        new = _new(planner, recipe, "evaluate.judge", "evaluate.agreement") and not labels
        work = judging(recipe, of_candidate + others, pairs=pairs, least=of_candidate if new else 0, world=world)
        planner.add(facts={"verdicts": of_candidate + others + pairs}, work=work)
    return made, []


def say_what_it_takes(recipe: Recipe) -> list[str]:
    """What the thresholds of shares take, where the recipe asks too few to show them, a line each."""
    params, gate, told = recipe.evaluate, recipe.gate, list[str]()
    asked = {"persona_checks": (gate.persona_checks, params.answers, "evaluate.answers")}
    if params.personality is not None:
        try:
            prompts = sum(item.part == "personality" for item in asked_items(params, patterns=False).items)
        except InputError:  # told as a problem of the plan
            prompts = 0
        asked["sounds_like_her"] = (gate.sounds_like_her, prompts, "evaluate.personality.ask")
    for name, (threshold, count, key) in asked.items():
        words = needed_for(threshold, asked=count) if count else ""
        if "cannot show" in words:
            told.append(f"{name}: {words} ({key})")
    return told


def _failed(count: Any, what: str) -> Any:
    def why(found: Artefact) -> str | None:
        failed = count(found)
        return f"{failed} {what} failed the last time" if failed else None

    return why


def _champion(recipe: Recipe, asked: Asked, release: Mapping[str, Any] | None) -> Artefact | None:
    if not asked.champion or release is None:
        return None
    try:
        return champion_beside(
            recipe.workspace, model_name=recipe.registry.model_name, candidate=release,
            trusted_hosts=recipe.privacy.trusted_hosts,
        )[0]  # fmt: skip
    except TerminalError:  # the record of the champion is damaged: the run tells it
        return None


def _chat_of(sealed: Artefact, recipe: Recipe) -> ChatParams:
    base = sealed.read_json("release.json")["base_model"]
    return ChatParams.model_validate({**recipe.llm.chat.model_dump(), **base})


def _add_answers(
    planner: Planner, recipe: Recipe, items: Sequence[Item], chat: ChatParams, *, world: World, who: Persona | None
) -> None:
    """What the step that was planned last asks of models. `who`: None for a bare model."""
    if planner.last.action == "skip":
        return
    calls = len(items)
    count = counter_of(chat.model)
    own = sum(count(item.prompt) for item in items)
    room = recipe.answer.max_context_tokens + _AROUND if who else _AROUND
    prompt = count(who.compiled[0].text) if who else 0
    least = 0 if recipe.llm.cache and chat.temperature == 0 else calls
    work = Work(
        calls_at_least=least, calls_at_most=calls, prompt_tokens_at_most=own + calls * (prompt + room),
        completion_tokens_at_most=calls * chat.max_tokens, seconds=chat_seconds(chat, least, calls, world),
    )  # fmt: skip
    low, high = chat_dollars(chat, work, fixed_tokens=own + calls * prompt)
    work = Work(**{**vars(work), "usd_at_least": low, "usd_at_most": high})
    if who:
        work += ModelOfIndex(recipe.index, world).work([item.prompt for item in items], role="query")
    planner.add(facts={"answers": calls}, work=work)


def _questions(recipe: Recipe, asked: Asked, said: Mapping[str, Input]) -> tuple[int, int]:
    """Verdicts that the judge will be asked for, on the candidate and on others; on answers that failed on none."""
    heard: dict[Contestant, list[Said]] = {
        name: [Said(item=item, text="?") for item in (asked.of_control if name == "control" else asked.items)]
        for name in CONTESTANTS
        if name in said
    }
    questions = judge.questions_of(heard, checklist=asked.checklist, tasks=asked.tasks, name=recipe.persona.name)
    of_candidate = sum(one.contestant == "candidate" for one in questions)
    return of_candidate, len(questions) - of_candidate


def _new(planner: Planner, recipe: Recipe, *steps: str) -> bool:
    """Whether no reply of a judge can be there: none in the cache, sealed, or paid for by a run that was killed."""
    kept = recipe.llm.cache and judge_chat(recipe.llm).temperature == 0
    scratch = recipe.workspace / "scratch" / (planner.last.fingerprint or UNKNOWN)
    return not kept and not scratch.exists() and not any(map(planner.past.manifests, steps))


def judging(recipe: Recipe, questions: int, *, pairs: int = 0, least: int, world: World) -> Work:
    """Work of a judge: `questions` are asked `repeats` times, `pairs` once; `least` questions are asked for certain."""
    if not questions + pairs:
        return NOTHING
    chat, answers = judge_chat(recipe.llm), recipe.llm.chat.max_tokens
    repeats = recipe.evaluate.judge.repeats
    calls, least = questions * repeats + pairs, least * repeats
    work = Work(
        calls_at_least=least, calls_at_most=calls,
        prompt_tokens_at_most=calls * (PERSONA_TOKENS + _AROUND + 2 * answers),
        completion_tokens_at_most=calls * chat.max_tokens, seconds=chat_seconds(chat, least, calls, world),
    )  # fmt: skip
    low, high = chat_dollars(chat, work, fixed_tokens=0)
    return Work(**{**vars(work), "usd_at_least": low, "usd_at_most": high})
