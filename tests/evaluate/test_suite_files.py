"""Checklist and tasks as files: every fault at once at its line and column, whatever bytes they hold."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from components.errors import InputError
from components.evaluate.said import Item
from components.evaluate.suite import (
    Checklist,
    CodeRule,
    Rule,
    Task,
    TaskRule,
    TaskSuite,
    load_checklist,
    load_prompts,
    load_task_suite,
)
from tests.evaluate.suites import KEY, faults, written

CHECKLIST = """\
rules:
  - id: femminile
    rule: Parlo di me al femminile.
    code: {check: feminine}
  - {id: adulo, rule: Mai adulo., ask: "Evita di adulare?", kinds: [tone, values]}
"""
TASKS = """\
passing: {simple: 4}
go: 1
conditional: 1
tasks:
  - id: path
    name: path resolution
    tier: simple
    lang: it
    project: quaderno
    prompt: Dov'è la nota?
    rules:
      - {points: 4, what: dice dove, code: {all_of: [nota.md]}}
      - {points: 1, what: è breve, ask: "È breve?"}
"""
LOADERS: dict[str, Callable[[Path], Any]] = {
    "prompts": load_prompts,
    "checklist": load_checklist,
    "tasks": load_task_suite,
}


def test_a_checklist_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeff" + CHECKLIST)
    assert load_checklist(path, kinds={"tone", "values"}) == Checklist(
        rules=(
            Rule("femminile", "Parlo di me al femminile.", code=CodeRule("check", "feminine")),
            Rule("adulo", "Mai adulo.", ask="Evita di adulare?", kinds=("tone", "values")),
        ),
        digest=sha256(path.read_bytes()).hexdigest(),
    )


def test_a_rule_of_a_kind_that_no_prompt_has_is_a_fault(tmp_path: Path) -> None:
    path = written(tmp_path, CHECKLIST)
    assert faults(lambda path: load_checklist(path, kinds=["tone", "value"]), path)[1:] == [
        "5:68: kinds: no prompt is of the kind 'values'; did you mean 'value'?"
    ]


def test_tasks_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, TASKS)
    item = Item("task", "path", "Dov'è la nota?", "it", "path resolution", project="quaderno", tier="simple")
    rules = (TaskRule(4, "dice dove", code=CodeRule("all_of", ("nota.md",))), TaskRule(1, "è breve", ask="È breve?"))
    assert load_task_suite(path) == TaskSuite(
        tasks=(Task(item, rules),), passing={"simple": 4}, needed={}, go=1, conditional=1,
        digest=sha256(path.read_bytes()).hexdigest(),
    )  # fmt: skip


def test_all_faults_of_a_checklist_come_at_once_each_at_its_line_and_column(tmp_path: Path) -> None:
    text = """\
rule: []
rules:
  - id: a
    rule: " "
    code: {chek: feminine}
  - id: a
    rule: Due
    ask: Va bene
    code: {check: femminine}
  - id: b c
    rul: Tre
    code: {never: []}
    code: {never: [x]}
  - id: d
    rule: Quattro
  - [id, e]
  - {id: f, rule: Sei, code: {matches: "(a"}}
  - {id: g, rule: Sette, code: {max_words: "5"}}
  - {id: h, rule: Otto, code: {lines: [5, 1]}}
  - {id: i, rule: Nove, code: {any_of: [x, x, null]}}
  - {id: j, rule: Dieci, code: {language: fr}}
  - {id: k, rule: Undici, code: {json: false}}
  - {id: l, rule: Dodici, code: {never: [x], all_of: [y]}}
  - {id: m, rule: Tredici, ask: "Va?", kinds: []}
  - {id: n, rule: Quattordici, code: {starts_with: {a: b}}}
"""
    assert faults(load_checklist, written(tmp_path, text)) == [
        " 23 faults in the checklist",
        "1:1: the file: unknown key 'rule'; did you mean 'rules'?",
        "4:11: rule: expected a text that is not empty",
        "5:12: code: no 'chek'; did you mean 'check'?",
        "6:5: the rule has both 'ask' and 'code'; expected one of them: ask a judge, or let code decide",
        "6:9: id 'a' is taken by line 3; expected ids that differ",
        "8:10: ask: expected a yes/no question that ends with '?'; yes is as it should be",
        "9:19: check: no 'femminine'; did you mean 'feminine'?",
        "10:9: id 'b c': expected letters, digits, '_', '-' and '.', at most 100",
        "11:5: a rule: unknown key 'rul'; did you mean 'rule'?",
        "12:19: never: expected a list that is not empty",
        "13:5: a rule: the key 'code' is there twice (line 12); keep one of them",
        "14:5: the rule has neither 'ask' nor 'code'; expected one of them: ask a judge, or let code decide",
        "16:5: a rule: expected keys and values (id, rule, ask, code, kinds)",
        "17:40: matches: not a regular expression of RE2: missing ): ((a)",
        "18:44: max_words: expected a whole number, 1 or more",
        "19:39: lines: expected the least and the most, as [1, 5]",
        "20:44: any_of: 'x' is there twice",
        "20:47: any_of: expected a text that is not empty",
        "21:43: language: no 'fr'; expected it, en, prompt",
        "22:40: json (true, or a list of keys): expected a list that is not empty",
        "23:33: code: expected one kind and its value, such as {never: [a, b]}; check, never, all_of, "
        "any_of, matches, never_matches, language, max_words, min_words, lines, json, starts_with",
        "24:47: kinds: expected a list that is not empty",
        "25:52: starts_with: expected a list that is not empty",
    ]


def test_all_faults_of_tasks_come_at_once_each_at_its_line_and_column(tmp_path: Path) -> None:
    text = """\
passing: {simple: 6, medium: tre}
needed: {simple: 2, hard: 1}
go: 5
conditional: 7
tasks:
  - id: a
    name: A
    tier: simpel
    lang: it
    prompt: Dove?
    rules:
      - {points: 2, what: x, code: {all_of: [x]}}
      - {points: 2, what: y, code: {all_of: [y]}}
  - id: a
    name: ""
    tier: simple
    lang: it
    prompt: " "
    rule: []
  - id: c
    name: C
    tier: simple
    lang: it
    prompt: Chi?
    rules:
      - {points: 0, what: x, ask: "Va?"}
      - {what: y, ask: "Va?"}
"""
    assert faults(load_task_suite, written(tmp_path, text)) == [
        " 13 faults in the task suite",
        "1:10: passing: simple needs 6 points; a task has 5",
        "1:30: passing.medium: expected a whole number, 1 or more",
        "2:9: needed: 1 of the tier 'hard' must pass; it has 0",
        "3:5: go: 5 tasks must pass; there are 3",
        "4:14: conditional: 7 is more than the 5 of go",
        "6:5: no points are said to pass the tier 'simpel'; did you mean 'simple'?",
        "12:7: the points of the rules add up to 4; expected 5",
        "14:9: id 'a' is taken by line 6; expected ids that differ",
        "15:11: name: expected a text that is not empty",
        "18:13: prompt: expected a text that is not empty",
        "19:5: a task: unknown key 'rule'; did you mean 'rules'?",
        "26:18: points: expected a whole number, 1 or more",
        "27:9: a rule: 'points' is missing",
    ]


def test_a_tier_without_passing_and_a_file_without_numbers_are_faults(tmp_path: Path) -> None:
    text = TASKS.replace("simple: 4", "medium: 3").replace("go: 1\n", "", 1)
    assert faults(load_task_suite, written(tmp_path, text))[1:] == [
        "1:1: the file: 'go' is missing",
        "4:5: no points are said to pass the tier 'simple'; expected medium",
    ]


@pytest.mark.parametrize("name", ["checklist", "tasks"])
@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", " 1 fault in the NAME"),
        (b"rules:\n  - \xe8\n", "2:5: byte 11 is not UTF-8; save the file again as UTF-8"),
        (b"rules: [a\n", "not valid YAML"),
        (b"rules: &a [*a, *b]\n", "not valid YAML"),
        (b"x" * 200_001, "is too large for the NAME"),
        (b"[" * 2_000, "not valid YAML"),
        (b"a: \x07\n", "not valid YAML"),
    ],
    ids=["empty", "not UTF-8", "not closed", "no such anchor", "too large", "too deep", "control character"],
)
def test_what_is_no_yaml_is_told(tmp_path: Path, name: str, data: bytes, told: str) -> None:
    assert (
        told.replace("NAME", {"tasks": "task suite"}.get(name, name))
        in faults(LOADERS[name], written(tmp_path, data))[0]
    )


@pytest.mark.parametrize("name", sorted(LOADERS))
def test_a_missing_file_and_a_folder_are_told(tmp_path: Path, name: str) -> None:
    for path in (tmp_path / "none", tmp_path, Path("a\0b")):
        with pytest.raises(InputError, match="cannot be read"):
            LOADERS[name](path)


def test_aliases_cannot_ask_for_more_than_a_file_may_hold(tmp_path: Path) -> None:
    many = ", ".join(f"t{number}" for number in range(2_000))
    first = f"rules:\n  - {{id: a, rule: A, code: {{never: &many [{many}]}}}}\n"
    text = first + "".join(f"  - {{id: b{n}, rule: B, code: {{never: *many}}}}\n" for n in range(500))
    assert faults(load_checklist, written(tmp_path, text))[1] == (
        "1:1: more than 20,000 values, aliases written out; expected a smaller checklist"
    )


def test_of_very_many_faults_the_rest_is_not_looked_at(tmp_path: Path) -> None:
    told = faults(load_checklist, written(tmp_path, "rules:\n" + "  - {}\n" * 2_000))
    assert told[0] == " 500 faults in the checklist"
    assert (len(told), told[-1]) == (52, "... and 450 more")


def test_a_secret_in_a_fault_is_masked(tmp_path: Path) -> None:
    assert KEY[13:40] not in "\n".join(faults(load_checklist, written(tmp_path, f"rules:\n  - {{'{KEY}': x}}\n")))


PIECES = st.sampled_from(
    ["rules:", "tasks:", "passing: {simple: 4}", "go: 1", "\n", "\n  - ", "    ", "id: a", "rule: x", "code:", "ask: ?",
     "{never: [a]}", "{matches: '('}", "kinds: [", "]", "{", "}", "&a ", "*a", "!!set ", "? ", "|", "- ", "\t", "\0",
     "é", "points: 5", "~", "rules: &r [*r]", '{"id": "a", "prompt": "b", "lang": "it", "kind": "c"}', '"', "\ufeff"]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=25).map("".join)


@pytest.mark.parametrize("name", sorted(LOADERS))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(), TEXTS.map(str.encode)))
@example(b"rules: &r\n  - *r\n")
@example(b"rules: &r {rules: *r}\n")
@example(b"tasks: &t [{id: a, rules: *t}]\npassing: {a: 1}\ngo: 1\nconditional: 1\n")
@example(b"? [a]\n: b\n")
@example(b'{"id": ' + b"9" * 5000 + b"}")
def test_any_bytes_are_a_value_or_an_input_error(tmp_path: Path, name: str, data: bytes) -> None:
    path = written(tmp_path, data)
    try:
        assert LOADERS[name](path) is not None
    except InputError as error:
        assert str(error).startswith(str(path))
