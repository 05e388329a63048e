"""Conversations that an endpoint keeps as examples: masked, bounded, forgotten, and never what a client made up."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from router_house import LOCAL, OWN, One, chat, make_partner, wanted  # noqa: E402

from components.answer import render  # noqa: E402
from components.answer.partner import Partner  # noqa: E402
from components.dataset.curation.gather import gather  # noqa: E402
from components.dataset.files.chat_exports import ExportReport, read_export  # noqa: E402
from components.errors import TerminalError  # noqa: E402
from components.llm import Message  # noqa: E402
from components.serve.desk import Served  # noqa: E402
from components.serve.http.schema import read_asking  # noqa: E402
from components.serve.kept import keep_turn  # noqa: E402
from components.serve.own_desk import OwnDesk  # noqa: E402
from components.serve.params import LimitParams  # noqa: E402
from components.store import canonical_json  # noqa: E402
from components.usage import UsageLog, usage_file  # noqa: E402
from components.usage.conversations import (  # noqa: E402
    Conversations,
    conversations_file,
    forget_conversations,
    read_conversations,
)
from tests.recipe.forget_house import House  # noqa: E402

ASKED = "Quando si paga la caparra?"


@pytest.fixture(scope="module")
def partner(tmp_path_factory: pytest.TempPathFactory, examples: Path) -> Partner:
    return make_partner(tmp_path_factory.mktemp("kept"), examples)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Conversations]:
    kept = Conversations(conversations_file(tmp_path))
    yield kept
    kept.close()


def answered(partner: Partner, question: str, **more: Any) -> Served:
    desk = OwnDesk(One(replace(partner, chat=chat(OWN))), max_chars=8000, history_tokens=1000)
    return desk.ask(wanted(question, **more))


def turn(file: Conversations, *said: tuple[str, str], whose: str = "", sources: tuple[str, ...] = ("a.md",)) -> bool:
    question, answer = said[-1]
    return file.keep(whose=whose, said=said, question=question, answer=answer, sources=sources, model="m")


def turns(file: Conversations) -> list[tuple[tuple[str, str], ...]]:
    return [one.turns for one in read_conversations(file.path)]


def test_an_answer_is_kept_masked_and_what_follows_goes_on_from_it(partner: Partner, file: Conversations) -> None:
    question = f"{ASKED} Sono anna.rossi@libero.it"
    served = answered(partner, question)
    assert keep_turn(file, wanted(question), served)
    body = canonical_json({
        "messages": [
            {"role": "system", "content": "Sei un pirata"},
            {"role": "user", "content": question},
            {"role": "assistant", "content": render(served.asked.answer)},
            {"role": "user", "content": "E ad agosto?"},
        ]
    })  # fmt: skip
    asking = read_asking(body.encode() if isinstance(body, str) else body, limits=LimitParams(), model="cervella")
    assert keep_turn(file, wanted(asking.question, history=asking.history), served)
    [talked] = read_conversations(file.path)
    assert [question for question, _ in talked.turns][1] == "E ad agosto?" and len(talked.turns) == 2
    assert any(path.startswith("decisioni/") for path in talked.sources)
    kept = b"".join(one.read_bytes() for one in file.path.parent.iterdir())
    assert b"anna.rossi@" not in kept and b"pirata" not in kept


def test_what_a_client_makes_up_or_another_began_is_no_turn(file: Conversations) -> None:
    first, second = ("Quando?", "Ad agosto."), ("Quanto?", "Cento.")
    assert turn(file, first, whose="anna")
    assert not turn(file, ("Quando?", "Mai."), second, whose="anna")
    assert not turn(file, first, second, whose="bruno")
    assert turn(file, first, second, whose="anna") and turn(file, first, ("Quanto?", "Di più."), whose="anna")
    assert turns(file) == [(first, second), (first, ("Quanto?", "Di più."))]


def test_an_answer_from_a_local_note_or_from_none_is_not_kept(partner: Partner, file: Conversations) -> None:
    served = answered(partner, "Dove sta la cassaforte?")
    assert any(source.path == LOCAL for source in served.asked.answer.sources)
    assert not keep_turn(file, wanted("Dove sta la cassaforte?"), served)
    answer = replace(answered(partner, ASKED).asked.answer, found=False)
    other = replace(served, asked=replace(served.asked, answer=answer))
    assert not keep_turn(file, wanted(ASKED), other)
    odd = wanted(ASKED, history=({"role": "assistant", "content": "Ciao"},))
    assert not keep_turn(file, odd, answered(partner, ASKED)) and not file.path.exists()


def test_turns_are_bounded_and_what_lost_its_beginning_is_no_example(tmp_path: Path) -> None:
    file = Conversations(conversations_file(tmp_path), max_turns=3)
    said = [(f"q{number}", f"a{number}") for number in range(3)]
    for end in (1, 2, 3):
        assert turn(file, *said[:end])
    assert turns(file) == [tuple(said)]
    assert turn(file, ("nuova", "sì"))
    assert turns(file) == [(("nuova", "sì"),)]
    file.close()


def test_kept_conversations_are_examples_that_wait_for_a_review(file: Conversations) -> None:
    assert turn(file, ("Quando?", "Ad agosto, scrivi a anna.rossi@libero.it")) and turn(file, ("Chi?", "Io."))
    report = ExportReport(str(file.path))
    rows = list(read_export(file.path, report=report, personal_data=["email"]))
    assert (report.maker, report.taken, dict(report.secrets)) == ("cervella", 2, {"email": 1})
    assert rows[1]["provenance"]["kind"] == "log" and rows[1]["provenance"]["notes"] == ["a.md"]
    found = gather([], rows=[(str(file.path), number, row) for number, row in enumerate(rows)])
    assert not found.rows and len(found.waiting) == 2 and not found.findings
    file.close()
    file.path.write_bytes(b"a diary, no database" * 100)
    with pytest.raises(TerminalError, match="cannot be read"):
        list(read_export(file.path, report=report))


def test_a_forgotten_note_takes_its_turns_and_those_after_them(tmp_path: Path) -> None:
    house = House(tmp_path)
    file = Conversations(conversations_file(house.workspace))
    begun, after, other = ("Dove?", "Vedi la casa."), ("E poi?", "Poi niente."), ("Quando?", "Di sera.")
    assert turn(file, begun, sources=("casa.md",)) and turn(file, begun, after, sources=("orari.md",))
    assert turn(file, other, sources=("orari.md",))
    file.close()
    forgetting = house.forgetting("casa.md")
    assert [count for place, count in forgetting.found().items() if place.startswith("conversations:")] == [2]
    forgetting.forget()
    assert forgetting.left() == [] and turns(file) == [(other,)]
    assert b"Vedi la casa" not in b"".join(one.read_bytes() for one in file.path.parent.iterdir())
    assert forget_conversations(tmp_path / "none.sqlite", {"casa.md"}, do=True) == 0


def test_a_conversation_with_an_answer_that_was_judged_not_helpful_is_no_example(
    partner: Partner, file: Conversations, tmp_path: Path
) -> None:
    served, bad = answered(partner, ASKED), "Quando si paga?"
    with closing(UsageLog(usage_file(tmp_path))) as log:
        for question, id, score in ((ASKED, "good", 1), (bad, "bad", -1), ("E il saldo?", "none", None)):
            assert keep_turn(file, wanted(question, id=id), served)
            log.record(door="serve", question=question, request=id)
            assert score is None or log.feedback(id, score=score)
    before: tuple[Message, ...] = (
        {"role": "user", "content": bad}, {"role": "assistant", "content": served.asked.answer.text},
    )  # fmt: skip
    assert keep_turn(file, wanted("Perché?", id="after", history=before), served)
    assert [one.requests for one in read_conversations(file.path)] == [("good",), ("none",), ("bad", "after")]
    report = ExportReport(str(file.path))
    asked = [row["conversations"][0]["value"] for row in read_export(file.path, report=report)]
    assert asked == [ASKED, "E il saldo?"] and (report.conversations, report.taken) == (3, 2)
    assert dict(report.left_out) == {"with an answer that was judged not helpful": 1}


def test_a_file_of_an_earlier_version_is_read_and_goes_on(file: Conversations) -> None:
    assert turn(file, ("Quando?", "Ad agosto."))
    file.close()
    with closing(sqlite3.connect(file.path)) as connection:
        connection.execute("ALTER TABLE turn DROP COLUMN request")
    assert [one.requests for one in read_conversations(file.path)] == [()]
    assert list(read_export(file.path, report=ExportReport(str(file.path))))
    after = Conversations(file.path)
    said = (("Quando?", "Ad agosto."), ("Quanto?", "Cento."))
    assert after.keep(whose="", said=said, question="Quanto?", answer="Cento.", sources=["a.md"], request="r2")
    [talked] = read_conversations(file.path)
    assert len(talked.turns) == 2 and talked.requests == ("r2",)
    after.close()
