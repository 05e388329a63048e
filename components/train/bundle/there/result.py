"""What comes back from a training: the losses of base and adapter measured, and all of it in one file with digests."""

from __future__ import annotations

import gzip
import io
import json
import os
import platform
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any

from common import ADAPTER, JOB, OUT, ROOT, TOLD, Stop, digest, packages_of, say  # type: ignore[import-not-found]

LOSSES = "losses.json"
TAKEN = (
    ADAPTER, "adapter_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "chat_template.jinja", "added_tokens.json", "vocab.json", "merges.txt", "tokenizer.model",
)  # fmt: skip
"""Of job/out: what goes into the result."""


def measure(manifest: dict[str, Any], python: Path, variables: dict[str, str]) -> None:
    """Measure the loss of each held-out example by the base alone and with the adapter; once."""
    if (JOB / LOSSES).exists():
        return
    request = {
        **manifest["losses"], "adapter": str(OUT), "masks": {"validation": str(JOB / "masks-validation.jsonl")},
        "result": str(JOB / LOSSES),
    }  # fmt: skip
    if (JOB / "model").exists():
        request["model"] = str(JOB / "model")
    (JOB / "losses-request.json").write_text(json.dumps(request), encoding="utf-8")
    say("Measuring held-out losses of base and adapter")
    command = [str(python), "inside/measure_losses.py", "losses-request.json"]
    last: list[str] = []
    told = 0.0
    with subprocess.Popen(  # noqa: S603
        command, cwd=JOB, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace",
    ) as child:  # fmt: skip
        for line in child.stdout or ():
            if not line.startswith("@progress "):
                last = [*last[-15:], line]
            elif time.monotonic() - told > 5:
                told = time.monotonic()
                say(f"  {' of '.join(line.split()[1:])}")
    if child.returncode or not (JOB / LOSSES).exists():
        say(f"{''.join(last)}note: they could not be measured here; `train unpack` tries it at home")


def pack_result(manifest: dict[str, Any], python: Path, gpu: dict[str, str] | None) -> Path:
    """Write `result-<job>.tar.gz`: the adapter and all that proves how it came about, with SHA-256 of every file."""
    (ROOT / "environment.json").write_text(json.dumps(_environment(manifest, python, gpu), indent=1), encoding="utf-8")
    files = {"environment.json": ROOT / "environment.json", **{name: JOB / name for name in (*TOLD, LOSSES)}}
    files |= {f"out/{name}": OUT / name for name in TAKEN}
    best = OUT / _best() / ADAPTER
    if best.is_file() and digest(best) != digest(OUT / ADAPTER):
        files[f"out/{_best()}/{ADAPTER}"] = best  # the same numbers in other bytes: it proves which step was taken
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
    result: Path = ROOT / f"result-{manifest['fingerprint'][:16]}.tar.gz"
    half = result.with_name(result.name + ".half")
    with half.open("wb") as file, gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=6, mtime=0) as thin:
        with tarfile.open(fileobj=thin, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            data = json.dumps(told, indent=1).encode()
            archive.addfile(_entry("manifest.json", len(data)), io.BytesIO(data))
            for name, path in files.items():
                with path.open("rb") as opened:
                    archive.addfile(_entry(name, told["files"][name]["bytes"]), opened)
    half.replace(result)
    return result


def _environment(manifest: dict[str, Any], python: Path, gpu: dict[str, str] | None) -> dict[str, Any]:
    found, trainer = packages_of(python), manifest["trainer"]
    return {
        "name": trainer["name"], "trainer_version": trainer["version"], "lock": trainer["lock"],
        "torch": found["packages"].get("torch"), "torch_digest": None, "cuda": gpu is not None,
        "from_lock": "CERVELLA_TRAINER_PYTHON" not in os.environ, "python": found["python"],
        "system": f"{platform.system()} {platform.machine()}", "gpu": gpu, "packages": found["packages"],
    }  # fmt: skip


def _best() -> str:
    """Name of the checkpoint that the trainer took for the best."""
    for line in reversed((JOB / "progress.jsonl").read_text(encoding="utf-8").splitlines()):
        event = json.loads(line)
        if event["event"] == "end":
            return Path(event.get("best_checkpoint") or "none").name
    raise Stop("job/progress.jsonl does not tell that the training came to its end; remove .trained and start again")


def _entry(name: str, size: int) -> tarfile.TarInfo:
    """A plain file of an archive, with nothing in it of this machine's users and times."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    return entry
