"""The real persona of the shared notes, and the tokenizer that counts it."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.llm import Tokenizer, load_tokenizer


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return load_tokenizer("qwen3")


@pytest.fixture(scope="session")
def notes(shared: Path) -> Path:
    return shared / "data" / "sncp"


@pytest.fixture(scope="session")
def constitution(notes: Path) -> str:
    return (notes / ".sncp/idee/20260111_COSTITUZIONE_CERVELLA_AI_v2.md").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def dna(notes: Path) -> str:
    return (notes / "docs/DNA_FAMIGLIA.md").read_text(encoding="utf-8")
