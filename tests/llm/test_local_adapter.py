"""The local chat model with a LoRA adapter: other answers, at the right scale, cached apart, memory let go."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.errors import InputError, TerminalError
from components.llm import load_chat, local_chat
from components.llm.llama_engines import Engines
from components.llm.local_chat import SmolLM2Chat, _engines
from components.train.base import packaged_gguf
from components.train.export.gguf_lora import export_gguf_adapter, shape_of_gguf
from components.train.export.served import Place, served_logits
from tests.train.adapters import by_hand

SMOL: dict[str, Any] = {
    "model": "local/smollm2-135m-instruct", "temperature": 0.0, "max_tokens": 12, "context_tokens": 1024,
    "timeout_seconds": 120.0, "retries": 0, "seed": 13,
}  # fmt: skip
QUESTION: Any = [{"role": "user", "content": "Name three fruits."}]
IDS = [1, 4093, 198, 1780, 4411, 28, 638, 359, 346, 47]


def ask(**changes: Any) -> Any:
    return load_chat(**{**SMOL, **changes}).chat(QUESTION, local_notes=())


def export(folder: Path, **of_adapter: Any) -> Path:
    by_hand(folder / "peft", **of_adapter)
    return export_gguf_adapter(folder / "peft", out=folder / "adapter.gguf", shape=shape_of_gguf(packaged_gguf()))


def actual(adapter: Path | None) -> Any:
    return np.array([one.actual for one in served_logits(packaged_gguf(), [Place(IDS, range(1, 10))], adapter=adapter)])


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Strong enough that other words come out."""
    return export(tmp_path_factory.mktemp("adapter"), size=0.3)


def test_an_adapter_changes_the_answer_and_nothing_stays_of_it(adapter: Path) -> None:
    before = ask()
    adapted = ask(adapter=adapter)
    assert adapted.text != before.text
    assert (adapted.model, adapted.is_local, adapted.cost_usd) == (before.model, True, 0.0)
    assert ask().text == before.text
    assert ask(adapter=adapter).text == adapted.text


def test_an_adapter_whose_matrix_is_zero_changes_nothing(tmp_path: Path) -> None:
    idle = export(tmp_path, size=0.0)
    assert actual(idle) == pytest.approx(actual(None), abs=1e-5)
    assert ask(adapter=idle).text == ask().text


def test_the_scale_is_alpha_by_rank(tmp_path: Path) -> None:
    """Twice the alpha is as much as twice the B."""
    one = actual(export(tmp_path / "one", size=0.05, alpha=16))
    other = actual(export(tmp_path / "other", size=0.1, alpha=8))
    weaker = actual(export(tmp_path / "weaker", size=0.05, alpha=8))
    assert one == pytest.approx(other, abs=1e-4)
    assert np.abs(one - actual(None)).max() > 0.05
    assert np.abs(one - weaker).max() > 0.05


def test_answers_with_and_without_are_cached_apart(adapter: Path, tmp_path: Path) -> None:
    cache = tmp_path / "responses.sqlite"
    with_it, without = ask(adapter=adapter, cache=cache), ask(cache=cache)
    again, bare = ask(adapter=adapter, cache=cache), ask(cache=cache)
    assert (with_it.cached, without.cached, again.cached, bare.cached) == (False, False, True, True)
    assert (again.text, bare.text) == (with_it.text, without.text) and again.text != bare.text


def test_another_adapter_of_the_same_name_is_another_model(adapter: Path, tmp_path: Path) -> None:
    def identity(path: Path | None) -> str:
        return SmolLM2Chat(temperature=0, context_tokens=1024, timeout_seconds=9, seed=1, adapter=path).identity

    copy = tmp_path / "elsewhere.gguf"
    copy.write_bytes(adapter.read_bytes())
    assert identity(copy) == identity(adapter) != identity(None)
    copy.write_bytes(export(tmp_path / "new", size=0.31).read_bytes())
    assert identity(copy) != identity(adapter)


def test_a_changed_file_is_not_taken_for_the_one_that_was_named(adapter: Path, tmp_path: Path) -> None:
    copy = tmp_path / "adapter.gguf"
    copy.write_bytes(adapter.read_bytes())
    chat = load_chat(**SMOL, adapter=copy)
    copy.write_bytes(export(tmp_path / "new", size=0.31).read_bytes())
    with pytest.raises(TerminalError, match="was changed since"):
        chat.chat(QUESTION, local_notes=())


def test_two_engines_are_kept_and_no_more(adapter: Path, tmp_path: Path) -> None:
    for number in range(3):
        copy = tmp_path / f"{number}.gguf"
        copy.write_bytes(adapter.read_bytes())
        ask(adapter=copy, max_tokens=1)
    gc.collect()
    assert len(_engines) == 2


def test_one_that_is_warm_stays_loaded_and_is_shared_until_nobody_holds_it(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[Path] = []
    monkeypatch.setattr(local_chat, "start_llama", lambda *_, adapter, **__: loads.append(adapter))
    monkeypatch.setattr(local_chat, "_engines", Engines(local_chat._load, keep=2))
    copies = [tmp_path / f"{number}.gguf" for number in range(4)]
    for copy in copies:
        copy.write_bytes(adapter.read_bytes())
    first, *others = (load_chat(**SMOL, adapter=copy) for copy in copies)
    assert loads == []
    first.warm()
    first.warm()
    for other in others:
        other.warm()
    del other
    load_chat(**SMOL, adapter=copies[0]).warm()
    assert loads == copies
    del first, others
    gc.collect()
    assert len(local_chat._engines) == 2


@pytest.mark.parametrize("model", ["fake/chat", "openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5"])
def test_an_adapter_needs_a_model_of_this_process(model: str, adapter: Path) -> None:
    with pytest.raises(InputError, match="under a name of its own"):
        load_chat(**{**SMOL, "model": model}, adapter=adapter)


def test_what_is_no_adapter_of_this_model_is_told_as_soon_as_it_is_warm(adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match="cannot be read"):
        load_chat(**SMOL, adapter=tmp_path / "none.gguf")
    torn = tmp_path / "torn.gguf"
    torn.write_bytes(adapter.read_bytes()[:-1])
    chat = load_chat(**SMOL, adapter=torn)
    for asked in (chat.warm, lambda: chat.chat(QUESTION, local_notes=())):
        with pytest.raises(TerminalError, match="torn.gguf is broken: it ends before"):
            asked()
