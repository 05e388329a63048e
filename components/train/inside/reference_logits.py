"""Log-probabilities of all tokens at chosen places of texts: what the exported forms of a model are held against.

Run by a trainer's Python with a request: model, revision, dtype, adapter (or null), rows [{ids, places}], arrays (file
to write: `base` and, with an adapter, `adapted`, a row of float32 a place), result. A place is that of the token that
is to be said: it is judged from those before it.
"""

from __future__ import annotations

import contextlib
from typing import Any

from request import answer, load_model, read_request, tell  # type: ignore[import-not-found]


def log_probabilities(model: Any, rows: list[dict[str, Any]]) -> Any:
    """A row for each place, in order; a text at a time."""
    import numpy
    import torch

    device = next(model.parameters()).device
    found = []
    for number, row in enumerate(rows):
        before = torch.tensor(row["places"], device=device) - 1
        ids = torch.tensor([row["ids"]], device=device)
        with torch.no_grad():
            logits = model(input_ids=ids, logits_to_keep=before, use_cache=False).logits[0]
        found.append(logits.float().log_softmax(-1).cpu().numpy())
        tell(number + 1, len(rows))
    return numpy.concatenate(found)


def main() -> None:
    """Answer the request."""
    import numpy

    request = read_request()
    model, device, dtype = load_model(request)
    adapted = bool(request.get("adapter"))
    arrays = {}
    with model.disable_adapter() if adapted else contextlib.nullcontext():
        arrays["base"] = log_probabilities(model, request["rows"])
    if adapted:
        arrays["adapted"] = log_probabilities(model, request["rows"])
    numpy.savez(request["arrays"], **arrays)
    answer(request, {"device": device, "dtype": dtype, "config": model.config.to_dict()})


if __name__ == "__main__":
    main()
