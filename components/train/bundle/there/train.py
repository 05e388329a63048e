"""Trains what a bundle holds on the machine that it lies on, and packs the result.

    python3 train.py                    install what is missing, train, write result-<job>.tar.gz
    python3 train.py                    (again, after it was cut) goes on from the last checkpoint
    python3 train.py --keep FOLDER      copy every checkpoint to FOLDER as well (Drive, a volume), and begin from there
    python3 train.py --check            only look: files, GPU, what would be done

It needs Linux, Python 3.10 or newer and nothing else. CERVELLA_TRAINER_PYTHON=/path/to/python uses the packages of that
Python instead of installing any. All that it writes lies beside it, and in FOLDER.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import importlib
import io
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
JOB, OUT = ROOT / "job", ROOT / "job" / "out"
HALF, DONE = ".half", ".trained"
NOT_PASSED_ON = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "WORLD_SIZE", "RANK", "LOCAL_RANK")
TOLD = (
    "effective.json",
    "progress.jsonl",
    "masks-train.jsonl",
    "masks-validation.jsonl",
    "trainer.log",
    "started.json",
)
"""Of the job's folder: what tells how the training went. It goes into the result, and to --keep."""
ADAPTER = "adapter_model.safetensors"
TAKEN = (
    ADAPTER, "adapter_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "chat_template.jinja", "added_tokens.json", "vocab.json", "merges.txt", "tokenizer.model",
)  # fmt: skip
"""Of job/out: what goes into the result."""
PACKAGES = """
import importlib.metadata, json, platform
found = {one.metadata["Name"]: one.version for one in importlib.metadata.distributions() if one.metadata["Name"]}
print(json.dumps({"python": platform.python_version(), "packages": dict(sorted(found.items()))}))
"""


class Stop(Exception):  # noqa: N818  # it ends the script; the text is for a person
    """It cannot be done."""


def say(text: str) -> None:
    """A line, seen at once."""
    print(text, flush=True)


def main() -> int:
    """Check, install, train, pack. Exit 0: the result is written; 1: it is not; 130: interrupted."""
    parser = argparse.ArgumentParser(description="Train what this bundle holds, and pack the result.")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="copy checkpoints and the result there as well")
    parser.add_argument("--check", action="store_true", help="only look; install and train nothing")
    parser.add_argument("--anyway", action="store_true", help="try it without an NVIDIA GPU")
    options = parser.parse_args()
    try:
        if os.name == "nt":
            raise Stop("the trainers need Linux; on Windows start this inside WSL")
        manifest = verified()
        gpu = look_for_gpu()
        tell_what(manifest, gpu)
        if manifest["needs_gpu"] and gpu is None and not options.anyway:
            raise Stop(
                f"this training needs an NVIDIA GPU ({manifest['needs_gpu']}), and nvidia-smi finds none here.\n"
                "On Colab: Runtime > Change runtime type > T4 GPU. On a rented machine: choose an image with CUDA."
            )
        if not options.check:
            with Alone(ROOT / ".lock"):
                whole(manifest, gpu, options.keep)
        return 0
    except Stop as stop:
        say(f"train.py: {stop}")
        return 1
    except KeyboardInterrupt:
        say("train.py: interrupted; start it again to go on")
        return 130


def whole(manifest: dict[str, Any], gpu: dict[str, str] | None, folder: Path | None) -> None:
    """Install, train and pack."""
    keep = folder.absolute() / f"training-{manifest['fingerprint'][:16]}" if folder else None
    python = interpreter(manifest["trainer"])
    restore(keep)
    train(manifest, python, keep)
    result = pack_result(manifest, python, gpu)
    if keep is not None:
        shutil.copyfile(result, keep.parent / result.name)
        say(f"Copied to {keep.parent / result.name}")
    say(f"The result: {result} ({result.stat().st_size / 1e6:.1f} MB)\n"
        f"Take it home, and there: cervella train unpack {result.name}")  # fmt: skip


def verified() -> dict[str, Any]:
    """The bundle's manifest; Stop where a file is missing or was changed on its way."""
    try:
        manifest: dict[str, Any] = json.loads((ROOT / "manifest.json").read_text(encoding="utf-8"))
        files = dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Stop(f"manifest.json of the bundle cannot be read ({error}); unzip the whole bundle again") from None
    for name, entry in files.items():
        path = ROOT / name
        if not path.is_file() or digest(path) != entry["sha256"]:
            raise Stop(f"{name} is missing, or not as it was packed; unzip the whole bundle again")
    return manifest


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()


def look_for_gpu() -> dict[str, str] | None:
    """Name, memory and driver of the first NVIDIA GPU; None where there is none."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    parts = [part.strip() for part in told.splitlines()[0].split(",")] if told.strip() else []
    return dict(zip(("name", "memory", "driver"), parts, strict=True)) if len(parts) == 3 else None


def tell_what(manifest: dict[str, Any], gpu: dict[str, str] | None) -> None:
    """Say what will be trained, and on what."""
    trainer, rows = manifest["trainer"], manifest["rows"]
    say(f"{manifest['recipe']}: {manifest['base']} with {trainer['name']} {trainer['version']}, "
        f"{rows['train']} examples ({rows['validation']} held out), {manifest['steps']} steps")  # fmt: skip
    say(f"GPU: {gpu['name']}, {gpu['memory']}, driver {gpu['driver']}" if gpu else "GPU: none")
    for line in manifest["estimate"]:
        say(line)


class Alone:
    """Two trainings in one folder would spoil each other: the second is refused. The lock goes with its process."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("a", encoding="utf-8")

    def __enter__(self) -> None:
        import fcntl

        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Stop("another train.py is at work in this folder") from None
        except OSError:  # a file system without locks
            return

    def __exit__(self, *_: object) -> None:
        self.file.close()


def interpreter(wanted: dict[str, str]) -> Path:
    """The Python that has the trainer: the one that is named, or the one that install.py makes."""
    python = Path(os.environ.get("CERVELLA_TRAINER_PYTHON") or ROOT / "environment" / "bin" / "python")
    if "CERVELLA_TRAINER_PYTHON" not in os.environ:
        if subprocess.run([sys.executable, str(ROOT / "install.py")], check=False).returncode:  # noqa: S603
            raise Stop("without the trainer there is nothing to train with")
    found = packages_of(python)["packages"]
    version, torch = found.get(wanted["name"]), str(found.get("torch")).split("+")[0]
    if version != wanted["version"]:
        raise Stop(f"{python} has {wanted['name']} {version or '(none)'}, this training asks for {wanted['version']}")
    if torch != wanted["torch"]:
        say(f"note: {python} has torch {torch}, this training was made for {wanted['torch']}")
    return python


def packages_of(python: Path) -> dict[str, Any]:
    """Version and packages of a Python."""
    try:
        told = subprocess.run([str(python), "-c", PACKAGES], capture_output=True, text=True, check=True)  # noqa: S603
        return dict(json.loads(told.stdout))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise Stop(f"{python} cannot be started as a Python ({error})") from None


# Checkpoints that survive the machine ------------------------------------------------------------------------------


def checkpoints(folder: Path) -> dict[int, Path]:
    """The checkpoints of a folder that are as the trainer wrote them, by their step."""
    sys.path[:0] = [str(JOB / "inside")]
    is_whole = importlib.import_module("checkpoints").is_whole
    found = {path.name.removeprefix("checkpoint-"): path for path in folder.glob("checkpoint-*") if path.is_dir()}
    return {int(step): path for step, path in found.items() if step.isdigit() and is_whole(str(path))}


def keep_safe(keep: Path) -> None:
    """Make `keep` have the checkpoints that are here, each whole or not at all, and what tells of the training."""
    keep.mkdir(parents=True, exist_ok=True)
    here, there = checkpoints(OUT), checkpoints(keep)
    for step in here.keys() - there.keys():
        copy_whole(here[step], keep)
    for name in TOLD:
        if (JOB / name).exists():
            shutil.copyfile(JOB / name, keep / name)
    for step in there.keys() - here.keys():  # the trainer removed it: it keeps the newest and the best
        shutil.rmtree(there[step])


def restore(keep: Path | None) -> None:
    """Bring checkpoints back from `keep`, where it has newer ones than this machine."""
    kept = checkpoints(keep) if keep is not None and keep.is_dir() else {}
    if keep is None or max(kept, default=0) <= max(checkpoints(OUT), default=0):
        return
    OUT.mkdir(exist_ok=True)
    for path in kept.values():
        copy_whole(path, OUT)
    for name in TOLD:
        if (keep / name).exists():
            shutil.copyfile(keep / name, JOB / name)
    say(f"Going on from {keep}, step {max(kept)}")


def copy_whole(checkpoint: Path, to: Path) -> None:
    """Copy a checkpoint into a folder; what a cut leaves there is no checkpoint."""
    half = to / f"{HALF}-{checkpoint.name}"
    for left in (half, to / checkpoint.name):
        shutil.rmtree(left, ignore_errors=True)
    shutil.copytree(checkpoint, half)
    half.rename(to / checkpoint.name)


# Training ----------------------------------------------------------------------------------------------------------


def train(manifest: dict[str, Any], python: Path, keep: Path | None) -> None:
    """Run the trainer and tell how it goes, until it is done."""
    if (ROOT / DONE).exists():
        return
    if not (JOB / "started.json").exists():
        (JOB / "started.json").write_text(json.dumps(time.time()), encoding="utf-8")
    variables = {key: value for key, value in os.environ.items() if key not in NOT_PASSED_ON} | manifest["environment"]
    variables["PATH"] = f"{python.parent}{os.pathsep}{variables.get('PATH', os.defpath)}"
    variables["HF_DATASETS_CACHE"] = str(JOB / "cache")
    if (JOB / "model").exists():
        variables["HF_HUB_OFFLINE"] = "1"
    progress = Progress(JOB / "progress.jsonl")
    say("Training; loading the model takes a while (job/trainer.log has all that the trainer says)")
    command = [str(python), "inside/child.py", str(os.getpid()), manifest["trainer"]["entry"]]
    with (JOB / "trainer.log").open("ab") as log:
        child = subprocess.Popen(  # noqa: S603
            command, cwd=JOB, env=variables, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda got, frame: child.send_signal(got))
        ended = False
        while not ended:
            time.sleep(0.5)
            ended = child.poll() is not None  # asked before looking: what it wrote last is told as well
            if progress.tell() and keep is not None:
                try:
                    keep_safe(keep)
                except OSError as error:
                    say(f"note: checkpoints cannot be copied to {keep} ({error}); the training goes on")
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    code = child.returncode
    if code in (130, 143, -signal.SIGINT, -signal.SIGTERM):
        raise KeyboardInterrupt
    if code or not (OUT / ADAPTER).is_file():
        say("\n".join((JOB / "trainer.log").read_text(encoding="utf-8", errors="replace").splitlines()[-25:]))
        raise Stop(
            f"the trainer ended with code {code}{'' if code else ', without an adapter'}. Its last lines stand above, "
            "all are in job/trainer.log. Start train.py again to go on from the last checkpoint"
        )
    (ROOT / DONE).touch()


class Progress:
    """What the callback inside the trainer writes, told as it comes: a line every five seconds, and what matters."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = path.stat().st_size if path.exists() else 0
        self.last = 0.0
        self.begun: tuple[float, int] | None = None

    def tell(self) -> bool:
        """Print what is new; returns whether a checkpoint was written."""
        saved = False
        if not self.path.exists():
            return saved
        with self.path.open("rb") as file:
            file.seek(self.place)
            new = file.read()
        lines = new[: new.rfind(b"\n") + 1]
        self.place += len(lines)
        for line in lines.splitlines():
            try:
                event = json.loads(line)
                if text := self.text(event):
                    say(text)
                saved = saved or event["event"] in ("save", "end")
            except (ValueError, KeyError, TypeError):
                continue
        return saved

    def text(self, event: dict[str, Any]) -> str:
        """A line for a person; empty: not worth one."""
        kind, step = event["event"], event.get("step")
        if kind == "begin":
            self.begun = (float(event["time"]), int(event["step"]))
            return f"Step {step} of {event['steps']}" + (" (going on)" if step else "")
        if kind == "log" and event.get("loss") is not None:
            if time.monotonic() - self.last < 5 and step != event["steps"]:
                return ""
            self.last = time.monotonic()
            return f"  step {step} of {event['steps']}  loss {event['loss']:.3f}{self.left(event)}"
        if kind == "eval" and event.get("eval_loss") is not None:
            return f"  step {step}  held-out loss {event['eval_loss']:.3f}"
        if kind == "save":
            return f"  step {step}  checkpoint"
        return f"Trained: {step} steps{', stopped early' * bool(event.get('stopped_early'))}" if kind == "end" else ""

    def left(self, event: dict[str, Any]) -> str:
        """The time that is left, if the steps to come take as long as those of this sitting."""
        if self.begun is None or event["step"] <= self.begun[1]:
            return ""
        each = (event["time"] - self.begun[0]) / (event["step"] - self.begun[1])
        minutes = each * (event["steps"] - event["step"]) / 60
        return f"  {minutes:.0f} min left" if minutes >= 1 else "  less than a minute left"


# The result --------------------------------------------------------------------------------------------------------


def pack_result(manifest: dict[str, Any], python: Path, gpu: dict[str, str] | None) -> Path:
    """Write `result-<job>.tar.gz`: the adapter and all that proves how it came about, with SHA-256 of every file."""
    found = packages_of(python)
    trainer = manifest["trainer"]
    environment = {
        "name": trainer["name"], "trainer_version": trainer["version"], "lock": trainer["lock"],
        "torch": found["packages"].get("torch"), "torch_digest": None, "cuda": gpu is not None, "elsewhere": True,
        "from_lock": "CERVELLA_TRAINER_PYTHON" not in os.environ, "python": found["python"],
        "system": f"{platform.system()} {platform.machine()}", "gpu": gpu, "packages": found["packages"],
    }  # fmt: skip
    (ROOT / "environment.json").write_text(json.dumps(environment, indent=1) + "\n", encoding="utf-8")
    files = {"environment.json": ROOT / "environment.json", **{name: JOB / name for name in TOLD}}
    files |= {f"out/{name}": OUT / name for name in TAKEN}
    files |= {f"out/{one.name}/trainer_state.json": one / "trainer_state.json" for one in checkpoints(OUT).values()}
    files = {name: path for name, path in sorted(files.items()) if path.is_file()}
    told = {
        "format": 1, "kind": "cervella.train.result",
        **{key: manifest[key] for key in ("cervella", "recipe", "fingerprint", "spec", "asked", "trainer")},
        "job": {name: entry["sha256"] for name, entry in manifest["files"].items() if name.startswith("job/")},
        "files": {
            name: {"sha256": digest(path), "bytes": path.stat().st_size, "modified": path.stat().st_mtime}
            for name, path in files.items()
        },
    }  # fmt: skip
    result = ROOT / f"result-{manifest['fingerprint'][:16]}.tar.gz"
    half = result.with_name(result.name + HALF)
    with half.open("wb") as file, gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=6, mtime=0) as thin:
        with tarfile.open(fileobj=thin, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            data = json.dumps(told, indent=1).encode()
            archive.addfile(entry_of("manifest.json", len(data)), io.BytesIO(data))
            for name, path in files.items():
                with path.open("rb") as opened:
                    archive.addfile(entry_of(name, told["files"][name]["bytes"]), opened)
    half.replace(result)
    return result


def entry_of(name: str, size: int) -> tarfile.TarInfo:
    """A plain file of an archive, with nothing in it of this machine's users and times."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    return entry


if __name__ == "__main__":
    sys.exit(main())
