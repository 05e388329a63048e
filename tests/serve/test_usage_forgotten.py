"""What is kept of answers: forgetting a note reaches it, and nothing of it comes back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from router_house import EASY, OWN, One, chat, make_partner, wanted  # noqa: E402

from components.answer.partner import Partner  # noqa: E402
from components.errors import TerminalError  # noqa: E402
from components.recipe.unused import Look  # noqa: E402
from components.serve.compare import Compared, Comparisons, ShadowDesk, comparisons_file  # noqa: E402
from components.serve.own_desk import OwnDesk  # noqa: E402
from components.serve.params import CompareParams  # noqa: E402
from tests.recipe.forget_house import House  # noqa: E402


@pytest.fixture(scope="module")
def partner(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Partner:
    return make_partner(tmp_path_factory.mktemp("forgotten"), examples)


@contextmanager
def refused() -> Iterator[None]:
    raise TerminalError("forget is at work")
    yield


@pytest.mark.parametrize("what", ["forgotten meanwhile", "forget at work", "nothing"])
def test_what_waited_while_something_was_forgotten_is_compared_no_more(
    partner: Partner, tmp_path: Path, what: str
) -> None:
    desk = OwnDesk(One(replace(partner, chat=chat(OWN))), max_chars=8000, history_tokens=1000)
    marks = iter([1, 2] if what == "forgotten meanwhile" else [1, 1])
    more = {"held": refused} if what == "forget at work" else {}
    with closing(Comparisons(comparisons_file(tmp_path))) as records:
        here = ShadowDesk(
            desk, desk, params=CompareParams(mode="shadow", share=1.0), records=records, candidate="b" * 64,
            since=lambda: next(marks), **more,
        )  # fmt: skip
        assert here.ask(wanted(EASY)).asked.answer.text and here.wait(30)
        told = here.told()
        here.close()
        assert (told["compared"], told["left_out"]) == ((1, 0) if what == "nothing" else (0, 1))
        assert records.count("b" * 64, "shadow") == told["compared"]


def test_a_forgotten_note_is_in_no_comparison_and_gc_leaves_what_is_whole(tmp_path: Path) -> None:
    house = House(tmp_path)
    file = comparisons_file(house.workspace)
    with closing(Comparisons(file)) as records:
        for number, name in enumerate(("casa.md", "orari.md")):
            assert records.record([
                Compared(
                    "b" * 64, "ab", "B", str(number), "it", sources=(f"{name}:1-3",), question="Dove?",
                    text=f"Vedi {name}",
                )
            ])  # fmt: skip
    forgetting = house.forgetting("casa.md")
    assert [count for place, count in forgetting.found().items() if place.startswith("comparisons:")] == [1]
    forgetting.forget()
    assert forgetting.left() == []
    with closing(Comparisons(file)) as records:
        first, second = records.answers("b" * 64)
    assert (first.sources, first.question, first.text) == ((), None, None)
    assert (second.sources, second.text) == (("orari.md:1-3",), "Vedi orari.md")
    aside = file.with_name(f"{file.name}.corrupt-1")
    aside.write_bytes(b"broken")
    unused = [one.path for one in Look(house.recipe).find()]
    assert aside in unused and file not in unused
