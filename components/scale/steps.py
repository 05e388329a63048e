"""The steps of phase scale up to the promotion: `scale.candidate`, `scale.shadow`, `scale.gate`, `scale.promote`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from components.errors import TerminalError
from components.evaluate.asking.once import open_log
from components.registry.champion import Changed, promote, read_champion
from components.registry.champion.change import OvertakenError
from components.registry.gate import GateReport
from components.registry.params import RegistryParams
from components.scale.answers import SIDES, Answered, Side, numbers_of
from components.scale.asking import ask_sides
from components.scale.candidate import Candidate, candidate_spec, promoter
from components.scale.gate import decide
from components.scale.params import ScaleParams
from components.scale.questions import Question, questions_digest
from components.store import Artefact, Run, StepSpec, Store, logger, progress_of, recorded_step, told_step

if TYPE_CHECKING:
    from components.answer.partner import Partner
    from components.evaluate.params import EvaluateParams
    from components.scale.preferring import Prefer

__all__ = [
    "compare", "decide_gate", "gate_spec", "promote_candidate", "read_answers", "read_candidate", "seal_candidate",
    "shadow_spec", "tell",
]  # fmt: skip

ANSWERS = "answers.jsonl"


def tell(run: Run, **values: Any) -> None:
    """Add to what `scale` of a run's record says."""
    run.update(scale={**(run.read().get("scale") or {}), **values})


def seal_candidate(run: Run, candidate: Candidate) -> Artefact:
    """Seal which release is compared; its release and the verdict of its gate must be whole. Raises TerminalError."""
    store = Store(run.workspace)
    release, gate = store.open(candidate.release), store.open(candidate.gate)
    with recorded_step(run, candidate_spec(candidate, release=release.digest, gate=gate.digest)) as step:
        if not step.sealed:
            step.write_json("candidate.json", candidate.to_dict())
            step.note(release=f"release {candidate.digest[:12]} of {candidate.run}", gate=f"gate {candidate.verdict}")
    before = {"release": candidate.before, "version": candidate.before_version} if candidate.before else None
    tell(
        run, before=before, standing=candidate.standing,
        candidate={
            "release": candidate.digest, "version": candidate.version, "run": candidate.run, "recipe": candidate.recipe,
        },
    )  # fmt: skip
    return step.artefact


def read_candidate(sealed: Artefact) -> Candidate:
    """What `seal_candidate` sealed."""
    return Candidate(**sealed.read_json("candidate.json"))


def shadow_spec(
    questions: list[Question], *, candidate: str, champion: str | None, index: str,
    judge: Mapping[str, Any] | None = None,
) -> StepSpec:  # fmt: skip
    """Identity of a comparison.

    Args:
        questions: that are asked.
        candidate: digest of its sealed release.
        champion: digest of that in service; None: the candidate stands alone.
        index: digest of what is published.
        judge: settings of the judge that says whose answer is better (`ChatParams.sampled`); None: nobody does.
    """
    inputs = {"candidate": candidate, "index": index, "questions": questions_digest(questions)}
    params = {} if judge is None else {"judge": dict(judge)}
    return StepSpec("scale.shadow", 1, params, inputs | ({"champion": champion} if champion else {}))


def compare(
    run: Run, *, questions: list[Question], releases: Mapping[Side, Artefact], index: str,
    sides: Callable[[], Mapping[Side, Partner]], recorded: Callable[[], list[Answered]], max_chars: int,
    alone: str | None = None, judge: Mapping[str, Any] | None = None,
    prefer: Callable[[Mapping[Side, Partner]], Prefer] | None = None,
) -> Artefact:  # fmt: skip
    """Ask the questions of all sides, whatever is sealed: what an answer takes is measured each time.

    What a run was asking when it was killed is not asked again. Seals `answers.jsonl`, a row for each question and
    side, what an endpoint has recorded behind what was asked.

    Args:
        run: at work.
        questions: to be asked.
        releases: sealed, of each side; without a champion the candidate stands alone.
        index: digest of what is published.
        sides: opens who is asked.
        recorded: what an endpoint has recorded of this candidate.
        max_chars: longest question that is taken (characters).
        alone: why there is no champion, in words.
        judge: see `shadow_spec`; with it `prefer`.
        prefer: of those who are asked, who says whose answer is better; None: nobody.

    Raises:
        As `ask_sides`.
    """
    champion = releases.get("champion")
    spec = shadow_spec(
        questions, candidate=releases["candidate"].digest, champion=champion.digest if champion else None, index=index,
        judge=judge,
    )  # fmt: skip
    with recorded_step(run, spec, force=True) as step:
        log = open_log(step, run, before=None, output=ANSWERS, key=lambda row: f"{row['side']}/{row['question']}")
        partners = sides()
        asked = ask_sides(
            questions, partners, log=log, progress=progress_of(spec.name), max_chars=max_chars,
            prefer=prefer(partners) if prefer else None,
        )  # fmt: skip
        rows = [Answered(**row) for row in asked]
        found = recorded()
        step.write_jsonl(ANSWERS, (row.to_dict() for row in [*rows, *found]))
        step.note(questions=len(questions), failed=sum(row.error is not None for row in rows), recorded=len(found))
    answers = read_answers(step.artefact)
    numbers = {side: numbers_of(row for row in answers if row.side == side) for side in SIDES if side in releases}
    tell(
        run, numbers={side: one.to_dict() for side, one in numbers.items()}, alone=alone,
        recorded=sum(row.origin != "asked" for row in answers),
    )  # fmt: skip
    return step.artefact


def read_answers(shadow: Artefact) -> list[Answered]:
    """What `compare` sealed."""
    return [Answered(**row) for row in shadow.read_jsonl(ANSWERS)]


def gate_spec(params: ScaleParams, *, candidate: str, shadow: str, distrust: str | None = None) -> StepSpec:
    """Identity of the verdict: the limits, the digests of what is decided on, and why the judge does not count."""
    limits = params.model_dump(
        mode="json", include={"max_p95_seconds", "max_errors", "max_usd_per_query", "force", "judge"}
    )  # fmt: skip
    return StepSpec("scale.gate", 3, limits | {"distrust": distrust}, {"candidate": candidate, "shadow": shadow})


def decide_gate(
    run: Run, params: ScaleParams, evaluate: EvaluateParams, *, candidate: Artefact, shadow: Artefact,
    distrust: str | None = None,
) -> GateReport:  # fmt: skip
    """Decide GO, NO-GO or INCONCLUSIVE; seals `gate.json`. `distrust`: why the judge's word does not count."""
    spec = gate_spec(params, candidate=candidate.digest, shadow=shadow.digest, distrust=distrust)
    with recorded_step(run, spec) as step:
        if not step.sealed:
            told = read_candidate(candidate)
            report = decide(
                params, own=GateReport.from_dict(Store(run.workspace).open(told.gate).read_json("gate.json")),
                run=told.run, answers=read_answers(shadow), samples=evaluate.bootstrap_samples, seed=evaluate.seed,
                distrust=distrust,
            )  # fmt: skip
            step.write_json("gate.json", report.to_dict())
            step.note(verdict=report.verdict)
    report = GateReport.from_dict(step.artefact.read_json("gate.json"))
    run.update(gate=report.to_dict())
    if report.verdict != "GO":
        tell(run, said="not promoted: what is in service stays as it is")
    return report


def promote_candidate(run: Run, params: ScaleParams, registry: RegistryParams, *, candidate: Candidate) -> Changed:
    """Put the candidate into service; done again, it changes nothing.

    Not a step of the store: the history of the champions is the truth.

    Raises:
        TerminalError: something was put into service since the comparison, or the candidate's release is gone.
    """
    with told_step(run, "scale.promote") as told:
        by = promoter(run.id)
        now = read_champion(run.workspace, registry.model_name)
        done_before = now is not None and (now.by, now.digest) == (by, candidate.digest)
        expected = now.at if now is not None and done_before else candidate.since or ""
        try:
            done = promote(
                workspace=run.workspace, registry=registry, recipe=candidate.recipe, run=candidate.registered_by, by=by,
                reason=params.force if candidate.verdict != "GO" else None, expected=expected,
            )  # fmt: skip
        except OvertakenError as error:
            raise TerminalError(f"since the comparison {error}. Run this again") from error
        if done.champion is None or done.champion.digest != candidate.digest:  # only where the gate was bypassed
            raise TerminalError(f"release {candidate.digest[:12]} was not promoted: its gate says {candidate.verdict}")
        told["facts"] = {"release": f"release {candidate.digest[:12]} is in service"}
        tell(run, promoted_at=done.champion.at)
    if done.fault:
        logger.warning("MLflow does not tell it yet: %s. The next run of any recipe tells it again", done.fault)
    return done
