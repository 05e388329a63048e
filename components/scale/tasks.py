"""Prefect's view of phase scale."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Protocol

from prefect import task

from components.answer.steps import open_partner
from components.errors import InputError, TerminalError, is_transient
from components.evaluate import EvaluateParams
from components.evaluate.asking.contestants import read_champion_release
from components.evaluate.judge.opening import judge_chat, open_judge
from components.index import IndexParams
from components.index.steps import open_index, published_digest
from components.llm.params import LlmParams
from components.llm.spending import run_budget
from components.llm.spread.lending import workers_of
from components.registry.champion import Changed, read_champion, read_history
from components.registry.champion.compared import champion_beside
from components.registry.champion.release_step import RELEASE
from components.registry.params import RegistryParams
from components.registry.render import gate_markdown
from components.scale import steps
from components.scale.answers import Side, recorded_answers
from components.scale.candidate import Candidate, Standing, check_candidate, switch_of
from components.scale.candidate import find_candidate as find
from components.scale.params import ScaleParams
from components.scale.preferring import Prefer, distrust_of, preference
from components.scale.questions import Question, choose_questions
from components.scale.render import scale_markdown
from components.scale.switch import Endpoints
from components.scale.switch import switch as put_on_probation
from components.serve.params import ServeParams
from components.services.notify.changed import tell_champion
from components.services.params import ExecutionParams
from components.store import Artefact, Run, Store, logger
from components.store.shown import show_markdown, shows_progress

if TYPE_CHECKING:
    from components.answer.partner import Partner

__all__ = ["Sections", "compare", "decide", "find_candidate", "promote", "switch"]


class Sections(Protocol):
    """The sections of a recipe that phase scale reads."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def scale(self) -> ScaleParams: ...  # noqa: D102
    @property
    def index(self) -> IndexParams: ...  # noqa: D102
    @property
    def llm(self) -> LlmParams: ...  # noqa: D102
    @property
    def evaluate(self) -> EvaluateParams: ...  # noqa: D102
    @property
    def registry(self) -> RegistryParams: ...  # noqa: D102
    @property
    def serve(self) -> ServeParams: ...  # noqa: D102
    @property
    def execution(self) -> ExecutionParams: ...  # noqa: D102


@task(name="find candidate")
def find_candidate(
    run: Run, recipe: Sections, *, endpoints: Endpoints, trusted_hosts: Collection[str] = ()
) -> tuple[str, Standing, str | None]:  # fmt: skip
    """Which release is to go into service; the artefact's id, how it stands, and when a pending one was promoted.

    Raises where the run would stop later: a release that this recipe cannot ask, an endpoint that does not let it in.
    """
    found = find(run.workspace, recipe=recipe.scale.candidate, model_name=recipe.registry.model_name)
    if found.standing == "new":
        check_candidate(
            Store(run.workspace).open(found.release), index=recipe.index, chat=recipe.llm.chat,
            trusted_hosts=trusted_hosts,
        )  # fmt: skip
    if found.standing == "pending" or (found.standing == "new" and recipe.scale.promote):
        endpoints.find()
    sealed = steps.seal_candidate(run, found)
    if found.standing == "in service":
        steps.tell(run, said="it is in service already: there is nothing to compare")
        now = read_champion(run.workspace, recipe.registry.model_name)
        if now is not None and (ended := switch_of(run.workspace, now)):  # by a run that was killed before it told it
            steps.tell(run, switched=ended["switched"], promoted_at=ended["promoted_at"])
    elif found.standing == "pending" and not recipe.scale.promote:
        steps.tell(
            run, said="it is in service, and its probation has not ended; nothing was changed, since scale.promote is "
            "false: with scale.promote=true the run goes on with it",
        )  # fmt: skip
    elif found.standing == "pending":
        logger.info("release %s was promoted by a run that did not end: its probation is done now", found.digest[:12])
    return sealed.id, found.standing, found.since if found.standing == "pending" else None


@task(name="shadow", retries=2, retry_delay_seconds=5, retry_condition_fn=is_transient)
@shows_progress
def compare(
    run: Run, recipe: Sections, *, candidate: str, leave_out_local: bool = False, trusted_hosts: Collection[str] = ()
) -> str:  # fmt: skip
    """Ask the same questions of the candidate and of what is in service; returns the artefact's id."""
    store = Store(run.workspace)
    told = steps.read_candidate(store.open(candidate))
    release = store.open(told.release)
    champion, why = champion_beside(
        run.workspace, model_name=recipe.registry.model_name, candidate=release.read_json(RELEASE),
        trusted_hosts=trusted_hosts,
    )  # fmt: skip
    alone = None if champion else f"the candidate stands alone: {why}"
    if alone:
        logger.info("%s", alone)
    judges = recipe.scale.judge and champion is not None and _distrust(run, recipe, told) is None
    releases: dict[Side, Artefact] = {"candidate": release}
    if champion:
        releases["champion"] = champion
    index = published_digest(recipe.index, workspace=run.workspace)
    if index is None:
        raise TerminalError("nothing is published yet; first: cervella reindex RECIPE (or cervella run RECIPE)")
    with run_budget(run, recipe.llm.budget) as left:

        def opened() -> Mapping[Side, Partner]:
            searched = open_index(recipe.index, workspace=run.workspace)
            live = recipe.llm.model_copy(update={"cache": False})  # what an answer takes is measured
            found: dict[Side, Partner] = {}
            for side, sealed in releases.items():
                one = read_champion_release(sealed, llm=live)
                found[side] = open_partner(
                    workspace=run.workspace, index=searched, search=one.search, prompt=one.prompt, session=one.session,
                    llm=one.llm, answer=one.answer, budget=left, leave_out_local=leave_out_local,
                    trusted_hosts=trusted_hosts, adapter=one.adapter, workers=workers_of(run),
                )  # fmt: skip
            return found

        def prefer(sides: Mapping[Side, Partner]) -> Prefer:
            judge = open_judge(
                recipe.evaluate.judge, recipe.llm, workspace=run.workspace, budget=left, trusted_hosts=trusted_hosts,
                workers=workers_of(run),
            )  # fmt: skip
            return preference(judge, sides=sides)

        shadow = steps.compare(
            run, questions=_questions(run, recipe, most=recipe.scale.questions), releases=releases, index=index,
            sides=opened, alone=alone, max_chars=recipe.serve.limits.question_chars,
            judge=judge_chat(recipe.llm).sampled() if judges else None, prefer=prefer if judges else None,
            recorded=lambda: recorded_answers(
                run.workspace, candidate=told.digest, champion=told.before if champion else None
            ),
        )  # fmt: skip
    _show(run, "comparison", "Candidate and what is in service")
    return shadow.id


@task(name="gate")
def decide(run: Run, recipe: Sections, *, candidate: str, shadow: str) -> bool:
    """Decide GO, NO-GO or INCONCLUSIVE and show why; returns whether the candidate is to be promoted."""
    store = Store(run.workspace)
    found = store.open(candidate)
    distrust = _distrust(run, recipe, steps.read_candidate(found)) if recipe.scale.judge else None
    report = steps.decide_gate(
        run, recipe.scale, recipe.evaluate, candidate=found, shadow=store.open(shadow), distrust=distrust
    )  # fmt: skip
    show_markdown(run, "gate", gate_markdown(report), description=f"Gate: {report.verdict}")
    if report.verdict == "GO" and not recipe.scale.promote:
        steps.tell(run, said="it may go into service; nothing was changed, since scale.promote is false")
    return report.verdict == "GO" and recipe.scale.promote


@task(name="promote")
def promote(run: Run, recipe: Sections, *, candidate: str) -> str:
    """Put the candidate into service; returns when that was (`Champion.at`)."""
    told = steps.read_candidate(Store(run.workspace).open(candidate))
    done = steps.promote_candidate(run, recipe.scale, recipe.registry, candidate=told)
    _tell_changed(run, recipe, done)
    assert done.champion is not None  # noqa: S101 - it is the candidate
    return done.champion.at


@task(name="switch")
@shows_progress
def switch(run: Run, recipe: Sections, *, promoted: str | None, endpoints: Endpoints) -> str | None:
    """See that the endpoint answers as what was promoted, and take it back where it fails; returns why it did.

    `promoted`: when that was (`Champion.at`).
    """
    history = read_history(run.workspace, recipe.registry.model_name)
    promotion = next((one for one in history if one.at == promoted), None)
    if promotion is None:  # it was promoted, so somebody has removed the record since
        raise TerminalError("what was promoted is not told any more: the record of it was removed")
    sealed = put_on_probation(
        run, recipe.scale, recipe.registry, promotion=promotion, endpoints=endpoints,
        questions=_questions(run, recipe, most=recipe.scale.probation_questions),
        changed=lambda done: _tell_changed(run, recipe, done),
    )  # fmt: skip
    _show(run, "comparison", "Candidate, what was in service, and the endpoint")
    told = sealed.read_json("switch.json")
    return None if told["switched"] else str(told["said"])


def _distrust(run: Run, recipe: Sections, candidate: Candidate) -> str | None:
    """Why the judge is not to be asked whose answer is better; None: it may be."""
    return distrust_of(run.workspace, run=candidate.run, llm=recipe.llm)


def _questions(run: Run, recipe: Sections, *, most: int) -> list[Question]:
    found = choose_questions(
        run.workspace, recipe.evaluate, most=most, max_chars=recipe.serve.limits.question_chars
    )  # fmt: skip
    if not found:
        raise InputError("there is nothing to ask: name a file of questions in evaluate.golden")
    return found


def _show(run: Run, what: str, description: str) -> None:
    show_markdown(run, what, scale_markdown(run.read()["scale"]), description=description)


def _tell_changed(run: Run, recipe: Sections, done: Changed) -> None:
    tell_champion(
        done, recipe.execution.notify, workspace=run.workspace, model_name=recipe.registry.model_name,
        recipe=recipe.name,
    )  # fmt: skip
