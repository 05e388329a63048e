"""The audit: a suite in YAML, and Great Expectations that really runs it on tables made of a report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.dataset.findings import SEVERITIES
from components.dataset.reports.audit import AuditResult, audit, tables
from components.dataset.reports.suite import COLUMNS, SEVERITY_OF, Suite, load_suite
from components.dataset.rules import RULES
from components.errors import InputError
from tests.dataset.reports import report_of

HEAD = """\
conversations:
  - {type: expect_table_row_count_to_be_between, kwargs: {min_value: 1}, severity: critical}
"""
FILES = """\
files:
  - {type: expect_table_row_count_to_be_between, kwargs: {min_value: 1}, severity: critical}
"""


@pytest.fixture(scope="module")
def default(root: Path) -> Suite:
    return load_suite(root / "recipes" / "suites" / "sharegpt.yaml")


def suite_of(tmp_path: Path, *lines: str) -> Suite:
    path = tmp_path / "suite.yaml"
    path.write_text(HEAD + "".join(f"  - {line}\n" for line in lines) + FILES, encoding="utf-8")
    return load_suite(path)


def failing(result: AuditResult) -> set[tuple[str, str | None]]:
    return {(check.table, check.rule) for check in result.checks if not check.success}


class TestSuite:
    def test_the_default_suite_asserts_every_rule_as_badly_as_the_rule_is_meant(self, default: Suite) -> None:
        asserted = [item for item in default.expectations if item.rule is not None]
        assert {item.rule for item in asserted if item.table == "conversations"} == set(RULES)
        for item in asserted:
            assert item.severity == SEVERITY_OF[RULES[item.rule].severity], item.rule
            assert dict(item.kwargs) == {"column": item.rule, "value_set": [False]}

    def test_the_columns_that_a_suite_may_name_are_those_of_the_tables(self) -> None:
        frames = tables(report_of())
        assert {table: tuple(frame.columns) for table, frame in frames.items()} == dict(COLUMNS)

    @pytest.mark.parametrize(
        ("line", "says"),
        [
            ("{type: expect_column_values_to_be_in_sett, kwargs: {}, severity: info}",
             ":3:12: type: 'expect_column_values_to_be_in_sett' is not among the kinds of a suite; did you mean "
             "'expect_column_values_to_be_in_set'?"),
            ("{type: expect_column_values_to_be_in_set, kwargs: {column: Z9, value_set: [false]}, severity: info}",
             ":3:64: kwargs.column: the table of conversations has no column 'Z9'"),
            ("{type: expect_column_values_to_be_in_set, kwargs: {column: B6, value_set: [false]}, severity: critical, "
             "meta: {rule: B99}}", ":3:122: meta.rule: 'B99' is no rule of the check"),
            ("{type: expect_column_values_to_be_in_set, kwargs: {column: B6, value_set: [false]}, severity: critical}",
             ":3:5: meta.rule: the column is B6, so the rule is B6 too"),
            ("{type: expect_column_values_to_be_in_set, kwargs: {column: B6, value_set: [false]}, severity: error, "
             "meta: {rule: B6}}", ":3:99: severity: expected critical, warning or info, found 'error'"),
            ("{type: expect_column_values_to_be_between, kwargs: {column: tokens, max: 9}, severity: info}",
             ":3:73: kwargs: unknown key 'max'"),
            ("{type: expect_column_values_to_be_between, kwargs: {column: tokens}, severity: info}",
             ":3:56: kwargs: expect_column_values_to_be_between needs min_value, max_value or both"),
            ("{type: expect_column_values_to_not_be_null, kwargs: {column: tokens, mostly: 1.2}, severity: info}",
             ":3:82: kwargs.mostly: expected a number from 0 to 1"),
            ("{type: expect_column_values_to_be_in_set, kwargs: {column: stage, value_set: [[a]]}, severity: info}",
             ":3:83: expected text, a number, true, false or null"),
            ("{type: expect_column_values_to_not_be_null, kwargs: {column: id}, severity: info, severity: info}",
             ":3:87: an expectation: the key 'severity' is there twice"),
            ("just text", ":3:5: an expectation: expected key: value"),
        ],
        ids=["type", "column", "rule", "rule-missing", "severity", "kwarg", "no-bound", "mostly", "value", "twice",
             "no-mapping"],
    )  # fmt: skip
    def test_a_fault_is_told_with_its_place(self, tmp_path: Path, line: str, says: str) -> None:
        with pytest.raises(InputError) as error:
            suite_of(tmp_path, line)
        assert f"suite.yaml{says}" in str(error.value)

    def test_all_faults_are_told_at_once(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="3 faults in") as error:
            suite_of(tmp_path, "{type: x, kwargs: {}, severity: no}", "7")
        assert len(str(error.value).splitlines()) == 4

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("conversations: []\nfiles: []\n", "nothing says how many rows there must be"),
            ("", "the suite: expected key: value"),
            ("files: [\n", "not valid YAML"),
            (HEAD, "no list 'files'"),
            ("a: &a [*a]\n", "not valid YAML|unknown key 'a'"),
        ],
        ids=["no-row-count", "empty", "broken", "no-files", "endless"],
    )
    def test_a_suite_that_asserts_nothing_is_none(self, tmp_path: Path, text: str, says: str) -> None:
        path = tmp_path / "suite.yaml"
        path.write_text(text)
        with pytest.raises(InputError, match=says):
            load_suite(path)

    def test_a_suite_that_cannot_be_read(self, tmp_path: Path) -> None:
        for path in (tmp_path, tmp_path / "none.yaml"):
            with pytest.raises(InputError, match="the suite cannot be read"):
                load_suite(path)
        (tmp_path / "latin.yaml").write_bytes(b"name: perch\xe9\n")
        with pytest.raises(InputError, match="byte 11 is not UTF-8"):
            load_suite(tmp_path / "latin.yaml")

    @given(text=st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
    def test_any_text_is_a_suite_or_an_error_for_people(self, tmp_path_factory, text: str) -> None:
        path = tmp_path_factory.getbasetemp() / "any.yaml"
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        with pytest.raises(InputError):
            load_suite(path)


class TestTables:
    def test_a_rule_is_broken_where_a_finding_says_so(self) -> None:
        frame = tables(report_of([("B6", 2), ("C5", 2), ("C5", 2), ("C2", 7)]))["conversations"]
        assert frame.index[frame["B6"]].tolist() == [2]
        assert frame.index[frame["C5"]].tolist() == [2]
        assert frame.index[frame["C2"]].tolist() == [7]
        assert frame[list(RULES)].to_numpy().sum() == 3

    def test_a_doubtful_finding_does_not_break_the_rule(self) -> None:
        frame = tables(report_of([("B13", 1, {"severity": "warning"}), ("B13", 2)]))["conversations"]
        assert frame.index[frame["B13"]].tolist() == [2]
        assert frame.index[frame["softened"] == "warning"].tolist() == [1]

    def test_findings_that_are_counted_only_are_believed(self) -> None:
        rows = {4: {"rules": ("C5",)}}
        assert tables(report_of(rows=rows, more={("C5", "error"): 1}))["conversations"].at[4, "C5"]
        mild = tables(report_of(rows=rows, more={("C5", "warning"): 1}))["conversations"]
        assert not mild.at[4, "C5"]
        assert mild.at[4, "softened"] == "info"

    def test_a_finding_about_a_file_is_in_the_table_of_files(self) -> None:
        report = report_of([("A5", None, {"file": "b.jsonl"}), ("E5", None)], files=("a.jsonl", "b.jsonl"))
        frame = tables(report)["files"]
        assert frame.loc[frame["A5"], "file"].tolist() == ["b.jsonl"]
        assert frame.loc[frame["E5"], "file"].tolist() == ["a.jsonl"]

    def test_the_severity_of_the_recipe_is_the_measure(self) -> None:
        report = report_of([("C5", 1, {"severity": "warning"})], settings={"severities": {"C5": "warning"}})
        assert tables(report)["conversations"].at[1, "C5"]


class TestAudit:
    def test_a_clean_report_is_as_expected(self, default: Suite) -> None:
        result = audit(report_of(), suite=default)
        assert failing(result) == set()
        assert result.worst() is None
        assert not result.fails("info")
        assert result.markdown().endswith("expectations of suite `sharegpt` are met.")

    def test_no_rows_are_not_as_expected(self, default: Suite) -> None:
        result = audit(report_of(conversations=0), suite=default)
        assert result.worst() == "error"
        assert failing(result) == {("conversations", None), ("files", None)}
        assert audit(report_of(conversations=0, files=()), suite=default).worst() == "error"

    @pytest.mark.parametrize("rule", ["A4", "E1", "E5"])
    def test_the_verdict_is_that_of_the_findings(self, default: Suite, rule: str) -> None:
        report = report_of([(rule, 3), (rule, None)])
        result = audit(report, suite=default)
        every_error = {("files", None)} if rule == "A4" else set()
        assert failing(result) == {("conversations", rule), ("files", rule)} | every_error
        assert result.worst() == report.worst() == RULES[rule].severity
        for severity in SEVERITIES:
            assert result.fails(severity) == report.fails(severity)
        document = result.documents["conversations"]
        assert not document["success"], "also for a remark: so it is not what decides"

    def test_a_check_says_where_and_how_often(self, default: Suite) -> None:
        result = audit(report_of([("C5", number) for number in range(3, 10)]), suite=default)
        (check,) = [check for check in result.checks if not check.success]
        assert (check.rule, check.severity, check.failed, check.rows) == ("C5", "critical", 7, 10)
        assert check.places == tuple(f"train.jsonl:{line}" for line in range(4, 9))
        assert "| critical | C5 | no control-token | 7 of 10 conversations | train.jsonl:4," in result.markdown()

    def test_an_error_of_a_file_fails_whatever_its_rule(self, default: Suite) -> None:
        result = audit(report_of([("D7", None)]), suite=default)
        assert failing(result) == {("files", None)}
        assert result.worst() == "error"

    def test_a_check_that_crashes_has_failed(self, tmp_path: Path) -> None:
        line = "{type: expect_column_mean_to_be_between, kwargs: {column: stage, max_value: 3}, severity: warning}"
        result = audit(report_of(), suite=suite_of(tmp_path, line))
        (check,) = [check for check in result.checks if not check.success]
        assert check.crashed
        assert result.worst() == "warning"
        assert "check crashed: " in result.markdown()

    @pytest.mark.parametrize(
        ("line", "met"),
        [
            ("{type: expect_column_values_to_be_in_set, severity: warning, meta: {rule: C2}, "
             "kwargs: {column: C2, value_set: [false], mostly: 0.8}}", True),
            ("{type: expect_column_values_to_be_in_set, severity: warning, meta: {rule: C2}, "
             "kwargs: {column: C2, value_set: [false], mostly: 0.95}}", False),
            ("{type: expect_column_values_to_be_between, severity: warning, "
             "kwargs: {column: tokens, max_value: 108}}", False),
            ("{type: expect_column_median_to_be_between, severity: warning, "
             "kwargs: {column: tokens, min_value: 104, max_value: 105}}", True),
            ("{type: expect_column_mean_to_be_between, severity: warning, "
             "kwargs: {column: trainable, min_value: 41}}", False),
            ("{type: expect_column_sum_to_be_between, severity: warning, "
             "kwargs: {column: turns, min_value: 40, max_value: 40}}", True),
            ("{type: expect_column_distinct_values_to_contain_set, severity: warning, "
             "kwargs: {column: stage, value_set: [foundation, expansion]}}", False),
            ("{type: expect_column_unique_value_count_to_be_between, severity: warning, "
             "kwargs: {column: language, max_value: 1}}", True),
            ("{type: expect_column_values_to_not_be_null, severity: warning, kwargs: {column: tokens}}", False),
            ("{type: expect_column_values_to_not_be_in_set, severity: warning, "
             "kwargs: {column: language, value_set: [en]}}", True),
        ],
        ids=["mostly", "mostly-not", "between", "median", "mean", "sum", "set", "unique", "null", "not-in"],
    )  # fmt: skip
    def test_every_kind_of_expectation_really_runs(self, tmp_path: Path, line: str, met: bool) -> None:
        report = report_of([("C2", 9)], rows={0: {"tokens": None}})
        result = audit(report, suite=suite_of(tmp_path, line))
        assert [check.crashed for check in result.checks] == [None] * 3
        assert (result.worst() is None) == met
        for check in result.checks:
            assert len(check.places) == (check.failed or 0)

    def test_a_severity_of_the_recipe_goes_before_that_of_the_suite(self, default: Suite) -> None:
        report = report_of([("C2", 9, {"severity": "error"})], settings={"severities": {"C2": "error"}})
        assert audit(report, suite=default).worst() == "error"

    def test_the_same_report_gives_the_same_bytes(self, default: Suite) -> None:
        report = report_of([("B6", 3), ("C2", 4)])
        first, second = (json.dumps(audit(report, suite=default).to_dict()) for _ in range(2))
        assert first == second
        assert json.loads(first)["great_expectations"]["conversations"]["statistics"]["evaluated_expectations"] > 50

    def test_a_cell_cannot_leave_its_table(self, default: Suite) -> None:
        result = audit(report_of([("B6", 1)], files=("a|b\n# c.jsonl",)), suite=default)
        assert "a\\|b \\# c.jsonl:2" in result.markdown()
