"""A release: equal settings give one digest, any change gives another."""

from __future__ import annotations

import math
from typing import Any

import pytest

from components.errors import TerminalError
from components.registry import build_release, release_digest

SETTINGS: dict[str, Any] = {
    "prompt": "Sei Cervella.",
    "chat": {"model": "fake/good", "temperature": 0.0},
    "embedder": "fake/e@1",
    "chunk": {"max_tokens": 200, "breadcrumbs": True},
    "search": {"k": 8},
    "answer": {"min_score": 0.0},
}


def test_the_order_of_settings_plays_no_part() -> None:
    turned = {**SETTINGS, "chunk": dict(reversed(SETTINGS["chunk"].items()))}
    assert release_digest(build_release(**turned)) == release_digest(build_release(**SETTINGS))


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "Sei Cervella!"},
        {"chat": {"model": "fake/other", "temperature": 0.0}},
        {"embedder": "fake/e@2"},
        {"chunk": {"max_tokens": 201, "breadcrumbs": True}},
        {"search": {"k": 9}},
        {"answer": {"min_score": 0.1}},
        {"adapter": "ab" * 32},
        {"session": {"max_tokens": 400}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_part_is_part_of_the_digest(change: dict[str, Any]) -> None:
    assert release_digest(build_release(**{**SETTINGS, **change})) != release_digest(build_release(**SETTINGS))


def test_nan_has_no_digest() -> None:
    with pytest.raises(TerminalError, match="nan"):
        release_digest(build_release(**{**SETTINGS, "search": {"dense_weight": math.nan}}))
