"""Conversations measured with a model's own tokenizer and chat template: tokens, what carries loss, what is lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from components.dataset.checks.placing import Place, place_messages
from components.dataset.checks.templates import Message, Rendered, TemplateError, TemplateName, load_template
from components.dataset.checks.tool_calls import parse_tools
from components.dataset.checks.train_flags import Part, is_trained, trained_parts
from components.dataset.conversation import ASSISTANT_ROLES, ROLES, Conversation, Turn
from components.dataset.findings import Hit
from components.llm.tokenizer import Encoded, load_tokenizer

__all__ = ["LITTLE", "Measured", "Measurer"]

LITTLE = 0.05
"""Share of tokens that carry loss below which D5 speaks: of 20 tokens that are read, at most one is learnt."""
_HEADER = "<|im_start|>assistant\n"
_NO_THOUGHT = "<think>\n\n</think>\n\n"
_SYSTEM, _END = "<|im_start|>system\n", "<|im_end|>"
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
class _Mask:
    """The tokens of one conversation. `trained`: positions of those that carry loss, of each assistant turn."""

    ids: list[int]
    trained: list[Sequence[int]]
    hits: tuple[Hit, ...] = ()


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
        encoded = self._tokenizer.encode_batch([one.text for _, one in rendered])
        for (number, one), tokens in zip(rendered, encoded, strict=True):
            found[number] = self._measured(batch[number], one, tokens.ids)
        return found

    def mask(self, conversation: Conversation) -> tuple[list[int], list[int]] | None:
        """The ids of a conversation's tokens, and the positions of those that carry loss; None: it has no text."""
        if not _has_text(conversation):
            return None
        rendered = self._template.render(conversation)
        found = self._masked(conversation.turns or (), rendered, self._encode(rendered.text).ids)
        return found.ids, [position for positions in found.trained for position in positions]

    def _encode(self, text: str) -> Encoded:
        return self._tokenizer.encode_batch([text], with_places=True)[0]

    def _measured(self, conversation: Conversation, rendered: Rendered, ids: list[int]) -> Measured:
        turns = conversation.turns or ()
        mask = self._masked(turns, rendered, ids)
        turn_tokens = tuple(map(len, mask.trained))
        first = next((positions[0] for positions in mask.trained if positions), None)
        hits = (*mask.hits, *self._hits(turns, len(mask.ids), sum(turn_tokens), first))
        if not rendered.plain and not self._template.takes_tools and parse_tools(conversation.tools).given:
            hits = (*hits, Hit("D7", f"the template {self._template.name} leaves `tools` out"))
        return Measured(len(mask.ids), sum(turn_tokens), turn_tokens, hits)

    def _masked(self, turns: Sequence[Turn], rendered: Rendered, ids: list[int]) -> _Mask:
        places = None if rendered.plain else place_messages(rendered, thinks=self._no_thought > 0)
        found = self._of_blocks(turns, rendered, places, ids)
        return found or self._of_places(turns, rendered, places, ids)

    def _of_blocks(
        self, turns: Sequence[Turn], rendered: Rendered, places: Sequence[Place] | None, ids: list[int]
    ) -> _Mask | None:
        """From end tokens alone; None where a text may blur where a block or what is trained of it begins or ends.

        It spares the places of tokens, which take longer to ask for than to count.
        """
        messages, text = rendered.messages, rendered.text
        if places is not None and not all(map(_is_whole, messages, places)):
            return None
        if any(
            message.role == "tool" and message.turn is not None and turns[message.turn].extra for message in messages
        ):
            return None  # results that follow each other share a block, and one of them may be trained
        end_token: Any = self._end
        own_system = messages[0].role != "system" and text.startswith(_SYSTEM)
        starts = [
            place for place, message in enumerate(messages)
            if message.role != "tool" or place == 0 or messages[place - 1].role != "tool"
        ]  # fmt: skip
        if ids.count(end_token) != len(starts) + own_system:
            return None
        position = ids.index(end_token) + 2 if own_system else 0
        trained: list[Sequence[int]] = []
        asked = False
        for number in starts:
            message = messages[number]
            end = ids.index(end_token, position)
            turn = None if message.turn is None else turns[message.turn]
            if turn is not None and turn.extra and (message.role != "assistant" or "train_detail" in turn.extra):
                return None
            if turn is not None and message.role == "assistant":
                begin = position + self._header
                if places is not None:
                    place = places[number]
                    opened, own = text.endswith(_NO_THOUGHT, 0, place.begin), text[place.begin : place.end]
                else:
                    opened, own = asked and message is messages[-1] and self._no_thought > 0, message.content
                    own = own.lstrip("\n") if opened else own
                if own and not own[0].isprintable() or own[:1].isspace():
                    return None  # it may share a token with the header: SmolLM2 has one for a line break and a NUL
                carries = own and (not turn.extra or is_trained(turn))
                trained.append(range(begin + self._no_thought if opened else begin, end + 1) if carries else ())
            asked = asked or message.role == "user"
            position = end + 2
        return _Mask(ids, trained)

    def _of_places(
        self, turns: Sequence[Turn], rendered: Rendered, places: Sequence[Place] | None, ids: list[int]
    ) -> _Mask:
        """From where each turn stands in the text; what is not found there is D7."""
        encoded = self._encode(rendered.text)
        mask = _Mask(ids, [])
        hits: list[Hit] = []
        places = places or place_messages(rendered, thinks=self._no_thought > 0)
        for message, place in zip(rendered.messages, places, strict=True):
            turn = None if message.turn is None else turns[message.turn]
            if turn is None or turn.role in ROLES:
                hits += _lost(message, place)
            if turn is None or not (turn.role in ASSISTANT_ROLES or is_trained(turn)):
                continue
            if place.end <= place.begin or not is_trained(turn):
                mask.trained.append(())
                continue
            trained, ends = self._trained(turn, message, place, encoded, ids)
            mask.trained.append(trained)
            if not ends:
                hits.append(Hit("D6", "the end of the turn is not trained", turn=message.turn))
        mask.hits = tuple(hits)
        return mask

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
        return sorted(set(trained)), end is not None

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


def _is_whole(message: Message, place: Place) -> bool:
    """Whether a message stands in the text as it is, with nothing of a template's own in between."""
    return not (place.lost or (message.role == "assistant" and "</think>" in message.content))


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
