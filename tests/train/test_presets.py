"""Presets: every base model with every machine loads as section `train`, and fits it or says why not."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from components.dataset.params import CheckParams
from components.train.estimate import KNOWN_MODELS, Estimate, architecture_of, estimate, known_model
from components.train.params import HardwareName, TrainParams

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
MODELS = sorted(path.stem for path in (RECIPES / "models").glob("*.yaml"))
MACHINES = sorted(path.stem for path in (RECIPES / "hardware").glob("*.yaml"))


def read(kind: str, name: str) -> dict[str, Any]:
    found = yaml.safe_load((RECIPES / kind / f"{name}.yaml").read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def merged(over: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """As the recipe language merges: maps key by key, all else is replaced."""
    both = {key: merged(over[key], base[key]) for key in over.keys() & base.keys()
            if isinstance(over[key], dict) and isinstance(base[key], dict)}  # fmt: skip
    return {**base, **over, **both}


def pair(model: str, machine: str) -> TrainParams:
    return TrainParams.model_validate(merged(read("hardware", machine), read("models", model))["train"])


def expect(params: TrainParams) -> Estimate:
    """540 examples, the owner's 600 without what is held out, the longest as long as allowed."""
    return estimate(params, rows=540, tokens=540 * 500, longest=params.max_tokens, validation_tokens=60 * 500,
                    measured=None)  # fmt: skip


def test_there_is_one_for_every_machine_and_nine_for_models() -> None:
    assert {name.removesuffix("-smoke") for name in MACHINES} == set(get_args(HardwareName))
    assert len(MODELS) == 9


@pytest.mark.parametrize(("model", "machine"), list(itertools.product(MODELS, MACHINES)))
def test_every_pair_loads_and_fits_or_says_why_not(model: str, machine: str) -> None:
    params = pair(model, machine)
    found = expect(params)
    assert architecture_of(params.base) is not None
    if found.verdict == "does not fit":
        assert found.refusal is not None and "To change: " in found.refusal
        assert found.notes[0] == found.refusal
    else:
        assert found.verdict in ("fits", "may not fit")
        assert found.notes[0].startswith("memory: ") and found.notes[0].endswith(found.verdict)
    effective = params.batch_size * params.accumulation
    assert effective == (16 if machine.startswith(("a100", "h100")) else 8)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_preset_names_a_known_model_and_its_template(name: str) -> None:
    section = read("models", name)
    params = TrainParams.model_validate(section["train"])
    known = known_model(params.base.model or "")
    if params.base.model == "local/smollm2-135m-instruct":
        known = KNOWN_MODELS["HuggingFaceTB/SmolLM2-135M-Instruct"]
    assert known is not None and params.base.template == known.template
    check = CheckParams.model_validate(section["dataset"]["check"])
    text = (RECIPES / "models" / f"{name}.yaml").read_text(encoding="utf-8")
    assert known.licence.split()[0] in text  # whoever takes it is told the licence
    assert ("a stand-in" in text) == (check.template != known.template)


@pytest.mark.parametrize(("kind", "name"), [("models", n) for n in MODELS] + [("hardware", n) for n in MACHINES])
def test_a_preset_sets_only_what_it_is_about(kind: str, name: str) -> None:
    section = read(kind, name)
    assert set(section) <= {"train", "dataset"}
    assert set(section.get("dataset", {"check": 0})) == {"check"}
    assert set(section.get("dataset", {}).get("check", {})) <= {"template", "max_tokens"}
    own = {"hardware", "precision", "batch_size", "accumulation", "max_tokens", "optimizer", "gradient_checkpointing",
           "base", "validation"} if kind == "hardware" else {"base", "learning_rate"}  # fmt: skip
    assert set(section["train"]) <= own
    if kind == "hardware":
        assert section["train"]["hardware"] == name.removesuffix("-smoke")
        assert set(section["train"].get("base", {})) <= {"quantization"}


def test_the_owners_settings_on_a_t4() -> None:
    preset = pair("qwen3-4b", "t4")
    assert preset == TrainParams()  # the defaults of the section are the owner's, sized for a T4
    assert expect(preset).verdict == "fits"
    asked = preset.model_copy(update={"batch_size": 4, "accumulation": 2, "max_tokens": 4096})
    found = expect(asked)
    assert not found.fits and found.refusal is not None
    assert "batch_size 4 x 4,096 tokens" in found.refusal
    assert "logits" in found.refusal
    assert "batch_size 1 with accumulation 8" in found.refusal
    assert "max_tokens" in found.refusal.partition("To change: ")[2]


def test_the_large_machines_take_every_model_of_the_presets() -> None:
    for model in MODELS:
        assert expect(pair(model, "h100")).verdict in ("fits", "may not fit"), model
    assert expect(pair("qwen3-14b", "t4")).verdict != "fits"
