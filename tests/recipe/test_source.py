"""What a value in YAML becomes, and which YAML is no recipe."""

from __future__ import annotations

import os

import pytest

from components.recipe import RecipeError, load_recipe
from components.recipe.source import MAX_BYTES, plain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("on", "on"), ("Yes", "Yes"), ("tRUE", "tRUE"), ("true", True), ("False", False),
        ("12:30:45", "12:30:45"), ("2026-01-05", "2026-01-05"), ("1_000", "1_000"), ("0b1", "0b1"), ("1.2.3", "1.2.3"),
        ("1e-5", 1e-5), ("1E3", 1000.0), (".5", 0.5), ("1.", 1.0), ("1.10", 1.1), ("-3", -3), ("+7", 7), ("0", 0),
        ("null", None), ("~", None), ("", None), ("None", "None"),
    ],
)  # fmt: skip
def test_plain_scalars(text: str, value: object) -> None:
    assert plain(text) == value
    assert type(plain(text)) is type(value)


@pytest.mark.parametrize(
    "text", ["010", "-007", "0o10", "0x1F", ".inf", "-.INF", ".nan", "1e999", "9" * 30, "1" * 5000]
)
def test_numbers_that_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        plain(text)


def test_keys_are_text_as_written(kitchen, edited) -> None:
    loaded = kitchen.load(edited("  constitution", "  priorities: {2024: 1, on: 2, 010: 3, 1.10: 4}\n  constitution"))
    assert loaded.recipe.persona.priorities == {"2024": 1, "on": 2, "010": 3, "1.10": 4}


def test_byte_order_mark_and_windows_lines(kitchen, good: str) -> None:
    loaded = kitchen.load(b"\xef\xbb\xbf" + good.replace("\n", "\r\n").encode())
    assert loaded.recipe == kitchen.load().recipe
    assert loaded.origins["sncp.root"].line == 4


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"# only a comment\n", "is empty"),
        (b"- a\n", "is not a recipe"),
        (b"name: caff\xe8\n", "soup.yaml:1:11: byte 0xe8 is not UTF-8"),
        ("name: soup\n".encode("utf-16"), "is UTF-16"),
        (b"name: \x00\n", "a control character"),
        (b"a: &a [*a]\n", "is inside what it names"),
        (b"? [a]\n: b\n", "a key that is not text"),
        (b": b\n", "a key without a name"),
        (b"%YAML 1.1\n---\nname: soup\n", "another version of YAML"),
        (b"a: " + b"[" * 200, "nested too deeply"),
        (b'a: "\\ud800"\n', "not text"),
        (b'a: "\\UFFFFFFFF"\n', "unknown escape"),
        (b"a: " + b"x" * MAX_BYTES, "too large for a recipe"),
        (b"a: [" + b"1, " * 20_000 + b"]", "too many values"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_files_that_are_no_recipe(kitchen, data: bytes, said: str) -> None:
    assert said in str(kitchen.refused(data))


def test_alias_bomb_ends_early(kitchen) -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 9) + "]" for n in range(1, 12)]
    assert "too many values" in str(kitchen.refused("\n".join(rows)))


def test_alias_repeats_a_value(kitchen, good: str) -> None:
    loaded = kitchen.load(good + "answer: {max_context_tokens: &n 900}\nllm: {chat: {max_tokens: *n}}\n")
    assert loaded.recipe.llm.chat.max_tokens == 900
    assert loaded.origins["llm.chat.max_tokens"].line == 10


def test_missing_file_names_the_nearest(kitchen) -> None:
    kitchen.load()
    with pytest.raises(RecipeError, match="no such file\n  did you mean 'soup.yaml'"):
        load_recipe("soop.yaml", cwd=kitchen.folder)


def test_folder_is_no_recipe(kitchen) -> None:
    with pytest.raises(RecipeError, match="notes: is a folder"):
        load_recipe("notes", cwd=kitchen.folder)


def test_pipe_is_not_waited_for(kitchen) -> None:
    os.mkfifo(kitchen.folder / "pipe.yaml")
    with pytest.raises(RecipeError, match="not an ordinary file"):
        load_recipe("pipe.yaml", cwd=kitchen.folder)


def test_name_that_no_file_can_have(kitchen) -> None:
    for name in ("a" * 5000, "a\0b"):
        with pytest.raises(RecipeError):
            load_recipe(name, cwd=kitchen.folder)
