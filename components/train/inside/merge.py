"""Base and adapter as one model, in the precision of the base's own files; its tokenizer and chat template beside it.

Run by a trainer's Python with a request: model, revision, dtype `auto`, adapter, tokenizer (folder), out, result.
"""

from __future__ import annotations

from request import answer, load_model, read_request, tell  # type: ignore[import-not-found]


def main() -> None:
    """Answer the request."""
    from transformers import AutoTokenizer

    request = read_request()
    model, _, dtype = load_model(request)
    tell(1, 3)
    merged = model.merge_and_unload(safe_merge=True)  # safe: refuses weights that are not finite
    tell(2, 3)
    merged.save_pretrained(request["out"])
    AutoTokenizer.from_pretrained(request["tokenizer"]).save_pretrained(request["out"])
    answer(request, {"dtype": dtype, "config": merged.config.to_dict()})


if __name__ == "__main__":
    main()
