"""`cervella trainers`, as people call it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from components.errors import InputError
from components.services.doctor_trainers import check_backends, check_trainers
from components.train.environments import Environment, find
from flows.commands.backends import backends_command
from flows.commands.trainers import trainers_command


def call(*arguments: str) -> Result:
    return CliRunner().invoke(trainers_command, list(arguments), standalone_mode=False)


def told(*arguments: str) -> Any:
    return json.loads(call(*arguments, "--json").stdout)


def test_nothing_is_installed_yet(small: Path) -> None:
    done = call()
    assert done.return_value == 0
    assert "missing" in done.stdout and "cervella trainers install unsloth" in done.stdout
    listed = told()
    assert listed["older"] == []
    assert [(one["name"], one["state"], one["why"]) for one in listed["trainers"]] == [
        (name, "missing", "it is not installed") for name in find.NAMES
    ]
    assert all(one["bytes"] > 1e9 and one["seconds"] > 0 for one in listed["trainers"]), "what to expect"


def test_what_is_installed_is_listed_with_where(whole: Environment) -> None:
    first = told()["trainers"][0]
    assert first["state"] == "installed"
    assert first["python"] == str(whole.python) and Path(first["python"]).exists()
    assert first["version"] == whole.trainer_version and first["torch"] == whole.torch and first["cuda"] is False
    assert str(whole.folder) in call().stdout


def test_a_broken_one_is_told_with_the_reason_and_the_way_out(whole: Environment) -> None:
    whole.python.unlink()
    done = call()
    assert done.return_value == 1
    assert "its Python is gone" in done.stdout and "cervella trainers install axolotl" in done.stdout
    assert done.stdout.isascii() or "…" not in done.stdout


def test_install_tells_what_it_takes_and_where_it_is(small: Path) -> None:
    done = call("install", "axolotl")
    assert done.exception is None
    assert "on disk" in done.stderr
    assert str(find.environment_folder("axolotl") / "bin" / "python") in done.stdout
    assert [one["name"] for one in json.loads(call("install", "axolotl", "--json").stdout)] == ["axolotl"]


@pytest.mark.parametrize(("name", "hint"), [("axolotle", "did you mean 'axolotl'?"), ("peft", "there are axolotl")])
def test_a_wrong_name_is_told_before_anything_is_installed(root: Path, name: str, hint: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli", "trainers", "install", "unsloth", name],
        cwd=root, capture_output=True, text=True, env={**os.environ, "CERVELLA_TRAINERS": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 2
    assert hint in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_list_imports_nothing_heavy(root: Path, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom flows.cli import main\nsys.argv = ['cervella', 'trainers']\n"
        "try:\n    main()\nexcept SystemExit:\n    print(sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True,
        env={**os.environ, "CERVELLA_TRAINERS": str(tmp_path)},
    )  # fmt: skip
    heavy = {"prefect", "mlflow", "litellm", "lancedb", "great_expectations", "torch", "pandas", "pyarrow", "numpy"}
    assert not heavy & set(json.loads(done.stdout.splitlines()[-1].replace("'", '"')))


def test_doctor_tells_each_that_is_installed_and_the_one_that_is_needed(whole: Environment) -> None:
    assert [(check.level, check.mend) for check in check_trainers()] == [("ok", None)]
    missing = list(check_trainers("unsloth"))
    assert [check.level for check in missing] == ["ok", "problem"]
    assert missing[1].mend == "cervella trainers install unsloth"
    whole.python.unlink()
    assert [check.level for check in check_trainers()] == ["warning"]
    assert [check.level for check in check_trainers("axolotl")] == ["problem"]


def test_backends_are_listed_apart_from_trainers(small: Path) -> None:
    done = CliRunner().invoke(backends_command, ["--json"], standalone_mode=False)
    [vllm] = json.loads(done.stdout)["backends"]
    assert (vllm["name"], vllm["state"], vllm["cuda"]) == ("vllm", "missing", False)
    shown = CliRunner().invoke(backends_command, [], standalone_mode=False)
    assert "cervella backends install vllm" in shown.stdout and "axolotl" not in shown.stdout
    assert "vllm" not in call().stdout


def test_a_backend_that_a_recipe_wants_and_is_not_there_is_told_by_the_doctor(small: Path) -> None:
    assert list(check_backends("embedded")) == list(check_backends()) == []
    [found] = check_backends("vllm")
    assert (found.level, found.mend) == ("problem", "cervella backends install vllm")


def test_a_backend_that_is_none_is_told_with_the_nearest(small: Path) -> None:
    done = CliRunner().invoke(backends_command, ["install", "vlm"], standalone_mode=False)
    assert isinstance(done.exception, InputError) and "did you mean 'vllm'?" in str(done.exception)
