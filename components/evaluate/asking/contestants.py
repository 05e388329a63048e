"""Who is asked: the candidate and the champion as they are served, and the bare base model beside them."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from components.answer import AnswerParams, detect_language
from components.answer.guard import clean_answer
from components.answer.messages import check_question
from components.evaluate.asking.once import Turn
from components.evaluate.checks import Check, persona_checks
from components.evaluate.said import Item, Said
from components.index.params import SearchParams
from components.llm.params import NOT_SAMPLED, ChatParams, LlmParams
from components.persona.steps import read_persona
from components.sncp.redact import mask_secrets

if TYPE_CHECKING:
    from components.answer.partner import Partner
    from components.llm import Budget, Chat
    from components.persona import Prompt, Session
    from components.store import Artefact

__all__ = ["MAX_TASK_CHARS", "SYSTEM", "Bare", "Champion", "Contender", "Served", "no_champion", "no_control",
           "read_champion_release"]  # fmt: skip

MAX_TASK_CHARS = 40_000
"""Of the prompt of a task, which carries its input (characters); of other prompts `components.answer` says it."""
SYSTEM = {"it": "Rispondi in italiano.", "en": "Answer in English."}
"""All that the control is told beside the prompt: the partner is told the language too."""

_OF_TASKS = ("language", "feminine", "phrases", "clean", "repetition")
_NO_MARKER = "0" * 16


class Contender(Protocol):
    """Somebody who can be asked. Threads may ask at the same time."""

    @property
    def chat(self) -> Chat:
        """The model that answers."""

    def say(self, item: Item) -> Said:
        """What is said to `item`. Raises what the model raises."""

    def check(self) -> None:
        """Raise TerminalError when what was said cannot count: another index was published meanwhile."""


class Served:
    """A partner as she is served: persona, notes, adapter."""

    def __init__(self, partner: Partner, *, built: Artefact) -> None:
        """`built`: the `index.build` that she must search. Raises TerminalError when something else is published."""
        self._partner = partner
        self._turn = Turn(partner.index, built)

    @property
    def chat(self) -> Chat:
        """Her model."""
        return self._partner.chat

    def say(self, item: Item) -> Said:
        """Her answer, with its persona checks. Raises as `Partner.ask`."""
        limit: dict[str, Any] = {"max_chars": MAX_TASK_CHARS} if item.part == "task" else {}
        asked = self._partner.ask(item.prompt, turn=self._turn, **limit)
        answer, reply = asked.answer, asked.answer.reply
        cited = answer.places(cited=True)
        return Said(
            item=item,
            text=answer.text,
            found=answer.found,
            sources=answer.places(),
            cited=cited,
            seconds=asked.seconds,
            cost_usd=reply.original_cost_usd if reply else 0.0,
            model=reply.model if reply else self.chat.model,
            is_local=self.chat.is_local,
            cached=bool(reply and reply.cached),
            checks=_checks(item, text=answer.text, found=answer.found, cited=cited),
        )

    def check(self) -> None:
        """See `Contender`."""
        self._turn.check_digest()


class Bare:
    """The base model alone: no persona, no notes, no adapter."""

    def __init__(self, chat: Chat, *, budget: Budget) -> None:
        """`budget`: that of `chat`."""
        self.chat = chat
        self._budget = budget

    def say(self, item: Item) -> Said:
        """Its answer, without persona checks. Secrets are masked and control tokens taken out, as for the partner."""
        question = check_question(mask_secrets(item.prompt), max_chars=MAX_TASK_CHARS)
        system = SYSTEM[item.lang if item.lang in SYSTEM else detect_language(question)]
        started = time.perf_counter()
        with self._budget.query():
            reply = self.chat.chat(
                [{"role": "system", "content": system}, {"role": "user", "content": question}], local_notes=()
            )
        seconds = time.perf_counter() - started
        return Said(
            item=item,
            text=clean_answer(reply.text, marker=_NO_MARKER, known=question),
            seconds=seconds + (reply.seconds if reply.cached else 0.0),
            cost_usd=reply.original_cost_usd,
            model=reply.model,
            is_local=self.chat.is_local,
            cached=reply.cached,
        )

    def check(self) -> None:
        """It searches nothing."""


def no_control(llm: LlmParams, *, adapter: bool) -> str | None:
    """Why the bare base model cannot be asked, in words; None: it can. `adapter`: the candidate answers with one."""
    if adapter and not llm.chat.model.startswith("local/"):
        return (
            f"{llm.chat.model} is the name of an adapter on its server; what its base model is called there is not "
            "known, so there is no control"
        )
    return None


@dataclass(frozen=True)
class Champion:
    """The release in service, with all that asking it takes. `digest`: of its sealed artefact."""

    digest: str
    llm: LlmParams
    search: SearchParams
    answer: AnswerParams
    prompt: Prompt
    session: Session | None
    adapter: Path | None


def no_champion(release: Mapping[str, Any], *, candidate: Mapping[str, Any], files: Collection[str] = ()) -> str | None:
    """Why the champion cannot be compared with the candidate, in words; None: it can.

    Args:
        release: the champion's `release.json`.
        candidate: the same of the candidate, as it will be released.
        files: names of the files in the champion's artefact.
    """
    try:
        if all(release[key] == value for key, value in candidate.items()):
            return "the candidate is the release in service: there is nothing to compare"
        index, other = release["index"], candidate["index"]
        if index["embedder"] != other["embedder"]:
            return (
                f"the release in service searches with the embedder {index['embedder']}, the published index is of "
                f"{other['embedder']}: it cannot be asked on this index"
            )
        if index["chunk"] != other["chunk"]:
            return (
                "the release in service cuts notes otherwise than the published index (index.chunk): it cannot be "
                "asked on this index"
            )
        chat = ChatParams.model_validate(release["base_model"])
        SearchParams.model_validate(index["search"])
        AnswerParams.model_validate(release["answer"])
    except (KeyError, TypeError, ValueError) as error:
        return f"the record of the release in service is of another version of this program ({_brief(error)})"
    weights = [name for name in files if name.endswith(".gguf")]
    if release.get("adapter") and chat.model.startswith("local/") and len(weights) != 1:
        return "the release in service answers with an adapter, and its weights (GGUF) are not in the release"
    return None


def read_champion_release(release: Artefact, *, llm: LlmParams) -> Champion:
    """The champion of a sealed `registry.release` that `no_champion` has nothing against.

    Time-outs, second tries and the name of the key are those of `llm.chat` where it is the same model at the same
    address, else defaults; budget and cache are the recipe's.
    """
    told = release.read_json("release.json")
    base = {key: value for key, value in told["base_model"].items() if key not in NOT_SAMPLED}
    chat = ChatParams.model_validate(base)
    if (chat.model, chat.api_base) == (llm.chat.model, llm.chat.api_base):
        chat = chat.model_copy(update={name: getattr(llm.chat, name) for name in NOT_SAMPLED})
    prompt, session = read_persona(release)
    weights = [name for name in release.manifest["outputs"] if name.endswith(".gguf")]
    answers_with = bool(told.get("adapter")) and chat.model.startswith("local/") and len(weights) == 1
    return Champion(
        digest=release.digest,
        llm=llm.model_copy(update={"chat": chat}),
        search=SearchParams.model_validate(told["index"]["search"]),
        answer=AnswerParams.model_validate(told["answer"]),
        prompt=prompt,
        session=session,
        adapter=release.file(weights[0]) if answers_with else None,
    )


def _checks(item: Item, *, text: str, found: bool, cited: tuple[str, ...]) -> tuple[Check, ...]:
    """Those that make sense: a task's answer may be as long as it has to be, and need not be from the notes."""
    checks = persona_checks(text, question_lang=item.lang, answerable=True, found=found, cited=cited)
    return tuple(check for check in checks if item.part != "task" or check.name in _OF_TASKS)


def _brief(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
