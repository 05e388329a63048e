"""The plan of phase scale: which release is the candidate, how many questions are asked of how many releases."""

from __future__ import annotations

from dataclasses import replace

from components.answer.messages import build_request
from components.errors import CervellaError
from components.evaluate.asking.contestants import Champion, read_champion_release
from components.llm.counting import counter_of
from components.recipe.model import Recipe
from components.recipe.plan_money import chat_dollars, chat_seconds
from components.recipe.plan_personality import judging
from components.recipe.plan_steps import Input, Planner
from components.recipe.plan_work import NOTHING, Seconds, Work
from components.recipe.plan_world import World
from components.registry.champion.compared import champion_beside
from components.registry.champion.release_step import RELEASE
from components.scale.candidate import Candidate, candidate_spec, check_candidate, find_candidate
from components.scale.preferring import distrust_of
from components.scale.questions import Question, choose_questions
from components.store import Artefact, Store

__all__ = ["plan_scale"]

_MARKS = 24  # tokens: roles, separators and the ends of sums, of two messages
_IN_SERVICE = "the candidate is in service already"


def plan_scale(planner: Planner, recipe: Recipe, *, world: World) -> list[str]:
    """Plan the steps of phase scale. Returns why the run would stop, as far as it is known.

    What the probation asks of the release's model, and of the helper where this recipe has one, is counted as at most:
    an endpoint that is up may have answers in its cache, or another helper.
    """
    try:
        candidate = find_candidate(
            recipe.workspace, recipe=recipe.scale.candidate, model_name=recipe.registry.model_name
        )
        store = Store(recipe.workspace)
        release, gate = store.open(candidate.release), store.open(candidate.gate)
        if candidate.standing == "new":
            check_candidate(
                release, index=recipe.index, chat=recipe.llm.chat, trusted_hosts=recipe.privacy.trusted_hosts
            )  # fmt: skip
        questions = choose_questions(
            recipe.workspace, recipe.evaluate, most=max(recipe.scale.questions, recipe.scale.probation_questions),
            max_chars=recipe.serve.limits.question_chars,
        )  # fmt: skip
    except CervellaError as error:
        for name in ("scale.candidate", "scale.shadow", "scale.gate", "scale.promote", "scale.switch"):
            planner.note(name, "run" if name == "scale.candidate" else "depends", "on what is registered by then")
        return [str(error)]
    planner.plan(
        lambda release, gate: candidate_spec(candidate, release=release, gate=gate),
        release=Input("registry.release", release.digest, release, sealed=True),
        gate=Input("registry.gate", gate.digest, gate, sealed=True),
    )  # fmt: skip
    _plan_rest(planner, recipe, candidate, release, questions, world=world)
    return []


def _plan_rest(
    planner: Planner, recipe: Recipe, candidate: Candidate, release: Artefact, questions: list[Question],
    *, world: World,
) -> None:  # fmt: skip
    on_probation = questions[: recipe.scale.probation_questions]
    questions = questions[: recipe.scale.questions]
    if candidate.standing != "new":
        why = _IN_SERVICE if candidate.standing == "in service" else "a run has promoted it, and did not end"
        for name in ("scale.shadow", "scale.gate", "scale.promote"):
            planner.note(name, "skip", why)
        if candidate.standing == "in service" or not recipe.scale.promote:
            left = "; scale.promote is false" if candidate.standing == "pending" else ""
            planner.note("scale.switch", "skip", why + left)
            return
        said, work = _probation(recipe, release, on_probation, world=world)
        planner.note("scale.switch", "run", f"{why}: {said}")
        planner.add(work=work)
        return
    champion, why = champion_beside(
        recipe.workspace, model_name=recipe.registry.model_name, candidate=release.read_json(RELEASE),
        trusted_hosts=recipe.privacy.trusted_hosts,
    )  # fmt: skip
    asked = [one for one in (release, champion) if one is not None]
    planner.note(
        "scale.shadow", "run",
        "what an answer takes is measured each time" if champion else f"the candidate stands alone: {why}",
    )  # fmt: skip
    work = NOTHING
    for one in asked:
        work = work + _work(read_champion_release(one, llm=recipe.llm), questions, world=world)
    distrust = distrust_of(recipe.workspace, run=candidate.run, llm=recipe.llm) if recipe.scale.judge else None
    if champion and recipe.scale.judge and not distrust:
        work = work + judging(recipe, 0, pairs=2 * len(questions), least=0, world=world)
    planner.add(facts={"questions": len(questions)}, work=work)
    said = f"; INCONCLUSIVE for certain: {distrust}" if champion and distrust else ""
    planner.note("scale.gate", "run", f"scale.shadow will make something new{said}")
    if recipe.scale.promote:
        planner.note("scale.promote", "depends", "on whether the gate says GO")
        said, work = _probation(recipe, release, on_probation, world=world)
        planner.note("scale.switch", "depends", f"on scale.promote; {said}")
        planner.add(work=work)
    else:
        planner.note("scale.promote", "skip", "scale.promote is false")
        planner.note("scale.switch", "skip", "scale.promote is false")


def _probation(
    recipe: Recipe, release: Artefact, questions: list[Question], *, world: World
) -> tuple[str, Work]:  # fmt: skip
    """What is asked on probation, in words, and at most of whom."""
    who, calls = read_champion_release(release, llm=recipe.llm), len(questions)
    said, works = f"{calls} questions to the endpoint", [_work(who, questions, world=world)]
    if recipe.serve.router:
        helper = recipe.serve.router.helper
        chat = who.llm.chat.model_copy(update={"model": helper.model, "max_tokens": helper.max_tokens})
        work = _work(replace(who, llm=who.llm.model_copy(update={"chat": chat})), questions, world=world)
        dollars = work.usd_at_most
        if dollars is not None:
            dollars = min(dollars, calls * recipe.llm.budget.per_query_usd)
        works.append(
            replace(work, usd_at_most=dollars, seconds=Seconds(0.0, calls * helper.timeout_seconds, False))
        )  # fmt: skip
        cost = "its price is unknown" if dollars is None else f"at most ${dollars:.2f}"
        said += f", hard ones to the helper ({helper.model}, {cost})"
    work = sum(works, start=NOTHING)
    seconds = work.seconds and Seconds(0.0, work.seconds.at_most, work.seconds.measured)
    return said, replace(work, calls_at_least=0, usd_at_least=0.0, seconds=seconds)


def _work(who: Champion, questions: list[Question], *, world: World) -> Work:
    """Calls of a release's model; nothing is taken from the cache of answers."""
    chat, calls = who.llm.chat, len(questions)
    least = 0 if who.answer.min_score > 0 else calls
    count = counter_of(chat.model)
    fixed = calls * count(who.prompt.text)
    for question in questions:
        request = build_request(
            question.text, prompt="", session=who.session.text if who.session else None, hits=[], language="it",
            max_context_tokens=0, count_tokens=count,
        )  # fmt: skip
        fixed += sum(count(message["content"]) for message in request.messages)
    room = who.answer.max_context_tokens + _MARKS + 4 * who.search.k
    work = Work(
        calls_at_least=least, calls_at_most=calls, prompt_tokens_at_most=fixed + calls * room,
        completion_tokens_at_most=calls * chat.max_tokens, seconds=chat_seconds(chat, least, calls, world),
    )  # fmt: skip
    low, high = chat_dollars(chat, work, fixed_tokens=fixed)
    return replace(work, usd_at_least=low, usd_at_most=high)
