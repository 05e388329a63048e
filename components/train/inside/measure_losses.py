"""Loss of each row of dumped ids and trained positions: by the base alone and, with an adapter, by both together.

Run by a trainer's Python with a request: model, revision, dtype, adapter (or null), masks {name: JSONL file}, result.
A row at a time, so memory holds the logits of one row, and of it only those that carry loss.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

from request import answer, load_model, read_request, tell  # type: ignore[import-not-found]


def row_loss(model: Any, row: dict[str, Any]) -> tuple[int, float]:
    """Tokens that carry loss, and the sum of their negative log-likelihoods (nats). The first token has none."""
    import torch

    places = [place for place in row["trained"] if place > 0]
    if not places:
        return 0, 0.0
    device = next(model.parameters()).device
    ids = torch.tensor([row["ids"]], device=device)
    before = torch.tensor(places, device=device) - 1
    with torch.no_grad():
        logits = model(input_ids=ids, logits_to_keep=before, use_cache=False).logits[0]
    total = 0.0
    for some, wanted in zip(logits.split(128), ids[0, before + 1].split(128), strict=True):
        total += float(some.float().log_softmax(-1).gather(1, wanted[:, None]).double().sum())
    return len(places), -total


def main() -> None:
    """Answer the request."""
    request = read_request()
    splits: dict[str, list[dict[str, Any]]] = {}
    for name, path in request["masks"].items():
        with open(path, encoding="utf-8") as file:
            splits[name] = [json.loads(line) for line in file]
    model, device, dtype = load_model(request)
    adapted = bool(request.get("adapter"))
    total = sum(map(len, splits.values())) * (2 if adapted else 1)
    done = 0
    found: dict[str, dict[str, list[tuple[int, float]]]] = {name: {} for name in splits}
    for side in ("base", "adapted") if adapted else ("base",):
        with model.disable_adapter() if adapted and side == "base" else contextlib.nullcontext():
            for name, rows in splits.items():
                found[name][side] = []
                for row in rows:
                    found[name][side].append(row_loss(model, row))
                    done += 1
                    tell(done, total)
    answer(request, {"device": device, "dtype": dtype, "splits": found, "config": model.config.to_dict()})


if __name__ == "__main__":
    main()
