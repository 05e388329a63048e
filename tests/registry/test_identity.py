"""What phase mvp has sealed and recorded stays what it is: its steps, releases and records keep their digests.

The digests are those of the version before phase optimize, of `evaluate.answers` 4, ranking 4 and `index.chunk` 6.
Where one changes, all that workspaces hold of that step is done again: change it only with the step's version, and say
so in CHANGELOG.md.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from components.answer import AnswerParams
from components.evaluate import EvaluateParams
from components.evaluate import steps as evaluate
from components.index import IndexParams, SearchParams
from components.index import steps as index
from components.llm.params import ChatParams, LlmParams
from components.persona import PersonaParams
from components.persona import steps as persona
from components.persona.params import SessionParams
from components.registry import GateParams, release_digest
from components.registry import steps as registry
from components.registry.mlflow_log import registered_key
from components.store import StepSpec
from tests.registry.conftest import gate_report

A, B = "a" * 64, "b" * 64
ANSWER, SEARCH = AnswerParams(), SearchParams()
LLM = LlmParams(chat=ChatParams(model="local/smollm2-135m-instruct"))
PERSONA = PersonaParams(session=SessionParams())


def specs(golden: Path) -> list[StepSpec]:
    """Every step of phase mvp after the notes, with the defaults of this version."""
    params = EvaluateParams(golden=golden)
    texts = persona.PersonaTexts(constitution=("c.md", "Uno."), dna=None, session=("p.md", "Due."))
    return [
        index.chunk_spec(IndexParams(), notes=A),
        index.build_spec(IndexParams(), chunks=A),
        persona.compile_spec(PERSONA, texts),
        evaluate.retrieval_spec(params, SEARCH, index=A),
        evaluate.answers_spec(params, SEARCH, LLM, ANSWER, index=A, prompt=B),
        evaluate.answers_spec(params, SEARCH, LLM, ANSWER, index=A, prompt=B, leave_out_local=True),
        evaluate.score_spec(params, ANSWER, retrieval=A, answers=B),
        registry.gate_spec(GateParams(), scorecard=A),
    ]


SEALED: dict[str, str] = {
    "0 index.chunk": "a214e337f5e08af9b9342cf1d5f54609eeefb5baa0c84a1430c9d52e3e04d215",
    "1 index.build": "9231e56bda4f1133229008874547f196b088b7e7e49d537cb2d8582dad252062",
    "2 persona.compile": "4be8c265db6473b3d3fadd9dc73420d280b3d121f2d746fa792a87f33f59d6df",
    "3 evaluate.retrieval": "ae87979cb08a40359e1c313cb70355584627f7330f4e1730af5b35136253a2d9",
    "4 evaluate.answers": "3badeef837985cdb060f4df7724146845f343405a3dc84bfefd46f8cb7095258",
    "5 evaluate.answers": "2c87b19d963790903233c01edc7167b16f18f85f6e3a35e5481ab3aa0f8bf682",
    "6 evaluate.score": "f1f3ba439ed7dfa0c794b0f469d915b872a73c4c9b0c328380d50cebdcef2264",
    "7 registry.gate": "8b808056eedc0344f94a681ae69b8791d0f7e825a1fb3e7a2b944959d3ebafa4",
}


@pytest.fixture
def golden(tmp_path: Path) -> Path:
    file = tmp_path / "golden.jsonl"
    file.write_text('{"id": "q1"}\n', encoding="utf-8")
    return file


def test_the_steps_keep_their_fingerprints(golden: Path) -> None:
    found = {f"{number} {spec.name}": spec.fingerprint for number, spec in enumerate(specs(golden))}
    assert found == SEALED


def test_a_release_without_an_adapter_keeps_its_digest() -> None:
    release = registry.release_of(
        prompt="Sei Cervella.", embedder="fake/e@1", persona=PERSONA, index=IndexParams(), llm=LLM, answer=ANSWER
    )
    assert release_digest(release) == "2f8ee6667c72d265ff25c6ee4e9dbfb65ea978f0d5a2cd7c586b6ead5476481e"


def test_a_record_keeps_the_key_that_it_is_found_again_by() -> None:
    scorecard = {"metrics": {"mrr": {"value": 0.75, "low": 0.5, "high": 1.0, "n": 4}}}
    assert (
        registered_key(release={"prompt": "Sei Cervella."}, scorecard=scorecard, gate=gate_report())
        == "7bd306640f8f870c5d36d93ee7813d4fdb6283fea27445e0751132227c0d6ca2"
    )
