"""The step `evaluate.score`: from what was sealed to the scorecard, and to rows that people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from components.errors import TransientError
from components.evaluate.copying import Answered, copied_answers, copied_measure, training_answers
from components.evaluate.golden import Question
from components.evaluate.params import EvaluateParams
from components.evaluate.records import AnswerRecord
from components.evaluate.retrieval import RankedFile, RetrievalScore, score_retrieval
from components.evaluate.said import Contestant
from components.evaluate.said_scores import Evaluated, read_evaluated, score_said
from components.evaluate.scorecard import build_scorecard
from components.evaluate.suite import load_checklist, load_task_suite
from components.evaluate.training import read_training
from components.evaluate.worst import worst_rows
from components.store import Artefact, Run, StepSpec, file_digest, recorded_step

if TYPE_CHECKING:
    from components.answer import AnswerParams

__all__ = ["question_rows", "ranked", "score", "score_rows", "score_spec"]


def score_spec(
    params: EvaluateParams, answer: AnswerParams, *, retrieval: str, answers: str, losses: str | None = None,
    split: str | None = None, candidate: str | None = None, champion: str | None = None, control: str | None = None,
    judge: str | None = None, agreement: str | None = None,
) -> StepSpec:  # fmt: skip
    """Identity of the scorecard.

    `losses`, `split`: digests of `train.losses` and `dataset.split`, in phase optimize; `candidate`, `champion`,
    `control`, `judge`, `agreement`: of the steps of these names, where the recipe asks for personality or tasks. Then
    the files of rules and tasks are part of it.
    """
    values = params.model_dump(mode="json", include={"bootstrap_samples", "seed"}) | {"min_score": answer.min_score}
    told = {"losses": losses, "split": split, "candidate": candidate, "champion": champion, "control": control,
            "judge": judge, "agreement": agreement}  # fmt: skip
    if candidate is not None:
        told["checklist"] = file_digest(params.personality.checklist) if params.personality else None
        told["tasks"] = file_digest(params.tasks) if params.tasks else None
    inputs = {"retrieval": retrieval, "answers": answers} | {name: one for name, one in told.items() if one is not None}
    return StepSpec("evaluate.score", 2, values, inputs)


def ranked(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[RankedFile]]:
    """Question id -> files, from the rows of `retrieve_all`."""
    return {
        row["id"]: [
            RankedFile(file["path"], tuple(file["paths"]), file["score"], file["cosine"]) for file in row["files"]
        ]
        for row in rows
    }


def score_rows(
    params: EvaluateParams,
    questions: Sequence[Question],
    rows: Sequence[Mapping[str, Any]],
    *,
    min_cosine: float | None,
) -> RetrievalScore:
    """Score rows of `retrieve_all`; `questions` are those that were searched."""
    return score_retrieval(
        questions,
        ranked(rows),
        bootstrap_samples=params.bootstrap_samples,
        seed=params.seed,
        min_cosine=min_cosine or None,
    )


def score(
    run: Run, params: EvaluateParams, answer: AnswerParams, *, retrieval: Artefact, answers: Artefact,
    losses: Artefact | None = None, split: Artefact | None = None, candidate: Artefact | None = None,
    champion: Artefact | None = None, control: Artefact | None = None, judge: Artefact | None = None,
    agreement: Artefact | None = None,
) -> Artefact:  # fmt: skip
    """Compute the scorecard; seals `scorecard.json`, `questions.jsonl` and `worst.jsonl` (rows for people).

    Args:
        run: that this is a step of.
        params: section `evaluate`.
        answer: section `answer`.
        retrieval: the sealed `evaluate.retrieval`.
        answers: the sealed `evaluate.answers`.
        losses: the sealed `train.losses` of phase optimize.
        split: the sealed `dataset.split` of phase optimize, whose training answers the candidate may repeat.
        candidate: the sealed `evaluate.candidate`; None: neither personality nor tasks were asked.
        champion: the sealed `evaluate.champion`, where there is one.
        control: the sealed `evaluate.control`, where the recipe asks for it.
        judge: the sealed `evaluate.judge`.
        agreement: the sealed `evaluate.agreement`; None: the judge's word does not count.
    """
    more = {"losses": losses, "split": split, "candidate": candidate, "champion": champion, "control": control,
            "judge": judge, "agreement": agreement}  # fmt: skip
    spec = score_spec(
        params, answer, retrieval=retrieval.digest, answers=answers.digest,
        **{name: one.digest for name, one in more.items() if one is not None},
    )  # fmt: skip
    with recorded_step(run, spec) as step:
        if not step.sealed:
            rows = list(retrieval.read_jsonl("retrieval.jsonl"))
            questions = [
                Question(**{**row, "gold": tuple(row["gold"]), "never": tuple(row["never"])})
                for row in retrieval.read_jsonl("golden.jsonl")
            ]
            found = score_rows(params, questions, rows, min_cosine=answer.min_score)
            records = [AnswerRecord.from_dict(row) for row in answers.read_jsonl("answers.jsonl")]
            evaluated = _evaluated(params, spec, candidate, champion, control, judge, agreement)
            spoken = _spoken(records, evaluated)
            copied = copied_answers(spoken, training_answers(split)) if split else []
            card = build_scorecard(
                retrieval=found,
                answers=records,
                expected=len(records),
                search_seconds=[row["seconds"] for row in rows],
                bootstrap_samples=params.bootstrap_samples,
                seed=params.seed,
                evidence={
                    "golden": retrieval.manifest["inputs"]["golden"],
                    "index": retrieval.manifest["inputs"]["index"],
                    **{name: spec.inputs[name] for name in ("split", "checklist", "tasks") if name in spec.inputs},
                },
                training=read_training(losses, seed=params.seed) if losses else None,
                said=score_said(evaluated, samples=params.bootstrap_samples, seed=params.seed),
                copied=(copied_measure(copied, spoken), copied) if split else None,
            )
            step.write_json("scorecard.json", card)
            step.write_jsonl("questions.jsonl", question_rows(questions, found, records))
            step.write_jsonl("worst.jsonl", worst_rows(
                questions=questions, found=found, records=records, evaluated=evaluated, copied=copied
            ))  # fmt: skip
            step.note(questions=len(questions))
    return step.artefact


def _evaluated(
    params: EvaluateParams, spec: StepSpec, candidate: Artefact | None, champion: Artefact | None,
    control: Artefact | None, judge: Artefact | None, agreement: Artefact | None,
) -> Evaluated:  # fmt: skip
    """What was said and judged, with the very rules that the step is identified by."""
    if candidate is None:
        return Evaluated()
    said: dict[Contestant, Artefact] = {"candidate": candidate}
    said |= {"champion": champion} if champion else {}
    said |= {"control": control} if control else {}
    checklist = load_checklist(params.personality.checklist) if params.personality else None
    suite = load_task_suite(params.tasks) if params.tasks else None
    for name, read in (("checklist", checklist), ("tasks", suite)):
        if read is not None and read.digest != spec.inputs[name]:
            raise TransientError(f"the file of {name} was changed while it was read; run this again")
    return read_evaluated(said, judge=judge, agreement=agreement, checklist=checklist, suite=suite)


def _spoken(records: Sequence[AnswerRecord], evaluated: Evaluated) -> list[Answered]:
    """All that the candidate said."""
    golden = [Answered(f"golden/{one.id}", one.question, one.text) for one in records if one.error is None]
    said = evaluated.said.get("candidate", ())
    return golden + [Answered(one.item.key, one.item.prompt, one.text) for one in said if one.error is None]


def question_rows(
    questions: Sequence[Question], found: RetrievalScore, records: Sequence[AnswerRecord]
) -> list[dict[str, Any]]:
    """A row for each golden question: where its note was found, and what was answered."""
    ranks = {item.id: item for item in found.questions}
    answers = {record.id: record for record in records}
    rows = []
    for question in questions:
        item, record = ranks.get(question.id), answers.get(question.id)
        rows.append({
            "id": question.id, "kind": question.kind, "lang": question.lang, "question": question.question,
            "rank": item.rank if item else None,
            "first": item.found[0] if item and item.found else None,
            "expected": question.answer,
            "answer": record.text if record else None,
            "sources": list(record.sources[:3]) if record else [],
            "checks": ("passed" if record.passed else "failed") if record else None,
            "seconds": round(record.seconds, 2) if record and record.seconds is not None else None,
        })  # fmt: skip
    return rows
