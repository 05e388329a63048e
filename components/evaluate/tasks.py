"""Prefect's view of the evaluation."""

from __future__ import annotations

from collections.abc import Sequence

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from components.answer import AnswerParams
from components.answer.steps import open_partner
from components.errors import is_transient
from components.evaluate import steps
from components.evaluate.params import EvaluateParams
from components.evaluate.render import scorecard_markdown
from components.index import IndexParams
from components.index.steps import open_index
from components.llm.params import LlmParams
from components.llm.spending import run_budget
from components.persona.steps import read_persona
from components.store import Run, Store

__all__ = ["answer_questions", "retrieve_questions", "score"]


@task(name="search golden questions", retries=2, retry_delay_seconds=5, retry_condition_fn=is_transient)
def retrieve_questions(run: Run, params: EvaluateParams, index_params: IndexParams, *, index: str) -> str:
    """Search every golden question; returns the artefact's id."""
    built = Store(run.workspace).open(index)
    opened = open_index(index_params, workspace=run.workspace, built=built)
    return steps.retrieve_questions(run, params, index_params.search, index=opened, built=built).id


@task(name="answer golden questions", retries=2, retry_delay_seconds=5, retry_condition_fn=is_transient)
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
    text, session = read_persona(compiled)
    with run_budget(run, llm.budget) as left:
        answers = steps.answer_questions(
            run, params, index_params.search, llm, answer,
            partner=lambda: open_partner(
                workspace=run.workspace, index=opened, search=index_params.search, prompt=text, session=session,
                llm=llm, answer=answer, budget=left, leave_out_local=leave_out_local, trusted_hosts=trusted_hosts,
                adapter=steps.adapter_file(adapter) if adapter and llm.chat.model.startswith("local/") else None,
            ),
            known_paths=opened.paths(), built=built, prompt=compiled, leave_out_local=leave_out_local,
            exported=adapter,
        )  # fmt: skip
    return answers.id


@task(name="score")
def score(
    run: Run, params: EvaluateParams, answer: AnswerParams, *, retrieval: str, answers: str, losses: str | None = None
) -> str:
    """Compute the scorecard and show it; returns the artefact's id. `losses`: of phase optimize."""
    store = Store(run.workspace)
    card = steps.score(
        run, params, answer, retrieval=store.open(retrieval), answers=store.open(answers),
        losses=store.open(losses) if losses else None,
    )  # fmt: skip
    scorecard = card.read_json("scorecard.json")
    run.update(scorecard=scorecard)
    create_markdown_artifact(key="scorecard", markdown=scorecard_markdown(scorecard), description="Scorecard")
    rows = [
        {key: "" if value is None else str(value) for key, value in row.items()}
        for row in card.read_jsonl("questions.jsonl")
    ]
    create_table_artifact(key="questions", table=rows, description="Golden questions")
    return card.id
