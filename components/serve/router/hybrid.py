"""The desk with a router: who is asked depends on how hard the question is, and the next one when that one fails.

Another model is asked as long as nothing of an answer was given. So what may still be taken back is held back: an
answer that is wanted whole, to its end; an answer whole, where `min_confidence` judges it and another model could be
asked now; the words "it is not in the notes" of the helper, where notes were kept from it that the own model may read.

State after a hard crash: none; breakers are closed after a start, and the month's money is read from the usage log.

**Not covered**: a model that answers well-formed nonsense works, for the breaker, and one that refuses each question is
asked each time; a search that fails counts as a failure of the model that it was for; a question is judged by itself,
not by the conversation before it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, get_args

from components.answer.messages import NOT_IN_NOTES
from components.answer.partner import Asked, Partner
from components.errors import CervellaError, InputError, TerminalError, TransientError
from components.serve.desk import ANSWERED, GIVEN_UP, Live, Opened, Served, Tried, Wanted, check_wanted
from components.serve.params import RouterParams, Who
from components.serve.router.breaker import Breaker
from components.serve.router.classifier import Classifier
from components.serve.router.classify import Classified, classify
from components.serve.router.confidence import UNSURE, confidence_of
from components.serve.router.faults import LateError, LeftAloneError, is_its_fault, nobody, why_of
from components.serve.router.helper import Helper
from components.store import logger

if TYPE_CHECKING:
    from components.llm import Budget

__all__ = ["HybridDesk"]

_BEAT_SECONDS = 0.25  # how long work goes on, at most, that nobody waits for any more


@dataclass
class _Question:
    """A question on its way: until when it has to be answered, who was asked, what may be given if all else fails."""

    wanted: Wanted
    found: Classified
    classified: tuple[Tried, ...]
    """The model that was asked how hard it is."""
    opened: Opened
    begin: float
    """Until when an answer has to have begun, or to be at its end where it is wanted whole."""
    end: float
    hurried: bool
    """Most of its time was gone before it came here: who is late with it is not at fault."""
    tried: list[Tried] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    unsure: tuple[Who, Tried, Asked, list[str]] | None = None
    """Whose answer another one was asked after, as it is in `tried`, the answer, and its pieces."""


class HybridDesk:
    """Answers with the own model or the helper. Threads may ask at the same time.

    Args:
        live: what is in service.
        router: of the recipe.
        helper: the other model.
        seconds: for one question, and never beyond its deadline; a model gets an equal share of what is left for it
            and those after it, in which its answer has to begin (or to be whole, where it is held back). One that is
            wanted whole gets such a share again with each piece.
        max_chars: longest question (characters).
        history_tokens: of the turns before, that the model is given.
        classifier: has the word on questions on a border; None: the rules alone.
        clock: seconds that never go back; deadlines are of it too.
    """

    def __init__(
        self, live: Live, *, router: RouterParams, helper: Helper, seconds: float, max_chars: int, history_tokens: int,
        classifier: Classifier | None = None, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._live, self._router, self._helper = live, router, helper
        self._seconds, self._max_chars, self._history_tokens = seconds, max_chars, history_tokens
        self._classifier, self._clock = classifier, clock
        limits = router.breaker.model_dump()
        self._breakers: Mapping[Who, Breaker] = {who: Breaker(**limits, clock=clock) for who in get_args(Who)}

    def beside(self, live: Live) -> HybridDesk:
        """The same router over another release: the helper and its breaker are the same, the own model's is another."""
        other = HybridDesk(
            live, router=self._router, helper=self._helper, seconds=self._seconds, max_chars=self._max_chars,
            history_tokens=self._history_tokens, classifier=self._classifier, clock=self._clock,
        )  # fmt: skip
        other._breakers = {**other._breakers, "helper": self._breakers["helper"]}
        return other

    def states(self) -> dict[Who, str]:
        """Of the breakers: closed, open or half open."""
        return {who: breaker.state() for who, breaker in self._breakers.items()}

    def stream(self, wanted: Wanted) -> Generator[str | Served]:
        """See `Desk`; while nobody has anything to show, an empty piece is given now and then."""
        check_wanted(wanted, max_chars=self._max_chars)
        found = classify(
            wanted.question, complex_words=self._router.complex_words,
            long_question_chars=self._router.long_question_chars,
        )  # fmt: skip
        classified: tuple[Tried, ...] = ()
        if self._classifier:
            found, classified = yield from self._classifier.ask(wanted, found)
        wanted.bill.tier = found.tier
        order: list[Who] = getattr(self._router, found.tier)
        with self._live.use() as opened:
            question = self._question(wanted, found, classified, opened)
            for place, who in enumerate(order):
                after = [one for one in order[place + 1 :] if self._could_ask(one, opened)]
                served = yield from self._try(who, question, after=after)
                if served:
                    yield served
                    return
            if question.unsure is None:
                raise nobody(question.tried, question.errors) from question.errors[-1]
            who, it, asked, pieces = question.unsure
            yield from pieces
            yield _served(who, asked, question, tried=[one for one in question.tried if one is not it])

    def ask(self, wanted: Wanted) -> Served:
        """See `Desk`."""
        *_, served = self.stream(replace(wanted, whole=True))
        assert isinstance(served, Served)  # noqa: S101 - a stream without an answer raises
        return served

    def _try(self, who: Who, question: _Question, *, after: list[Who]) -> Generator[str, None, Served | None]:
        """Ask one of them; what is returned was given, None: the next is to be asked."""
        begun = self._clock()
        turn = self._turn_of(who, question)
        if isinstance(turn, Exception):
            self._note(who, question, turn, begun)
            return None
        until = self._share(question, after)
        breaker, pieces, begins, given = self._breakers[who], list[str](), False, False
        late = breaker.gave_up if question.hurried else breaker.failed
        settle = breaker.gave_up
        money: Budget | None = None
        try:
            partner = self._partner(who, question)
            money = partner.budget
            with closing(self._pieces(partner, question.wanted)) as made:
                for item in made:
                    if isinstance(item, Asked):
                        if item.answer.reply and not item.answer.reply.cached:  # else no model was asked
                            settle = breaker.worked
                        if not given:
                            if why := self._why_on(who, item, after=after):
                                it = self._note(who, question, why, begun, money)
                                question.unsure = who, it, item, pieces
                                return None
                            yield from pieces
                        question.wanted.bill.asked.append(self._tried(who, question, ANSWERED, begun, money))
                        return _served(who, item, question, tried=question.tried)
                    if given or not item:
                        yield item
                    else:
                        pieces.append(item)
                        begins = begins or not self._holds(who, pieces, after=after)
                        given = begins and not question.wanted.whole
                        if begins:  # a whole one may still stall: then the next has time left
                            until = question.end if given else self._share(question, after)
                        yield from pieces if given else [""]  # so that it can be closed while it is held back
                    if self._clock() > until:
                        raise LateError(self._clock() - begun)
            raise TransientError("the answer ended without an end")
        except Exception as error:
            if is_its_fault(error):
                settle = late if isinstance(error, LateError) else breaker.failed
            self._tell(who, question, error)
            self._note(who, question, error, begun, money)
            if not given:
                return None
            if isinstance(error, InputError):  # it is not the question's fault
                raise TerminalError(why_of(error)) from error
            raise
        except GeneratorExit:  # nobody waits any more: they left, or its time is up and they heard of that first
            self._note(who, question, GIVEN_UP, begun, money)
            if self._clock() >= (question.end if given else question.begin) and settle != breaker.worked:
                settle = late
            raise
        finally:
            settle(turn)

    def _question(self, wanted: Wanted, found: Classified, classified: tuple[Tried, ...], opened: Opened) -> _Question:
        """With its times: some of it may be gone before it comes here."""
        now = self._clock()
        end = now + self._seconds if wanted.deadline is None else min(now + self._seconds, wanted.deadline)
        begin = end if wanted.begun_by is None else min(end, wanted.begun_by)
        return _Question(wanted, found, classified, opened, begin, end, hurried=end - now < self._seconds / 2)

    def _share(self, question: _Question, after: list[Who]) -> float:
        """Until when an answer has to begin, so that as much time is left for each of those after it."""
        now = self._clock()
        return now + (question.begin - now) / (1 + len(after))

    def _partner(self, who: Who, question: _Question) -> Partner:
        """Whom to ask, with what those before left of the question's money. Raises as `Helper.partner`."""
        own = question.opened.partner
        partner = self._helper.partner(own) if who == "helper" else own
        return replace(partner, budget=partner.budget.for_question(before_usd=question.wanted.bill.charged_usd))

    def _turn_of(self, who: Who, question: _Question) -> tuple[int, int] | Exception:
        """The breaker's mark of this try, which it waits to be told of; or why it is not asked at all."""
        if who == "helper" and (refused := self._helper.refused(question.opened.partner)):
            return refused
        if self._clock() >= question.begin:
            return LateError(None)
        breaker = self._breakers[who]
        turn = breaker.may_ask(within=self._seconds)
        return LeftAloneError(breaker.seconds_left()) if turn is None else turn

    def _could_ask(self, who: Who, opened: Opened) -> bool:
        """Whether it would be asked now, as far as that is known."""
        if who == "helper" and self._helper.refused(opened.partner):
            return False
        return self._breakers[who].state() != "open"

    def _pieces(self, partner: Partner, wanted: Wanted) -> Generator[str | Asked]:
        yield from partner.stream(
            wanted.question, history=wanted.history, max_tokens=wanted.tokens_of(partner),
            history_tokens=self._history_tokens, max_chars=self._max_chars, beat_seconds=_BEAT_SECONDS,
        )  # fmt: skip

    def _holds(self, who: Who, pieces: list[str], *, after: list[Who]) -> bool:
        """Whether what there is of an answer may still be taken back."""
        return bool(after) and (self._router.min_confidence > 0 or (who == "helper" and _may_be_missing(pieces)))

    def _why_on(self, who: Who, asked: Asked, *, after: list[Who]) -> str | None:
        """Why another one is asked although there is an answer, in words; None: it is given."""
        if not after:
            return None
        if who == "helper" and asked.left_out and not asked.answer.found:
            return f"it found nothing, and {asked.left_out} of the notes must not be shown to it"
        sure = confidence_of(asked.answer)
        if asked.answer.reply is None or sure is None or sure >= self._router.min_confidence:
            return None  # without a note that is near enough, nobody finds one
        return f"{UNSURE}: {sure:.2f}, {self._router.min_confidence:.2f} is wanted"

    def _note(
        self, who: Who, question: _Question, why: Exception | str, begun: float, money: Budget | None = None
    ) -> Tried:
        """One that no answer was taken of, and what it came to."""
        it = self._tried(who, question, why if isinstance(why, str) else why_of(why), begun, money)
        question.wanted.bill.asked.append(it)
        question.tried.append(it)
        if isinstance(why, Exception):
            question.errors.append(why)
        return it

    def _tried(self, who: Who, question: _Question, why: str, begun: float, money: Budget | None) -> Tried:
        model = self._helper.model if who == "helper" else question.opened.partner.chat.model
        cost, charged = money.question_usd if money else (0.0, 0.0)
        return Tried(who, model, why, round(self._clock() - begun, 3), cost, charged)

    def _tell(self, who: Who, question: _Question, error: Exception) -> None:
        if isinstance(error, CervellaError):
            logger.warning("%s: %s: %s: %s", question.wanted.id, who, type(error).__name__, error)
        else:
            logger.error("%s: %s: no answer", question.wanted.id, who, exc_info=error)


def _may_be_missing(pieces: list[str]) -> bool:
    """Whether this may still become the words that it is not in the notes."""
    text = "".join(pieces).strip()
    return any(words.startswith(text) for words in NOT_IN_NOTES.values())


def _served(who: Who, asked: Asked, question: _Question, *, tried: list[Tried]) -> Served:
    return Served(
        asked=asked, who=who, tier=question.found.tier, because=question.found.because,
        tried=(*question.classified, *tried), release=question.opened.release, index=asked.index,
        confidence=confidence_of(asked.answer),
    )  # fmt: skip
