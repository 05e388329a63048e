"""`train.extra`: what is refused and why, before anything runs; and every key of every trainer has been judged."""

from __future__ import annotations

import json
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, get_args

import pytest

from components.train.environments import Environment
from components.train.extra import check_extra, trainer_schema
from components.train.extra_keys import RECIPE_KEYS, allowed_keys, refusal_of
from components.train.params import TrainerName, TrainParams
from components.train.trainers import trainer

TRAINERS: tuple[TrainerName, ...] = get_args(TrainerName)
RECORD = Path(__file__).with_name("record_trainer_schemas.py")


def params(name: TrainerName, **extra: Any) -> TrainParams:
    return TrainParams(trainer=name, extra=extra)


def faults(name: TrainerName, **extra: Any) -> list[str]:
    return [str(one) for one in check_extra(name, params(name, **extra))]


def keys_of(name: TrainerName) -> list[str]:
    """All keys of a trainer, as they are written in a recipe; those of Unsloth have a group."""
    schema = trainer_schema(name)
    if name == "unsloth":
        return [f"{group}.{key}" for group in schema["keys"] for key in schema["models"][group]]
    return list(schema["keys"])


@pytest.mark.parametrize("name", TRAINERS)
def test_every_key_is_set_by_us_or_refused_or_allowed(name: TrainerName) -> None:
    ours = trainer(name).set_by_us(TrainParams(trainer=name))
    names = allowed_keys(name)
    for key in keys_of(name):
        allowed = any(fnmatchcase(key, one) for one in names)
        assert allowed or key in ours or refusal_of(name, key), f"{key} was judged by nobody"
        assert not (allowed and refusal_of(name, key)), f"{key} is allowed and refused"


@pytest.mark.parametrize("name", TRAINERS)
def test_judgements_are_about_keys_that_exist(name: TrainerName) -> None:
    known = keys_of(name)
    for one in allowed_keys(name):
        assert any(fnmatchcase(key, one) for key in known), one
    here = set(TrainParams.model_json_schema()["properties"])
    assert {key.split(".")[0] for key in RECIPE_KEYS[name].values()} <= here


@pytest.mark.parametrize("name", TRAINERS)
def test_keys_of_the_section_are_refused_with_their_name_in_a_recipe(name: TrainerName) -> None:
    ours = trainer(name).set_by_us(TrainParams(trainer=name))
    rates = {"axolotl": "learning_rate", "llamafactory": "learning_rate", "unsloth": "sft.learning_rate"}
    assert rates[name] in ours
    group, _, key = rates[name].rpartition(".")
    given = {group: {key: 1e-4}} if group else {key: 1e-4}
    assert faults(name, **given) == [
        f"train.extra.{rates[name]}: is train.learning_rate; expected train.learning_rate instead"
    ]


@pytest.mark.parametrize(
    ("name", "extra", "said"),
    [
        pytest.param("axolotl", {"neftune_noise_alfa": 5}, "did you mean 'neftune_noise_alpha'?", id="typo"),
        pytest.param("axolotl", {"Lora_R": 8}, "did you mean 'lora_r'? It is train.lora.r", id="typo of a set key"),
        pytest.param("axolotl", {"xyzzy": 5}, "Axolotl 0.19.0 has no such key", id="unknown"),
        pytest.param("axolotl", {"cut_cross_entropy": True}, "no such key", id="key of a plugin"),
        pytest.param("axolotl", {"plugins": ["x.Y"]}, "imports code", id="plugins"),
        pytest.param("axolotl", {"trust_remote_code": True}, "imports code", id="remote code"),
        pytest.param("axolotl", {"trainer_cls": "x.Y"}, "imports code", id="trainer class"),
        pytest.param("axolotl", {"torchdistx_path": "/x"}, "imports code", id="path of code"),
        pytest.param("axolotl", {"attn_implementation": "org/kernel"}, "one of eager, sdpa", id="kernel of a hub"),
        pytest.param("axolotl", {"model_kwargs": {"a": 1}}, "imports code", id="arguments of the loader"),
        pytest.param("axolotl", {"lr_scheduler_kwargs": {"a": [{"trust_remote_code": True}]}}, "imports code",
                     id="remote code deep inside"),
        pytest.param("axolotl", {"use_wandb": True}, "over the network", id="wandb"),
        pytest.param("axolotl", {"hub_model_id": "a/b"}, "over the network", id="hub"),
        pytest.param("axolotl", {"comet_api_key": "k"}, "stored with every run", id="key"),
        pytest.param("axolotl", {"deepspeed": "ds.json"}, "several GPUs", id="deepspeed"),
        pytest.param("axolotl", {"datasets": []}, "is set by section train", id="datasets"),
        pytest.param("axolotl", {"rl": "dpo"}, "another kind of training", id="dpo"),
        pytest.param("axolotl", {"strict": True}, "is set by section train", id="strict"),
        pytest.param("axolotl", {"max_packed_sequence_len": 5}, "ignores it, or stops", id="no longer"),
        pytest.param("axolotl", {"flash_attention": True}, "expected write attn_implementation", id="renamed"),
        pytest.param("axolotl", {"neftune_noise_alpha": "5"}, "is text; expected a number or null (YAML", id="text"),
        pytest.param("axolotl", {"neftune_noise_alpha": True}, "is true or false; expected a number", id="bool"),
        pytest.param("axolotl", {"neftune_noise_alpha": float("nan")}, "no finite number", id="nan"),
        pytest.param("axolotl", {"gc_steps": 1.5}, "is a number; expected a whole number", id="fraction"),
        pytest.param("axolotl", {"torch_compile_mode": "max-autotun"}, "did you mean 'max-autotune'?", id="enum"),
        pytest.param("axolotl", {"lr_groups": [{"lr": 0.1, "modules": ["a"], "nam": "x"}]},
                     "train.extra.lr_groups.0.nam: Axolotl 0.19.0 has no such key; did you mean "
                     "'lr_groups.0.name'?", id="typo inside"),
        pytest.param("axolotl", {"lr_groups": [{"lr": "x", "modules": ["a"], "name": "x"}]},
                     "train.extra.lr_groups.0.lr: is text", id="kind inside"),
        pytest.param("axolotl", {"lr_groups": {"lr": 1}}, "is a map; expected a list", id="no list"),
        pytest.param("llamafactory", {"use_unsloth": True}, "imports code", id="lf: unsloth"),
        pytest.param("llamafactory", {"push_to_hub": True}, "over the network", id="lf: hub"),
        pytest.param("llamafactory", {"report_to": "wandb"}, "is set by section train", id="lf: report"),
        pytest.param("llamafactory", {"hf_hub_token": "hf_x"}, "stored with every run", id="lf: token"),
        pytest.param("llamafactory", {"packing": True}, "is train.packing", id="lf: packing"),
        pytest.param("llamafactory", {"neat_packing": True}, "by section `dataset`", id="lf: packing, neat"),
        pytest.param("llamafactory", {"use_dora": True}, "another kind of adapter", id="lf: dora"),
        pytest.param("llamafactory", {"cache_dir": "/x"}, "of this machine", id="lf: path"),
        pytest.param("llamafactory", {"flash_attn": "fa4"}, "one of auto, disabled, fa2, fa3, sdpa", id="lf: enum"),
        pytest.param("llamafactory", {"lora_rang": 8}, "did you mean 'lora_rank'? It is train.lora.r", id="lf: typo"),
        pytest.param("unsloth", {"neftune_noise_alpha": 5}, "did you mean 'sft.neftune_noise_alpha'?", id="no group"),
        pytest.param("unsloth", {"sft": {"neftune_noise_alfa": 5}}, "did you mean 'sft.neftune_noise_alpha'?",
                     id="unsloth: typo"),
        pytest.param("unsloth", {"sft": 5}, "is a whole number; expected a map", id="unsloth: no map"),
        pytest.param("unsloth", {"load": {"token": "hf_x"}}, "stored with every run", id="unsloth: token"),
        pytest.param("unsloth", {"load": {"trust_remote_code": True}}, "is set by section train", id="unsloth: code"),
        pytest.param("unsloth", {"lora": {"use_rslora": True}}, "another kind of adapter", id="unsloth: rslora"),
        pytest.param("unsloth", {"sft": {"push_to_hub": True}}, "over the network", id="unsloth: hub"),
    ],
)  # fmt: skip
def test_refused(name: TrainerName, extra: dict[str, Any], said: str) -> None:
    found = faults(name, **extra)
    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("axolotl", {"neftune_noise_alpha": 5, "lr_groups": [{"lr": 0.1, "modules": ["a"], "name": "x"}]}),
        (
            "axolotl",
            {"max_memory": {"0": 10, "cpu": "20GiB"}, "attn_implementation": "flash_attention_2", "tf32": "auto"},
        ),
        ("llamafactory", {"neftune_noise_alpha": None, "flash_attn": "fa2"}),
        ("unsloth", {"sft": {"neftune_noise_alpha": 5.0}, "load": {"unsloth_tiled_mlp": True}}),
        ("unsloth", {}),
    ],
)
def test_allowed(name: TrainerName, extra: dict[str, Any]) -> None:
    assert faults(name, **extra) == []


def test_all_faults_at_once_and_no_value_in_a_text() -> None:
    secret = "geheim-4711"
    found = check_extra("axolotl", params("axolotl", wandb_project=secret, gc_steps=secret, xyzzy=secret, optim_args=3))
    assert [one.key for one in found] == ["wandb_project", "gc_steps", "xyzzy", "optim_args"]
    assert secret not in " ".join(map(str, found))


@pytest.mark.parametrize(
    "extra",
    [{"a\nb": 1}, {"": 1}, {"lr_groups": [[[]]]}, {"optim_args": {"x": object()}}, {"max_memory": {"a": [1]}}],
    ids=["line end", "no name", "lists", "an object", "a list of numbers"],
)
def test_odd_values_are_told_and_break_nothing(extra: dict[str, Any]) -> None:
    assert len(faults("axolotl", **extra)) == 1


def test_a_recipe_tells_faults_of_extra_where_they_are_written(tmp_path: Path) -> None:
    from components.recipe import RecipeError, load_recipe

    (tmp_path / "notes").mkdir()
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "name: r\nphase: reindex\nsncp: {root: notes}\n"
        "train:\n  trainer: llamafactory\n  packing: true\n  extra:\n    lora_rang: 8\n    neftune_noise_alpha: 5\n"
    )
    (tmp_path / "notes" / "NORD.md").write_text("# Nord\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe, cwd=tmp_path)
    text = str(caught.value)
    assert "r.yaml:8:" in text and "train.extra.lora_rang" in text and "did you mean 'lora_rank'?" in text
    assert "r.yaml:6:" in text and "packs held-out examples too" in text
    assert "neftune" not in text.replace("neftune_noise_alpha: 5", "")


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINERS)
def test_schema_is_that_of_the_installed_package(
    name: TrainerName, trainer_environment: Callable[[str], Environment], tmp_path: Path
) -> None:
    import subprocess

    environment, out = trainer_environment(name), tmp_path / "schema.json"
    quiet = {
        "HF_HUB_OFFLINE": "1",
        "AXOLOTL_DO_NOT_TRACK": "1",
        "UNSLOTH_DISABLE_STATISTICS": "1",
        "HOME": str(tmp_path),
    }
    subprocess.run(
        [str(environment.python), "-I", str(RECORD), name, str(out)], check=True, cwd=tmp_path, env=quiet,
        capture_output=True,
    )  # fmt: skip
    assert json.loads(out.read_text()) == trainer_schema(name)
    assert trainer(name).VERSION == trainer_schema(name)["version"] == environment.trainer_version
