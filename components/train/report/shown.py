"""Examples as a trainer saw them: their tokens as text, turn by turn, and which of them carry loss.

Taken from what the trainer's own collator made (masks-*.jsonl) and decoded with the tokenizer that lies beside the
adapter. Secrets and personal data with a form of their own are masked, as in every page of this project; of a turn that
holds some, the tokens are counted and not shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.dataset.reports.visible import masked

__all__ = ["ShownExample", "ShownTurn", "Token", "decode_tokens", "load_decoder", "read_masks", "shown_example"]

_BEGINS = {
    "<|im_start|>": None, "<|start_header_id|>": None, "[INST]": "user", "[/INST]": "assistant",
    "[SYSTEM_PROMPT]": "system", "[AVAILABLE_TOOLS]": "tools", "[TOOL_CALLS]": "assistant", "[TOOL_RESULTS]": "tool",
}  # fmt: skip
"""Tokens that a turn begins with, and whose it is then; None: the text after it says."""
_ENDS_OF_ROLE = ("\n", "<|end_header_id|>")
_FIRST, _LAST = 140, 40
"""Tokens of a long turn that are shown."""
_MASKED = 600
_PIECES = 8
"""Tokens that one character may take, at most."""


@dataclass(frozen=True)
class Token:
    """One token as text, or several that only together are characters; and whether all of them carry loss."""

    text: str
    trained: bool


@dataclass(frozen=True)
class ShownTurn:
    """A turn. `masked`: its text in place of its tokens, where it holds what is not to be shown.

    `left`: how many tokens are left out after the first `before` of `tokens`.
    """

    role: str
    count: int
    trained: int
    tokens: tuple[Token, ...]
    before: int
    left: int
    masked: str | None


@dataclass(frozen=True)
class ShownExample:
    """An example; `place`: of the row in its file, from 0."""

    side: str
    place: int
    count: int
    trained: int
    turns: tuple[ShownTurn, ...]


def read_masks(path: Path, *, most: int) -> list[dict[str, Any]]:
    """The first rows of a masks-*.jsonl; none where the file is not there."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for _, line in zip(range(most), file, strict=False)]


def load_decoder(file: Path) -> Any:
    """The tokenizer of a tokenizer.json; None where there is none, or none that is understood."""
    if not file.is_file():
        return None
    import tokenizers

    try:
        return tokenizers.Tokenizer.from_file(str(file))
    except Exception:  # the library raises nothing more exact
        return None


def shown_example(row: Mapping[str, Any], *, side: str, place: int, decoder: Any) -> ShownExample:
    """A row of masks-*.jsonl as it is shown."""
    ids = [int(one) for one in row["ids"]]
    trained = {int(one) for one in row["trained"]}
    turns = tuple(_shown(turn, decoder) for turn in _turns(ids, trained, decoder))
    return ShownExample(side, place, len(ids), len(trained), turns)


_Pair = tuple[int, bool]


def _turns(ids: Sequence[int], trained: set[int], decoder: Any) -> Iterator[list[_Pair]]:
    """The tokens of one turn after the other; what stands before the first is a turn too."""
    begins = {number for token in _BEGINS if (number := decoder.token_to_id(token)) is not None}
    turn: list[_Pair] = []
    for place, token in enumerate(ids):
        if token in begins and turn:
            yield turn
            turn = []
        turn.append((token, place in trained))
    if turn:
        yield turn


def _shown(turn: Sequence[_Pair], decoder: Any) -> ShownTurn:
    whole = len(turn) <= _FIRST + _LAST
    first, last = (turn, []) if whole else (turn[:_FIRST], turn[-_LAST:])
    begin, end = list(decode_tokens(first, decoder)), list(decode_tokens(last, decoder))
    text: str = decoder.decode([token for token, _ in turn], skip_special_tokens=False)
    clean, left = masked(text, longest=_MASKED)
    hidden = clean[: len(text)] != text[: len(clean)]
    return ShownTurn(
        role=_role(turn, begin, decoder),
        count=len(turn),
        trained=sum(carries for _, carries in turn),
        tokens=() if hidden else (*begin, *end),
        before=len(begin),
        left=0 if whole or hidden else len(turn) - _FIRST - _LAST,
        masked=clean + ("…" if left else "") if hidden else None,
    )


def _role(turn: Sequence[_Pair], tokens: Sequence[Token], decoder: Any) -> str:
    token = decoder.id_to_token(turn[0][0])
    if token not in _BEGINS:
        return "before the first turn"
    known = _BEGINS[token]
    if known is not None:
        return known
    text = "".join(one.text for one in tokens[1:6])
    for end in _ENDS_OF_ROLE:
        text = text.partition(end)[0]
    return text.strip()[:30] or "(no role)"


def decode_tokens(pairs: Iterable[_Pair], decoder: Any) -> Iterator[Token]:
    """Tokens as text; those of one character that takes several are one. A part of a character is shown as `�`.

    Where tokens of one character differ in whether they carry loss, they count as carrying none: that is how it looks
    where it is wrong.
    """
    waiting: list[_Pair] = []
    for pair in pairs:
        waiting.append(pair)
        text = _decoded(waiting, decoder)
        if text.endswith("\ufffd") and len(waiting) < _PIECES:
            continue
        yield Token(text, all(trained for _, trained in waiting))
        waiting = []
    if waiting:
        yield Token(_decoded(waiting, decoder), all(trained for _, trained in waiting))


def _decoded(pairs: Sequence[_Pair], decoder: Any) -> str:
    text: str = decoder.decode([token for token, _ in pairs], skip_special_tokens=False)
    first = decoder.id_to_token(pairs[0][0]) or ""
    # A decoder of the other family (▁ for a space) leaves out the space that a text begins with.
    return f" {text}" if first.startswith("\u2581") and not text.startswith(" ") else text
