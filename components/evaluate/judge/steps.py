"""The step that judges: `evaluate.judge`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from components.evaluate.asking.steps import read_said
from components.evaluate.judge.ask import LocalNotes, Tally, judge_all
from components.evaluate.judge.opening import Judge, judge_chat
from components.evaluate.judge.pairs import Duel, duels, judge_pairs
from components.evaluate.judge.replies import FILE, Replies, open_replies
from components.evaluate.judge.summary import judge_summary
from components.evaluate.judge.words import PERSONA_TOKENS, PROMPT_VERSION
from components.evaluate.judged import SOUNDS, Judged, Pair
from components.evaluate.params import EvaluateParams
from components.evaluate.said import CONTESTANTS, Contestant, Said
from components.evaluate.suite import Checklist, JudgeQuestion, TaskSuite, code_verdicts, judge_questions
from components.llm.params import LlmParams
from components.store import Artefact, Run, StepSpec, Store, logger, progress_of, recorded_step, sha256_hex

__all__ = ["failed_verdicts", "judge_answers", "judge_spec", "local_notes_of", "questions_of"]

_VERSION = 2


def judge_spec(
    params: EvaluateParams, llm: LlmParams, *, said: Mapping[Contestant, str], checklist: str | None,
    tasks: str | None, persona: str, name: str = "Cervella", base: str | None = None,
) -> StepSpec:  # fmt: skip
    """Identity of the step.

    Args:
        params: section `evaluate`.
        llm: section `llm`.
        said: digests of what each contestant said.
        checklist: its digest; None: none.
        tasks: digest of the task suite; None: none.
        persona: system prompt of the candidate, the text.
        name: how she calls herself.
        base: of a trained candidate, the model that it was trained on.
    """
    values: dict[str, Any] = {
        "judge": judge_chat(llm).sampled(),
        "repeats": params.judge.repeats,
        "prompt_version": PROMPT_VERSION,
        "persona_tokens": PERSONA_TOKENS,
        "name": name,
        "candidate": base or llm.chat.model,
    }
    inputs: dict[str, str] = {contestant: said[contestant] for contestant in CONTESTANTS if contestant in said}
    inputs["persona"] = sha256_hex(persona.encode("utf-8", "surrogatepass"))
    inputs |= {key: digest for key, digest in (("checklist", checklist), ("tasks", tasks)) if digest is not None}
    return StepSpec("evaluate.judge", _VERSION, values, inputs)


def questions_of(
    said: Mapping[Contestant, list[Said]],
    *,
    checklist: Checklist | None,
    tasks: TaskSuite | None,
    name: str = "Cervella",
) -> list[JudgeQuestion]:
    """What a judge is asked: one language after the other and answer by answer, so that requests begin alike.

    Of those beside the candidate only whether they sound like her: the champion is compared in pairs, and the control
    is there to show that the judge can say no.
    """
    found = [
        question
        for contestant in CONTESTANTS
        for question in judge_questions(
            said.get(contestant, []), contestant=contestant, checklist=checklist, tasks=tasks, name=name
        )
        if contestant == "candidate" or question.question == SOUNDS
    ]
    return sorted(found, key=lambda one: (one.item.lang != "it", one.contestant, one.item.key))


def local_notes_of(
    said: Mapping[Contestant, list[Said]], *, local_paths: Collection[str], local_prompt: Collection[str] = ()
) -> LocalNotes:
    """The local notes that each answer may quote.

    Args:
        said: what each contestant said.
        local_paths: of all notes that must not leave this machine.
        local_prompt: those among persona and session context; any answer may quote them, and the judge is shown the
            persona.
    """
    known = frozenset(local_paths)
    return {
        (contestant, one.item.key): sorted({path for path in _paths(one) if path in known}.union(local_prompt))
        for contestant, answers in said.items()
        for one in answers
    }


def judge_answers(
    run: Run,
    params: EvaluateParams,
    llm: LlmParams,
    *,
    said: Mapping[Contestant, Artefact],
    checklist: Checklist | None,
    tasks: TaskSuite | None,
    persona: str,
    judge: Callable[[], Judge],
    name: str = "Cervella",
    base: str | None = None,
    local_paths: Collection[str] = (),
    local_prompt: Collection[str] = (),
) -> Artefact:
    """Have all answers judged; seals `verdicts.jsonl`, `pairs.jsonl`, `judge.json` and the replies, `replies.jsonl`.

    A run that was killed goes on from its paid replies. A question that failed is sealed as failed, and the next run
    asks for the replies that are missing. What the same judge has said to the same request, it is not asked again.

    Args:
        run: that this is a step of.
        params: section `evaluate`.
        llm: section `llm`.
        said: what each contestant said, of `evaluate.candidate` and those beside it.
        checklist: rules for the answers to prompts of personality.
        tasks: rules for tasks.
        persona: system prompt of the candidate, the text.
        judge: opens the judge; called only when there is something to ask.
        name: how she calls herself.
        base: of a trained candidate, the model that it was trained on.
        local_paths: of notes that must not leave this machine; see `local_notes_of`.
        local_prompt: see `local_notes_of`.
    """
    spec = judge_spec(
        params, llm, said={contestant: artefact.digest for contestant, artefact in said.items()},
        checklist=checklist.digest if checklist else None, tasks=tasks.digest if tasks else None, persona=persona,
        name=name, base=base,
    )  # fmt: skip
    store = Store(run.workspace)
    before = store.find(spec)
    again = failed_verdicts(before) > 0
    with recorded_step(run, spec, force=again) as step:
        if not step.sealed:
            heard = {contestant: list(read_said(artefact)) for contestant, artefact in said.items()}
            replies = open_replies(step, run, store, again=before)
            work = _Work(
                params, persona=persona, judge=judge, replies=replies,
                local=local_notes_of(heard, local_paths=local_paths, local_prompt=local_prompt),
            )  # fmt: skip
            judged, pairs = work.all(questions_of(heard, checklist=checklist, tasks=tasks, name=name), _duels(heard))
            decided = [
                verdict
                for contestant, answers in heard.items()
                for verdict in code_verdicts(answers, contestant=contestant, checklist=checklist, tasks=tasks)
            ]
            step.write_jsonl("verdicts.jsonl", (one.to_dict() for one in [*sorted(decided, key=_place), *judged]))
            step.write_jsonl(FILE, replies.rows())
            step.write_jsonl("pairs.jsonl", (pair.to_dict() for pair in pairs))
            summary = judge_summary(
                judged, pairs, tally=work.tally, settings=judge_chat(llm).sampled(),
                repeats=params.judge.repeats, candidate=llm.chat.model, base=base,
            )  # fmt: skip
            step.write_json("judge.json", summary)
            if summary["warning"]:
                logger.warning("%s", summary["warning"])
            failed = summary["failed"] + summary["pairs"]["failed"]
            step.note(judged=len(judged), by_code=len(decided), pairs=len(pairs), failed=failed)
    return step.artefact


def failed_verdicts(judged: Artefact | None) -> int:
    """How many questions and pairs of a sealed `evaluate.judge` are errors: with any, the step is done again."""
    return 0 if judged is None else int(judged.facts.get("failed", 0))


class _Work:
    """The judge at work in a step: opened when there is something to ask, and spared what it has said before."""

    def __init__(
        self, params: EvaluateParams, *, persona: str, judge: Callable[[], Judge], replies: Replies, local: LocalNotes
    ) -> None:
        self.tally = Tally()
        self._open = judge
        self._shared: dict[str, Any] = {
            "log": replies, "at_once": params.at_once, "persona": persona, "local_notes": local, "tally": self.tally,
        }  # fmt: skip

    def all(self, questions: Sequence[JudgeQuestion], fights: Sequence[Duel]) -> tuple[list[Judged], list[Pair]]:
        """Verdicts sorted by contestant, item and question; pairs sorted by item."""
        judged: list[Judged] = []
        pairs: list[Pair] = []
        if questions or fights:
            judge, tell = self._open(), progress_of("evaluate.judge")
            total = len(questions) + len(fights)
            judged += judge_all(questions, judge=judge, progress=lambda done, _: tell(done, total), **self._shared)
            asked = len(questions)
            pairs += judge_pairs(
                fights, judge=judge, progress=lambda done, _: tell(asked + done, total), **self._shared
            )
        return sorted(judged, key=_place), sorted(pairs, key=lambda pair: pair.item)


def _duels(said: Mapping[Contestant, list[Said]]) -> list[Duel]:
    return duels(said.get("candidate", []), said.get("champion", []))


def _place(judged: Judged) -> tuple[str, str, str]:
    return judged.contestant, judged.item, judged.question


def _paths(said: Said) -> list[str]:
    """Of its sources, which are written `path:first-last`."""
    return [source.rpartition(":")[0] for source in said.sources]
