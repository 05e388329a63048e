"""What identifies a base model; and the packaged one in Hugging Face's form, as two trainers' environments see it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.dataset.checks.templates import load_template
from components.errors import InputError
from components.llm import load_tokenizer
from components.train.base import base_gguf, base_identity, packaged_gguf, recover_base
from components.train.params import BaseModelParams
from tests.dataset.chats import chat

PACKAGED = BaseModelParams(model="local/smollm2-135m-instruct", template="smollm2")
TEXTS = [
    "Hello there", "Perché no? 2024-11-22, ore 10:30.", "🎉 家 ツ\n\n\n\tindented  twice", "it's we're I'LL x_y 3.14",
    " lead and trail ", "<|im_start|>user\nCiao<|im_end|>\n<|endoftext|>",
]  # fmt: skip


def folder_base(folder: Path) -> BaseModelParams:
    return BaseModelParams(model=None, folder=folder)


def test_a_model_of_the_hub_is_its_name_and_revision() -> None:
    found = {
        base_identity(BaseModelParams(model=model, revision=revision))["sha256"]
        for model in ("Qwen/Qwen3-4B", "Qwen/Qwen3-8B") for revision in (None, "abc123")
    }  # fmt: skip
    assert len(found) == 4


def test_the_packaged_model_is_its_weights() -> None:
    found = base_identity(PACKAGED)
    assert found["gguf"] == hashlib.sha256(packaged_gguf().read_bytes()).hexdigest()
    assert found == base_identity(PACKAGED.model_copy(update={"quantization": "none", "gguf": Path("x")}))


def test_a_folder_is_its_files_wherever_it_lies(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / "model.safetensors").write_bytes(b"weights")
    first = base_identity(folder_base(tmp_path / "one"))
    assert first == base_identity(folder_base(tmp_path / "two"))
    (tmp_path / "two" / "README.md").write_text("read me")
    (tmp_path / "two" / ".hidden.json").write_text("{}")
    assert first == base_identity(folder_base(tmp_path / "two"))
    (tmp_path / "two" / "model.safetensors").write_bytes(b"weightz")
    assert first["sha256"] != base_identity(folder_base(tmp_path / "two"))["sha256"]


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train\.base\.folder.*no config\.json"):
        base_identity(folder_base(tmp_path))


def test_where_a_gguf_of_the_base_is() -> None:
    assert base_gguf(PACKAGED) == packaged_gguf()
    assert base_gguf(BaseModelParams()) is None
    assert base_gguf(BaseModelParams(gguf=Path("q.gguf"))) == Path("q.gguf")


@pytest.fixture(scope="module")
def recovered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    recover_base(folder)
    return folder


@pytest.mark.slow
def test_the_same_bytes_each_time(recovered: Path, tmp_path: Path) -> None:
    recover_base(tmp_path / "again")
    assert base_identity(folder_base(recovered)) == base_identity(folder_base(tmp_path / "again"))
    assert {path.name for path in recovered.iterdir()} == {
        "config.json", "generation_config.json", "model.safetensors", "special_tokens_map.json", "tokenizer.json",
        "tokenizer_config.json",
    }  # fmt: skip


_SCRIPT = """
import json, sys
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
model, loading = AutoModelForCausalLM.from_pretrained(sys.argv[1], output_loading_info=True)
texts, chats = json.load(sys.stdin)
print(json.dumps({
    "ids": [tokenizer(text)["input_ids"] for text in texts],
    "back": [tokenizer.decode(tokenizer(text)["input_ids"]) for text in texts],
    "chats": [tokenizer.apply_chat_template(chat, tokenize=False) for chat in chats],
    "special": [tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token],
    "parameters": sum(one.numel() for one in model.parameters()), "dtype": str(model.dtype),
    "eos": model.generation_config.eos_token_id, "missing": sorted(loading["missing_keys"]),
    "unexpected": sorted(loading["unexpected_keys"]), "tied": model.config.tie_word_embeddings,
    "theta": (getattr(model.config, "rope_parameters", None) or {}).get("rope_theta"),
}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["axolotl", "llamafactory"])
def test_trainers_see_our_tokenizer_and_template_and_all_weights(
    name: str, recovered: Path, trainer_environment: Callable[[str], Any]
) -> None:
    chats = [
        [("human", "Ciao"), ("gpt", "Ciao a te.")],
        [("system", "Breve."), ("human", "Ora?"), ("gpt", "Le tre."), ("human", "E poi?")],
    ]
    roles = {"human": "user", "gpt": "assistant", "system": "system"}
    messages = [[{"role": roles[role], "content": text} for role, text in one] for one in chats]
    command = [str(trainer_environment(name).python), "-I", "-c", _SCRIPT, str(recovered)]
    quiet = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    ran = subprocess.run(
        command, input=json.dumps([TEXTS, messages]), env={**os.environ, **quiet}, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    assert found["ids"] == [one.ids for one in load_tokenizer("smollm2").encode_batch(TEXTS)]
    assert found["back"] == TEXTS
    assert found["special"] == ["<|im_start|>", "<|im_end|>", "<|im_end|>", "<|endoftext|>"]
    assert (found["missing"], found["unexpected"], found["tied"]) == ([], [], True)
    assert (found["parameters"], found["dtype"], found["eos"], found["theta"]) == (134_515_008, "torch.float32", 2, 1e5)
    assert found["chats"] == [load_template("smollm2").render(chat(*one)).text for one in chats]
