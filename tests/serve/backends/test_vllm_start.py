"""What a vLLM is started with: which base, which adapter, which words and variables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from components.errors import InputError, TerminalError
from components.serve.backends.vllm import command, environment, lora_rank
from components.serve.backends.weights import Adapter, Base, adapter_of, base_of, base_wanted, peft_adapter
from components.serve.params import VllmParams
from components.store import StepSpec, Store
from components.train.environments.find import Environment
from components.train.params import BaseModelParams

QWEN = BaseModelParams(model="Qwen/Qwen3-0.6B", revision="abc", template="qwen3")
HUB = Base("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B", "abc", "b" * 64, "qwen3", here=False)


@pytest.mark.parametrize(
    ("chat", "base"),
    [
        ("local/smollm2-135m-instruct", "local/smollm2-135m-instruct"),
        ("hosted_vllm/mine", "Qwen/Qwen3-0.6B"),
        ("openai/mine", "Qwen/Qwen3-0.6B"),
    ],
)
def test_which_base_a_recipe_answers_with(chat: str, base: str) -> None:
    assert base_wanted(chat, QWEN).model == base


@pytest.mark.parametrize("chat", ["fake/chat", "anthropic/claude-sonnet-4-5", "gpt-4o", "ollama_chat/qwen3"])
def test_a_model_that_vllm_cannot_serve_is_refused(chat: str) -> None:
    with pytest.raises(InputError, match="hosted_vllm/NAME"):
        base_wanted(chat, QWEN)


def test_a_base_in_a_folder_is_named_without_its_path(tmp_path: Path) -> None:
    folder = tmp_path / "my model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": 4096}))
    found = base_of(BaseModelParams(model=None, folder=folder, template="chatml"), workspace=tmp_path / "w")
    assert (found.name, found.model, found.here, found.longest) == ("my model", str(folder), True, 4096)
    hub = base_of(QWEN, workspace=tmp_path / "w")
    assert (hub.name, hub.model, hub.revision, hub.here) == ("Qwen/Qwen3-0.6B", "Qwen/Qwen3-0.6B", "abc", False)


def test_the_adapter_of_a_release_is_found_by_the_digest_of_its_weights(tmp_path: Path) -> None:
    made = {}
    for name in ("one", "two"):
        with Store(tmp_path).step(StepSpec("train.run", 1, {"n": name}, {})) as step:
            step.write_text("adapter_model.safetensors", name)
            step.write_text("adapter_config.json", '{"r": 8}')
        made[name] = step.artefact
    wanted = peft_adapter(made["one"])
    release = {"adapter": wanted.sha256, "adapted": {"sha256": HUB.identity}}
    assert adapter_of(release, base=HUB, workspace=tmp_path) == wanted
    assert (wanted.folder, wanted.rank) == (made["one"].path, 8) and wanted.sha256.startswith(wanted.name[8:])
    for other, kind, says in (
        ({"adapter": "0" * 64}, TerminalError, "is in no train.run"),
        ({"adapted": {"sha256": "c"}}, InputError, "another base than Qwen/Qwen3-0.6B"),
        ({"adapted": None}, InputError, "another base than Qwen/Qwen3-0.6B"),
    ):
        with pytest.raises(kind, match=says):
            adapter_of({**release, **other}, base=HUB, workspace=tmp_path)


FOLDER = Base("mine", "/models/mine", None, "c" * 64, "chatml", here=True)
PACKAGE = Base("smollm2-135m-instruct", "/w/store/x", None, "d" * 64, "smollm2", here=True)


@pytest.mark.parametrize(
    ("model", "base", "served"),
    [
        ("hosted_vllm/Qwen/Qwen3-0.6B", HUB, True), ("openai/Qwen/Qwen3-0.6B", HUB, True),
        ("hosted_vllm/mine", FOLDER, True), ("hosted_vllm//models/mine", FOLDER, True),
        ("local/smollm2-135m-instruct", PACKAGE, True), ("hosted_vllm/mistral", HUB, False),
        ("hosted_vllm/Qwen/Qwen3-4B", HUB, False), ("hosted_vllm/models/mine", FOLDER, False),
        ("local/smollm2-135m-instruct", HUB, False),
    ],
)  # fmt: skip
def test_a_release_without_an_adapter_is_served_on_a_base_of_its_name_alone(
    model: str, base: Base, served: bool, tmp_path: Path
) -> None:
    release = {"adapter": None, "base_model": {"model": model}}
    if served:
        assert adapter_of(release, base=base, workspace=tmp_path) is None
        return
    with pytest.raises(InputError, match=f"answers with {model}, and train.base of this recipe is {base.name}") as told:
        adapter_of(release, base=base, workspace=tmp_path)
    assert "/models/" not in str(told.value).replace(model, "")


@pytest.mark.parametrize(("rank", "started_with"), [(None, 16), (4, 16), (16, 16), (17, 32), (512, 512)])
def test_the_rank_that_a_server_is_started_with(rank: int | None, started_with: int) -> None:
    assert lora_rank(None if rank is None else Adapter("a", Path(), "s", rank)) == started_with


def test_the_words_name_no_key_and_the_revision_of_a_model_of_the_hub() -> None:
    words = command(HUB, python=Path("/p"), port=9000, context=2048, rank=16, params=VllmParams(dtype="bfloat16"))
    assert words[:3] == ["/p", "-m", "vllm.entrypoints.openai.api_server"]
    told = dict(zip(words[3::1], words[4::1], strict=False))
    assert (told["--host"], told["--port"], told["--dtype"]) == ("127.0.0.1", "9000", "bfloat16")
    assert told["--revision"] == told["--tokenizer-revision"] == "abc"
    assert not any("key" in word for word in words)


@pytest.mark.parametrize("here", [True, False], ids=["a folder", "of the hub"])
def test_it_gets_no_secret_of_ours_and_the_hub_only_where_its_model_is_there(
    here: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ANTHROPIC_API_KEY", "CERVELLA_KEYS", "HF_TOKEN", "VLLM_API_KEY", "PYTHONPATH", "DOOR_OF_ANNA",
                 "NEWS_TO", "https_proxy"):  # fmt: skip
        monkeypatch.setenv(name, "s3cret-of-somebody")
    monkeypatch.setenv("XDG_DATABASE", "postgresql://anna:s3cret@db/prefect")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    about: Any = {"name": "vllm", "folder": tmp_path, "python": tmp_path / "bin" / "python", "lock": "", "torch": ""}
    found = Environment(**about, trainer_version="", torch_digest="", cuda=False)
    base = Base("m", "/m", None, "a", "smollm2", here=here)
    given = environment(found, base=base, key="ours", temporary=tmp_path, params=VllmParams(cache_gigabytes=3))
    assert {name for name, value in given.items() if "s3cret" in value} == (
        set() if here else {"HF_TOKEN", "https_proxy"}
    )
    assert given.get("HF_HUB_OFFLINE") == ("1" if here else None) and given["OMP_NUM_THREADS"] == "2"
    assert (given["VLLM_API_KEY"], given["VLLM_CPU_KVCACHE_SPACE"], given["VLLM_NO_USAGE_STATS"]) == ("ours", "3", "1")
    assert given["PATH"].startswith(str(tmp_path / "bin")) and given["TMPDIR"] == str(tmp_path)
