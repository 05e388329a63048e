"""Whether an exported form says what the trained model says: log-probabilities of next tokens, side by side.

At places of held-out examples that the training gave loss to, the ten likeliest tokens of the trained model (base and
adapter in transformers, float32 on a CPU) and the token that really stands there are looked up in the exported form.
Differences are of log-probabilities, in nats. The same is done with both bases alone: what they differ by is not the
adapter's doing.

An export passes when (1) its greatest difference is within the tolerance or, where the bases alone differ by more than
that, as they do with a quantized GGUF, its mean difference is at most a quarter more than theirs; (2) the adapter
changes more than the bases differ by, and about as much in the export as in the trained model.

Not caught: what shows at no such place; with a quantized GGUF of another origin than the trained weights, an adapter
that is slightly wrong (rows of q and k in the wrong order were seen on a float32 copy at 12 times the tolerance, on the
4-bit original they drowned in its noise). So where the trained weights are those of the GGUF (the packaged model), the
proof is on a float32 copy, and the quantized original is only reported.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import TerminalError
from components.train.ask_inside import ask_inside
from components.train.export.served import Place, Said, served_logits
from components.train.export.unquantized import is_quantized, unquantized_copy

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Difference", "Proof", "choose_places", "prove_gguf", "prove_merged"]

_LIKELIEST, _PLACES, _TEXTS, _PREFIX = 10, 32, 8, 512
_SLACK = 1.25
_LIKE = (0.5, 2.0)
_Rows = Sequence[Said]
_Tell = Callable[[int, int], None]


@dataclass(frozen=True)
class Difference:
    """Of log-probabilities at all places (nats)."""

    greatest: float
    mean: float


@dataclass(frozen=True)
class Proof:
    """What was found.

    Attributes:
        form: gguf or merged.
        places: how many were looked at.
        exported: exported form and trained model.
        bases: the two bases alone.
        effect: what the adapter changes in the trained model.
        served_effect: what it changes in the exported form.
        quantized: like `exported` and `bases`, by the quantized GGUF itself where the proof is on a copy.
        tolerance: that was asked for.
        reasons: why it failed; empty: it did not.
        undecided: why it says nothing, as the adapter changes too little; None: it decides.
    """

    form: str
    places: int
    exported: Difference
    bases: Difference
    effect: Difference
    served_effect: Difference
    quantized: dict[str, Difference] | None
    tolerance: float
    reasons: tuple[str, ...]
    undecided: str | None = None

    @property
    def passed(self) -> bool | None:
        """Whether the export says what the trained model says; None: that cannot be told."""
        return False if self.reasons else True if self.undecided is None else None

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "passed": self.passed}


def choose_places(masks: Path) -> list[Place]:
    """Places of trained tokens in some texts of a file of masks, spread evenly; nothing behind the 512th token.

    Raises:
        TerminalError: no such place.
    """
    rows = [json.loads(line) for line in masks.read_text(encoding="utf-8").splitlines()]
    able = [(row["ids"], [place for place in row["trained"] if 0 < place < _PREFIX]) for row in rows]
    able = [(ids, places) for ids, places in able if places]
    if not able:
        raise TerminalError(f"{masks} has no place at which an exported model could be compared")
    chosen = able[:: -(-len(able) // _TEXTS)]
    each = max(1, _PLACES // len(chosen))
    return [Place(ids[: places[-1] + 1], places[:: -(-len(places) // each)]) for ids, places in chosen]


def prove_gguf(
    *, python: Path, model: str, adapter: Path, gguf: Path, exported: Path, masks: Path, folder: Path, tolerance: float,
    same_weights: bool, revision: str | None = None, tell: _Tell = lambda done, total: None,
) -> Proof:  # fmt: skip
    """Hold a GGUF adapter, on its GGUF base by llama.cpp, against the trained model.

    Args:
        python: of a trainer's environment.
        model: the trained base: folder or name on the hub.
        adapter: folder of the adapter as it was trained.
        gguf: the same base as GGUF.
        exported: the adapter as GGUF.
        masks: JSONL of held-out examples, `{"ids": [...], "trained": [positions]}`.
        folder: for the work; four bytes a weight where a copy is made.
        tolerance: greatest difference.
        same_weights: the trained weights are those of the GGUF, unquantized.
        revision: of a model on the hub.
        tell: called with how much is done, and of how much.
    """
    texts = choose_places(masks)
    reference = _reference(texts, python=python, model=model, revision=revision, adapter=adapter, folder=folder)
    on_copy = same_weights and is_quantized(gguf)
    base = unquantized_copy(gguf, folder / "unquantized.gguf") if on_copy else gguf
    passes = [(base, None), (base, exported), *([(gguf, None), (gguf, exported)] if on_copy else [])]
    try:
        said = [
            served_logits(path, texts, adapter=lora, tell=_part(tell, number, of=len(passes)))
            for number, (path, lora) in enumerate(passes)
        ]
    finally:
        if on_copy:
            base.unlink(missing_ok=True)
    quantized = None
    if on_copy:
        quantized = {
            "bases": _difference(texts, said[2], reference["base"]),
            "exported": _difference(texts, said[3], reference["adapted"]),
        }
    return _judge("gguf", texts, reference, base=said[0], adapted=said[1], tolerance=tolerance, quantized=quantized)


def prove_merged(
    *, python: Path, model: str, adapter: Path, merged: Path, masks: Path, folder: Path, tolerance: float,
    revision: str | None = None,
) -> Proof:  # fmt: skip
    """Hold a merged model, by transformers in the same precision, against base and adapter; see `prove_gguf`."""
    texts = choose_places(masks)
    reference = _reference(texts, python=python, model=model, revision=revision, adapter=adapter, folder=folder)
    alone = _reference(texts, python=python, model=str(merged), revision=None, adapter=None, folder=folder / "merged")
    said = {
        name: [_said(text, row) for text, row in _by_place(texts, rows)]
        for name, rows in (("base", reference["base"]), ("adapted", alone["base"]))
    }
    return _judge("merged", texts, reference, base=said["base"], adapted=said["adapted"], tolerance=tolerance)


def _part(tell: _Tell, number: int, *, of: int) -> _Tell:
    return lambda done, total: tell(number * total + done, of * total)


def _reference(
    texts: Sequence[Place], *, python: Path, model: str, revision: str | None, adapter: Path | None, folder: Path
) -> dict[str, np.ndarray[Any, Any]]:
    import numpy

    folder.mkdir(parents=True, exist_ok=True)
    arrays = folder / "reference.npz"
    request = {
        "model": model, "revision": revision, "dtype": "float32", "arrays": str(arrays.absolute()),
        "adapter": str(adapter.absolute()) if adapter else None, "rows": [asdict(text) for text in texts],
    }  # fmt: skip
    ask_inside("reference_logits.py", request, python=python, folder=folder)
    with numpy.load(arrays) as found:
        values = {name: found[name] for name in found.files}
    arrays.unlink()
    return values


def _by_place(texts: Sequence[Place], rows: np.ndarray[Any, Any]) -> list[tuple[int, np.ndarray[Any, Any]]]:
    """For each place the token that stands there, and its row."""
    return list(zip((text.ids[place] for text in texts for place in text.places), rows, strict=True))


def _said(actual: int, row: np.ndarray[Any, Any]) -> Said:
    """A whole row in the form in which llama.cpp tells the likeliest; here all of them."""
    return Said(float(row[actual]), dict(enumerate(row.tolist())))


def _difference(texts: Sequence[Place], said: _Rows, rows: np.ndarray[Any, Any]) -> Difference:
    # A token that llama.cpp does not name is at most as likely as the last one that it does.
    found: list[float] = []
    for heard, (actual, row) in zip(said, _by_place(texts, rows), strict=True):
        found.append(abs(heard.actual - float(row[actual])))
        last = min(heard.likeliest.values())
        for token in (-row).argsort()[:_LIKELIEST].tolist():
            here = heard.likeliest.get(token)
            found.append(abs(float(row[token]) - here) if here is not None else max(0.0, float(row[token]) - last))
    return Difference(max(found), sum(found) / len(found))


def _judge(
    form: str, texts: Sequence[Place], reference: dict[str, np.ndarray[Any, Any]], *, base: _Rows, adapted: _Rows,
    tolerance: float, quantized: dict[str, Difference] | None = None,
) -> Proof:  # fmt: skip
    exported = _difference(texts, adapted, reference["adapted"])
    bases = _difference(texts, base, reference["base"])
    effect, served = _effects(texts, reference, base=base, adapted=adapted)
    reasons = []
    if exported.greatest > tolerance and bases.greatest <= tolerance:
        reasons.append(
            f"log-probabilities of the exported and the trained model differ by up to {exported.greatest:.4f} nats, "
            f"train.export.tolerance is {tolerance:g}"
        )
    elif bases.greatest > tolerance and exported.mean > _SLACK * bases.mean:
        reasons.append(
            f"the exported and the trained model differ by {exported.mean:.4f} nats in the mean, their bases alone by "
            f"{bases.mean:.4f} only"
        )
    undecided = None
    if effect.mean <= bases.mean:
        undecided = (
            f"the adapter changes log-probabilities by {effect.mean:.5f} nats in the mean, the two bases alone differ "
            f"by {bases.mean:.5f}: this proves nothing. Train longer, or name an unquantized GGUF in train.base.gguf"
        )
    elif not _LIKE[0] <= served.mean / effect.mean <= _LIKE[1]:
        reasons.append(
            f"the adapter changes log-probabilities by {effect.mean:.4f} nats in the trained model and by "
            f"{served.mean:.4f} in the exported one"
        )
    return Proof(form, len(adapted), exported, bases, effect, served, quantized, tolerance, tuple(reasons), undecided)


def _effects(
    texts: Sequence[Place], reference: dict[str, np.ndarray[Any, Any]], *, base: _Rows, adapted: _Rows
) -> tuple[Difference, Difference]:
    """What the adapter changes in the trained model and in the exported one.

    By the same tokens in both: the one that stands there, and of the likeliest ones of base and trained model those
    that the exported one names with the adapter and without.
    """
    trained: list[float] = []
    served: list[float] = []
    without, with_it = (_by_place(texts, reference[side]) for side in ("base", "adapted"))
    for before, after, (actual, row), (_, other) in zip(base, adapted, without, with_it, strict=True):
        trained.append(abs(float(row[actual] - other[actual])))
        served.append(abs(before.actual - after.actual))
        likeliest = {*(-row).argsort()[:_LIKELIEST].tolist(), *(-other).argsort()[:_LIKELIEST].tolist()}
        for token in sorted(likeliest & before.likeliest.keys() & after.likeliest.keys()):
            trained.append(abs(float(row[token] - other[token])))
            served.append(abs(before.likeliest[token] - after.likeliest[token]))
    one, two = (Difference(max(found), sum(found) / len(found)) for found in (trained, served))
    return one, two
