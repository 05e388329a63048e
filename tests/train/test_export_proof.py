"""Exported adapters in real llama.cpp against transformers and peft: what passes, and that what is wrong does not."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.errors import TerminalError
from components.llm import load_tokenizer
from components.llm.tokenizer import TokenizerName
from components.store import Artefact, Run, StepSpec, recorded_step
from components.train.base import packaged_gguf, recover_base
from components.train.environments import Environment
from components.train.export import gguf_lora
from components.train.export.export import export_model
from components.train.export.gguf_lora import export_gguf_adapter, shape_of_gguf
from components.train.export.proof import Proof, _reference, choose_places, prove_gguf
from components.train.export.unquantized import unquantized_copy
from components.train.job import Job, schedule
from components.train.params import BaseModelParams, ExportParams, TrainParams
from tests.train.adapters import by_hand, by_peft
from tests.train.tiny_gguf import write_qwen3_gguf

TEXTS = [
    "<|im_start|>user\nQuant'è la caparra?<|im_end|>\n<|im_start|>assistant\nIl trenta per cento.<|im_end|>\n",
    "<|im_start|>user\nWho keeps the oven?<|im_end|>\n<|im_start|>assistant\nMarta does, since 2019. 🎉<|im_end|>\n",
    "<|im_start|>user\nE la domenica?<|im_end|>\n<|im_start|>assistant\nLa domenica il forno resta spento.<|im_end|>\n",
]
TOLERANCE = 0.05


def write_masks(path: Path, tokenizer: TokenizerName) -> Path:
    encoded = load_tokenizer(tokenizer).encode_batch(TEXTS)
    rows = [{"ids": one.ids, "trained": list(range(len(one.ids) // 2, len(one.ids)))} for one in encoded]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_places_are_spread_over_texts_and_never_the_first_token(tmp_path: Path) -> None:
    file = tmp_path / "masks.jsonl"
    rows = [{"ids": list(range(2000)), "trained": list(range(n, 2000, 7))} for n in range(20)]
    rows.append({"ids": [1, 2], "trained": [0]})
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    places = choose_places(file)
    assert 4 <= len(places) <= 8
    assert 16 <= sum(len(text.places) for text in places) <= 32
    assert all(0 < place < 512 and place < len(text.ids) for text in places for place in text.places)
    assert all(max(text.places) > 300 for text in places), "late tokens are looked at too"


def test_masks_without_a_place_are_told(tmp_path: Path) -> None:
    file = tmp_path / "masks.jsonl"
    file.write_text('{"ids": [1, 2], "trained": [0]}\n', encoding="utf-8")
    with pytest.raises(TerminalError, match="no place"):
        choose_places(file)


@pytest.fixture(scope="module", autouse=True)
def asked_once() -> Iterator[None]:
    """What transformers says of the same texts, model and adapter is asked once: it starts a Python with torch."""
    known = dict[str, Any]()

    def reference(texts: Any, *, model: str, adapter: Path | None, **more: Any) -> Any:
        of = f"{texts} {weights_of(Path(model))} {adapter and weights_of(adapter)}"
        if of not in known:
            known[of] = _reference(texts, model=model, adapter=adapter, **more)
        return known[of]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("components.train.export.proof._reference", reference)
        yield


def weights_of(folder: Path) -> str:
    """Digest of a model or an adapter, whatever else lies beside it."""
    found = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.suffix == ".safetensors" or file.name in {"config.json", "adapter_config.json"}:
            found.update(file.read_bytes())
    return found.hexdigest()


class Tiny:
    """A Qwen3 of two layers with an adapter, in all forms that a proof needs."""

    def __init__(self, folder: Path, environment: Environment, model: Path) -> None:
        self.environment = environment
        python = self.python = environment.python
        self.model = model
        self.gguf = write_qwen3_gguf(self.model, folder / "base.gguf")
        self.quantized = write_qwen3_gguf(self.model, folder / "base-q8.gguf", quantized=True)
        self.adapter = by_peft(folder / "adapter", model=self.model, python=python, size=0.3)
        self.exported = export_gguf_adapter(self.adapter, out=folder / "adapter.gguf", shape=shape_of_gguf(self.gguf))
        self.masks = write_masks(folder / "masks.jsonl", "qwen3")

    def prove(self, folder: Path, **changes: Any) -> Proof:
        given: dict[str, Any] = {
            "python": self.python, "model": str(self.model), "adapter": self.adapter, "gguf": self.gguf,
            "exported": self.exported, "masks": self.masks, "folder": folder, "tolerance": TOLERANCE,
            "same_weights": False,
        }  # fmt: skip
        return prove_gguf(**{**given, **changes})


@pytest.fixture(scope="module")
def python(trainer_environment: Callable[[str], Any]) -> Path:
    path: Path = trainer_environment("axolotl").python
    return path


@pytest.fixture(scope="module")
def tiny(
    tmp_path_factory: pytest.TempPathFactory, trainer_environment: Callable[[str], Environment],
    tiny_qwen3: Callable[[str], Path],
) -> Tiny:  # fmt: skip
    return Tiny(tmp_path_factory.mktemp("tiny"), trainer_environment("axolotl"), tiny_qwen3("axolotl"))


@pytest.mark.slow
def test_qwen3_adapter_says_the_same_in_llama_cpp(tiny: Tiny, tmp_path: Path) -> None:
    proof = tiny.prove(tmp_path)
    assert proof.passed and proof.reasons == ()
    assert proof.bases.greatest < 0.01 and proof.exported.greatest < 0.01
    assert proof.effect.mean > 10 * proof.exported.mean
    assert proof.served_effect.mean == pytest.approx(proof.effect.mean, rel=0.05)
    assert proof.quantized is None and proof.to_dict()["passed"] is True


@pytest.mark.slow
def test_what_is_wrong_with_an_adapter_fails_its_proof(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = shape_of_gguf(tiny.gguf)
    other = by_hand(tmp_path / "other", sizes={"layers": 2, "hidden": 64, "query": 64, "kv": 32, "ffn": 128}, size=0.3)
    another = export_gguf_adapter(other, out=tmp_path / "another.gguf", shape=shape)
    assert "differ by up to" in " ".join(tiny.prove(tmp_path, exported=another).reasons)

    monkeypatch.setattr(gguf_lora, "_scale", lambda config: 16.0)
    double = export_gguf_adapter(tiny.adapter, out=tmp_path / "double.gguf", shape=shape)
    assert tiny.prove(tmp_path, exported=double).passed is False


@pytest.mark.slow
def test_an_adapter_that_changes_nothing_proves_nothing(tiny: Tiny, tmp_path: Path) -> None:
    idle = by_peft(tmp_path / "idle", model=tiny.model, python=tiny.python, size=0.0)
    exported = export_gguf_adapter(idle, out=tmp_path / "idle.gguf", shape=shape_of_gguf(tiny.gguf))
    proof = tiny.prove(tmp_path, adapter=idle, exported=exported)
    assert proof.passed is None and "proves nothing" in str(proof.undecided)


@pytest.mark.slow
def test_on_a_quantized_base_it_may_differ_as_the_bases_do(tiny: Tiny, tmp_path: Path) -> None:
    proof = tiny.prove(tmp_path, gguf=tiny.quantized, tolerance=0.0001)
    assert proof.bases.greatest > 0.0001
    assert proof.passed, proof.reasons
    assert proof.exported.mean <= 1.25 * proof.bases.mean


def export_of(tiny: Tiny, folder: Path, **export: Any) -> Artefact:
    """The step `train.export` on a sealed training that has the tiny adapter."""
    base = BaseModelParams(model=None, folder=tiny.model, quantization="none", gguf=tiny.gguf)
    params = TrainParams(base=base, export=ExportParams(tolerance=TOLERANCE, **export))
    job = Job(params, "model", "train.jsonl", "validation.jsonl", 1, 1, schedule(params, rows=1))
    run = Run.create(folder / "workspace", recipe="tiny", phase="optimize")
    with recorded_step(run, StepSpec("train.run", 1, {"of": "tests"}, {})) as step:
        for file in [*tiny.adapter.iterdir(), tiny.model / "tokenizer.json", tiny.model / "tokenizer_config.json"]:
            shutil.copyfile(file, step.path(file.name))
        shutil.copyfile(tiny.masks, step.path("masks-validation.jsonl"))
        step.write_json("job.json", job.to_dict())
        step.write_json("measured.json", {"config": json.loads((tiny.model / "config.json").read_bytes())})
    return export_model(run, params, trained=step.artefact, model=tiny.model, environment=lambda: tiny.environment)


@pytest.mark.slow
def test_forms_that_a_recipe_asks_for(tiny: Tiny, tmp_path: Path) -> None:
    made = export_of(tiny, tmp_path, merged=True)
    proofs = made.read_json("proof.json")
    assert {form: proof["passed"] for form, proof in proofs.items()} == {"gguf": True, "merged": True}
    assert proofs["merged"]["exported"]["greatest"] < 0.001
    assert {"adapter.gguf", "Modelfile", "model.safetensors", "config.json"} <= set(made.manifest["outputs"])
    assert (made.path / "adapter.gguf").read_bytes() == tiny.exported.read_bytes()
    assert f"FROM {tiny.gguf}\nADAPTER adapter.gguf\n" in (made.path / "Modelfile").read_text("utf-8")
    template = json.loads((tiny.model / "tokenizer_config.json").read_bytes())["chat_template"]
    assert (made.path / "chat_template.jinja").read_text("utf-8") == template


@pytest.mark.slow
def test_where_the_gguf_fails_the_merged_model_is_the_export(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf_lora, "_scale", lambda config: 16.0)
    made = export_of(tiny, tmp_path)
    proofs = made.read_json("proof.json")
    assert {form: proof["passed"] for form, proof in proofs.items()} == {"gguf": False, "merged": True}
    assert "train.export.tolerance" in proofs["gguf"]["reasons"][0]
    assert "adapter.gguf" not in made.manifest["outputs"] and "model.safetensors" in made.manifest["outputs"]


@pytest.fixture(scope="module")
def smollm2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    recover_base(folder)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_llama_adapter_is_proved_on_a_copy_of_the_packaged_base_and_a_wrong_order_of_rows_fails(
    smollm2: Path, python: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the recovered base as well: its logits are llama.cpp's."""
    adapter = by_peft(tmp_path / "adapter", model=smollm2, python=python, size=0.02)
    shape = shape_of_gguf(packaged_gguf())
    given: dict[str, Any] = {
        "python": python, "model": str(smollm2), "adapter": adapter, "gguf": packaged_gguf(),
        "masks": write_masks(tmp_path / "masks.jsonl", "smollm2"), "folder": tmp_path / "work", "tolerance": TOLERANCE,
        "same_weights": True,
    }  # fmt: skip
    right = prove_gguf(exported=export_gguf_adapter(adapter, out=tmp_path / "a.gguf", shape=shape), **given)
    assert right.passed, right.reasons
    assert right.bases.greatest < TOLERANCE and right.bases.mean < 0.01
    assert right.quantized and right.quantized["bases"].mean > right.bases.mean
    assert not (tmp_path / "work" / "unquantized.gguf").exists(), "the copy is large: it goes"

    monkeypatch.setattr(gguf_lora, "permute", lambda values, heads: values)
    copy = given["gguf"] = unquantized_copy(packaged_gguf(), tmp_path / "copy.gguf")
    wrong = prove_gguf(exported=export_gguf_adapter(adapter, out=tmp_path / "b.gguf", shape=shape), **given)
    copy.unlink()
    assert wrong.passed is False and wrong.exported.greatest > TOLERANCE
