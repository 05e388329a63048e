"""Records what the real Axolotl makes of trainer_rows.json. Run in an environment that has it, not in a test:

    PYTHONPATH=. AXOLOTL_DO_NOT_TRACK=1 HF_HUB_OFFLINE=1 PYTHON tests/dataset/record_trainer_facts_axolotl.py ROWS \
        trainer_facts_axolotl.json TOKENIZER

Axolotl reads each row in two ways: the messages of `templates.to_row`, and ShareGPT as it stands.

ROWS and TOKENIZER: what `python tests/dataset/trainer_rows.py ROWS TOKENIZER` wrote with this project's own
environment: the rows, each as ShareGPT and as messages, and a folder with Qwen3's tokenizer.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

MAX_TOKENS = 512


def main(rows: Path, out: Path, folder: Path) -> None:
    from axolotl.prompt_strategies.chat_template import load
    from axolotl.utils.dict import DictDefault
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    cfg = DictDefault({"chat_template": "qwen3", "sequence_len": MAX_TOKENS, "train_on_inputs": False})
    training = {"message_field_training": "train", "message_field_training_detail": "train_detail"}
    ways = {
        "messages": {"field_messages": "messages", **training},
        "sharegpt": {
            "field_messages": "conversations",
            "message_property_mappings": {"role": "from", "content": "value"},
            **training,
        },
    }
    facts: dict[str, Any] = {}
    for one in json.loads(rows.read_text("utf-8")):
        facts[one["name"]] = {
            way: _fact(load(tokenizer, cfg, {"type": "chat_template", **settings}), one[way], cfg)
            for way, settings in ways.items()
        }
    versions = {name: importlib.metadata.version(name) for name in ("axolotl", "transformers", "tokenizers")}
    write_facts(out, versions, facts)


def write_facts(out: Path, versions: Any, facts: dict[str, Any]) -> None:
    """One row a line."""
    head = json.dumps({"versions": versions, "max_tokens": MAX_TOKENS})[:-1]
    lines = (
        f"{json.dumps(name, ensure_ascii=False)}: {json.dumps(fact, ensure_ascii=False)}"
        for name, fact in facts.items()
    )
    out.write_text(head + ', "rows": {\n' + ",\n".join(lines) + "\n}}\n", "utf-8")


def _fact(strategy: Any, row: Any, cfg: Any) -> dict[str, Any]:
    if row is None:
        return {"error": "no row"}
    try:
        found = strategy.tokenize_prompt(json.loads(json.dumps(row)))
    except Exception as error:  # the fact is that it stops, and on what
        return {"error": type(error).__name__}
    if "input_ids" not in found:
        return {"error": "nothing"}
    ids, labels = found["input_ids"], found["labels"]
    return {
        "ids": ids,
        "trained": [place for place, label in enumerate(labels) if label != -100],
        "kept": _is_kept(ids, labels, cfg),
    }


def _is_kept(ids: list[int], labels: list[int], cfg: Any) -> bool:
    """By Axolotl's own filters: of length, then of rows without a token that carries loss."""
    from axolotl.utils.data.utils import handle_long_seq_in_dataset
    from axolotl.utils.trainer import process_datasets_for_packing
    from datasets import Dataset

    # Beside a row that is kept, since a set without any row is an error.
    both = [{"input_ids": [1, 2], "labels": [1, 2]}, {"input_ids": ids, "labels": labels}]
    rows = Dataset.from_list([{**row, "attention_mask": [1] * len(row["input_ids"])} for row in both])
    rows = handle_long_seq_in_dataset(rows, MAX_TOKENS, cfg)
    rows, _ = process_datasets_for_packing(cfg, rows, None)
    return len(rows) == 2


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
