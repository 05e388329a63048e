"""The whole check: planted faults, real files, any JSON, what is counted beyond what is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.planted import FAULTS, Fault, clean_rows, planted
from components.dataset import report as reports
from components.dataset.check import check_files
from components.dataset.findings import SEVERITIES
from components.dataset.report import Report
from components.dataset.rules import RULES
from components.errors import InputError
from components.evaluate import Question


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8")
    return path


def places(report: Report, rule: str) -> list[tuple[int | None, int | None]]:
    """(conversation, turn) of each finding of a rule."""
    return [(one.conversation, one.turn) for one in report.findings if one.rule == rule]


def errors(report: Report) -> list[str]:
    return [
        f"{one.conversation}:{one.turn} {one.rule} {one.message}" for one in report.findings if one.severity == "error"
    ]


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("clean") / "clean.jsonl", list(clean_rows(540)))


def test_nothing_is_found_in_clean_conversations(clean: Path) -> None:
    report = check_files([clean], severities={"E7": "off"})
    assert (report.worst(), len(report.rows), report.findings) == (None, 540, [])
    assert not any(row.rules for row in report.rows)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_each_planted_fault_is_found_at_its_line(fault: Fault, tmp_path: Path) -> None:
    text, line = planted(fault, among=40, at=20)
    path = tmp_path / "planted.jsonl"
    path.write_text(text, encoding="utf-8")
    report = check_files([path])
    at_line = [one for one in report.findings if one.line == line]
    assert set(fault.rules) & {one.rule for one in at_line}
    assert {one.line for one in report.findings if one.conversation is not None} == {line}
    severe = RULES[fault.rules[0]].severity
    assert any(one.rule in fault.rules and one.severity == severe for one in at_line)


@pytest.fixture(scope="module")
def glaive(shared: Path) -> Report:
    return check_files([shared / "data" / "sharegpt" / "glaive_toolcall_en_demo.json"])


class TestRealFiles:
    def test_well_formed_tool_calls_have_no_error_but_the_one_row_that_is_too_long(self, glaive: Report) -> None:
        assert len(glaive.rows) == 300
        assert {(one.conversation, one.rule) for one in glaive.findings if one.severity == "error"} == {
            (243, "D2"), (243, "D4"),
        }  # fmt: skip

    def test_its_quirks_are_at_their_rows(self, glaive: Report) -> None:
        assert places(glaive, "C7") == [(243, 1)]
        assert len(places(glaive, "E1")) == 38
        assert len({one.conversation for one in glaive.findings if one.rule in ("E1", "E2")}) == 52
        assert places(glaive, "F2")

    def test_turns_and_roles_are_counted(self, glaive: Report) -> None:
        roles = glaive.statistics["roles"]
        assert roles == {"human": 746, "gpt": 746, "function_call": 211, "observation": 211}

    def test_an_empty_answer_is_found_and_its_twin_is_clean(self, shared: Path) -> None:
        folder = shared / "data" / "sharegpt"
        missing = check_files([folder / "conversation.missingturns.json"])
        assert errors(missing) == ["0:1 C1 the text is empty"]
        twin = check_files([folder / "conversation.json"])
        assert twin.worst() in (None, "info")

    def test_alpaca_is_one_warning_and_its_placeholders(self, shared: Path) -> None:
        report = check_files([shared / "data" / "sharegpt" / "identity_alpaca.json"])
        assert (report.files[0].format, len(report.rows)) == ("alpaca", 91)
        assert len(places(report, "A6")) == 1
        assert len(places(report, "C9")) >= 80
        assert errors(report) == []


def test_files_are_one_corpus(tmp_path: Path) -> None:
    rows = list(clean_rows(6))
    one, other = write(tmp_path / "one.jsonl", rows[:4]), write(tmp_path / "other.jsonl", rows[3:])
    report = check_files([one, other])
    [double] = [found for found in report.findings if found.rule == "E1"]
    assert (double.file, double.line) == (str(other), 1)
    assert f"{one}" in double.message and "4" in double.message
    with pytest.raises(InputError, match="named twice"):
        check_files([one, one])


def test_no_example_may_hold_what_is_held_out(tmp_path: Path) -> None:
    rows = list(clean_rows(8))
    train, held = write(tmp_path / "train.jsonl", rows[:5]), write(tmp_path / "held.jsonl", [rows[2]])
    asked = rows[0]["conversations"][0]["value"]
    golden = Question(id="q1", question=asked.upper(), lang="it", kind="fact", gold=())
    report = check_files([train], held_out=[held], golden=[golden])
    assert sorted({place[0] for place in places(report, "E4")}) == [0, 2]
    assert report.worst() == "error"


def test_severities_are_the_recipes_and_findings_beyond_the_bound_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"conversations": [{"from": "human", "value": f"Domanda {n}?"}, {"from": "gpt", "value": ""}]}
            for n in range(9)]  # fmt: skip
    path = write(tmp_path / "empty.jsonl", rows)
    monkeypatch.setattr("components.dataset.check.MOST_OF_A_RULE", 4)
    report = check_files([path], severities={"C1": "warning", "D4": "off"})
    assert report.counts["C1", "warning"] == 9
    assert len(places(report, "C1")) == 4
    assert report.summary()["counted_only"]["C1"] == 5
    assert not places(report, "D4")


def test_an_empty_file_is_no_clean_bill(tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.touch()
    report = check_files([path])
    assert report.worst() == "error" and report.rows == []


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
    | st.sampled_from(["human", "gpt", "function_call", "observation", "system", "<|im_end|>", "```", "{}"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(
        st.sampled_from(["conversations", "messages", "from", "value", "role", "content", "tools", "system", "id",
                         "instruction", "output", "name", "arguments", "provenance", "stage", "train", "images"])
        | st.text(max_size=5),
        inner, max_size=5,
    ),
    max_leaves=25,
)  # fmt: skip


@given(values=st.lists(ANY_JSON, min_size=1, max_size=4))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_any_json_ends_in_findings_or_a_clean_bill(values: list[Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("any") / "any.jsonl"
    values = [*clean_rows(1), *values]  # the first line says that it is JSONL
    path.write_text("".join(f"{json.dumps(value)}\n" for value in values), encoding="utf-8")
    report = check_files([path], known_notes={})
    assert len(report.rows) == len(values)
    assert {one.severity for one in report.findings} <= set(SEVERITIES)
    assert json.loads(json.dumps(report.to_dict()))["summary"]["conversations"] == len(values)
    for row in report.rows:
        assert list(row.rules) == sorted(row.rules, key=list(RULES).index)


@given(data=st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_bytes_end_in_findings_or_a_clean_bill(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("bytes") / "any.json"
    path.write_bytes(data)
    report = check_files([path])
    assert report.findings or report.rows


def test_the_report_has_the_version_that_baselines_ask_for(clean: Path) -> None:
    assert check_files([clean]).to_dict()["version"] == reports.REPORT_VERSION


WEATHER = {
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                   "required": ["city"]},
}  # fmt: skip
CALL = json.dumps({"name": "get_weather", "arguments": {"city": "Torino"}})
ASKED, SAID = "Che tempo fa a Torino, per favore?", "A Torino ci sono nove gradi: conviene portare il cappotto."
TOOLS = json.dumps([WEATHER])


def turns(*said: tuple[str, str]) -> list[dict[str, str]]:
    return [{"from": role, "value": value} for role, value in said]


WELL_FORMED = {
    "chinese": {
        "conversations": turns(("human", "请问北京的天气怎么样?"), ("function_call", CALL),
                               ("observation", "{\"晴\": true}"), ("gpt", "北京今天晴,气温十二度,请带外套。")),
        "tools": TOOLS,
    },
    "parallel-calls": {
        "conversations": turns(("human", ASKED), ("function_call", f"[{CALL}, {CALL}]"), ("observation", "[9, 9]"),
                               ("gpt", SAID)), "tools": json.dumps([{"type": "function", "function": WEATHER}]),
    },
    "reasoning-before-a-call": {
        "conversations": turns(("human", ASKED), ("function_call", f"<think>\nServe il meteo.\n</think>\n\n{CALL}"),
                               ("observation", "9"), ("gpt", f"<think>\nFreddo.\n</think>\n\n{SAID}")), "tools": TOOLS,
    },
    "a-tool-that-says-nothing": {
        "conversations": turns(("human", ASKED), ("function_call", CALL), ("observation", ""), ("gpt", SAID)),
        "tools": TOOLS,
    },
    "ends-with-the-call": {"conversations": turns(("human", ASKED), ("function_call", CALL)), "tools": TOOLS},
    "hermes": {
        "conversations": turns(
            ("system", f"You may call functions. <tools>{json.dumps(WEATHER)}</tools>"), ("human", ASKED),
            ("gpt", f"<tool_call>\n{CALL}\n</tool_call>"), ("tool", "<tool_response>\n{\"t\": 9}\n</tool_response>"),
            ("gpt", SAID),
        )
    },
    "roles-with-dashes": {
        "conversations": turns(("human", ASKED), ("function-call", CALL), ("function-response", "{\"t\": 9}"),
                               ("gpt", SAID)),
    },
    "tool-calls-as-text": {
        "conversations": turns(("user", ASKED), ("assistant", "[get_weather(city=\"Torino\")]"), ("tool", "[9]"),
                               ("assistant", SAID)), "system": "You compose functions.",
    },
    "openai": {
        "messages": [
            {"role": "user", "content": ASKED},
            {"role": "assistant", "content": None, "tool_calls": [
                {"id": "c", "type": "function",
                 "function": {"name": "get_weather", "arguments": "{\"city\": \"Torino\"}"}},
            ]},
            {"role": "tool", "tool_call_id": "c", "content": "{\"t\": 9}"}, {"role": "assistant", "content": SAID},
        ],
        "tools": [{"type": "function", "function": WEATHER}],
    },
}  # fmt: skip


@pytest.mark.parametrize("row", WELL_FORMED.values(), ids=WELL_FORMED)
def test_well_formed_tool_calls_of_any_dialect_have_no_error(row: dict[str, Any], tmp_path: Path) -> None:
    report = check_files([write(tmp_path / "rows.jsonl", [row])])
    assert errors(report) == []
    assert report.rows[0].trainable
