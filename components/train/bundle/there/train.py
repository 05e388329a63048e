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
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(_HERE / "parts"), str(_HERE / "job" / "inside")]

try:
    from common import (  # type: ignore[import-not-found]
        ADAPTER,
        JOB,
        NOT_PASSED_ON,
        OUT,
        ROOT,
        Stop,
        digest,
        look_for_gpu,
        packages_of,
        say,
    )
except ImportError:
    sys.exit("train.py: parts/common.py is not beside it; unzip the whole bundle again")

TRAINED = ROOT / ".trained"


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


def whole(manifest: dict[str, Any], gpu: dict[str, str] | None, folder: Path | None) -> None:
    """Install, train, measure and pack."""
    from keeping import restore  # type: ignore[import-not-found]
    from result import measure, pack_result  # type: ignore[import-not-found]

    keep = folder.absolute() / f"training-{manifest['fingerprint'][:16]}" if folder else None
    python = interpreter(manifest["trainer"])
    variables = {key: value for key, value in os.environ.items() if key not in NOT_PASSED_ON} | manifest["environment"]
    variables["PATH"] = f"{python.parent}{os.pathsep}{variables.get('PATH', os.defpath)}"
    variables["HF_DATASETS_CACHE"] = str(JOB / "cache")
    if (JOB / "model").exists():
        variables["HF_HUB_OFFLINE"] = "1"
    if not TRAINED.exists():
        if keep is not None:
            restore(keep)
        train(manifest, python, variables, keep)
        TRAINED.touch()
    measure(manifest, python, variables)
    result = pack_result(manifest, python, gpu)
    if keep is not None:
        shutil.copyfile(result, keep.parent / result.name)
        say(f"Copied to {keep.parent / result.name}")
    say(f"The result: {result} ({result.stat().st_size / 1e6:.1f} MB)\n"
        f"Take it home, and there: cervella train unpack {result.name}")  # fmt: skip


def interpreter(wanted: dict[str, str]) -> Path:
    """The Python that has the trainer: the one that is named, or the one that install.py makes."""
    python = Path(os.environ.get("CERVELLA_TRAINER_PYTHON") or ROOT / "environment" / "bin" / "python")
    if "CERVELLA_TRAINER_PYTHON" not in os.environ:
        if subprocess.run([sys.executable, str(ROOT / "parts" / "install.py")], check=False).returncode:  # noqa: S603
            raise Stop("without the trainer there is nothing to train with")
    found = packages_of(python)["packages"]
    version, torch = found.get(wanted["name"]), str(found.get("torch")).split("+")[0]
    if version != wanted["version"]:
        raise Stop(f"{python} has {wanted['name']} {version or '(none)'}, this training asks for {wanted['version']}")
    if torch != wanted["torch"]:
        say(f"note: {python} has torch {torch}, this training was made for {wanted['torch']}")
    return python


def train(manifest: dict[str, Any], python: Path, variables: dict[str, str], keep: Path | None) -> None:
    """Run the trainer and tell how it goes, until it is done; it goes on where an earlier sitting was cut."""
    from keeping import keep_safe

    started, log = JOB / "started.json", JOB / "trainer.log"
    if not started.exists():
        started.write_text(json.dumps(time.time()), encoding="utf-8")
    progress = Progress(JOB / "progress.jsonl")
    say("Training; loading the model takes a while (job/trainer.log has all that the trainer says)")
    with log.open("ab") as file:
        now = datetime.now().astimezone().isoformat(timespec="seconds")
        file.write(f"--- cervella: training starts or goes on, {now}\n".encode())
        file.flush()
        child = subprocess.Popen(  # noqa: S603
            [str(python), "inside/child.py", str(os.getpid()), manifest["trainer"]["entry"]], cwd=JOB, env=variables,
            stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda got, frame: child.send_signal(got))
        wrong: list[str] | None = None
        ended = False
        while not ended:
            time.sleep(0.5)
            ended = child.poll() is not None  # asked before looking: what it wrote last is told as well
            new = progress.tell()
            if keep is not None and new & {"save", "end"}:
                keep_safe(keep)
            if wrong is None and "eval" in new:  # now effective.json has everything, and no step was done yet
                wrong = differences(manifest["expected"])
                if wrong:
                    child.kill()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        file.write(f"\n--- cervella: the trainer ended with exit code {child.returncode}\n".encode())
    if wrong:
        raise Stop(
            "the trainer would not train what was asked for: "
            + "; ".join(wrong)
            + ". It was stopped before that costs "
            "anything; pack the training again, with a version of Cervella that knows this trainer"
        )
    code = child.returncode
    if code in (130, 143, -signal.SIGINT, -signal.SIGTERM):
        raise KeyboardInterrupt
    if code or not (OUT / ADAPTER).is_file():
        say("\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-25:]))
        raise Stop(
            f"the trainer ended with code {code}{'' if code else ', without an adapter'}. Its last lines stand above, "
            "all are in job/trainer.log. Start train.py again to go on from the last checkpoint"
        )


def differences(expected: list[tuple[str, str, Any]]) -> list[str]:
    """Each setting that the trainer uses otherwise than asked."""
    difference = importlib.import_module("asked").difference
    effective = json.loads((JOB / "effective.json").read_text(encoding="utf-8"))
    return [told for what, path, value in expected if (told := difference(what, path, value, effective))]


class Progress:
    """What the callback inside the trainer writes, told as it comes: a line every five seconds, and what matters."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.place = path.stat().st_size if path.exists() else 0
        self.last = 0.0
        self.begun: tuple[float, int] | None = None

    def tell(self) -> set[str]:
        """Print what is new; returns which events there were."""
        found: set[str] = set()
        if not self.path.exists():
            return found
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
                found.add(event["event"])
            except (ValueError, KeyError, TypeError):
                continue
        return found

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
        if self.begun is None or not self.begun[1] < event["step"] < event["steps"]:
            return ""
        each = (event["time"] - self.begun[0]) / (event["step"] - self.begun[1])
        minutes = each * (event["steps"] - event["step"]) / 60
        return f"  {minutes:.0f} min left" if minutes >= 1 else "  less than a minute left"


if __name__ == "__main__":
    sys.exit(main())
