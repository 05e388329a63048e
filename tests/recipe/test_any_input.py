"""Whatever is in a recipe file or an override, it ends in a recipe or in a RecipeError that says where."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.recipe import RecipeError, load_recipe
from components.recipe.load import to_yaml
from components.recipe.source import Node, parse_yaml

GOOD = (Path(__file__).with_name("fault_texts") / "unknown_key.txt").read_text().partition("index:")[0]
PIECES = st.sampled_from(
    [
        "a", "name", "sncp", "index", "search", "k", "extends", ": ", ":", "\n", "\n  ", "\n- ", "- ", "[", "]",
        "{", "}", ",",
        "&a ", "*a", "!!str ", "!x ", "<<", "|\n", ">-\n", "'", '"', "\\", "#", " #", "---\n", "...\n", "? ", "\t",
        "%YAML 1.2\n", "~", "010", "1e5", ".nan", "${", "${name}", "=", "soup.yaml", "\x85", "\u2028", "\ufeff", "\x00",
        "é", "🌊",
    ]
)  # fmt: skip
YAMLISH = st.lists(PIECES, max_size=25).map("".join)


@pytest.fixture(scope="module")
def folder() -> Any:
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "notes").mkdir()
        (Path(name) / "notes" / "NORD.md").touch()
        (Path(name) / "COSTITUZIONE.md").touch()
        (Path(name) / "golden.jsonl").touch()
        yield Path(name)


def load(folder: Path, data: bytes, *overrides: str) -> None:
    (folder / "soup.yaml").write_bytes(data)
    try:
        loaded = load_recipe("soup.yaml", overrides=overrides, cwd=folder)
    except RecipeError as error:
        assert error.faults
        for fault in error.faults:
            assert fault.place.file
            assert fault.message
            assert str(fault) in str(error) or len(error.faults) > 50
    else:
        assert loaded.recipe.name


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=200))
def test_any_bytes(folder: Path, data: bytes) -> None:
    load(folder, data)


@settings(max_examples=300, deadline=None)
@given(text=st.one_of(st.text(max_size=200), YAMLISH))
def test_any_text(folder: Path, text: str) -> None:
    load(folder, text.encode("utf-8", errors="surrogatepass"))


@settings(max_examples=150, deadline=None)
@given(text=YAMLISH, where=st.integers(0, len(GOOD)))
def test_any_text_within_a_good_recipe(folder: Path, text: str, where: int) -> None:
    load(folder, (GOOD[:where] + text + GOOD[where:]).encode())


@settings(max_examples=150, deadline=None)
@given(
    override=st.one_of(
        st.text(max_size=60),
        st.tuples(st.sampled_from(["name", "sncp.root", "index.search", "x"]), YAMLISH).map("=".join),
    )
)
def test_any_override(folder: Path, override: str) -> None:
    load(folder, GOOD.encode(), override)


TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=20)
NUMBERS = st.one_of(st.integers(-(2**62), 2**62), st.floats(allow_nan=False, allow_infinity=False))
KEYS = TEXT.filter(lambda key: key not in ("", "<<"))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)


def plain(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {key: plain(child) for key, child in node.value.items()}
    if isinstance(node.value, list):
        return [plain(child) for child in node.value]
    return node.value


@settings(max_examples=300, deadline=None)
@given(values=st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUES, min_size=1))
def test_what_is_frozen_reads_back_the_same(values: dict[str, Any]) -> None:
    faults: list[Any] = []
    node = parse_yaml(to_yaml(values), file="frozen", folder=Path("/"), faults=faults)
    assert not faults
    assert node is not None
    assert plain(node) == values
