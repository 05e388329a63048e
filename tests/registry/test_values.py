"""What MLflow takes: names, lengths, numbers."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import TerminalError
from components.registry.mlflow_values import clip_lines, metric_values, table_json
from components.store.mlflow_params import param_values


def test_metrics_carry_their_interval_and_unknown_ones_are_left_out(scorecard: Any) -> None:
    scorecard["metrics"]["cost_max_usd"] = {"value": None, "low": None, "high": None, "n": 8}
    values = metric_values(scorecard)
    assert values["mrr"] == values["mrr.low"] == values["mrr.high"] == 1.0
    assert values["mrr.n"] == values["lang.it/mrr.n"] == 40.0
    assert "cost_max_usd" not in values
    assert (values["answers.expected"], values["answers.failed"]) == (80.0, 0.0)


def test_nan_is_refused_by_name(scorecard: Any) -> None:
    scorecard["groups"]["lang:it"]["mrr"]["low"] = math.nan
    with pytest.raises(TerminalError, match="lang.it/mrr has the low nan"):
        metric_values(scorecard)


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=300), st.one_of(st.none(), st.integers(), st.text(), st.lists(st.text()))))
def test_any_parameters_become_what_mlflow_takes(params: dict[str, Any]) -> None:
    from mlflow.utils.validation import _validate_param

    values = param_values(params)
    assert len(values) == len(params)
    for name, value in values.items():
        _validate_param(name, value)


def test_a_long_parameter_says_that_it_was_cut() -> None:
    value = param_values({"a": "x" * 7000})["a"]
    assert len(value) == 6000
    assert value.endswith("(7000 characters; whole in recipe.yaml)")


def test_the_table_has_every_column_of_any_row() -> None:
    table = json.loads(table_json([{"id": "a", "rank": 1}, {"id": "b", "found": ["x"]}]))
    assert table == {"columns": ["id", "rank", "found"], "data": [["a", 1, None], ["b", None, ["x"]]]}


def test_a_long_report_is_cut_at_a_line_and_says_where_the_rest_is() -> None:
    text = clip_lines("a line\n" * 2000, 8000)
    assert len(text) <= 8000
    assert text.endswith("a line\n\n... the whole report is in report.md")
