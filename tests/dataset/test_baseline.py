"""What got worse since an earlier report: what fails, what is only told, and what cannot be compared."""

from __future__ import annotations

import json
import random
from fractions import Fraction
from math import comb
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.dataset.report import Report
from components.dataset.reports.baseline import CHANCE, Comparison, _at_least, compare, read_baseline
from components.dataset.reports.drift import index_by_chance, stability_index, variation
from components.dataset.rules import RULES
from components.errors import InputError
from tests.dataset.reports import report_of


def compared(tmp_path: Path, before: Report, after: Report, **changed: Any) -> Comparison:
    path = tmp_path / "approved.json"
    path.write_text(json.dumps({**before.to_dict(), **changed}), encoding="utf-8")
    return compare(read_baseline(path), after)


def broken(rule: str, count: int, conversations: int = 200, **more: Any) -> Report:
    return report_of([(rule, number) for number in range(count)], conversations=conversations, **more)


def test_the_same_report_is_not_worse(tmp_path: Path) -> None:
    report = report_of([("B6", 1), ("C2", 2), ("E5", None)])
    found = compared(tmp_path, report, report)
    assert not found.worse
    assert (found.worsened, found.improved, found.drift, found.notes) == ((), (), (), ())
    assert found.text() == f"Not worse than the baseline {tmp_path}/approved.json"


@pytest.mark.parametrize(
    ("rule", "before", "after", "worse"),
    [
        ("B6", (0, 200), (1, 200), True),
        ("B6", (3, 200), (4, 400), True),
        ("B6", (3, 200), (3, 200), False),
        ("B6", (3, 200), (2, 200), False),
        ("B6", (10, 1000), (9, 100), True),
        ("C10", (0, 200), (1, 200), False),
        ("C10", (0, 200), (5, 200), True),
        ("C10", (20, 200), (24, 200), False),
        ("C10", (20, 200), (40, 200), True),
        ("C10", (20, 200), (40, 400), False),
        ("C10", (20, 200), (20, 100), True),
        ("C10", (0, 20_000), (60, 20_000), False),
        ("E5", (0, 200), (150, 200), False),
    ],
    ids=["error-new", "error-more-in-more", "error-same", "error-less", "error-rate", "warning-one", "warning-new",
         "warning-noise", "warning-doubled", "warning-same-rate", "warning-rate", "warning-too-few-to-matter",
         "remark"],
)  # fmt: skip
def test_what_is_worse(
    tmp_path: Path, rule: str, before: tuple[int, int], after: tuple[int, int], worse: bool
) -> None:  # fmt: skip
    found = compared(tmp_path, broken(rule, *before), broken(rule, *after))
    assert found.worse == worse
    assert [change.rule for change in found.worsened] == [rule] * worse


def test_it_is_told_in_words_the_worst_first(tmp_path: Path) -> None:
    before = report_of([("C10", 1), ("F1", 3)], conversations=50)
    after = report_of([("C10", number) for number in range(20)] + [("B6", 1)], conversations=50)
    assert compared(tmp_path, before, after).text().splitlines() == [
        f"Worse than the baseline {tmp_path}/approved.json",
        "  error B6 role: 1, before 0 (2 in 100 conversations, before 0)",
        "  warning C10 refusal: 20, before 1 (40 in 100 conversations, before 2)",
        "Better:",
        "  error F1 secret: 0, before 1 (0 in 100 conversations, before 2)",
    ]


def test_no_conversation_any_more_is_worse(tmp_path: Path) -> None:
    found = compared(tmp_path, report_of([("C2", 1)]), report_of(conversations=0))
    assert found.worse
    assert "there is no conversation any more" in found.text()


def test_what_the_baseline_did_not_check_is_told_and_does_not_fail(tmp_path: Path) -> None:
    rules = [rule for rule in RULES if rule != "B6"]
    found = compared(tmp_path, report_of(), report_of([("B6", 1)]), checked_rules=rules)
    assert not found.worse
    assert found.notes == ("not compared, because the baseline did not check it: B6 (1 finding now)",)


def test_other_settings_are_told(tmp_path: Path) -> None:
    found = compared(tmp_path, report_of(), report_of(settings={"max_tokens": 4096}))
    assert found.notes == ("the setting `max_tokens` was 2048 and is 4096: what it decides cannot be compared",)


def test_a_comparison_is_json(tmp_path: Path) -> None:
    rows = {number: {"language": "en"} for number in range(150)}
    found = compared(tmp_path, broken("C2", 0), broken("C2", 90, rows=rows))
    told = json.loads(json.dumps(found.to_dict()))
    assert told["worse"] is True
    assert (told["worsened"][0]["rule"], told["worsened"][0]["after"]) == ("C2", 90)
    assert told["drift"][0]["name"] == "languages"


class TestBaselineFile:
    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("", "is not JSON"), ("{", "is not JSON"), ("[1]", "is no report of a check"), ("null", "is no report"),
            ('{"summary": {}}', "has format version null, and 1 is expected"),
            ('{"version": 2, "summary": {}}', "has format version 2, and 1 is expected"),
            ('{"version": true, "summary": {}}', "has format version true"),
            ('{"version": 1, "summary": {}}', "is damaged at 'conversations'"),
            ("[" * 100_000, "is not JSON"),
        ],
        ids=["empty", "cut", "list", "null", "no-version", "newer", "true", "hollow", "deep"],
    )  # fmt: skip
    def test_what_is_none_is_refused(self, tmp_path: Path, text: str, says: str) -> None:
        path = tmp_path / "approved.json"
        path.write_text(text)
        with pytest.raises(InputError, match=says):
            read_baseline(path)

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        for path in (tmp_path, tmp_path / "none.json"):
            with pytest.raises(InputError, match="the baseline cannot be read"):
                read_baseline(path)

    def test_an_empty_one_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no conversation, so nothing can be compared"):
            compared(tmp_path, report_of(conversations=0), report_of())

    @given(data=st.data())
    def test_a_damaged_one_is_refused_or_read(self, tmp_path_factory, data: st.DataObject) -> None:
        whole = report_of([("B6", 1), ("C2", 2)]).to_dict()
        junk = st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=3), lambda one: st.lists(one, max_size=2)
        )
        place: Any = whole
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = data.draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans()):
                place = place[key]
                continue
            place[key] = data.draw(junk)
            break
        path = tmp_path_factory.getbasetemp() / "damaged.json"
        path.write_text(json.dumps(whole))
        try:
            found = compare(read_baseline(path), report_of([("B6", 1), ("C2", 2)]))
        except InputError:
            return
        json.dumps(found.to_dict())
        found.text()


class TestChance:
    @given(trials=st.integers(1, 60), share=st.fractions(Fraction(1, 50), Fraction(49, 50)), data=st.data())
    def test_the_tail_is_exact(self, trials: int, share: Fraction, data: st.DataObject) -> None:
        count = data.draw(st.integers(0, trials))
        exact = sum(
            comb(trials, hits) * share**hits * (1 - share) ** (trials - hits) for hits in range(count, trials + 1)
        )
        assert _at_least(count, trials, float(share)) == pytest.approx(float(exact), abs=1e-9)

    def test_many_findings_go_over_into_the_approximation_without_a_step(self) -> None:
        assert _at_least(1_040, 2_000, 0.5) == pytest.approx(_at_least(1_041, 2_001, 0.5), abs=2e-3)
        assert 0 <= _at_least(10**9, 10**9 + 1, 0.3) < 1e-6

    def test_the_same_rate_is_seldom_taken_for_a_worse_one(self, tmp_path: Path) -> None:
        rng = random.Random(3)
        alarms = 0
        for _ in range(200):
            one, other = (sum(rng.random() < 0.1 for _ in range(100)) for _ in range(2))
            alarms += compared(tmp_path, broken("C2", one, 100), broken("C2", other, 100)).worse
        assert alarms / 200 <= CHANCE


class TestDrift:
    def test_measures_of_known_distributions(self) -> None:
        assert variation([50, 50], [50, 50]) == 0
        assert variation([100, 0], [0, 7]) == 1
        assert variation([50, 50], [80, 20]) == pytest.approx(0.3)
        assert stability_index([50, 50], [50, 50]) == 0
        # 0.3 ln(0.8 / 0.5) - 0.3 ln(0.2 / 0.5), where half a count does not matter
        assert stability_index([5_000_000, 5_000_000], [8_000_000, 2_000_000]) == pytest.approx(0.41589, abs=1e-4)
        # 95 % of chi-square with 1, 4 and 9 degrees of freedom: 3.841, 9.488, 16.919
        for bins, point in ((2, 3.841), (5, 9.488), (10, 16.919)):
            assert index_by_chance(bins, 2, 2) == pytest.approx(point, rel=0.03)

    def test_what_moved_is_told(self, tmp_path: Path) -> None:
        rows = {number: {"language": "en", "tokens": 900} for number in range(120)}
        found = compared(tmp_path, broken("C2", 0), broken("C2", 0, rows=rows))
        assert not found.worse
        assert [one.name for one in found.drift] == ["tokens", "languages"]
        assert str(found.drift[1]).startswith("languages moved much: 60% lie elsewhere (stability index ")
        assert str(found.drift[1]).endswith("; it from 100% to 40%, en from 0% to 60%")
        assert {hit.rule for hit in found.hits()} == {"E10"}

    def test_small_sets_differ_by_chance(self, tmp_path: Path) -> None:
        rows = {number: {"language": "en"} for number in range(2)}
        assert compared(tmp_path, report_of(), report_of(rows=rows)).drift == ()

    def test_the_same_openings_in_other_places_of_the_list_are_no_drift(self, tmp_path: Path) -> None:
        some = {f"opening {number}": 20 - number for number in range(10)}
        other = {f"opening {number}": 20 - number for number in range(2, 12)}
        one, two = ({"openings": counts, "answers": 400} for counts in (some, other))
        assert compared(tmp_path, report_of(statistics=one), report_of(statistics=two)).drift == ()
        certainly = {"openings": {"certo": 300, **{key: count // 10 for key, count in some.items()}}, "answers": 400}
        assert [
            moved.name for moved in compared(tmp_path, report_of(statistics=one), report_of(statistics=certainly)).drift
        ] == ["openings"]
