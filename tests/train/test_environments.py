"""Environments of trainers: found, broken in every way, installed, mended."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from components.errors import InputError, TerminalError
from components.train.environments import Environment, find, find_environment
from components.train.environments.child import tail
from components.train.environments.install import install, needs_installing
from components.train.environments.state import older_environments, states
from components.train.environments.uv import find_uv
from tests.train.small_trainers import TORCH, VERSION, pinned, wheel


@pytest.fixture
def said() -> list[str]:
    return []


def mark() -> Path:
    return find.environment_folder("axolotl") / find.MARK


def test_an_environment_is_made_from_its_lock_and_found_again(small: Path, said: list[str]) -> None:
    made = install("axolotl", say=said.append)
    assert made == find_environment("axolotl")
    assert (made.trainer_version, made.torch, made.cuda) == (VERSION, f"{TORCH}+cpu", False)
    assert made.folder.name == f"axolotl-{find.lock_digest('axolotl')[:12]}"
    assert made.torch_digest == find.record_digest(made.folder)
    assert "on disk" in said[0] and "minute" in said[0], "what it takes is told before anything else"
    told = json.loads(mark().read_text())
    assert told["packages"] == [f"axolotl-{VERSION}", "helper-1.0", f"torch-{TORCH}+cpu"]
    assert subprocess.run([made.python, "-c", "import axolotl.train"]).returncode == 0


def test_what_is_installed_is_only_looked_at(whole: Environment, said: list[str]) -> None:
    before = mark().stat()
    assert install("axolotl", say=said.append) == whole
    assert os.path.samestat(before, mark().stat())
    assert "can be imported" in said[0]


def test_the_digest_of_torch_is_the_same_in_another_place(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = install("axolotl", say=print)
    monkeypatch.setenv("CERVELLA_TRAINERS", str(small / "elsewhere"))
    other = install("axolotl", say=print)
    assert one.folder != other.folder
    assert one.torch_digest == other.torch_digest


def test_a_missing_one_names_the_command_that_makes_it(small: Path) -> None:
    with pytest.raises(TerminalError, match="not installed.*`cervella trainers install axolotl`"):
        find_environment("axolotl")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("axolot", "did you mean 'axolotl'"), ("LLaMA-Factory", "did you mean 'llamafactory'"),
        ("trl", "there are axolotl, llamafactory, unsloth"),
    ],
)  # fmt: skip
def test_another_name_is_told_with_the_nearest(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        find.trainer_name(text)


def without_python(folder: Path) -> None:
    (folder / "bin" / "python").unlink()


def python_of_a_system_that_went(folder: Path) -> None:
    (folder / "bin" / "python").unlink()
    (folder / "bin" / "python").symlink_to(folder / "gone")


def without_a_package(folder: Path) -> None:
    site = find.site_packages(folder)
    assert site
    shutil.rmtree(site / "helper-1.0.dist-info")
    (site / "helper.py").unlink()


def with_another_package(folder: Path) -> None:
    site = find.site_packages(folder)
    assert site
    (site / "helper-1.0.dist-info").rename(site / "helper-1.1.dist-info")


def with_another_torch(folder: Path) -> None:
    site = find.site_packages(folder)
    assert site
    record = next(site.glob("torch-*.dist-info/RECORD"))
    text = record.read_text()
    record.unlink()  # it is a hard link into uv's cache
    record.write_text(text.replace("torch/version.py,sha256=", "torch/version.py,sha256=x"))


def half_installed(folder: Path) -> None:
    (folder / find.MARK).unlink()


def mark_of_another(folder: Path) -> None:
    told = json.loads((folder / find.MARK).read_text())
    (folder / find.MARK).write_text(json.dumps({**told, "lock": "0" * 64}))


def unreadable_mark(folder: Path) -> None:
    (folder / find.MARK).write_text("{")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (without_python, "its Python is gone"),
        (python_of_a_system_that_went, "the Python that it was made with is gone"),
        (without_a_package, "missing: helper-1.0"),
        (with_another_package, "helper-1.1|helper-1.0"),
        (with_another_torch, "torch is another build"),
        (half_installed, "did not come to its end"),
        (mark_of_another, "another lock"),
        (unreadable_mark, "did not come to its end"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_broken_one_is_told(whole: Environment, damage: Callable[[Path], None], told: str) -> None:
    damage(whole.folder)
    with pytest.raises(TerminalError, match=f"{told}.*`cervella trainers install axolotl`"):
        find_environment("axolotl")
    assert [state.state for state in states()] == ["broken", "missing", "missing"]
    assert needs_installing("axolotl", cuda=False)


@pytest.mark.parametrize("damage", [without_python, half_installed], ids=["without Python", "half installed"])
def test_a_broken_one_is_made_anew(whole: Environment, said: list[str], damage: Callable[[Path], None]) -> None:
    damage(whole.folder)
    assert install("axolotl", say=said.append) == whole
    assert "is made anew" in said[0]
    assert [state.state for state in states()] == ["installed", "missing", "missing"]


def test_what_files_do_not_show_is_found_by_importing(whole: Environment, said: list[str]) -> None:
    site = find.site_packages(whole.folder)
    assert site
    (site / "helper.py").unlink()
    assert needs_installing("axolotl", cuda=False) is None
    assert install("axolotl", say=said.append) == whole
    assert "cannot be imported (ModuleNotFoundError" in said[0]
    assert (site / "helper.py").exists()


@pytest.fixture
def gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose driver shows a GPU, as far as programs can ask."""
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho 'GPU 0: Tesla T4 (UUID: GPU-0)'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")


def with_a_torch_for_gpus(folder: Path) -> None:
    for file in (folder / "wheels").glob("torch-*"):
        file.unlink()
    files = {"torch/__init__.py": "", "torch/version.py": "cuda: object = '13.0'\n"}
    wheel(folder / "wheels", "torch", TORCH, files, tag="cp311-cp311-linux_x86_64")


def test_a_machine_with_a_gpu_gets_a_build_for_it(gpu: None, small: Path) -> None:
    with_a_torch_for_gpus(small)
    made = install("axolotl", say=print)
    assert (made.torch, made.cuda) == (TORCH, True)
    assert needs_installing("axolotl", cuda=True) is None


def test_a_machine_with_a_gpu_never_gets_a_build_for_the_cpu_unasked(gpu: None, small: Path) -> None:
    with pytest.raises(TerminalError, match="--cpu"):
        install("axolotl", say=print)
    assert not mark().exists()
    assert not install("axolotl", say=print, cpu=True).cuda


def test_an_environment_for_the_cpu_does_not_do_where_there_is_a_gpu(whole: Environment) -> None:
    assert "this one has one" in str(needs_installing("axolotl", cuda=True))
    assert needs_installing("axolotl", cuda=False) is None


def test_a_build_for_gpus_does_where_there_is_none(small: Path, said: list[str]) -> None:
    with_a_torch_for_gpus(small)
    made = install("axolotl", say=said.append)
    assert made.cuda and "with CUDA" in "".join(said)
    assert needs_installing("axolotl", cuda=False) is None


def test_another_lock_is_another_environment_and_the_old_one_is_told(whole: Environment, tmp_path: Path) -> None:
    lock = tmp_path / "small" / "locks" / "axolotl.lock"
    lock.write_text(lock.read_text() + pinned(wheel(tmp_path / "small" / "wheels", "more", "2.0", {"more.py": ""})))
    find._lock_text.cache_clear()
    with pytest.raises(TerminalError, match="not installed"):
        find_environment("axolotl")
    new = install("axolotl", say=print)
    assert new.folder != whole.folder
    assert [folder for folder, _ in older_environments()] == [whole.folder]


def test_a_package_that_is_not_the_locked_one_is_refused(small: Path) -> None:
    wheel(small / "wheels", "helper", "1.0", {"helper.py": "import os"})
    with pytest.raises(TerminalError, match="not the one that was locked"):
        install("axolotl", say=print)
    assert find.fault_of("axolotl", find.environment_folder("axolotl"))


def test_a_trainer_that_cannot_be_imported_is_not_an_environment(small: Path) -> None:
    broken = wheel(small / "wheels", "helper", "1.0", {"helper.py": "raise ImportError('no such library')"})
    lock = small / "locks" / "axolotl.lock"
    lock.write_text(lock.read_text().rpartition("helper==")[0] + pinned(broken))
    find._lock_text.cache_clear()
    with pytest.raises(TerminalError, match="no such library") as caught:
        install("axolotl", say=print)
    assert "--repair" in str(caught.value)
    assert not mark().exists()


def test_the_password_of_an_index_is_in_no_command_line_and_no_log_and_no_secret_reaches_what_is_installed(
    small: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = wheel(small / "wheels", "helper", "1.0", {"helper.py": "import os\nprint('has', *sorted(os.environ))"})
    lock = small / "locks" / "axolotl.lock"
    lock.write_text(lock.read_text().rpartition("helper==")[0] + pinned(told))
    find._lock_text.cache_clear()
    uv = small / "uv-that-tells"
    uv.write_text(f'#!/bin/sh\necho "$@" >> {small}/words\nenv >> {small}/variables\nexec {find_uv()} "$@"\n')
    uv.chmod(0o755)
    monkeypatch.setattr("components.train.environments.install.find_uv", lambda: uv)
    monkeypatch.setenv("PIP_INDEX_URL", "http://anna:geheim@127.0.0.1:1/simple")
    for name in ("CERVELLA_KEYS", "HF_TOKEN", "OPENAI_API_KEY", "UV_PUBLISH_TOKEN"):
        monkeypatch.setenv(name, "s3cret-of-anna")
    monkeypatch.setenv("PREFECT_DATABASE", "postgresql://anna:s3cret-of-anna@db/prefect")
    monkeypatch.setenv("MY_HOOK", "a name that nobody knows")
    made = install("axolotl", say=said.append)
    variables, log = (small / "variables").read_text(), made.folder.with_name(f"{made.folder.name}.log").read_text()
    assert "UV_DEFAULT_INDEX=http://anna:geheim@127.0.0.1:1/simple\n" in variables
    assert f"UV_FIND_LINKS={small / 'wheels'}\n" in variables and "s3cret" not in variables
    assert "geheim" not in (small / "words").read_text() + log + "".join(said)
    has = next(line for line in log.splitlines() if line.startswith("has ")).split()
    assert "PATH" in has and not {one for one in has if one.startswith(("PIP_", "UV_")) or one == "MY_HOOK"}


def test_the_end_of_a_log_is_told_without_passwords(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("fetching https://anna:geh@eim@index.example.com/simple and git+ssh://token@host/a@b, not a@b\n")
    assert tail(log).strip() == "fetching https://****@index.example.com/simple and git+ssh://****@host/a@b, not a@b"


class Quiet(SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        """As indexes do: what they say is to be asked for again."""
        self.send_header("Cache-Control", "max-age=0")
        super().end_headers()

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@pytest.mark.slow
def test_without_a_network_what_was_downloaded_before_is_enough(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The packages come from an index once; the second time nobody answers there."""
    index = small / "index"
    for name in ("axolotl", "helper"):
        (index / name).mkdir(parents=True)
        file = next((small / "wheels").glob(f"{name}-*.whl"))
        file.rename(index / name / file.name)
        (index / name / "index.html").write_text(f'<a href="{file.name}">{file.name}</a>')
    monkeypatch.setenv("UV_CACHE_DIR", str(small / "uv"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(index)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.delenv("UV_OFFLINE")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.server_address[1]}/")
    try:
        first = install("axolotl", say=print)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    shutil.rmtree(first.folder)
    said: list[str] = []
    assert install("axolotl", say=said.append) == first
    assert "no network: from what was downloaded before" in said
    shutil.rmtree(small / "uv")
    with pytest.raises(TerminalError, match="the package index could not be reached"):
        install("axolotl", say=said.append, repair=True)


def test_a_disk_with_too_little_room_is_refused_before_anything_is_made(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=20m", "small", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mounting, capture_output=True).returncode:
        pytest.skip("no right to mount here")
    try:
        monkeypatch.setenv("CERVELLA_TRAINERS", str(disk))
        with pytest.raises(TerminalError, match="21 MB are free, and axolotl takes about .* GB.*CERVELLA_TRAINERS"):
            install("axolotl", say=print)
        assert not find.environment_folder("axolotl").exists()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_folder_that_cannot_be_is_told_with_another_way(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CERVELLA_TRAINERS", str(tmp_path / "file" / "trainers"))
    with pytest.raises(TerminalError, match="Not a directory.*CERVELLA_TRAINERS"):
        install("axolotl", say=print)
    assert [state.state for state in states()] == ["missing"] * 3
