"""Whether an environment holds what its lock says, and whether its trainer can be imported (half a minute, in a child).

Unsloth may be imported without a GPU: it then takes its own path for CPUs, so of its code for GPUs no more is known
here than that all its packages are there. Its `xformers` is built for an older torch: it says so and does without.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from components.train.environments import find
from components.train.environments.child import run_logged, tail
from components.train.environments.find import EnvironmentName
from components.train.environments.variables import for_uv, needed

__all__ = ["TRIALS", "broken_imports", "misfits"]

TRIALS: dict[EnvironmentName, str] = {
    "axolotl": "import axolotl.train, axolotl.cli.config",
    "llamafactory": "import llamafactory.train.tuner",
    "unsloth": "from unsloth import FastLanguageModel",
    "vllm": "import vllm.entrypoints.openai.api_server",
}
"""What is imported to see that a program works."""
_LEFT_OUT = {"torchvision", "torchaudio", "torchcodec"}
"""Asked for by these programs and never used for text; their builds do not go with every build of torch."""
_ASKED = re.compile(r"requires `([A-Za-z0-9._-]+)[^`]*`, but (.*)")


def _norm(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def misfits(name: EnvironmentName, folder: Path, *, uv: str) -> list[str]:
    """How an environment differs from its lock: packages with another version, and requirements that are not met."""
    here = {_norm(one): version for one, version in (p.rsplit("-", 1) for p in find.installed_packages(folder))}
    wrong = [
        f"{package} is {here.get(_norm(package), 'missing')}, the lock says {version}"
        for package, version in find.locked_packages(name).items()
        if here.get(_norm(package)) != version
    ]
    if here.get("torch", "").split("+")[0] != find.torch_version(name):
        wrong.append(f"torch is {here.get('torch', 'missing')}, the lock says {find.torch_version(name)}")
    done = subprocess.run(  # noqa: S603
        [uv, "pip", "check", "--python", str(folder / "bin" / "python")],
        capture_output=True, text=True, timeout=300, check=False, cwd=folder, env=for_uv(),
    )  # fmt: skip
    for asked, told in _ASKED.findall(done.stderr + done.stdout):
        if _norm(asked) not in _LEFT_OUT:
            wrong.append(f"{asked}: {told}")
    return wrong


def broken_imports(
    name: EnvironmentName, python: Path, *, log: Path, tick: Callable[[], None] = lambda: None
) -> str | None:
    """Why the trainer of an environment cannot be imported; None when it can."""
    with tempfile.TemporaryDirectory() as folder:  # Unsloth writes a cache where it is started
        code = run_logged(
            [str(python), "-I", "-c", TRIALS[name]], log=log, tick=tick, folder=Path(folder), environment=needed()
        )  # fmt: skip
    if code == 0:
        return None
    last = tail(log, 1).strip()
    return f"{name} cannot be imported ({last})" if code > 0 else f"importing {name} ended with signal {-code}"
