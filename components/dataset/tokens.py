"""Conversations measured with a model's own tokenizer and chat template: tokens, what carries loss, what is lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from components.dataset.conversation import ASSISTANT_ROLES, ROLES, Conversation, Turn
from components.dataset.findings import Hit
from components.dataset.placing import Place, place_messages
from components.dataset.templates import Message, Rendered, TemplateError, TemplateName, load_template
from components.dataset.train_flags import Part, is_trained, trained_parts
from components.llm.tokenizer import Encoded, load_tokenizer

__all__ = ["LITTLE", "Measured", "Measurer"]

LITTLE = 0.05
"""Share of tokens that carry loss below which D5 speaks: of 20 tokens that are read, at most one is learnt."""
_HEADER = "<|im_start|>assistant\n"
_NO_THOUGHT = "<think>\n\n</think>\n\n"
_END = "<|im_end|>"
_NEAR = 3  # Axolotl 0.19.0 trains the end token only where it is within three tokens of the turn's last


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of a conversation; None and empty where it cannot be rendered (rules of structure say why)."""

    tokens: int | None
    trainable: int | None
    """Tokens that carry loss: those of gpt and function_call turns with their end tokens, as their flags allow."""
    turn_tokens: tuple[int, ...]
    """Tokens that carry loss of each gpt or function_call turn, in order."""
    hits: tuple[Hit, ...]


_NOT_MEASURED = Measured(None, None, (), ())


@dataclass(slots=True)
class _Counts:
    """Of one conversation. `first`: position of the first token that carries loss."""

    turn_tokens: list[int]
    first: int | None = None
    hits: tuple[Hit, ...] = ()

    def add(self, tokens: int, first: int) -> None:
        self.turn_tokens.append(tokens)
        if tokens and self.first is None:
            self.first = first


class Measurer:
    """Renders and tokenizes conversations as trainers do, and tells D2-D7."""

    def __init__(
        self, *, template: TemplateName = "qwen3", max_tokens: int | None = None, min_tokens: int | None = None
    ) -> None:
        self._template = load_template(template)
        self._tokenizer = load_tokenizer(template)
        self._max_tokens = max_tokens
        self._min_tokens = min_tokens
        self._end = self._tokenizer.token_id(_END)
        self._header = len(self._encode(_HEADER).ids)
        self._no_thought = len(self._encode(_NO_THOUGHT).ids) if template == "qwen3" else 0

    def measure(self, batch: Sequence[Conversation]) -> list[Measured]:
        """One `Measured` for each conversation, in order. Batches of some hundred keep all processors at work."""
        found = [_NOT_MEASURED] * len(batch)
        rendered: list[tuple[int, Rendered]] = []
        for number, conversation in enumerate(batch):
            if not _has_text(conversation):
                continue
            try:
                rendered.append((number, self._template.render(conversation)))
            except TemplateError as error:
                found[number] = Measured(None, None, (), (Hit("D7", str(error)),))
        for plain in (True, False):
            these = [(number, one) for number, one in rendered if one.plain is plain]
            encoded = self._tokenizer.encode_batch([one.text for _, one in these], with_places=not plain)
            for (number, one), tokens in zip(these, encoded, strict=True):
                found[number] = self._measured(batch[number], one, tokens)
        return found

    def _encode(self, text: str) -> Encoded:
        return self._tokenizer.encode_batch([text], with_places=True)[0]

    def _measured(self, conversation: Conversation, rendered: Rendered, encoded: Encoded) -> Measured:
        ids = encoded.ids
        turns = conversation.turns or ()
        counts = self._of_blocks(turns, rendered, ids) if rendered.plain else None
        if counts is None:
            places = self._encode(rendered.text) if rendered.plain else encoded
            counts = self._of_places(turns, rendered, places, ids)
        trainable = sum(counts.turn_tokens)
        hits = (*counts.hits, *self._hits(turns, len(ids), trainable, counts.first))
        return Measured(len(ids), trainable, tuple(counts.turn_tokens), hits)

    def _of_blocks(self, turns: Sequence[Turn], rendered: Rendered, ids: list[int]) -> _Counts | None:
        """Counts from end tokens alone; None where a text may blur where a block begins or ends."""
        messages = rendered.messages
        blocks = ids.count(self._end)  # type: ignore[arg-type]
        position = 0
        if blocks != len(messages):
            if blocks != len(messages) + 1 or messages[0].role == "system" or _END in messages[0].content:
                return None
            position = ids.index(self._end) + 2  # type: ignore[arg-type]
        counts = _Counts([])
        last = len(turns) - 1
        asked = False
        for message in messages:
            end = ids.index(self._end, position)  # type: ignore[arg-type]
            if message.role == "assistant":
                turn = turns[message.turn]  # type: ignore[index]
                text = message.content
                head = self._header
                if self._no_thought and asked and message.turn == last:
                    head += self._no_thought
                    text = text.lstrip("\n")
                if text[:1].isspace() or turn.extra.get("train_detail") is not None:
                    return None
                trained = bool(text) and (not turn.extra or is_trained(turn))
                counts.add(end + 1 - position - head if trained else 0, position + head)
            elif message.role == "user":
                asked = True
                if message.turn is not None and turns[message.turn].extra and is_trained(turns[message.turn]):
                    return None
            position = end + 2
        return counts

    def _of_places(self, turns: Sequence[Turn], rendered: Rendered, encoded: Encoded, ids: list[int]) -> _Counts:
        """Counts from where each turn stands in the text; what is not found there is D7."""
        places = place_messages(rendered, thinks=self._no_thought > 0)
        counts = _Counts([])
        hits: list[Hit] = []
        for message, place in zip(rendered.messages, places, strict=True):
            turn = None if message.turn is None else turns[message.turn]
            if turn is None or turn.role in ROLES:
                hits += _lost(message, place)
            if turn is None or not (turn.role in ASSISTANT_ROLES or is_trained(turn)):
                continue
            if place.end <= place.begin or not is_trained(turn):
                counts.add(0, 0)
                continue
            trained, ends = self._trained(turn, message, place, encoded, ids)
            counts.add(len(trained), trained[0] if trained else 0)
            if not ends:
                hits.append(Hit("D6", "the end of the turn is not trained", turn=message.turn))
        counts.hits = tuple(hits)
        return counts

    def _trained(
        self, turn: Turn, message: Message, place: Place, encoded: Encoded, ids: list[int]
    ) -> tuple[list[int], bool]:
        """Positions of the tokens of a turn that carry loss, and whether its end token is one of them."""
        first = encoded.token_at(place.begin)
        after = encoded.token_at(place.end)
        first = 0 if first is None else first
        after = len(ids) if after is None else after
        trained = list(range(first, after))
        if parts := trained_parts(turn):
            own = self._encode(message.content)
            chosen = _of_parts([begin for begin, _ in own.offsets], len(message.content), parts)
            trained = [first + number for number in chosen if first + number < len(ids)]
        end = next((at for at in range(after, min(after + _NEAR + 1, len(ids))) if ids[at] == self._end), None)
        if end is not None:
            trained.append(end)
        return trained, end is not None

    def _hits(self, turns: Sequence[Turn], tokens: int, trainable: int, first: int | None) -> Iterator[Hit]:
        most, least = self._max_tokens, self._min_tokens
        long = most is not None and tokens > most
        if long:
            message = f"{tokens:,} tokens, at most {most:,}: Axolotl drops the row, Unsloth and LLaMA-Factory cut it"
            yield Hit("D2", message)
        if least is not None and tokens < least:
            yield Hit("D3", f"{tokens:,} tokens, at least {least:,}")
        if first is None:
            # Without a gpt turn it is B11, with flags that say so B16.
            if any(turn.role in ASSISTANT_ROLES and is_trained(turn) for turn in turns):
                yield Hit("D4", "no token is trained: all gpt turns are empty")
        elif most is not None and long and first >= most:
            yield Hit("D4", f"no token is trained where the row is cut: the first answer begins at token {first:,}")
        elif trainable < LITTLE * tokens:
            yield Hit("D5", f"{trainable:,} of {tokens:,} tokens are trained ({trainable / tokens:.1%})")


def _has_text(conversation: Conversation) -> bool:
    turns = conversation.turns
    return bool(turns) and all(type(turn.role) is str and type(turn.value) is str for turn in turns or ())


def _lost(message: Message, place: Place) -> Iterator[Hit]:
    if place.lost:
        yield Hit("D7", place.lost, turn=message.turn)
    if place.reasoning_lost:
        yield Hit("D7", "the template strips the reasoning of an earlier turn: it is neither read nor trained",
                  turn=message.turn, fix="keep <think> in the last turn only", severity="warning")  # fmt: skip


def _of_parts(begins: list[int], size: int, parts: Sequence[Part]) -> list[int]:
    """Tokens of a text that its parts let be trained: Axolotl 0.19.0's get_offsets_for_train_detail, as it counts."""
    spans = [(begin, following - 1) for begin, following in zip(begins, [*begins[1:], size], strict=True)]
    wanted = []
    for part in parts:
        first = next((i for i, span in enumerate(spans) if span[0] >= part.begin), len(spans))
        if first > 0 and spans[first - 1][1] > part.begin:
            first -= 1
        last = next((i for i in range(len(spans) - 1, -1, -1) if spans[i][1] <= part.end), -1)
        if last < len(spans) - 1 and spans[last + 1][0] < part.end:
            last += 1
        if first <= last and part.train:
            wanted.append((spans[first][0], spans[last][1]))
    return [i for i, (begin, end) in enumerate(spans) if any(low <= begin and end <= high for low, high in wanted)]
