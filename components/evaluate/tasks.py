"""Prefect's view of the evaluation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from prefect import task

from components.answer import AnswerParams
from components.answer.steps import open_partner
from components.errors import is_transient
from components.evaluate import scoring, steps
from components.evaluate.asking.contestants import Bare, Served, no_control, read_champion_release
from components.evaluate.asking.items import asked_items
from components.evaluate.asking.steps import ask_contestant, candidate_spec, champion_spec, control_spec
from components.evaluate.instrument.labels import read_labels
from components.evaluate.instrument.steps import measure_agreement
from components.evaluate.judge.opening import check_judge, judge_chat, open_judge
from components.evaluate.judge.steps import judge_answers as judge_said
from components.evaluate.params import EvaluateParams
from components.evaluate.render import scorecard_markdown
from components.index import IndexParams
from components.index.steps import open_index
from components.llm import load_chat
from components.llm.params import LlmParams
from components.llm.spending import run_budget
from components.llm.spread.lending import workers_of
from components.persona.steps import read_persona
from components.sncp.steps import read_documents
from components.store import Run, Store, logger
from components.store.shown import show_markdown, show_table, shows_progress

if TYPE_CHECKING:
    from components.answer.partner import Partner
    from components.evaluate.said import Contestant
    from components.llm import Budget
    from components.persona import Prompt, Session
    from components.store import Artefact

__all__ = [
    "answer_questions", "ask_candidate", "ask_champion", "ask_control", "can_be_judged", "check_judge_with_people",
    "judge_answers", "retrieve_questions", "score",
]  # fmt: skip

_SHOWN = 200  # rows of a table in the UI


def can_be_judged(params: EvaluateParams, llm: LlmParams) -> None:
    """Raise InputError for faulty prompts, rules, tasks, judge or labels: told before anything is paid for."""
    asked = asked_items(params)
    if asked.items:
        check_judge(params.judge, judge_chat(llm))
        read_labels(params.judge.labels)


@task(name="search golden questions", retries=2, retry_delay_seconds=5, retry_condition_fn=is_transient)
@shows_progress
def retrieve_questions(run: Run, params: EvaluateParams, index_params: IndexParams, *, index: str) -> str:
    """Search every golden question; returns the artefact's id."""
    built = Store(run.workspace).open(index)
    opened = open_index(index_params, workspace=run.workspace, built=built)
    return steps.retrieve_questions(run, params, index_params.search, index=opened, built=built).id


@task(name="answer golden questions", retries=2, retry_delay_seconds=5, retry_condition_fn=is_transient)
@shows_progress
def answer_questions(
    run: Run, params: EvaluateParams, index_params: IndexParams, llm: LlmParams, answer: AnswerParams,
    *, index: str, prompt: str, leave_out_local: bool = False, trusted_hosts: Sequence[str] = (),
    exported: str | None = None,
) -> str:  # fmt: skip
    """Answer the chosen golden questions as the partner would; returns the artefact's id.

    `exported`: of phase optimize, the artefact of the adapter. A model `local/...` answers with it; a server has it
    under the name that the recipe asks for.
    """
    store = Store(run.workspace)
    built, compiled, adapter = store.open(index), store.open(prompt), store.open(exported) if exported else None
    opened = open_index(index_params, workspace=run.workspace, built=built)
    with run_budget(run, llm.budget) as left:
        partner = _partner(
            run, built=built, index_params=index_params, llm=llm, answer=answer, persona=read_persona(compiled),
            leave_out_local=leave_out_local, trusted_hosts=trusted_hosts, exported=adapter, budget=left,
        )  # fmt: skip
        answers = steps.answer_questions(
            run, params, index_params.search, llm, answer, partner=partner, known_paths=opened.paths, built=built,
            prompt=compiled, leave_out_local=leave_out_local, exported=adapter,
        )  # fmt: skip
    return answers.id


@task(name="ask candidate", retries=2, retry_delay_seconds=5, retry_condition_fn=is_transient)
@shows_progress
def ask_candidate(
    run: Run, params: EvaluateParams, index_params: IndexParams, llm: LlmParams, answer: AnswerParams,
    *, index: str, prompt: str, leave_out_local: bool = False, trusted_hosts: Sequence[str] = (),
    exported: str | None = None,
) -> str:  # fmt: skip
    """Ask prompts of personality and tasks of the partner as she would be served; returns the artefact's id."""
    store, asked = Store(run.workspace), asked_items(params)
    built, compiled, adapter = store.open(index), store.open(prompt), store.open(exported) if exported else None
    spec = candidate_spec(
        asked.items, chat=llm.chat, search=index_params.search, answer=answer, index=built.digest,
        prompt=compiled.digest, leave_out_local=leave_out_local,
        adapter=steps.adapter_digest(adapter) if adapter else None,
    )  # fmt: skip
    with run_budget(run, llm.budget) as left:
        partner = _partner(
            run, built=built, index_params=index_params, llm=llm, answer=answer, persona=read_persona(compiled),
            leave_out_local=leave_out_local, trusted_hosts=trusted_hosts, exported=adapter, budget=left,
        )  # fmt: skip
        said = ask_contestant(
            run, spec, asked.items, contender=lambda: Served(partner(), built=built), at_once=params.at_once
        )
    return said.id


@task(name="ask champion", retries=2, retry_delay_seconds=5, retry_condition_fn=is_transient)
@shows_progress
def ask_champion(
    run: Run, params: EvaluateParams, index_params: IndexParams, llm: LlmParams, *, index: str, release: str,
    leave_out_local: bool = False, trusted_hosts: Sequence[str] = (),
) -> str:  # fmt: skip
    """Ask the same of the release in service; returns the artefact's id. `release`: its sealed `registry.release`."""
    store, asked = Store(run.workspace), asked_items(params)
    built, sealed = store.open(index), store.open(release)
    champion = read_champion_release(sealed, llm=llm)
    spec = champion_spec(asked.items, release=sealed.digest, index=built.digest, leave_out_local=leave_out_local)
    with run_budget(run, llm.budget) as left:

        def contender() -> Served:
            opened = open_index(index_params, workspace=run.workspace, built=built)
            return Served(
                open_partner(
                    workspace=run.workspace, index=opened, search=champion.search, prompt=champion.prompt,
                    session=champion.session, llm=champion.llm, answer=champion.answer, budget=left,
                    leave_out_local=leave_out_local, trusted_hosts=trusted_hosts, adapter=champion.adapter,
                    workers=workers_of(run),
                ),
                built=built,
            )  # fmt: skip

        return ask_contestant(run, spec, asked.items, contender=contender, at_once=params.at_once).id


@task(name="ask bare model", retries=2, retry_delay_seconds=5, retry_condition_fn=is_transient)
@shows_progress
def ask_control(
    run: Run, params: EvaluateParams, llm: LlmParams, *, adapted: bool = False, trusted_hosts: Sequence[str] = ()
) -> str | None:
    """Ask the prompts of personality of the bare base model; returns the artefact's id, None where it cannot be asked.

    `adapted`: of phase optimize, whose chat model answers with an adapter.
    """
    asked = asked_items(params).of_control
    if why := no_control(llm, adapter=adapted):
        logger.warning("%s", why)
        return None
    with run_budget(run, llm.budget) as left:

        def contender() -> Bare:
            chat = load_chat(
                **llm.chat.model_dump(), budget=left, trusted_hosts=trusted_hosts,
                cache=run.workspace / "cache" / "responses.sqlite" if llm.cache else None, workers=workers_of(run),
            )  # fmt: skip
            return Bare(chat, budget=left)

        spec = control_spec(asked, chat=llm.chat)
        return ask_contestant(run, spec, asked, contender=contender, at_once=params.at_once).id


@task(name="check judge with people", retries=2, retry_delay_seconds=5, retry_condition_fn=is_transient)
@shows_progress
def check_judge_with_people(
    run: Run, params: EvaluateParams, llm: LlmParams, *, notes: str, prompt: str, trusted_hosts: Sequence[str] = ()
) -> str:
    """Measure how far the judge agrees with the verdicts of people; returns the artefact's id."""
    compiled, asked = Store(run.workspace).open(prompt), asked_items(params)
    persona, session = read_persona(compiled)
    wordings = asked.wordings(name=str(compiled.manifest["params"]["name"]))
    with run_budget(run, llm.budget) as left:
        return measure_agreement(
            run, params, llm, persona=persona.text, wordings=wordings,
            judge=lambda: open_judge(
                params.judge, llm, workspace=run.workspace, budget=left, trusted_hosts=trusted_hosts,
                workers=workers_of(run),
            ),
            local_paths=_local_paths(run, notes), local_prompt=_local_prompt(persona, session),
        ).id  # fmt: skip


@task(name="judge answers", retries=2, retry_delay_seconds=5, retry_condition_fn=is_transient)
@shows_progress
def judge_answers(
    run: Run, params: EvaluateParams, llm: LlmParams, *, notes: str, prompt: str, name: str, candidate: str,
    champion: str | None = None, control: str | None = None, base: str | None = None,
    trusted_hosts: Sequence[str] = (),
) -> str:  # fmt: skip
    """Have all answers judged by code and by the judge, and in pairs; returns the artefact's id.

    `name`: of the partner; `base`: of a trained candidate, the model that it was trained on.
    """
    store, asked = Store(run.workspace), asked_items(params)
    ids: dict[Contestant, str | None] = {"candidate": candidate, "champion": champion, "control": control}
    persona, session = read_persona(store.open(prompt))
    with run_budget(run, llm.budget) as left:
        judged = judge_said(
            run, params, llm, said={who: store.open(one) for who, one in ids.items() if one is not None},
            checklist=asked.checklist, tasks=asked.tasks, persona=persona.text, name=name, base=base,
            judge=lambda: open_judge(
                params.judge, llm, workspace=run.workspace, budget=left, trusted_hosts=trusted_hosts,
                workers=workers_of(run),
            ),
            local_paths=_local_paths(run, notes), local_prompt=_local_prompt(persona, session),
        )  # fmt: skip
    missed = (
        row for row in judged.read_jsonl("verdicts.jsonl")
        if row["contestant"] == "candidate" and row["verdict"] != "yes"
    )  # fmt: skip
    show_table(
        run, "verdicts", [_shown(row) for row in islice(missed, _SHOWN)],
        description="What the candidate's answers miss, or nobody could decide; the report has all",
    )  # fmt: skip
    return judged.id


@task(name="score")
def score(
    run: Run, params: EvaluateParams, answer: AnswerParams, *, retrieval: str, answers: str,
    losses: str | None = None, split: str | None = None, candidate: str | None = None, champion: str | None = None,
    control: str | None = None, judge: str | None = None, agreement: str | None = None,
) -> str:  # fmt: skip
    """Compute the scorecard and show it; returns the artefact's id. Arguments: `components.evaluate.scoring.score`."""
    store = Store(run.workspace)

    def opened(artefact: str | None) -> Artefact | None:
        return store.open(artefact) if artefact else None

    card = scoring.score(
        run, params, answer, retrieval=store.open(retrieval), answers=store.open(answers), losses=opened(losses),
        split=opened(split), candidate=opened(candidate), champion=opened(champion), control=opened(control),
        judge=opened(judge), agreement=opened(agreement),
    )  # fmt: skip
    scorecard = card.read_json("scorecard.json")
    run.update(scorecard=scorecard)
    show_markdown(run, "scorecard", scorecard_markdown(scorecard), description="Scorecard")
    rows = [
        {key: "" if value is None else str(value) for key, value in row.items()}
        for row in card.read_jsonl("questions.jsonl")
    ]
    show_table(run, "questions", rows, description="Golden questions")
    return card.id


def _partner(
    run: Run, *, built: Artefact, index_params: IndexParams, llm: LlmParams, answer: AnswerParams,
    persona: tuple[Prompt, Session | None], leave_out_local: bool, trusted_hosts: Sequence[str],
    exported: Artefact | None, budget: Budget,
) -> Callable[[], Partner]:  # fmt: skip
    """Opens the candidate, when there is something to ask."""

    def opened() -> Partner:
        return open_partner(
            workspace=run.workspace, index=open_index(index_params, workspace=run.workspace, built=built),
            search=index_params.search, prompt=persona[0], session=persona[1], llm=llm, answer=answer, budget=budget,
            leave_out_local=leave_out_local, trusted_hosts=trusted_hosts, workers=workers_of(run),
            adapter=steps.adapter_file(exported) if exported and llm.chat.model.startswith("local/") else None,
        )  # fmt: skip

    return opened


def _local_paths(run: Run, notes: str) -> list[str]:
    documents = read_documents(Store(run.workspace).open(notes))
    return [path for document in documents if document.local for path in document.paths]


def _local_prompt(persona: Prompt, session: Session | None) -> list[str]:
    return [*persona.local_notes, *([session.path] if session and session.local else [])]


def _shown(row: dict[str, object]) -> dict[str, str]:
    """A verdict for the table in the UI, without what people need not see there."""
    keys = ("item", "question", "by", "verdict", "rationale")
    return {key: "undecided" if row[key] is None else str(row[key]) for key in keys}
