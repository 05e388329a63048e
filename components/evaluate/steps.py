"""The steps that score a candidate: `evaluate.retrieval`, `evaluate.answers`, `evaluate.score`."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import CervellaError, InputError, TerminalError
from components.evaluate.asking.once import IndexMovedError, Turn, ask_once, open_log, write_rows
from components.evaluate.golden import Question, choose_questions, load_golden
from components.evaluate.params import EvaluateParams
from components.evaluate.records import AnswerRecord
from components.evaluate.retrieval import rank_files
from components.evaluate.scoring import question_rows, ranked, score, score_rows, score_spec
from components.index.params import SearchParams
from components.index.ranking import RANKING_VERSION
from components.llm.at_once import most_at_once
from components.llm.params import LlmParams
from components.store import (
    Artefact,
    Run,
    StepSpec,
    Store,
    canonical_json,
    file_digest,
    logger,
    progress_of,
    recorded_step,
    sha256_hex,
)

if TYPE_CHECKING:
    from components.answer import AnswerParams
    from components.answer.partner import Partner
    from components.index import Index

__all__ = [
    "adapter_digest",
    "adapter_file",
    "answer_questions",
    "answers_spec",
    "ask_all",
    "failed_answers",
    "golden_path",
    "question_rows",
    "ranked",
    "retrieval_spec",
    "retrieve_all",
    "retrieve_questions",
    "score",
    "score_rows",
    "score_spec",
]

Progress = Callable[[int, int], None]


def golden_path(params: EvaluateParams) -> Path:
    """The golden file. Raises InputError when the recipe names none."""
    if params.golden is None:
        raise InputError("evaluate.golden names no file: golden questions are needed to score anything")
    return params.golden


def retrieval_spec(params: EvaluateParams, search: SearchParams, *, index: str) -> StepSpec:
    """Identity of the retrieval step; `index` is the digest of `index.build`."""
    values = search.model_dump(mode="json", include={"fusion", "dense_weight", "candidates"})
    values["ranking"] = RANKING_VERSION
    return StepSpec("evaluate.retrieval", 5, values, {"index": index, "golden": file_digest(golden_path(params))})


def answers_spec(
    params: EvaluateParams, search: SearchParams, llm: LlmParams, answer: AnswerParams, *, index: str, prompt: str,
    leave_out_local: bool = False, adapter: str | None = None,
) -> StepSpec:  # fmt: skip
    """Identity of the step that answers golden questions.

    `index` and `prompt` are digests of their artefacts, `adapter` that of the exported adapter that the model answers
    with, if it does.
    """
    values = {
        "search": search.model_dump(mode="json") | {"ranking": RANKING_VERSION},
        "chat": llm.chat.sampled(),
        "answer": answer.model_dump(mode="json"),
        "answers": params.answers,
        "seed": params.seed,
        "leave_out_local": leave_out_local,
    }
    inputs = {"index": index, "prompt": prompt, "golden": file_digest(golden_path(params))}
    if adapter is not None:
        inputs["adapter"] = adapter
    return StepSpec("evaluate.answers", 4, values, inputs)


def retrieve_all(
    questions: Sequence[Question], *, index: Index, search: SearchParams, progress: Progress
) -> list[dict[str, Any]]:
    """Files found for each question, best first, and the seconds that each search took."""
    rows = []
    for number, question in enumerate(questions, start=1):
        started = time.perf_counter()
        hits = index.search(
            question.question,
            k=2 * search.candidates,
            fusion=search.fusion,
            dense_weight=search.dense_weight,
            candidates=search.candidates,
        )
        seconds = time.perf_counter() - started
        files = rank_files((hit.path, hit.paths, hit.score, hit.cosine) for hit in hits)
        rows.append({
            "id": question.id,
            "seconds": round(seconds, 5),
            "files": [
                {"path": file.path, "paths": list(file.paths), "score": round(file.score, 6), "cosine": file.cosine}
                for file in files
            ],
        })  # fmt: skip
        progress(number, len(questions))
    return rows


def retrieve_questions(
    run: Run, params: EvaluateParams, search: SearchParams, *, index: Index, built: Artefact
) -> Artefact:
    """Search every golden question in the published index; seals `retrieval.jsonl` and `golden.jsonl`.

    The latter holds the questions as they were read, gold paths as the index spells them: what is scored later is what
    was searched, whatever becomes of the golden file meanwhile.
    """
    with recorded_step(run, retrieval_spec(params, search, index=built.digest)) as step:
        if not step.sealed:
            questions = load_golden(golden_path(params), known_paths=index.paths())
            rows = retrieve_all(questions, index=index, search=search, progress=progress_of("evaluate.retrieval"))
            _still_published(index, built)
            step.write_jsonl("retrieval.jsonl", rows)
            step.write_jsonl("golden.jsonl", (asdict(question) for question in questions))
            step.note(questions=len(questions))
    return step.artefact


def _still_published(index: Index, built: Artefact) -> None:
    """Raise TerminalError when another run has published another index while this one was searching."""
    if index.live_digest() != built.read_json("index.json")["digest"]:
        raise TerminalError("the published index was changed by another run meanwhile; run this one again")


def ask_all(questions: Sequence[Question], *, partner: Partner, progress: Progress) -> list[AnswerRecord]:
    """An answer, or the error in its place, for each question, one after the other."""
    records = []
    for number, question in enumerate(questions, start=1):
        records.append(_answered(question, partner=partner))
        progress(number, len(questions))
    return records


def _answered(question: Question, *, partner: Partner, turn: Turn | None = None) -> AnswerRecord:
    """Raises IndexMovedError alone: what any other error says is the record."""
    try:
        asked = partner.ask(question.question, turn=turn)
    except IndexMovedError:
        raise
    except CervellaError as error:
        logger.warning("%s has no answer: %s", question.id, error)
        return AnswerRecord.failed(question, str(error))
    reply = asked.answer.reply
    return AnswerRecord.answered(
        question,
        text=asked.answer.text,
        found=asked.answer.found,
        sources=asked.answer.places(),
        cited=asked.answer.places(cited=True),
        seconds=asked.seconds,
        cost_usd=reply.original_cost_usd if reply else 0.0,
        model=reply.model if reply else partner.chat.model,
        is_local=partner.chat.is_local,
        cached=bool(reply and reply.cached),
    )


def answer_questions(
    run: Run,
    params: EvaluateParams,
    search: SearchParams,
    llm: LlmParams,
    answer: AnswerParams,
    *,
    partner: Callable[[], Partner],
    known_paths: Callable[[], Collection[str]],
    built: Artefact,
    prompt: Artefact,
    leave_out_local: bool = False,
    exported: Artefact | None = None,
) -> Artefact:
    """Answer the chosen golden questions; seals `answers.jsonl`.

    `partner` is only opened, and `known_paths` (of the notes in the index) only asked for, when there is work.

    A run that was killed goes on from its paid replies. Answers that failed are sealed as failed, and they alone are
    asked again by the next run: a key that was missing, a server that was down or a budget that was spent is no part of
    the step's identity. `exported`: the adapter that `partner` answers with.
    """
    spec = answers_spec(
        params, search, llm, answer, index=built.digest, prompt=prompt.digest, leave_out_local=leave_out_local,
        adapter=adapter_digest(exported) if exported else None,
    )  # fmt: skip
    before = Store(run.workspace).find(spec)
    again = failed_answers(before) > 0
    with recorded_step(run, spec, force=again) as step:
        if not step.sealed:
            questions = load_golden(golden_path(params), known_paths=known_paths())
            chosen = choose_questions(questions, params.answers, params.seed)
            log = open_log(
                step, run, before=before if again else None, output="answers.jsonl", key=lambda row: str(row["id"])
            )
            failed = 0
            if chosen:
                opened = partner()
                turn = Turn(opened.index, built)
                rows = ask_once(
                    chosen, lambda question: _answered(question, partner=opened, turn=turn).to_dict(),
                    key=lambda question: question.id, log=log, at_once=most_at_once(opened.chat, params.at_once),
                    progress=progress_of(spec.name),
                )  # fmt: skip
                failed = write_rows(step, "answers.jsonl", rows)
                turn.check_digest()
            else:
                step.write_jsonl("answers.jsonl", ())
            step.note(answers=len(chosen), failed=failed)
    return step.artefact


def failed_answers(answers: Artefact | None) -> int:
    """How many answers of a sealed `evaluate.answers` are errors: with any, the step is done again."""
    return 0 if answers is None else int(answers.facts.get("failed", 0))


def adapter_digest(exported: Artefact) -> str:
    """What tells one adapter from another in a sealed `train.export`: not how it was proved, nor how it is served."""
    outputs = exported.manifest["outputs"]
    weights = {name: str(entry["sha256"]) for name, entry in outputs.items() if name.endswith(".gguf")}
    return sha256_hex(canonical_json(weights)) if weights else str(exported.manifest["inputs"]["trained"])


def adapter_file(exported: Artefact) -> Path:
    """The GGUF adapter of a sealed `train.export`. Raises TerminalError where there is none to answer with."""
    found = sorted(name for name in exported.manifest["outputs"] if name.endswith(".gguf"))
    if len(found) != 1:
        raise TerminalError(
            f"{exported.id} holds no adapter that llama.cpp can answer with: set train.export.gguf_adapter to true; "
            f"where it is, the adapter was proved wrong, as {exported.path / 'proof.json'} says"
        )
    return exported.file(found[0])
