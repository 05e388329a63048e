"""The prompts of personality: every fault at once at its line, and a choice that covers every kind."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from components.evaluate.said import Item
from components.evaluate.suite import choose_items, load_prompts
from tests.evaluate.suites import KEY, faults, written

PROMPT = {"id": "a", "prompt": "Come stai?", "lang": "it", "kind": "tone"}


def test_prompts_are_read_in_the_order_of_the_file(tmp_path: Path) -> None:
    second = {**PROMPT, "id": "b.2", "prompt": "E lui?", "project": "quaderno"}
    lines = "\ufeff\r\n" + json.dumps(PROMPT) + "\r\n \r\n" + json.dumps(second)
    assert load_prompts(written(tmp_path, lines)) == [
        Item("personality", "a", "Come stai?", "it", "tone"),
        Item("personality", "b.2", "E lui?", "it", "tone", project="quaderno"),
    ]


def test_a_secret_in_a_prompt_is_masked(tmp_path: Path) -> None:
    (item,) = load_prompts(written(tmp_path, json.dumps({**PROMPT, "prompt": f"Usa {KEY}"})))
    assert KEY[13:40] not in item.prompt


def test_all_faults_of_prompts_come_at_once(tmp_path: Path) -> None:
    lines: list[Any] = [
        PROMPT,
        '{"id": "b", "prompt": }',
        {"id": "c", "prompt": "Chi?", "lang": "it"},
        {"id": "d", "prompt": "Chi è?", "lang": "it", "kinds": "tone", "since": 1},
        {**PROMPT, "id": "e", "prompt": "  "},
        {**PROMPT, "id": 7, "prompt": "Che cosa?"},
        {**PROMPT, "id": "a b", "prompt": "Che?"},
        PROMPT,
        {**PROMPT, "id": "f", "prompt": "come  STAI?"},
        {**PROMPT, "id": "g", "prompt": "Dove?", "project": 3},
        {**PROMPT, "id": "h", "prompt": "x" * 4001},
        '["id"]',
        '{"id": "i", "id": "i", "prompt": "Quando?", "lang": "it", "kind": "tone"}',
        '{"id": "j", "prompt": "\\ud83d?", "lang": "it", "kind": "tone"}',
        "[" * 50_000,
    ]
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    assert faults(load_prompts, written(tmp_path, text)) == [
        " 16 faults in the prompts",
        "2: not JSON at column 23: Expecting value; expected a JSON object with id, prompt, lang, kind",
        "3: 'kind' is missing",
        "4: unknown key 'kinds'; did you mean 'kind'?",
        "4: unknown key 'since'; expected id, prompt, lang, kind, project",
        "5: 'prompt': expected a text that is not empty",
        "6: 'id': expected a text that is not empty",
        "7: id 'a b': expected letters, digits, '_', '-' and '.', at most 100",
        "8: id 'a' is that of line 1; expected each once",
        "8: prompt 'Come stai?' is that of line 1; expected each once",
        "9: prompt 'come  STAI?' is that of line 1; expected each once",
        "10: 'project': expected a text that is not empty",
        "11: prompt: the question has 4001 characters, at most 4000 are taken: shorten it, or put long material into a "
        "note and ask about that",
        "12: no object; expected a JSON object with id, prompt, lang, kind",
        "13: key 'id' is given twice",
        "14: 'prompt': half a character (a lone \\ud800 to \\udfff): no file can hold it",
        "15: JSON that is too deep or too large; expected a JSON object with id, prompt, lang, kind",
    ]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "FILE: no prompts; expected one JSON object a line with id, prompt, lang, kind."),
        (b'{"id": "a"}\n\xff\xfe', "2: not UTF-8 (byte 0xff); save the file as UTF-8."),
    ],
    ids=["empty", "not UTF-8"],
)
def test_a_file_without_prompts_is_told(tmp_path: Path, data: bytes, told: str) -> None:
    (line,) = faults(load_prompts, written(tmp_path, data))
    assert line == told.replace("FILE:", "", 1)


def test_a_choice_covers_every_kind_first_and_is_the_same_for_the_same_seed() -> None:
    items = [Item("personality", f"{kind}{n}", "?", "en" if n % 3 else "it", kind) for kind in "abcd" for n in range(9)]
    chosen = choose_items(items, 6, seed=13)
    assert Counter(Counter(item.kind for item in chosen).values()) == {1: 2, 2: 2}
    assert chosen == [item for item in items if item in chosen]
    shuffled = random.Random(1).sample(items, len(items))
    assert set(choose_items(shuffled, 6, seed=13)) == set(chosen)
    assert any(set(choose_items(items, 6, seed=seed)) != set(chosen) for seed in range(5))
    assert choose_items(items, 0, seed=13) == choose_items(items, 99, seed=13) == items
