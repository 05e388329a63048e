"""Prompts, checklist and tasks: every fault at once at its place; what is asked of whom; what the points amount to."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from string import ascii_letters, digits
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from components.errors import InputError
from components.evaluate.checks import Check
from components.evaluate.judged import Judged, Verdict
from components.evaluate.said import Item, Said
from components.evaluate.suite import (
    Checklist,
    CodeRule,
    Rule,
    Task,
    TaskRule,
    TaskSuite,
    choose_items,
    code_verdicts,
    judge_questions,
    load_checklist,
    load_prompts,
    load_task_suite,
    suite_result,
)

PROMPT = {"id": "a", "prompt": "Come stai?", "lang": "it", "kind": "tone"}
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
KEY = "sk-ant-" + "api03-" + "".join(random.Random(1).choices(ascii_letters + digits, k=93)) + "AA"
LOADERS: dict[str, Callable[[Path], Any]] = {
    "prompts": load_prompts,
    "checklist": load_checklist,
    "tasks": load_task_suite,
}


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "file"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def faults(load: Callable[[Path], Any], path: Path) -> list[str]:
    with pytest.raises(InputError) as raised:
        load(path)
    return str(raised.value).replace(f"{path}:", "").replace(str(path), "FILE").splitlines()


# Prompts


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


# Checklist and tasks


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


# Who is asked what


PERSONALITY = Item("personality", "p1", "Come stai?", "it", "tone")
OTHER = Item("personality", "p2", "Chi sei?", "it", "identity")
TASK = Item("task", "path", "Dov'è la nota?", "it", "path resolution", tier="simple")
RULES = Checklist(
    rules=(
        Rule("femminile", "Parlo al femminile.", code=CodeRule("check", "feminine")),
        Rule("grida", "Non grido.", code=CodeRule("never", ("!!",)), kinds=("tone",)),
        Rule("adulo", "Mai adulo.", ask="Evita di adulare?", kinds=("tone",)),
    ),
    digest="",
)
ONE_TASK = TaskSuite(
    tasks=(
        Task(
            TASK,
            (
                TaskRule(2, "dice dove", code=CodeRule("all_of", ("nota.md",))),
                TaskRule(1, "in italiano", code=CodeRule("language", "it")),
                TaskRule(2, "è breve", ask="È breve?"),
            ),
        ),
    ),
    passing={"simple": 4},
    needed={"simple": 1},
    go=1,
    conditional=1,
)


def by_code(*said: Said, checklist: Checklist | None = RULES) -> list[tuple[str, str, Verdict | None, str]]:
    found = code_verdicts(said, contestant="candidate", checklist=checklist, tasks=ONE_TASK)
    assert all(one.by == "code" and one.verdicts == (one.verdict,) for one in found)
    return [(one.item, one.question, one.verdict, one.rationale) for one in found]


def test_code_decides_the_rules_of_a_kind_and_what_does_not_apply_gets_no_verdict() -> None:
    checked = Said(item=PERSONALITY, text="Eccomi!!", checks=(Check("feminine", True),))
    assert by_code(checked, Said(item=OTHER, text="Cervella!!")) == [
        ("personality/p1", "rule:femminile", "yes", "the check feminine passed"),
        ("personality/p1", "rule:grida", "no", "says '!!'"),
    ]


def test_a_task_keeps_all_its_points_so_what_code_cannot_tell_is_undecided() -> None:
    assert by_code(Said(item=TASK, text="`nota.md`")) == [
        ("task/path", "task:0", "yes", "says all of them"),
        ("task/path", "task:1", None, "the language cannot be told"),
    ]
    assert by_code(Said(item=TASK, text=" \n")) == [
        ("task/path", "task:0", "no", "the answer is empty"),
        ("task/path", "task:1", "no", "the answer is empty"),
    ]


def test_an_error_is_no_answer() -> None:
    failed = [Said(item=item, error="time-out") for item in (PERSONALITY, TASK)]
    assert by_code(*failed) == []
    assert judge_questions(failed, contestant="candidate", checklist=RULES, tasks=ONE_TASK) == []


def test_a_secret_that_was_seen_is_masked_in_the_verdict() -> None:
    rules = Checklist((Rule("segreti", "Niente segreti.", code=CodeRule("never_matches", "sk-")),), "")
    ((_, _, verdict, why),) = by_code(Said(item=OTHER, text=f"La chiave è {KEY}"), checklist=rules)
    assert verdict == "no" and KEY[13:40] not in why


def test_the_judge_is_asked_how_it_sounds_and_the_rules_that_code_cannot_decide() -> None:
    said = [Said(item=item, text=f"a {item.id}") for item in (PERSONALITY, OTHER, TASK)]
    asked = judge_questions(said, contestant="champion", checklist=RULES, tasks=ONE_TASK)
    assert [(one.item.key, one.question, one.ask, one.standard, one.text) for one in asked] == [
        ("personality/p1", "sounds", "Suona come Cervella?",
         "Voce, modi e valori della risposta sono quelli di Cervella.", "a p1"),
        ("personality/p1", "rule:adulo", "Evita di adulare?", "Mai adulo.", "a p1"),
        ("personality/p2", "sounds", "Suona come Cervella?",
         "Voce, modi e valori della risposta sono quelli di Cervella.", "a p2"),
        ("task/path", "task:2", "È breve?", "è breve", "a path"),
    ]  # fmt: skip
    assert {one.contestant for one in asked} == {"champion"}
    assert judge_questions(said[2:], contestant="control", checklist=RULES, tasks=None) == []
    (other, *_) = judge_questions(said[1:], contestant="control", checklist=None, tasks=None, name="Minerva")
    assert other.ask == "Suona come Minerva?"


# What the points amount to


def judged(question: int, verdict: Verdict | None, *, by: Any = "judge", contestant: Any = "candidate") -> Judged:
    return Judged(contestant, "task/path", f"task:{question}", by, (verdict,), verdict, rationale="so")


def row(*verdicts: Judged, trusted: bool = True, failed: tuple[str, ...] = ()) -> tuple[list[int], bool | None, str]:
    result = suite_result(verdicts, ONE_TASK, trusted=trusted, failed=failed)
    (task,) = result["tasks"]
    return task["points"], task["passed"], result["verdict"]


def test_points_are_a_range_until_every_verdict_is_there() -> None:
    yes, second, judge = judged(0, "yes", by="code"), judged(1, "yes", by="code"), judged(2, "yes")
    assert row() == ([0, 5], None, "UNDECIDED")
    assert row(yes, second) == ([3, 5], None, "UNDECIDED")
    assert row(yes, second, judge) == ([5, 5], True, "GO")
    assert row(yes, second, judge, trusted=False) == ([3, 5], None, "UNDECIDED")
    assert row(yes, second, judged(2, None)) == ([3, 5], None, "UNDECIDED")
    assert row(yes, second, judged(2, "no")) == ([3, 3], False, "NO-GO")
    assert row(judged(0, "no", by="code")) == ([0, 3], False, "NO-GO")
    assert row(yes, judged(1, None, by="code"), judge) == ([4, 5], True, "GO")


def test_a_failed_answer_is_undecided_and_never_nothing() -> None:
    assert row(judged(0, "no", by="code"), failed=("path",)) == ([0, 5], None, "UNDECIDED")


def test_other_contestants_earn_nothing_for_the_candidate() -> None:
    assert row(judged(0, "no", by="code", contestant="champion")) == ([0, 5], None, "UNDECIDED")


def test_the_result_is_json_and_says_what_each_rule_earned() -> None:
    result = suite_result([judged(0, "yes", by="code")], ONE_TASK, trusted=True)
    assert json.loads(json.dumps(result)) == result
    assert result["tiers"] == {"simple": {"passed": [0, 1], "of": 1, "passing": 4, "needed": 1}}
    assert result["tasks"][0]["rules"][0] == {
        "what": "dice dove", "points": 2, "by": "code", "verdict": "yes", "why": "so"
    }  # fmt: skip
    assert result["tasks"][0]["rules"][2]["verdict"] is None


def graded(passed: dict[str, list[bool | None]], *, needed: dict[str, int], go: int, conditional: int) -> str:
    tasks, verdicts = [], []
    for tier, outcomes in passed.items():
        for number, outcome in enumerate(outcomes):
            item = Item("task", f"{tier}{number}", "?", "it", "x", tier=tier)
            tasks.append(Task(item, (TaskRule(5, "x", ask="?"),)))
            if outcome is not None:
                said: Verdict = "yes" if outcome else "no"
                verdicts.append(Judged("candidate", item.key, "task:0", "judge", (said,), said))
    suite = TaskSuite(tuple(tasks), passing=dict.fromkeys(passed, 5), needed=needed, go=go, conditional=conditional)
    return str(suite_result(verdicts, suite, trusted=True)["verdict"])


@pytest.mark.parametrize(
    ("simple", "medium", "verdict"),
    [
        ([True] * 4, [True] * 2, "GO"),
        ([True] * 4, [True, None], "GO"),
        ([True] * 4, [False] * 2, "CONDITIONAL"),
        ([True] * 2 + [False] * 2, [True] * 2, "CONDITIONAL"),
        ([True] * 3 + [None], [False] * 2, "CONDITIONAL"),
        ([True] * 2 + [False] * 2, [False] * 2, "NO-GO"),
        ([True] * 2 + [False, None], [False] * 2, "UNDECIDED"),
        ([True] * 3 + [False], [True, None], "CONDITIONAL"),
        ([True] * 3 + [None], [True] * 2, "UNDECIDED"),
        ([None] * 4, [None] * 2, "UNDECIDED"),
    ],
    ids=["all", "one may fail", "simple tasks only", "too few simple ones", "one could not help", "too few",
         "enough if it passed", "a tier that cannot be reached", "GO if it passed", "nothing is known"],
)  # fmt: skip
def test_the_verdict_is_what_both_ends_say(simple: list[bool | None], medium: list[bool | None], verdict: str) -> None:
    numbers = {"needed": {"simple": 4}, "go": 5, "conditional": 3}
    assert graded({"simple": simple, "medium": medium}, **numbers) == verdict  # type: ignore[arg-type]


@given(st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=6), st.data())
def test_what_is_decided_stays_so_whatever_the_missing_verdicts_say(outcomes: list[bool | None], data: Any) -> None:
    numbers = {"needed": {"simple": 2}, "go": 4, "conditional": 2}
    before = graded({"simple": outcomes}, **numbers)  # type: ignore[arg-type]
    complete = [data.draw(st.booleans()) if outcome is None else outcome for outcome in outcomes]
    after = graded({"simple": list(complete)}, **numbers)  # type: ignore[arg-type]
    assert after in {"GO", "CONDITIONAL", "NO-GO"}
    assert before in {after, "UNDECIDED"}
