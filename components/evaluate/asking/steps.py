"""The steps that ask: `evaluate.candidate`, `evaluate.champion` and `evaluate.control`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from components.errors import CervellaError
from components.evaluate.asking.contestants import SYSTEM, Contender
from components.evaluate.asking.once import IndexMovedError, ask_once, open_log, write_rows
from components.evaluate.said import Contestant, Item, Said
from components.index.ranking import RANKING_VERSION
from components.llm.at_once import most_at_once
from components.store import (
    Artefact,
    Run,
    StepSpec,
    Store,
    canonical_json,
    logger,
    progress_of,
    recorded_step,
    sha256_hex,
)

if TYPE_CHECKING:
    from components.answer import AnswerParams
    from components.index.params import SearchParams
    from components.llm.params import ChatParams

__all__ = [
    "ask_contestant",
    "candidate_spec",
    "champion_spec",
    "control_spec",
    "failed_said",
    "read_items",
    "read_said",
    "said_spec",
]

_VERSION = 2


def said_spec(contestant: Contestant, items: Sequence[Item], *, values: dict[str, Any], **inputs: str) -> StepSpec:
    """Identity of a step that asks `items`; `values` and the digests `inputs` are all else that answers depend on."""
    asked = sha256_hex(canonical_json([asdict(item) for item in items]))
    return StepSpec(f"evaluate.{contestant}", _VERSION, values, {"items": asked, **inputs})


def candidate_spec(
    items: Sequence[Item], *, chat: ChatParams, search: SearchParams, answer: AnswerParams, index: str, prompt: str,
    leave_out_local: bool = False, adapter: str | None = None,
) -> StepSpec:  # fmt: skip
    """Of the candidate. `index` and `prompt`: digests of their artefacts; `adapter`: as `evaluate.steps` has it."""
    values = {
        "search": search.model_dump(mode="json") | {"ranking": RANKING_VERSION},
        "chat": chat.sampled(),
        "answer": answer.model_dump(mode="json"),
        "leave_out_local": leave_out_local,
    }
    adapted = {} if adapter is None else {"adapter": adapter}
    return said_spec("candidate", items, values=values, index=index, prompt=prompt, **adapted)


def champion_spec(items: Sequence[Item], *, release: str, index: str, leave_out_local: bool = False) -> StepSpec:
    """Of the champion. `release`: digest of its sealed artefact, `index`: of the index that it is asked on."""
    values = {"leave_out_local": leave_out_local, "ranking": RANKING_VERSION}
    return said_spec("champion", items, values=values, release=release, index=index)


def control_spec(items: Sequence[Item], *, chat: ChatParams) -> StepSpec:
    """Of the bare base model."""
    return said_spec("control", items, values={"chat": chat.sampled(), "system": SYSTEM})


def ask_contestant(
    run: Run, spec: StepSpec, items: Sequence[Item], *, contender: Callable[[], Contender], at_once: int
) -> Artefact:
    """Ask `items` of a contestant; seals `said.jsonl` and `items.jsonl`, in the order of the items.

    A run that was killed goes on from its paid replies. Answers that failed are sealed as failed, and they alone are
    asked again by the next run: a key that was missing, a server that was down or a budget that was spent is no part
    of the step's identity.

    Args:
        run: that this is a step of.
        spec: of `candidate_spec`, `champion_spec` or `control_spec`, of these very items.
        items: to ask.
        contender: opens who is asked; called only when there is somebody to ask.
        at_once: answers under way at a time; a model of this process gives one.
    """
    before = Store(run.workspace).find(spec)
    again = failed_said(before) > 0
    with recorded_step(run, spec, force=again) as step:
        if not step.sealed:
            log = open_log(
                step, run, before=before if again else None, output="said.jsonl",
                key=lambda row: Item(**row["item"]).key,
            )  # fmt: skip
            failed = 0
            if items:
                opened = contender()
                rows = ask_once(
                    items, lambda item: _said(opened, item), key=lambda item: item.key, log=log,
                    at_once=most_at_once(opened.chat, at_once), progress=progress_of(spec.name),
                )  # fmt: skip
                failed = write_rows(step, "said.jsonl", rows)
                opened.check()
            else:
                step.write_jsonl("said.jsonl", ())
            step.write_jsonl("items.jsonl", (asdict(item) for item in items))
            step.note(said=len(items), failed=failed)
    return step.artefact


def failed_said(said: Artefact | None) -> int:
    """How many answers of a sealed step are errors: with any, the step is done again."""
    return 0 if said is None else int(said.facts.get("failed", 0))


def read_said(said: Artefact) -> Iterator[Said]:
    """What was said, in the order of the items."""
    return (Said.from_dict(row) for row in said.read_jsonl("said.jsonl"))


def read_items(said: Artefact) -> Iterator[Item]:
    """What was asked."""
    return (Item(**row) for row in said.read_jsonl("items.jsonl"))


def _said(contender: Contender, item: Item) -> dict[str, Any]:
    try:
        return contender.say(item).to_dict()
    except IndexMovedError:
        raise
    except CervellaError as error:
        logger.warning("%s has no answer: %s", item.key, error)
        return Said(item=item, error=str(error) or "unknown error").to_dict()
