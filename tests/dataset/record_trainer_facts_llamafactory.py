"""Records what the real LLaMA-Factory makes of trainer_rows.json. Run in an environment that has it, not in a test:

    PYTHONPATH=. HF_HUB_OFFLINE=1 PYTHON tests/dataset/record_trainer_facts_llamafactory.py ROWS \
        trainer_facts_llamafactory.json TOKENIZER

ROWS and TOKENIZER: what `python tests/dataset/trainer_rows.py ROWS TOKENIZER` wrote with this project's own
environment. An empty module `torchaudio` does where there is none: it is imported, and never used for text.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

MAX_TOKENS = 512
TEMPLATES = {
    "qwen3": {"template": "qwen3"},
    "qwen3, enable_thinking: false": {"template": "qwen3", "enable_thinking": False},
    "qwen3_nothink": {"template": "qwen3_nothink"},
}


def main(rows: Path, out: Path, folder: Path) -> None:
    from llamafactory.data.converter import SharegptDatasetConverter
    from llamafactory.data.parser import DatasetAttr
    from llamafactory.data.processor.supervised import SupervisedDatasetProcessor
    from llamafactory.data.template import get_template_and_fix_tokenizer
    from llamafactory.hparams import DataArguments
    from transformers import AutoTokenizer

    attributes = DatasetAttr("file", "rows", formatting="sharegpt", system="system", tools="tools")
    given = json.loads(rows.read_text("utf-8"))
    facts: dict[str, Any] = {one["name"]: {} for one in given}
    for way, settings in TEMPLATES.items():
        arguments = DataArguments(cutoff_len=MAX_TOKENS, **settings)
        tokenizer = AutoTokenizer.from_pretrained(str(folder))
        template = get_template_and_fix_tokenizer(tokenizer, arguments)
        converter = SharegptDatasetConverter(attributes, arguments)
        processor = SupervisedDatasetProcessor(template, tokenizer, None, arguments)
        for one in given:
            facts[one["name"]][way] = _fact(converter, processor, one["sharegpt"], tokenizer)
    versions = {name: importlib.metadata.version(name) for name in ("llamafactory", "transformers", "tokenizers")}
    head = json.dumps({"versions": versions, "max_tokens": MAX_TOKENS})[:-1]
    lines = (f"{json.dumps(name)}: {json.dumps(fact, ensure_ascii=False)}" for name, fact in facts.items())
    out.write_text(head + ', "rows": {\n' + ",\n".join(lines) + "\n}}\n", "utf-8")


def _fact(converter: Any, processor: Any, row: Any, tokenizer: Any) -> dict[str, Any]:
    # As Arrow hands it over: a key that other rows have is there, and null.
    turns = [{"value": None, **turn} for turn in row["conversations"]]
    try:
        aligned = converter({"system": None, "tools": None, **row, "conversations": turns})
        found = processor.preprocess_dataset({key: [value] for key, value in aligned.items()})
    except Exception as error:  # the fact is that it stops, and on what
        return {"error": type(error).__name__}
    if not found:
        return {"kept": False}
    ids, labels = found["input_ids"][0], found["labels"][0]
    trained = [token for token, label in zip(ids, labels, strict=True) if label != -100]
    return {"kept": True, "text": tokenizer.decode(ids), "trained": tokenizer.decode(trained)}


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
