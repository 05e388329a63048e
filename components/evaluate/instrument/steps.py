"""The step that checks the judge against people: `evaluate.agreement`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from components.evaluate.instrument.agreement import agreement_of, people_agreement
from components.evaluate.instrument.labels import Labelled, read_labels
from components.evaluate.judge.ask import LocalNotes, judge_all
from components.evaluate.judge.opening import judge_chat
from components.evaluate.judge.replies import FILE, open_replies
from components.evaluate.judge.words import PERSONA_TOKENS, PROMPT_VERSION
from components.evaluate.judged import GROUPS, Judged
from components.evaluate.said import Contestant
from components.store import Artefact, Run, StepSpec, Store, canonical_json, progress_of, recorded_step, sha256_hex

if TYPE_CHECKING:
    from components.evaluate.judge.opening import Judge
    from components.evaluate.params import EvaluateParams
    from components.evaluate.suite import Wording
    from components.llm.params import LlmParams

__all__ = ["agreement_spec", "failed_verdicts", "labels_that_count", "measure_agreement"]

_VERSION = 2


def labels_that_count(
    labelled: Sequence[Labelled], wordings: Collection[Wording]
) -> tuple[list[Labelled], dict[str, int]]:
    """The labels of questions that are asked, and how many others there are in each group.

    How well a judge answers a question that nobody asks any more says nothing about those that are asked.
    """
    own = [one for one in labelled if one.wording in wordings]
    others = Counter(one.group for one in labelled if one.wording not in wordings)
    return own, {group: others[group] for group in GROUPS}


def agreement_spec(
    params: EvaluateParams, llm: LlmParams, *, persona: str, wordings: Collection[Wording],
    labelled: Sequence[Labelled] | None = None,
) -> StepSpec:  # fmt: skip
    """Identity of the step: what the labels say, not when or by whom; the judge, its words, and what it takes.

    Args:
        params: section `evaluate`.
        llm: section `llm`.
        persona: the system prompt of the candidate, which the judge is shown.
        wordings: what the judge is asked in this evaluation; labels of anything else do not count.
        labelled: what `evaluate.judge.labels` holds; None: it is read.
    """
    labelled, left_out = labels_that_count(read_labels(params.judge.labels) if labelled is None else labelled, wordings)
    sample = {"samples": params.bootstrap_samples, "seed": params.seed}
    said = [[one.digest, one.item, one.lang, one.standard, one.verdict] for one in labelled]
    people = [people_agreement([one for one in labelled if one.group == group], **sample) for group in GROUPS]
    values = _asked_how(params, llm) | {
        "min_kappa": params.judge.min_kappa, "min_labels": params.judge.min_labels, "bootstrap": sample,
    }  # fmt: skip
    inputs = {
        "labels": sha256_hex(canonical_json([said, people, left_out])),
        "persona": sha256_hex(persona.encode("utf-8", "surrogatepass")),
    }
    return StepSpec("evaluate.agreement", _VERSION, values, inputs)


def measure_agreement(
    run: Run, params: EvaluateParams, llm: LlmParams, *, judge: Callable[[], Judge], persona: str,
    wordings: Collection[Wording], local_paths: Collection[str] = (), local_prompt: Collection[str] = (),
) -> Artefact:  # fmt: skip
    """Ask the judge what people have answered; seals `agreement.json`, `verdicts.jsonl` and `replies.jsonl`.

    Each question is put in the words of the evaluation itself. What the same judge was asked before, in the same words,
    it is not asked again, so that a few more labels cost a few more calls. Verdicts that failed are sealed as failed,
    and the next run asks for the replies that are missing. Without labels nothing is asked, and no judge is trusted.

    Args:
        run: that this is a step of.
        params: section `evaluate`; `judge.labels` may name a file that is not there yet.
        llm: section `llm`.
        judge: opens the judge; called only when there is something to ask.
        persona: see `agreement_spec`.
        wordings: see `agreement_spec`.
        local_paths: of notes that must not leave this machine: a judge that is elsewhere is not given what names them.
        local_prompt: those among persona and session context, which any answer may quote.

    Returns:
        agreement.json: `{model, prompt_version, groups: {sounds, constitution, tasks}}`, see `agreement_of`.
        verdicts.jsonl: a row a label, `{digest, lang, standard, group, people, judged}`.
        replies.jsonl: see `components.evaluate.judge.replies`.
    """
    told = read_labels(params.judge.labels)
    spec = agreement_spec(params, llm, persona=persona, wordings=wordings, labelled=told)
    labelled, left_out = labels_that_count(told, wordings)
    store = Store(run.workspace)
    sealed = store.find(spec)
    with recorded_step(run, spec, force=failed_verdicts(sealed) > 0) as step:
        if not step.sealed:
            asked = [one for one in labelled if one.verdict is not None]
            forced = spec.name in run.read().get("force", [])
            judged = {} if forced else _said_before(sealed or store.latest(spec.name), spec)
            new = [one for one in asked if _words(one) not in judged]
            replies = open_replies(step, run, store, again=sealed)
            if new:
                local = _local_notes(new, local_paths=local_paths, local_prompt=local_prompt)
                verdicts = judge_all(
                    [one.asked() for one in new], judge=judge(), log=replies, at_once=params.at_once, persona=persona,
                    progress=progress_of(spec.name), local_notes=local,
                )  # fmt: skip
                judged |= {_words(one): verdict for one, verdict in zip(new, verdicts, strict=True)}
            by_digest = {one.digest: judged[_words(one)] for one in asked}
            groups = {
                group: agreement_of(
                    [one for one in labelled if one.group == group], by_digest, min_kappa=params.judge.min_kappa,
                    min_labels=params.judge.min_labels, samples=params.bootstrap_samples, seed=params.seed,
                    left_out=left_out[group],
                )
                for group in GROUPS
            }  # fmt: skip
            about = {"model": judge_chat(llm).model, "prompt_version": PROMPT_VERSION}
            step.write_json("agreement.json", about | {"groups": groups})
            step.write_jsonl(FILE, replies.rows())
            step.write_jsonl("verdicts.jsonl", (_row(one, by_digest[one.digest]) for one in asked))
            step.note(
                labels=len(labelled),
                left_out=sum(left_out.values()),
                failed=sum(int(group["failed"]) for group in groups.values()),
                trusted=", ".join(name for name, group in groups.items() if group["trusted"]) or "nothing",
            )
    return step.artefact


def failed_verdicts(agreement: Artefact | None) -> int:
    """How many verdicts of a sealed `evaluate.agreement` are errors: with any, the step is done again."""
    return 0 if agreement is None else int(agreement.facts.get("failed", 0))


def _asked_how(params: EvaluateParams, llm: LlmParams) -> dict[str, Any]:
    """What a verdict depends on, beside the question and the persona."""
    return {
        "judge": judge_chat(llm).sampled(), "repeats": params.judge.repeats, "prompt_version": PROMPT_VERSION,
        "persona_tokens": PERSONA_TOKENS,
    }  # fmt: skip


def _words(one: Labelled) -> tuple[str, str, str]:
    """What the judge reads of a label."""
    return one.digest, one.lang, one.standard


def _row(one: Labelled, judged: Judged) -> dict[str, Any]:
    return {
        "digest": one.digest, "lang": one.lang, "standard": one.standard, "group": one.group, "people": one.verdict,
        "judged": judged.to_dict(),
    }  # fmt: skip


def _said_before(before: Artefact | None, spec: StepSpec) -> dict[tuple[str, str, str], Judged]:
    """Verdicts without errors of an earlier checking of the same judge in the same words."""
    if before is None:
        return {}
    same = ("judge", "repeats", "prompt_version", "persona_tokens")
    then, inputs = before.manifest["params"], before.manifest["inputs"]
    if [then.get(key) for key in same] != [spec.params[key] for key in same]:
        return {}
    if before.manifest["version"] != spec.version or inputs.get("persona") != spec.inputs["persona"]:
        return {}
    rows = ((row, Judged.from_dict(row["judged"])) for row in before.read_jsonl("verdicts.jsonl"))
    return {(row["digest"], row["lang"], row["standard"]): judged for row, judged in rows if not judged.errors}


def _local_notes(
    labelled: Sequence[Labelled], *, local_paths: Collection[str], local_prompt: Collection[str]
) -> LocalNotes:
    """As `components.evaluate.judge.steps.local_notes_of`, of labels; the same for all answers to one item."""
    known = frozenset(local_paths)
    found: dict[tuple[Contestant, str], set[str]] = defaultdict(set)
    for one in labelled:
        asked = one.asked()
        found[asked.contestant, asked.item.key].update(known.intersection(one.sources), local_prompt)
    return {place: sorted(paths) for place, paths in found.items()}
