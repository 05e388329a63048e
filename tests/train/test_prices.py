"""Prices of machines: the shipped table, a file that overrides it, and faults told at their line."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import get_args

import pytest

from components.errors import InputError
from components.train.estimate import estimate
from components.train.estimate.prices import OLD_DAYS, Price, load_prices, prices_of
from components.train.params import HardwareName, TrainParams

ONE = "prices:\n  - {provider: Mine, hardware: t4, usd_per_hour: 0.2, date: 2026-11-01, source: my bill}\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "prices.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", get_args(HardwareName))
def test_every_machine_has_a_price_with_date_and_source(name: HardwareName) -> None:
    prices = prices_of(name, overrides=None)
    assert prices
    for price in prices:
        assert 0 <= price.usd_per_hour[0] <= price.usd_per_hour[1] < 10
        assert datetime.date(2026, 1, 1) <= price.date <= datetime.datetime.now(datetime.UTC).date()
        assert price.source and "http" not in price.source  # in words
    assert [price.usd_per_hour for price in prices] == sorted(price.usd_per_hour for price in prices)


def test_only_colabs_free_tier_and_ones_own_processor_cost_nothing() -> None:
    free = {(p.provider, p.hardware) for name in get_args(HardwareName) for p in prices_of(name, overrides=None)
            if p.usd_per_hour == (0, 0)}  # fmt: skip
    assert free == {("Colab, free", "t4"), ("your own machine", "cpu")}


def test_a_file_adds_prices_and_replaces_those_of_the_same_provider(tmp_path: Path) -> None:
    path = write(tmp_path, ONE + "  - {provider: modal, hardware: t4, usd_per_hour: [0.5, 0.7], date: 2026-11-02, "
                 "source: list, note: from my account}\n")  # fmt: skip
    before = {price.provider for price in prices_of("t4", overrides=None)}
    found = {price.provider: price for price in prices_of("t4", overrides=path)}
    assert set(found) == (before - {"Modal"}) | {"Mine", "modal"}
    assert found["Mine"].usd_per_hour == (0.2, 0.2)
    assert found["modal"] == Price("modal", "t4", (0.5, 0.7), datetime.date(2026, 11, 2), "list", "from my account")
    assert prices_of("l4", overrides=path) == prices_of("l4", overrides=None)


def test_the_file_that_a_recipe_names_is_what_an_estimate_counts_with(tmp_path: Path) -> None:
    params = TrainParams(prices=write(tmp_path, ONE))
    found = estimate(params, rows=540, tokens=432_000, longest=900, validation_tokens=48_000, measured=None)
    mine = next(cost for cost in found.costs if cost.provider == "Mine")
    assert found.hours is not None
    assert mine.usd[0] == pytest.approx(0.2 * (found.hours[0] + found.setup_hours[0]))
    assert any("at Mine (price of 2026-11-01)" in note for note in found.notes)


def test_a_broken_file_is_told_even_where_no_hours_are_known(tmp_path: Path) -> None:
    params = TrainParams(prices=write(tmp_path, "prices: none\n"))
    with pytest.raises(InputError, match="prices.yaml:1:9: expected 'prices:' and a list of prices"):
        estimate(params, rows=0, tokens=0, longest=0, validation_tokens=0, measured=None)


def test_a_price_grows_old() -> None:
    price = Price("x", "t4", (1.0, 1.0), datetime.date(2026, 8, 1), "s")
    assert not price.is_old(datetime.date(2026, 8, 1) + datetime.timedelta(days=OLD_DAYS))
    assert price.is_old(datetime.date(2026, 8, 1) + datetime.timedelta(days=OLD_DAYS + 1))


FAULTS = {
    "unknown key": (
        ONE.replace("source:", "sources:"),
        ["2:5: the price has no 'source'", "2:73: unknown key 'sources'; did you mean 'source'?"]),
    "unknown section": ("price: []\n", ["1:1: unknown key 'price'; did you mean 'prices'?"]),
    "no list": ("prices: 3\n", ["1:9: expected 'prices:' and a list of prices"]),
    "empty": ("", [": the file: expected keys and values (prices)"]),
    "negative": (ONE.replace("0.2", "-0.2"), ["2:50: usd_per_hour: expected US dollars an hour, 0 or more"]),
    "no number": (ONE.replace("0.2", "cheap"), ["2:50: usd_per_hour: expected US dollars an hour, 0 or more"]),
    "not finite": (ONE.replace("0.2", ".inf"), ["2:50: usd_per_hour: expected US dollars an hour, 0 or more"]),
    "range upside down": (ONE.replace("0.2", "[2, 1]"), ["2:50: usd_per_hour: expected one number, or the lowest"]),
    "range of three": (ONE.replace("0.2", "[1, 2, 3]"), ["2:50: usd_per_hour: expected one number, or the lowest"]),
    "no day": (ONE.replace("2026-11-01", "November"), ["2:61: date: expected a day as 2026-11-29"]),
    "a day to come": (ONE.replace("2026-11-01", "2126-11-01"), ["2:61: date: 2126-11-01 is still to come"]),
    "unknown machine": (ONE.replace("hardware: t4", "hardware: T4x"), ["2:32: no hardware 'T4x'; did you mean 't4'?"]),
    "twice": (ONE + ONE.splitlines()[1] + "\n", ["3:5: Mine has a price for t4 already, in line 2"]),
    "no text": (ONE.replace("my bill", "''"), ["2:81: source: expected text"]),
    "no YAML": ("prices: [\n", ["not valid YAML"]),
    "a list in a key": ("? [a]\n: 1\n", ["expected prices"]),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_faults_are_told_at_their_place(tmp_path: Path, name: str) -> None:
    text, expected = FAULTS[name]
    path = write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        load_prices(path)
    for part in expected:
        assert part in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    text = ONE.replace("0.2", "-1").replace("2026-11-01", "soon").replace("t4", "t5")
    with pytest.raises(InputError) as caught:
        load_prices(write(tmp_path, text))
    assert len(str(caught.value).splitlines()) == 3


def test_a_file_that_is_not_there_or_not_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the prices cannot be read: no such file"):
        load_prices(tmp_path / "none.yaml")
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"prices: \xe9\n")
    with pytest.raises(InputError, match="byte 8 is not UTF-8"):
        load_prices(path)
    path.write_bytes(b"#" * 200_001)
    with pytest.raises(InputError, match="too large"):
        load_prices(path)
