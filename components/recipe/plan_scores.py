"""The plan of what is asked and scored: searches, answers with their bounds of calls, tokens and dollars, the gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, cast

from components.answer.messages import build_request
from components.errors import CervellaError
from components.evaluate import Question, choose_questions
from components.evaluate import steps as evaluate
from components.llm.counting import counter_of
from components.persona import Prompt, Session
from components.persona import steps as persona
from components.recipe.model import Recipe
from components.recipe.plan_ahead import Later
from components.recipe.plan_index import PlannedIndex
from components.recipe.plan_money import chat_dollars, chat_seconds
from components.recipe.plan_past import Past
from components.recipe.plan_personality import plan_personality
from components.recipe.plan_release import plan_release
from components.recipe.plan_steps import UNKNOWN, Action, Input, Planner
from components.recipe.plan_work import NOTHING, Work
from components.recipe.plan_world import ModelOfIndex, World
from components.recipe.privacy import prompts_without_local
from components.registry import steps as registry
from components.sncp import Collection
from components.store import Artefact, Step

if TYPE_CHECKING:
    from components.recipe.plan_training import PlannedTraining

__all__ = ["Persona", "plan_scores"]

_MARKS = 24  # tokens: roles, separators and the ends of sums, of two messages; the most, by any tokenizer known here


class Persona:
    """The system prompt, read or compiled only when somebody asks for it; by a child, where it has to be compiled."""

    def __init__(self, recipe: Recipe, collection: Collection, *, past: Past, world: World) -> None:
        """Begins to compile where nothing is sealed. Raises InputError when a text of the persona is not there."""
        params = recipe.persona
        texts = persona.persona_texts(params, root=recipe.sncp.root, documents=collection.documents)
        self.spec = persona.compile_spec(params, texts)
        self.artefact, _ = past.look(self.spec)

        def compiled() -> tuple[Prompt, Session | None]:
            return persona.compile_texts(params, texts)

        self._get = compiled
        if self.artefact is None:  # once for all combinations of a matrix that share it
            self._get = world.shared(self.spec.fingerprint, lambda: cache(Later(compiled).get))

    @cached_property
    def compiled(self) -> tuple[Prompt, Session | None]:
        """Prompt and session context."""
        return persona.read_persona(self.artefact) if self.artefact else self._get()

    def write(self, step: Step) -> None:
        """Write what the step will seal."""
        persona.write_persona(step, *self.compiled)


def plan_scores(
    planner: Planner, recipe: Recipe, found: PlannedIndex, *, who: Persona, prompt: Input, world: World,
    registers: bool, training: PlannedTraining | None = None,
) -> list[str]:  # fmt: skip
    """Plan the steps that ask and score. Returns why the run would stop, as far as it is known.

    `prompt`: the compiled persona, planned already; `training`: of phase optimize, whose adapter is what is asked.
    """
    words = {"golden": "the file was changed"}

    retrieval = planner.plan(
        lambda index: evaluate.retrieval_spec(recipe.evaluate, recipe.index.search, index=index),
        words=words, index=found.built,
    )  # fmt: skip
    model = ModelOfIndex(recipe.index, world)
    if planner.last.action == "run":
        questions = found.golden.questions
        work = model.work([question.question for question in questions], role="query")
        planner.add(facts={"questions": len(questions)}, work=work)
    problems = list(found.golden.problems) if planner.last.action == "run" else []

    answers = planner.plan(
        lambda index, prompt, exported=None: evaluate.answers_spec(
            recipe.evaluate, recipe.index.search, recipe.llm, recipe.answer, index=index, prompt=prompt,
            leave_out_local=prompts_without_local(recipe), adapter=exported,
        ),
        words=words, redo=_failed, index=found.built, prompt=prompt,
        exported=_adapter(training.exported) if training else None,
    )  # fmt: skip
    if planner.last.action != "skip":
        chosen = choose_questions(found.golden.questions, recipe.evaluate.answers, recipe.evaluate.seed)
        work = model.work([question.question for question in chosen], role="query")
        work += _chat_work(recipe, chosen, who=who, world=world)
        planner.add(facts={"answers": len(chosen)}, work=work)

    release = _release(recipe, found.built, who=who, training=training, world=world)
    judged, more = plan_personality(
        planner, recipe, who=who, prompt=prompt, index=found.built, release=release,
        exported=_adapter(training.exported) if training else None, world=world,
    )  # fmt: skip
    problems += more
    scorecard = planner.plan(
        lambda retrieval, answers, **others: evaluate.score_spec(
            recipe.evaluate, recipe.answer, retrieval=retrieval, answers=answers, **others
        ),
        words={"checklist": "the rules were changed", "tasks": "the tasks were changed"},
        retrieval=retrieval, answers=answers, losses=training.losses if training else None,
        split=training.split if training else None, **cast("dict[str, Any]", judged),
    )  # fmt: skip
    gate = planner.plan(
        lambda scorecard: registry.gate_spec(recipe.gate, scorecard=scorecard, phase=recipe.phase), scorecard=scorecard
    )
    plan_release(
        planner, recipe, prompt=prompt, scorecard=scorecard, gate=gate, training=training,
        of_matrix=not registers,
        release=release if found.built.artefact and (training is None or training.trained.artefact) else None,
    )  # fmt: skip
    if registers:
        trained = training.trained if training else None
        _plan_register(planner, recipe, built=found.built, scorecard=scorecard, gate=gate, who=who, trained=trained)
    return problems


def _release(
    recipe: Recipe, built: Input, *, who: Persona, training: PlannedTraining | None, world: World
) -> dict[str, Any] | None:  # fmt: skip
    """What would be put into service; an adapter that is still to be trained is told as one that nobody has."""
    if built.artefact is not None:
        embedder = str(built.artefact.read_json("index.json")["embedder"])
    else:
        embedder = str(ModelOfIndex(recipe.index, world).id)
    trained = training.trained.artefact if training else None
    release = registry.release_of(
        prompt=who.compiled[0].text, embedder=embedder, persona=recipe.persona, index=recipe.index, llm=recipe.llm,
        answer=recipe.answer, training=trained,
    )  # fmt: skip
    return release | {"adapter": UNKNOWN} if training and trained is None else release


def _adapter(exported: Input) -> Input:
    """The exported adapter as what identifies answers: its weights alone."""
    return replace(exported, digest=evaluate.adapter_digest(exported.artefact)) if exported.artefact else exported


def _failed(answers: Artefact) -> str | None:
    """Answers that failed are asked again, sealed or not."""
    failed = evaluate.failed_answers(answers)
    return f"{failed} answers failed the last time" if failed else None


def _chat_work(recipe: Recipe, chosen: Sequence[Question], *, who: Persona, world: World) -> Work:
    """Calls of the chat model. At least none, where answers may come from the cache or a question be refused first."""
    if not chosen:
        return NOTHING
    chat, calls = recipe.llm.chat, len(chosen)
    maybe_fewer = (recipe.llm.cache and chat.temperature == 0) or recipe.answer.min_score > 0
    least = 0 if maybe_fewer else calls
    prompt, session = who.compiled
    count = counter_of(chat.model)
    fixed = calls * count(prompt.text)
    for question in chosen:
        request = build_request(
            question.question, prompt="", session=session.text if session else None, hits=[],
            language="it", max_context_tokens=0, count_tokens=count,
        )  # fmt: skip
        fixed += sum(count(message["content"]) for message in request.messages)
    room = recipe.answer.max_context_tokens + _MARKS + 4 * recipe.index.search.k
    work = Work(
        calls_at_least=least,
        calls_at_most=calls,
        prompt_tokens_at_most=fixed + calls * room,
        completion_tokens_at_most=calls * chat.max_tokens,
        seconds=chat_seconds(chat, least, calls, world),
    )
    low, high = chat_dollars(chat, work, fixed_tokens=fixed)
    return Work(**{**vars(work), "usd_at_least": low, "usd_at_most": high})


def _plan_register(
    planner: Planner, recipe: Recipe, *, built: Input, scorecard: Input, gate: Input, who: Persona,
    trained: Input | None,
) -> None:  # fmt: skip
    """MLflow is asked each time; what it has already is not made twice."""
    action: Action = "run"
    reason = "MLflow is asked each time; what it has is not made twice"
    made = scorecard.artefact and gate.artefact and built.artefact and (trained is None or trained.artefact)
    if made and scorecard.artefact and gate.artefact and built.artefact:  # nothing of it has to be made first
        try:
            key = registry.registration_key(
                recipe.persona, recipe.index, recipe.llm, recipe.answer, prompt=who.compiled[0].text,
                built=built.artefact, scorecard=scorecard.artefact, gate=gate.artefact,
                training=trained.artefact if trained else None,
            )  # fmt: skip
        except CervellaError:
            key = ""
        found = registry.registered_before(planner.past.workspace, recipe.registry, key=key)
        if found:
            action, reason = "skip", f"MLflow has it: {found}"
    planner.note("registry.register", action, reason)
