"""The plan of phase dataset: notes, generation with its bounds of calls and dollars, examples by stage, the checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from components.dataset import steps as dataset
from components.dataset.curation.gather import Gathered
from components.dataset.curation.generation_prompts import NOTE_TOKENS, REPLY_TOKENS
from components.dataset.findings import SEVERITIES, Finding
from components.dataset.params import DatasetParams
from components.dataset.reports.suite import load_suite
from components.dataset.verdict import audit_spec
from components.errors import InputError
from components.evaluate import Question, load_golden
from components.llm.counting import counter_of
from components.llm.params import ChatParams
from components.recipe.model import Recipe
from components.recipe.plan_index import newest_notes
from components.recipe.plan_money import chat_dollars, chat_seconds
from components.recipe.plan_notes import NoteChanges, compare_notes
from components.recipe.plan_scores import Persona
from components.recipe.plan_steps import Input, Planner
from components.recipe.plan_work import NOTHING, Work
from components.recipe.plan_world import World
from components.recipe.privacy import check_privacy, prompts_without_local
from components.sncp import Collection, Document
from components.sncp import steps as sncp
from components.store import Artefact

__all__ = ["PlannedDataset", "PlannedExamples", "plan_dataset", "plan_examples"]

_ASKED = 1000  # tokens: what a request says beside persona, note and answer, at most


@dataclass(frozen=True)
class PlannedDataset:
    """What is known ahead of time of the notes, and why the run would stop."""

    collection: Collection
    notes: NoteChanges
    problems: tuple[str, ...]


@dataclass(frozen=True)
class PlannedExamples:
    """What is known ahead of time of the examples.

    Attributes:
        gathered: as they were read; None where a model will first write some.
        split: the two files.
        audit: their verdict.
        problems: why the run would stop.
    """

    gathered: Gathered | None
    split: Input
    audit: Input
    problems: tuple[str, ...]


def plan_dataset(planner: Planner, recipe: Recipe, *, world: World) -> PlannedDataset:
    """Plan the steps of phase dataset. Examples are read for real, so their stages are known ahead of time.

    Raises:
        InputError: the notes, or a file of examples, cannot be read.
        TerminalError: notes that must stay on this machine would leave it.
    """
    collection = world.read_notes(recipe)
    check_privacy(recipe, collection.documents)
    before = newest_notes(planner.past)
    changes = compare_notes(sncp.read_documents(before) if before else None, collection.documents)
    planner.plan(
        lambda: sncp.collect_spec(recipe.sncp, collection, local=recipe.privacy.local),
        words={"notes": changes.words()}, write=lambda step: sncp.write_notes(step, collection),
    )  # fmt: skip
    planner.add(facts=changes.facts())
    who = Persona(recipe, collection, past=planner.past, world=world)
    planner.plan(lambda: who.spec, write=who.write)
    made = plan_examples(planner, recipe, collection, who=who, world=world)
    return PlannedDataset(collection, changes, made.problems)


def plan_examples(
    planner: Planner, recipe: Recipe, collection: Collection, *, who: Persona, world: World
) -> PlannedExamples:
    """Plan the steps from generation to audit; notes and persona are planned already."""
    params = recipe.dataset
    made = _plan_generation(planner, recipe, collection, who=who, world=world)
    golden, problems = _golden(recipe)
    problems += _suite_problems(recipe)

    found = None
    notes = dataset.note_hashes(collection.documents)
    if made is None or made.artefact is not None:
        found = dataset.gathered(params, generated=made.artefact if made else None)
        examples = _plan_gathering(planner, params, found)
        problems += _reading_problems(recipe, found.findings)
    else:
        planner.note("dataset.gather", "run", "dataset.generate will make something new")
        examples = Input("dataset.gather", None, new=True)
    check = planner.plan(
        lambda examples: dataset.check_spec(params, examples=examples, golden=golden, notes=notes),
        words={"golden": "the file was changed"}, examples=examples,
    )  # fmt: skip
    split = planner.plan(
        lambda examples, check: dataset.split_spec(params, examples=examples, check=check),
        examples=examples, check=check,
    )  # fmt: skip
    audit = planner.plan(
        lambda split, examples: audit_spec(
            params, name=recipe.name, split=split, examples=examples, golden=golden, notes=notes
        ),
        words={"golden": "the file was changed", "suite": "the suite was changed"}, split=split, examples=examples,
    )  # fmt: skip
    return PlannedExamples(found, split, audit, tuple(problems))


def _plan_gathering(planner: Planner, params: DatasetParams, found: Gathered) -> Input:
    examples = planner.plan(
        lambda: dataset.gather_spec(params, found), words={"examples": "the files or their reviews changed"},
        write=lambda step: dataset.write_gathered(step, found),
    )  # fmt: skip
    planner.add(facts=dataset.stage_facts(params, found))
    return examples


def _plan_generation(
    planner: Planner, recipe: Recipe, collection: Collection, *, who: Persona, world: World
) -> Input | None:
    """Plan `dataset.generate`; None where no examples are to be made."""
    params, chosen = recipe.dataset, dataset.chosen_notes(recipe.dataset, collection.documents)
    if not params.generate.per_note:
        return None
    chat, judge = recipe.llm.chat, recipe.llm.judge or recipe.llm.chat
    persona = who.compiled[0].text
    made = planner.plan(
        lambda: dataset.generate_spec(
            params, chosen, chat=chat.sampled(), judge=judge.sampled(), persona=persona,
            leave_out_local=prompts_without_local(recipe),
        ),
        redo=_unanswered,
    )  # fmt: skip
    if planner.last.action == "run":
        each = params.generate.per_note
        writing = _work(recipe, chat, chosen, persona=persona, calls=1 + 2 * each, world=world)
        judging = _work(recipe, judge, chosen, persona=persona, calls=2 * each, world=world)
        planner.add(facts={"notes": len(chosen), "examples": each * len(chosen)}, work=writing + judging)
    return made


def _unanswered(generated: Artefact) -> str | None:
    """Calls that ended in an error are made again, sealed or not."""
    failed = generated.facts["unanswered"]
    return f"{failed} calls failed the last time" if failed else None


def _work(
    recipe: Recipe, model: ChatParams, notes: Sequence[Document], *, persona: str, calls: int, world: World
) -> Work:
    """Bounds of `calls` calls for each note. At least none: they may be cached, or a note may give no question."""
    if not notes:
        return NOTHING
    count = counter_of(model.model)
    fixed = count(persona) + _ASKED + REPLY_TOKENS
    read = sum(calls * (fixed + min(count(note.text), NOTE_TOKENS)) for note in notes)
    most = calls * len(notes)
    work = Work(
        calls_at_most=most, prompt_tokens_at_most=read, completion_tokens_at_most=most * REPLY_TOKENS,
        seconds=chat_seconds(model, 0, most, world),
    )  # fmt: skip
    low, high = chat_dollars(model, work, fixed_tokens=0)
    return replace(work, usd_at_least=low, usd_at_most=high)


def _golden(recipe: Recipe) -> tuple[list[Question], list[str]]:
    """The golden questions, and what is wrong with them."""
    if recipe.evaluate.golden is None:
        return [], []
    try:
        return load_golden(recipe.evaluate.golden, known_paths=None), []
    except InputError as error:
        return [], [str(error)]


def _suite_problems(recipe: Recipe) -> list[str]:
    try:
        _ = recipe.dataset.check.suite is None or load_suite(recipe.dataset.check.suite)
    except InputError as error:
        return [str(error)]
    return []


def _reading_problems(recipe: Recipe, findings: Sequence[Finding]) -> list[str]:
    """Rows that cannot be read, and the like: the verdict would be no."""
    bad = SEVERITIES[SEVERITIES.index(recipe.dataset.check.fail_on) :]
    found = [one for one in findings if one.severity in bad]
    if not found:
        return []
    more = f" (and {len(found) - 1} more: `cervella data check` lists them)" if len(found) > 1 else ""
    return [f"{found[0].file}:{found[0].line}: {found[0].rule} {found[0].message}{more}: not fit for training"]
