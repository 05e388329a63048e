"""What the endpoint asks and what it gets: the words between HTTP and whoever answers.

`Desk` is the one contract: the HTTP side knows nothing of models, whoever answers knows nothing of HTTP.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from components.answer.messages import check_question
from components.errors import TerminalError
from components.serve.params import Tier, Who
from components.sncp.redact import mask_secrets

if TYPE_CHECKING:
    from components.answer.partner import Asked, Partner
    from components.llm import Message

__all__ = [
    "ANSWERED", "GIVEN_UP", "OF_CANDIDATE", "Bill", "Desk", "Live", "NotInServiceError", "Opened", "Served", "Tried",
    "Wanted", "check_wanted",
]  # fmt: skip

ANSWERED, GIVEN_UP = "it answered", "nobody waited for it any more"
"""`Tried.why` of one whose answer was given, and of one that was ended before."""

OF_CANDIDATE = "the candidate: "
"""How `Tried.why` begins where it was a release that is compared with the one that answered."""


class NotInServiceError(TerminalError):
    """Nothing is in service, so nobody can be asked."""


@dataclass(frozen=True)
class Tried:
    """A model that was asked, or was to be.

    Attributes:
        who: own, helper, or the one that says how hard a question is.
        model: its name.
        why: what became of it, for people; no text of a note.
        seconds: that it took.
        cost_usd: US dollars; None: not known.
        charged_usd: of these, what counts against what may be spent: where the cost is not known the most that it may
            be, by the listed price.
    """

    who: Who | Literal["classifier"]
    model: str
    why: str
    seconds: float
    cost_usd: float | None = 0.0
    charged_usd: float = 0.0


@dataclass
class Bill:
    """What a question came to, whatever became of it. Whoever asks a model adds it at its end.

    Models are asked one after the other, and each may spend what is left of the limit of a question by what is here.
    Not in it: embedding the question by a model elsewhere.

    Attributes:
        tier: see `Served`.
        asked: each model, the one that answered too.
    """

    tier: Tier | None = None
    asked: list[Tried] = field(default_factory=list)

    @property
    def cost_usd(self) -> float | None:
        """Of all of them (US dollars); None: not known of one."""
        known = [one.cost_usd for one in self.asked if one.cost_usd is not None]
        return sum(known) if len(known) == len(self.asked) else None

    @property
    def charged_usd(self) -> float:
        """What is charged to the limit of a question (US dollars)."""
        return sum(one.charged_usd for one in self.asked)

    @property
    def helper_usd(self) -> float:
        """What is charged to the money of the router (US dollars)."""
        return sum(one.charged_usd for one in self.asked if one.who != "own")


@dataclass(frozen=True)
class Wanted:
    """A question to the partner.

    Attributes:
        id: of the request, unique; what feedback names.
        question: the newest turn of the person, checked for its length.
        history: turns before it, the oldest first, without system messages.
        conversation: its id; None: the client names none, see `talk`.
        max_tokens: longest answer; None, or more than the recipe's: the recipe's.
        key: name of the key that asks ("" where none is needed); never the key.
        deadline: when nobody waits any more (`time.monotonic()`); None: never.
        begun_by: when an answer has to have begun, or to be at its end where it is wanted whole, since another desk is
            asked then (`time.monotonic()`); None: by the deadline.
        whole: nobody sees a piece before the answer is whole, so until then another model may be asked.
        bill: what it came to so far.
    """

    id: str
    question: str
    history: tuple[Message, ...] = ()
    conversation: str | None = None
    max_tokens: int | None = None
    key: str = ""
    deadline: float | None = None
    begun_by: float | None = None
    whole: bool = False
    bill: Bill = field(default_factory=Bill, compare=False)

    @property
    def talk(self) -> str:
        """What all turns of a conversation have in common: who asks, and its id or else the person's first turn.

        **Not covered**: without ids, conversations of one key that begin alike have it in common too.
        """
        first = next((turn["content"] for turn in self.history if turn["role"] == "user"), self.question)
        return f"{self.key}\0\0{first.strip()}" if self.conversation is None else f"{self.key}\0{self.conversation}"

    @property
    def goes_on(self) -> bool:
        """Whether a question before this one was answered; what greets a person answers none."""
        roles = [turn["role"] for turn in self.history]
        return "user" in roles and "assistant" in roles[roles.index("user") :]

    def tokens_of(self, partner: Partner) -> int:
        """Longest answer of this partner (tokens): what is wanted, at most what her model's recipe says."""
        most = partner.chat.max_tokens
        return most if self.max_tokens is None else min(self.max_tokens, most)


def check_wanted(wanted: Wanted, *, max_chars: int) -> None:
    """Refuse a question that no partner takes, before one is asked.

    An InputError after this one speaks of how this machine is set up, so it is neither the client's nor told to it.

    Raises:
        InputError: nothing is left of it, or it has more than `max_chars` characters, also once its secrets are masked.
    """
    check_question(mask_secrets(wanted.question), max_chars=max_chars)


@dataclass(frozen=True)
class Served:
    """An answer, and who gave it.

    Attributes:
        asked: the answer with its sources, and what it took.
        who: own or helper.
        tier: how hard the question was taken to be; None: there is no router.
        because: why it was taken so, in words.
        tried: who was asked before, in order.
        release: digest of the release that answered; None: what the files of the recipe say.
        index: digest of the published index that was searched.
        confidence: see `RouterParams.min_confidence`; None: not known.
        side: A or B where two releases are compared on conversations.
    """

    asked: Asked
    who: Who
    tier: Tier | None
    because: str
    tried: tuple[Tried, ...]
    release: str | None
    index: str
    confidence: float | None = None
    side: str | None = None


class Desk(Protocol):
    """Whoever answers. Several threads ask at once."""

    def stream(self, wanted: Wanted) -> Iterator[str | Served]:
        """Pieces of the answer as they are made, then `Served`, whose text is the pieces joined.

        Closing the iterator ends the work. What is asked twice at once is answered twice. Once a piece was given, no
        other model is tried: the error is raised. Of an answer that is wanted whole none is given before it is whole,
        where another model could take over.

        Raises:
            CervellaError: nobody could answer; before the first piece or after some.
        """

    def ask(self, wanted: Wanted) -> Served:
        """As `stream`, in one piece. Raises alike."""


@dataclass
class Opened:
    """A partner that is ready to be asked: a release (or a recipe) on a published index.

    Attributes:
        partner: whom to ask; her methods may be called by several threads.
        release: digest; None: what the files of the recipe say.
        index: digest of the published index.
        about: for `/v1/models` and `/health`: names and versions, no paths.
    """

    partner: Partner
    release: str | None
    index: str
    about: Mapping[str, str] = field(default_factory=dict)

    def close(self) -> None:
        """Let go of what it holds; called once nobody uses it any more."""


class Live(Protocol):
    """What is in service now. It changes while questions are answered; who has begun keeps what they began with."""

    def use(self) -> AbstractContextManager[Opened]:
        """The newest, for the length of the block. Raises NotInServiceError when it is nothing."""
