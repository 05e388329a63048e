"""What must not leave this machine is read by the own model alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from components.answer.partner import Partner
from components.errors import TerminalError
from components.llm.budget import BudgetError
from tests.serve.router_house import HARD, LOCAL, desk, streamed, wanted


def test_the_helper_never_reads_a_local_note_nor_what_was_answered_before(partner: Partner) -> None:
    told = ({"role": "user", "content": "Dove sta?"}, {"role": "assistant", "content": "Dietro il quadro grande."})
    question = "Perché la cassaforte sta dietro il quadro? Confronta"
    for who, reads in (("helper", False), ("own", True)):
        here = desk(partner, own="fake/chat?mode=echo", helper="fake/chat?mode=echo&cost=0.01", complex=[who])
        served = here.ask(wanted(question, history=told))
        given = served.asked.answer
        assert served.who == who and bool(served.asked.left_out) != reads
        assert (LOCAL in [source.path for source in given.sources]) is reads
        assert any(source.local for source in given.sources) is reads
        assert ("quadro grande" in given.text) is reads, "of the note, or of the answer before"


def test_what_the_helper_may_not_read_is_looked_for_by_the_own_model(partner: Partner) -> None:
    here = desk(partner, helper="fake/chat?cost=0.01&reply=Non è nelle note.", own="fake/chat?reply=Dietro [1]")
    pieces, served = streamed(here, "Perché la cassaforte? Confronta il quadro grande")
    assert served.who == "own" and "".join(pieces) == "Dietro [1]"
    assert served.tried[0].why == "it found nothing, and 1 of the notes must not be shown to it"


def test_a_persona_that_must_stay_here_is_not_sent(partner: Partner) -> None:
    kept = replace(partner, prompt=replace(partner.prompt, local_notes=("@persona/x.md",)))
    served = desk(kept).ask(wanted(HARD))
    assert served.who == "own" and served.tried[0].why == "the persona itself must not leave this machine"
    with pytest.raises(TerminalError, match="persona itself") as caught:
        desk(kept, complex=["helper"]).ask(wanted(HARD))
    assert not isinstance(caught.value, BudgetError)
