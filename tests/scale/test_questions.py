"""What is asked: people's own questions first, each once, none that the endpoint would refuse."""

from __future__ import annotations

from pathlib import Path

from components.evaluate.params import EvaluateParams
from components.scale.questions import choose_questions, questions_digest
from components.usage.conversations import Conversations, conversations_file

GOLDEN = '{"id": "g%d", "question": "%s", "lang": "it", "kind": "fact", "gold": []}\n'


def test_the_order_and_that_each_is_asked_once(tmp_path: Path, examples: Path) -> None:
    kept = Conversations(conversations_file(tmp_path))
    for number, question in enumerate(("Quanto costa?", "E il rilascio?"), 1):
        said = [(question, "Così.")]
        assert kept.keep(whose="", said=said, question=question, answer="Così.", sources=["a.md"])
        more = [*said, (f"E poi {number}?", "Poi.")]
        assert kept.keep(whose="", said=more, question=f"E poi {number}?", answer="Poi.", sources=["a.md"])
    kept.close()
    golden = tmp_path / "golden.jsonl"
    golden.write_text(GOLDEN % (1, "Quanto costa?") + GOLDEN % (2, "x" * 300) + GOLDEN % (3, "Chi decide?"))
    params = EvaluateParams.model_validate({
        "golden": golden,
        "personality": {
            "prompts": examples / "evaluation" / "personality.jsonl",
            "checklist": examples / "evaluation" / "checklist.yaml", "ask": 2,
        },
    })  # fmt: skip
    found = choose_questions(tmp_path, params, most=10, max_chars=200)
    assert [one.text for one in found[:3]] == ["E il rilascio?", "Quanto costa?", "Chi decide?"]
    assert [one.id.partition("/")[0] for one in found] == ["kept", "kept", "golden", "personality", "personality"]
    assert choose_questions(tmp_path, params, most=2, max_chars=200) == found[:2]
    assert questions_digest(found) != questions_digest(found[:2])


def test_what_has_nothing_to_be_read_is_left_out(tmp_path: Path) -> None:
    golden = tmp_path / "golden.jsonl"
    golden.write_text(GOLDEN % (1, "\u200b\u2060") + GOLDEN % (2, "Chi decide?"))
    found = choose_questions(tmp_path, EvaluateParams.model_validate({"golden": golden}), most=10, max_chars=200)
    assert [one.text for one in found] == ["Chi decide?"]


def test_nothing_kept_and_nothing_named_is_nothing(tmp_path: Path) -> None:
    assert choose_questions(tmp_path, EvaluateParams(), most=10, max_chars=200) == []
