"""A trainer's masks held against ours: equal ones pass in any order, every other one is told, and where."""

from __future__ import annotations

from typing import Any

import pytest

from components.dataset.checks.tokens import Measurer
from components.errors import TerminalError
from components.train.running.masks import compare_masks
from tests.dataset.trainer_rows import conversation
from tests.train.jobs import answers

ROWS = [*answers(3), conversation(("human", "Ciao"), ("gpt", "Ciao!"), ("human", "E poi?"), ("gpt", "Niente."))]


def masks_of(template: Any = "qwen3") -> list[dict[str, Any]]:
    found = []
    for row in ROWS:
        mask = Measurer(template=template).mask(row)
        assert mask is not None
        found.append({"ids": list(mask[0]), "trained": list(mask[1])})
    return found


@pytest.mark.parametrize("template", ["qwen3", "smollm2"])
@pytest.mark.parametrize("order", [[0, 1, 2, 3], [2, 0, 3, 1], [3]], ids=["in order", "shuffled", "some of them"])
def test_equal_masks_are_equal_in_any_order(template: str, order: list[int]) -> None:
    masks = masks_of(template)
    audit = compare_masks(ROWS, [masks[place] for place in order], template)
    assert audit.compared and not audit.differing
    assert [row.row for row in audit.rows] == order
    assert [row.tokens for row in audit.rows] == [len(masks[place]["ids"]) for place in order]


def test_equal_examples_are_each_taken_once() -> None:
    twice = [ROWS[0], ROWS[0]]
    mask = masks_of()[0]
    assert [row.row for row in compare_masks(twice, [mask, mask], "qwen3").rows] == [0, 1]
    third = compare_masks(twice, [mask, mask, mask], "qwen3").rows[2]
    assert third.difference == "is none of our examples"


def test_where_a_mask_differs_is_told() -> None:
    masks = masks_of()
    first = masks[0]["trained"][0]
    masks[0]["trained"] = masks[0]["trained"][1:]
    masks[1]["trained"] = [0, 1, *masks[1]["trained"]]
    masks[2]["ids"] = [*masks[2]["ids"][:5], 7, *masks[2]["ids"][6:]]
    masks[3]["ids"] = masks[3]["ids"][:-1]
    told = [row.difference or "" for row in compare_masks(ROWS, masks, "qwen3").rows]
    assert told[0] == f"1 tokens carry none that should, from token {first + 1} on"
    assert told[1] == "2 tokens carry loss that should not, from token 1 on"
    assert told[2].startswith("token 6 is 7, audited as ")
    assert told[3] == f"token {len(masks[3]['ids']) + 1} is nothing, audited as 198"


def test_a_row_without_loss_is_refused() -> None:
    masks = masks_of()
    masks[1]["trained"] = []
    with pytest.raises(TerminalError, match="no token of 1 of 4 examples carries loss in the trainer, as of its row 2"):
        compare_masks(ROWS, masks, "qwen3")


def test_masks_of_a_template_that_is_not_known_here_are_only_counted() -> None:
    audit = compare_masks(ROWS, [{"ids": [1, 2, 3], "trained": [2]}], "mistral")
    assert not audit.compared and not audit.differing
    assert audit.to_dict() == {"rows": 1, "tokens": 3, "trained": 1, "compared": False, "differing": []}
