"""Trains with Unsloth what lies in the folder of a job: run by its own Python, in that folder.

Our runner on Unsloth's Python interface; its command line and its Studio are not used. config.json holds the keyword
arguments of FastLanguageModel.from_pretrained (`load`), of get_peft_model (`lora`) and of TRL's SFTConfig (`sft`).
Which tokens carry loss is labels.py's affair: Unsloth's own train_on_responses_only would train Qwen3's empty <think>
block.

Exit code 3: this machine has no GPU that Unsloth could use, and the job is not one for a CPU.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from labels import Encoder  # type: ignore[import-not-found]

NO_GPU = 3


def find_gpu() -> str | None:
    """Why there is no GPU to train on; None: there is one. Asks the driver, before anything heavy is imported."""
    import ctypes
    import importlib.metadata

    if "+cpu" in importlib.metadata.version("torch"):
        return "torch in this environment is the build for CPUs"
    count = ctypes.c_int(0)
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(name)
    except OSError:
        return "this machine has no driver of an NVIDIA GPU"
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return "the driver shows no GPU"
    return None


def main() -> None:
    """Train; go on from the newest checkpoint where there is one."""
    with open("job.json", encoding="utf-8") as file:
        params = json.load(file)["params"]
    with open("config.json", encoding="utf-8") as file:
        config = json.load(file)
    if params["hardware"] == "cpu":
        os.environ["UNSLOTH_FORCE_CPU"] = "1"
    elif why := find_gpu():
        print(
            f"Unsloth cannot train here: {why}, and the recipe is for a {params['hardware']}. Train on a machine with "
            "an NVIDIA GPU (`cervella train pack` makes a bundle for one), or set train.hardware: cpu to train a small "
            "model slowly.",
            flush=True,
        )
        sys.exit(NO_GPU)
    train(config)


def train(config: dict[str, Any]) -> None:
    """Train as `config` says."""
    from unsloth import FastLanguageModel  # first: it changes what is imported after it

    # isort: split
    import torch
    from telling import make_telling  # type: ignore[import-not-found]
    from transformers import EarlyStoppingCallback
    from transformers.trainer_utils import get_last_checkpoint
    from trl import SFTConfig, SFTTrainer

    load = dict(config["load"])
    model, tokenizer = FastLanguageModel.from_pretrained(**{**load, "dtype": getattr(torch, load["dtype"])})
    model = FastLanguageModel.get_peft_model(model, **config["lora"])
    encoder = Encoder(tokenizer)
    callbacks: list[Any] = []
    if config["patience"] is not None:
        callbacks.append(EarlyStoppingCallback(early_stopping_patience=config["patience"]))
    arguments = SFTConfig(**config["sft"])
    trainer = SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=rows(encoder, config["train"], most=load["max_seq_length"]),
        eval_dataset=rows(encoder, config["validation"], most=load["max_seq_length"]),
        processing_class=tokenizer,
        callbacks=callbacks,
    )
    trainer.add_callback(
        make_telling(package="unsloth", config=lambda: config, callbacks=lambda: trainer.callback_handler.callbacks)
    )
    out = arguments.output_dir
    last = get_last_checkpoint(out) if os.path.isdir(out) else None
    trainer.train(resume_from_checkpoint=last)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


def rows(encoder: Any, file: str, *, most: int) -> Any:
    """The rows of a file as ids and labels, in its order."""
    from datasets import Dataset

    found = []
    with open(file, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            row = json.loads(line)
            try:
                ids, labels = encoder.encode(row["messages"], row.get("tools"))
            except ValueError as error:
                raise ValueError(f"{file}, row {number}: {error}") from error
            if len(ids) > most:
                raise ValueError(f"a sequence of {len(ids)} tokens is longer than train.max_tokens, {most}")
            found.append({"input_ids": ids, "attention_mask": [1] * len(ids), "labels": labels})
    return Dataset.from_list(found)


if __name__ == "__main__":
    main()
