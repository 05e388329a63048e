"""Section `llm`: what of a model's settings an answer depends on."""

from __future__ import annotations

from components.llm.params import NOT_SAMPLED, ChatParams


def test_how_long_and_how_often_to_try_and_whose_key_it_is_change_no_answer() -> None:
    chat = ChatParams(model="fake/chat")
    patient = ChatParams(model="fake/chat", timeout_seconds=7.0, retries=5, api_key_env="MY_KEY")
    assert patient.sampled() == chat.sampled()
    assert {*chat.sampled(), *NOT_SAMPLED} == set(ChatParams.model_fields)


def test_everything_else_does() -> None:
    changes = [
        {"model": "fake/other"}, {"api_base": "http://localhost:1"}, {"temperature": 0.5}, {"max_tokens": 9},
        {"context_tokens": 99}, {"seed": 14},
    ]  # fmt: skip
    assert {key for change in changes for key in change} == set(ChatParams.model_fields) - {*NOT_SAMPLED}
    told = [ChatParams.model_validate({"model": "fake/chat", **change}).sampled() for change in changes]
    assert ChatParams(model="fake/chat").sampled() not in told
