"""The installing part of a bundle, with the real uv and real wheels that weigh nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from components.train.bundle import pack
from components.train.environments.uv import find_uv
from tests.train import small_trainers

STUB = "torchaudio"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """As much of an unzipped bundle as the installing part reads."""
    made = small_trainers.make(tmp_path / "made")
    folder = tmp_path / "bundle"
    (folder / "parts").mkdir(parents=True)
    shutil.copyfile(Path(pack.__file__).parent / "there" / "install.py", folder / "parts" / "install.py")
    shutil.copyfile(made / "locks" / "axolotl.lock", folder / "requirements.lock")
    trainer = {"name": "axolotl", "version": small_trainers.VERSION, "torch": small_trainers.TORCH, "lock": "1" * 64,
               "python": pack.PYTHON, "stubs": [STUB]}  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps({"trainer": trainer}), "utf-8")
    return folder


def install(bundle: Path, **more: str) -> subprocess.CompletedProcess[str]:
    found = {"PATH": f"{find_uv().parent}:/usr/bin:/bin", "HOME": str(bundle.parent), "UV_OFFLINE": "1",
             "UV_CACHE_DIR": str(bundle.parent / "cache"), "UV_FIND_LINKS": str(bundle.parent / "made" / "wheels"),
             **more}  # fmt: skip
    command = [sys.executable, "-I", str(bundle / "parts" / "install.py")]
    return subprocess.run(command, env=found, capture_output=True, text=True, timeout=300, check=False)


def asked(bundle: Path, program: str) -> str:
    python = bundle / "environment" / "bin" / "python"
    return subprocess.run([python, "-I", "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def test_the_trainer_is_installed_beside_the_bundle_and_once(bundle: Path) -> None:
    first = install(bundle)
    assert first.returncode == 0, first.stdout + first.stderr
    told = "import sys, importlib.metadata as m; print(m.version('axolotl'), m.version('torch'), *sys.version_info[:2])"
    assert asked(bundle, f"import {STUB}; {told}") == f"{small_trainers.VERSION} {small_trainers.TORCH}+cpu 3 11"
    shutil.rmtree(bundle.parent / "made")  # nothing could be installed now
    second = install(bundle)
    assert (second.returncode, second.stdout) == (0, "")


def test_settings_of_the_machine_do_not_change_what_is_installed(bundle: Path) -> None:
    constraints = bundle.parent / "constraints.txt"
    constraints.write_text("helper==0.1\n")
    done = install(bundle, UV_CONSTRAINT=str(constraints), UV_BUILD_CONSTRAINT="/nowhere", UV_SYSTEM_PYTHON="true",
                   PYTHONPATH="/nowhere")  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert asked(bundle, "import importlib.metadata as m; print(m.version('helper'))") == "1.0"


def test_a_package_that_is_not_the_locked_one_is_refused(bundle: Path) -> None:
    small_trainers.wheel(bundle.parent / "made" / "wheels", "helper", "1.0", {"helper.py": "import os  # evil\n"})
    done = install(bundle)
    assert done.returncode == 1 and "The installation failed" in done.stdout
    assert not (bundle / "environment" / "ready.json").exists()


@pytest.mark.parametrize("how", ["half made", "of another lock"])
def test_what_is_not_whole_or_not_this_lock_is_made_anew(how: str, bundle: Path) -> None:
    assert install(bundle).returncode == 0
    environment = bundle / "environment"
    (environment / "left").touch()
    if how == "half made":
        (environment / "ready.json").unlink()
    else:
        manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
        manifest["trainer"]["lock"] = "2" * 64
        (bundle / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    done = install(bundle)
    assert done.returncode == 0 and "Installing axolotl" in done.stdout
    assert not (environment / "left").exists() and (environment / "ready.json").exists()


def test_without_uv_and_pip_it_says_what_is_missing(bundle: Path) -> None:
    (bundle / "requirements-uv.lock").write_text(f"uv==0.0.0 \\\n    --hash=sha256:{'0' * 64}\n")
    done = install(bundle, PATH="/nowhere", PIP_CONFIG_FILE=os.devnull, PIP_NO_INDEX="1")
    assert done.returncode == 1 and "Without uv and pip: install one of them" in done.stdout
