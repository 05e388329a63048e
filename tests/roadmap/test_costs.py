"""Costs by conversations: the table, where its curves cross, and files of the user's with everything that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import InputError
from components.roadmap.costs import CostRow, Costs, Stated, break_even, cost_at, crossing
from components.roadmap.costs_file import load_costs

MONEY = st.integers(0, 10**7).map(lambda cents: cents / 100)
VOLUMES = st.lists(st.integers(0, 10**6), min_size=2, max_size=8, unique=True)


@st.composite
def tables(draw: st.DrawFn) -> Costs:
    rows = [
        CostRow(conversations=volume, api_usd=draw(MONEY), self_hosted_usd=draw(MONEY))
        for volume in sorted(draw(VOLUMES))
    ]
    stated = draw(st.none() | st.floats(1, 1e6))
    return Costs(
        date="2026", source="a test", api="A", self_hosted="B", table=rows, stated=Stated(conversations=stated)
    )


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "costs.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_owners_table_crosses_where_one_can_check_it_by_hand() -> None:
    costs = load_costs(None)
    assert [(row.conversations, row.api_usd, row.self_hosted_usd) for row in costs.table] == [
        (50, 0.50, 88), (500, 10, 88), (2000, 85, 88), (10000, 270, 115), (100000, 720, 122),
    ]  # fmt: skip
    # At 2,000 the API is 3 dollars cheaper; over the next 8,000 it grows by 185, self-hosting by 27.
    assert crossing(costs) == pytest.approx(2000 + 8000 * 3 / 158)
    assert (costs.stated.conversations, costs.stated.tokens) == (4000, 12.5e6)
    assert costs.phases["optimize"].setup_usd == [200, 500] and list(costs.phases) == ["mvp", "optimize", "scale"]


def test_the_stated_break_even_counts_and_the_difference_is_said() -> None:
    found = break_even(load_costs(None), wished=None)
    assert (found.conversations, found.source) == (4000, "stated")
    assert found.said == (
        "the owner's roadmap of 2026-01 states 4,000; the rows of the table cross at about 2,150, and at 4,000 the API "
        "costs $131, self-hosting $95. The stated number counts"
    )


def test_the_recipes_own_number_counts_before_all() -> None:
    found = break_even(load_costs(None), wished=700)
    assert (found.conversations, found.source) == (700, "recipe")
    assert "states 4,000" in found.said and "2,150" in found.said


def test_between_rows_costs_go_in_a_straight_line_and_outside_the_end_is_told() -> None:
    costs = load_costs(None)
    assert (cost_at(costs, 6000).api_usd, cost_at(costs, 6000).self_hosted_usd) == (177.5, 101.5)
    assert (cost_at(costs, 3).api_usd, cost_at(costs, 3).beyond) == (0.5, "below")
    assert (cost_at(costs, 1e9).api_usd, cost_at(costs, 1e9).beyond) == (720, "above")


@given(tables())
def test_rows_are_met_exactly(costs: Costs) -> None:
    for row in costs.table:
        at = cost_at(costs, row.conversations)
        assert (at.api_usd, at.self_hosted_usd, at.beyond) == (row.api_usd, row.self_hosted_usd, None)


@given(tables(), st.floats(0, 1))
def test_a_cost_lies_between_its_neighbours(costs: Costs, share: float) -> None:
    first, last = costs.table[0].conversations, costs.table[-1].conversations
    volume = min(first + share * (last - first), last)
    below = max((row for row in costs.table if row.conversations <= volume), key=lambda row: row.conversations)
    above = min((row for row in costs.table if row.conversations >= volume), key=lambda row: row.conversations)
    at = cost_at(costs, volume)
    low, high = sorted((below.api_usd, above.api_usd))
    assert low - 1e-6 <= at.api_usd <= high + 1e-6


@given(tables())
def test_from_the_crossing_on_self_hosting_never_costs_more_and_just_before_it_does(costs: Costs) -> None:
    found = crossing(costs)
    if found is None:
        assert costs.table[-1].self_hosted_usd > costs.table[-1].api_usd
        return
    assert costs.table[0].conversations <= found <= costs.table[-1].conversations
    for volume in [found, *(row.conversations for row in costs.table if row.conversations > found)]:
        at = cost_at(costs, volume)
        assert at.self_hosted_usd <= at.api_usd + 1e-6 * (1 + at.api_usd)
    before = [row for row in costs.table if row.conversations < found]
    if before:
        assert before[-1].self_hosted_usd > before[-1].api_usd


@given(tables(), st.floats(0.01, 100))
def test_the_currency_moves_no_crossing(costs: Costs, rate: float) -> None:
    other = costs.model_copy(update={"table": [
        CostRow(conversations=row.conversations, api_usd=row.api_usd * rate, self_hosted_usd=row.self_hosted_usd * rate)
        for row in costs.table
    ]})  # fmt: skip
    first, second = crossing(costs), crossing(other)
    assert (first is None) == (second is None)
    assert first is None or second == pytest.approx(first, rel=1e-3, abs=1e-3)


@given(tables(), st.none() | st.integers(1, 10**6))
def test_the_threshold_is_the_first_of_recipe_file_and_table(costs: Costs, wished: int | None) -> None:
    found = break_even(costs, wished=wished)
    first = next((one for one in (wished, costs.stated.conversations) if one is not None), crossing(costs))
    assert found.conversations == first
    assert found.said


def test_where_the_api_is_cheaper_to_the_end_no_volume_pays(tmp_path: Path) -> None:
    text = GOOD.replace("api_usd: 9", "api_usd: 1")
    found = break_even(load_costs(file(tmp_path, text)), wished=None)
    assert found.conversations is None
    assert found.said == "in the rows of the table self-hosting costs more up to the end"


GOOD = """\
date: "2027"
source: mine
api: A
self_hosted: B
table:
  - {conversations: 1, api_usd: 1, self_hosted_usd: 5}
  - {conversations: 9, api_usd: 9, self_hosted_usd: 5}
"""
FAULTS = [
    ("nothing", "", ["1:1: table: is missing"]),
    ("a list", "- 1\n", ["1:1: expected keys and values"]),
    ("no yaml", "a: [1\n", ["not valid YAML"]),
    ("an unknown key", GOOD + "tabel: 3\n", ["8:1: tabel: unknown key; did you mean 'table'?"]),
    ("an unknown phase", GOOD + "phases:\n  optimise: {what: x, monthly_usd: [1, 2]}\n",
     ["9:3: phases.optimise: unknown key; did you mean 'optimize'?"]),
    ("a key in a row", GOOD.replace("{conversations: 9", "{conversation: 9"),
     ["7:5: table.1.conversations: is missing",
      "7:6: table.1.conversation: unknown key; did you mean 'conversations'?"]),
    ("text for a number", GOOD.replace("api_usd: 9", "api_usd: nine"), ["7:24: table.1.api_usd: expected a number"]),
    ("a number for text", GOOD.replace('"2027"', "2027"), ["1:1: date: expected text; put a number in quotes"]),
    ("less than nothing", GOOD.replace("api_usd: 9", "api_usd: -9"),
     ["7:24: table.1.api_usd: expected greater than or equal to 0"]),
    ("not a number", GOOD.replace("api_usd: 9", "api_usd: .nan"),
     ["7:24: table.1.api_usd: '.nan' is no number that everybody reads alike"]),
    ("rows in disorder", GOOD.replace("conversations: 9", "conversations: 1"),
     ["5:1: table: the row of 1 conversations comes after that of 1; expected the lowest volume first"]),
    ("a band upside down", GOOD + "phases:\n  mvp: {what: x, monthly_usd: [2, 1]}\n",
     ["9:18: phases.mvp.monthly_usd: expected [from, to], dollars, the lower one first"]),
    ("a key twice", GOOD + "api: C\n", ["8:1: api: is there twice; keep one of them"]),
    ("an alias", GOOD + "stated: &a {conversations: 3}\n", ["8:1: stated: expected values that are written out"]),
    ("itself in itself", GOOD + "stated: &a [*a]\n", ["8:1: stated: expected values that are written out"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "told"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS])
def test_every_fault_of_a_file_is_told_with_its_place(tmp_path: Path, text: str, told: list[str]) -> None:
    path = file(tmp_path, text)
    with pytest.raises(InputError) as error:
        load_costs(path)
    for line in told:
        assert line in str(error.value)
    assert all(line.startswith(str(path)) for line in str(error.value).splitlines())


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        load_costs(file(tmp_path, GOOD.replace("date", "dat").replace("api_usd: 9", "api_usd: x")))
    assert len(str(error.value).splitlines()) == 3


def test_a_good_file_is_read(tmp_path: Path) -> None:
    costs = load_costs(file(tmp_path, GOOD))
    found = break_even(costs, wished=None)
    assert (found.conversations, found.source, costs.phases) == (5, "computed", {})


@given(st.text(max_size=60))
def test_any_text_is_costs_or_a_fault(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("any") / "costs.yaml"
    path.write_bytes((GOOD + text).encode("utf-8", "surrogatepass"))
    try:
        assert load_costs(path).table
    except InputError as error:
        assert str(path) in str(error)
