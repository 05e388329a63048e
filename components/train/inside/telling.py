"""A callback for transformers' Trainer: tells what a training does and really uses, and stops it so that it can go on.

It writes progress.jsonl, effective.json, masks-train.jsonl and masks-validation.jsonl into the working directory, which
is the folder of a job; its job.json is read. The event `begin` comes once effective.json and the masks are whole: where
the Trainer evaluates before it trains, at the first batch of that. All three trainers use it: Axolotl by a plugin,
LLaMA-Factory and Unsloth by their `callbacks`.

SIGINT and SIGTERM let the step end, save a checkpoint to go on from, and end the process with 128 + signal; a second
one ends it at once.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import checkpoints  # type: ignore[import-not-found]

_PACKAGES = (
    "torch", "transformers", "peft", "trl", "accelerate", "datasets", "tokenizers", "bitsandbytes", "safetensors",
    "axolotl", "llamafactory", "unsloth", "unsloth_zoo",
)  # fmt: skip
_TWICE = 1.0  # seconds: a terminal's Ctrl-C reaches this process twice, by its group and by its parent


def make_telling(
    *, package: str, config: Callable[[], Any], callbacks: Callable[[], list[Any]] | None = None
) -> Any:  # fmt: skip
    """The callback.

    Args:
        package: name of the trainer's package, for its version.
        config: gives the trainer's own resolved configuration, as JSON values.
        callbacks: gives the callbacks of the Trainer, to tell their names.
    """
    from transformers import TrainerCallback

    with open("job.json", encoding="utf-8") as file:
        params = json.load(file)["params"]

    class Telling(TrainerCallback):  # type: ignore[misc]
        """See the module."""

        def __init__(self) -> None:
            self.signal = 0
            self.signalled = 0.0
            self.step = 0
            self.begun = False
            self.effective: dict[str, Any] = {}

        def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            self.step = state.global_step
            args.logging_nan_inf_filter = False  # it would show the mean of other steps in place of NaN
            args.include_num_input_tokens_seen = "non_padding"
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self.stop)
            loader, model = given["train_dataloader"], given["model"]
            rows = list(_rows(loader, packing=params["packing"]))
            _write_masks("masks-train.jsonl", rows[: params["masks_shown"]])
            self.effective = {
                "arguments": args.to_dict(),
                "peft": {name: one.to_dict() for name, one in getattr(model, "peft_config", {}).items()}.get("default"),
                "model": _model(model),
                "data": _data("train", rows),
                "callbacks": [type(one).__name__ for one in callbacks()] if callbacks else [],
                "trainer": {"name": params["trainer"], "version": importlib.metadata.version(package)},
                "packages": {name: version for name in _PACKAGES if (version := _version(name))},
                "config": config(),
            }
            _write_json("effective.json", self.effective)
            _refuse_silent("training", rows)
            if not args.eval_on_start:
                self.begin(state)

        def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            self.step = state.global_step
            if state.global_step >= state.max_steps:
                control.should_evaluate = True  # the last step may be the best
            if self.signal:
                control.should_save = control.should_training_stop = True

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **given: Any) -> None:
            if "loss" not in logs:
                return
            _tell(
                "log", step=state.global_step, steps=state.max_steps, epoch=logs.get("epoch"), loss=logs["loss"],
                learning_rate=logs.get("learning_rate"), grad_norm=logs.get("grad_norm"),
                tokens=int(state.num_input_tokens_seen),
            )  # fmt: skip

        def on_prediction_step(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            if "validation_rows" in self.effective["data"]:
                return
            rows = list(_rows(given["eval_dataloader"], packing=params["packing"]))
            _write_masks("masks-validation.jsonl", rows)
            self.effective["data"].update(_data("validation", rows))
            _write_json("effective.json", self.effective)
            _refuse_silent("held-out", rows)
            self.begin(state)

        def begin(self, state: Any) -> None:
            """Told once everything is known, before the first step: who follows can still refuse it for nothing."""
            if not self.begun:
                self.begun = True
                _end_line("progress.jsonl")
                _tell("begin", step=state.global_step, steps=state.max_steps)

        def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **given: Any) -> None:
            _tell("eval", step=state.global_step, eval_loss=metrics.get("eval_loss"))

        def on_save(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            checkpoint = os.path.join(args.output_dir, f"checkpoint-{state.global_step}")
            adapter = checkpoints.seal(checkpoint).get("adapter_model.safetensors")
            _tell("save", step=state.global_step, checkpoint=checkpoint, adapter=adapter)
            if self.signal:
                self.leave()

        def on_train_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            if self.signal:
                self.leave()
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, _leave)  # the last checkpoint has everything; a trainer's own would end with 0
            _tell(
                "end", step=state.global_step, stopped_early=state.global_step < state.max_steps,
                best_eval_loss=state.best_metric, best_checkpoint=state.best_model_checkpoint,
                peak_memory_bytes=_peak_memory(), peak_gpu_bytes=_peak_gpu(),
            )  # fmt: skip

        def stop(self, number: int, frame: object) -> None:
            if not self.signal:
                self.signal, self.signalled = number, time.monotonic()
                _tell("stopping", step=self.step, signal=signal.Signals(number).name)
            elif time.monotonic() - self.signalled > _TWICE:
                os._exit(128 + number)

        def leave(self) -> None:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(128 + self.signal)  # whatever else the trainer would do, such as saving what is not finished

    return Telling()


def _leave(number: int, frame: object) -> None:
    os._exit(128 + number)


def _tell(event: str, **values: Any) -> None:
    line = json.dumps({"event": event, "time": time.time(), **values}) + "\n"
    with open("progress.jsonl", "a", encoding="utf-8") as file:
        file.write(line)


def _end_line(name: str) -> None:
    """A kill may have cut the last line short: what follows must not be lost with it."""
    with open(name, "ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read() != b"\n":
                file.write(b"\n")


def _write_json(name: str, value: Any) -> None:
    with open(name + ".tmp", "w", encoding="utf-8") as file:
        json.dump(value, file, indent=1, sort_keys=True, default=_plain)
        file.write("\n")
    os.replace(name + ".tmp", name)


def _plain(value: Any) -> Any:
    return sorted(map(str, value)) if isinstance(value, (set, frozenset)) else str(value)


def _rows(loader: Any, *, packing: bool) -> Iterator[tuple[list[int], list[int]]]:
    """Ids, and positions that carry loss, of each row, as the trainer's own collator makes it."""
    for row in (loader.dataset[place] for place in range(len(loader.dataset))):
        # Packing collators take whole packs; the rows have what goes into them.
        made = row if packing else {name: value[0].tolist() for name, value in loader.collate_fn([row]).items()}
        attended = made.get("attention_mask") or [1] * len(made["input_ids"])
        kept = [place for place, mask in enumerate(attended) if mask]
        ids = [int(made["input_ids"][place]) for place in kept]
        yield ids, [number for number, place in enumerate(kept) if made["labels"][place] != -100]


def _write_masks(name: str, rows: list[tuple[list[int], list[int]]]) -> None:
    with open(name + ".tmp", "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"ids": ids, "trained": trained}) + "\n" for ids, trained in rows)
    os.replace(name + ".tmp", name)


def _refuse_silent(what: str, rows: list[tuple[list[int], list[int]]]) -> None:
    """Before hours are spent: nothing is learnt from a row without loss, and an evaluation of one is NaN."""
    silent = [number for number, (_, trained) in enumerate(rows) if not trained]
    if silent:
        raise ValueError(
            f"no token carries loss in {len(silent)} of {len(rows)} {what} examples, as in {silent[0] + 1}"
        )


def _data(side: str, rows: list[tuple[list[int], list[int]]]) -> dict[str, int]:
    return {
        f"{side}_rows": len(rows),
        f"{side}_tokens": sum(len(ids) for ids, _ in rows),
        f"{side}_trained_tokens": sum(len(trained) for _, trained in rows),
        f"{side}_longest": max((len(ids) for ids, _ in rows), default=0),
        f"{side}_without_loss": sum(not trained for _, trained in rows),
    }


def _model(model: Any) -> dict[str, Any]:
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    settings = base.config
    quantization: Any = getattr(settings, "quantization_config", None)
    adapted: dict[str, int] = {}
    for name, module in model.named_modules():
        if getattr(module, "lora_A", None):
            suffix = name.rpartition(".")[2]
            adapted[suffix] = adapted.get(suffix, 0) + 1
    trainable = [one for one in model.parameters() if one.requires_grad]
    return {
        "class": type(base).__name__,
        "dtype": str(base.dtype).removeprefix("torch."),
        "attention": getattr(settings, "_attn_implementation", None),
        "quantization": quantization.to_dict() if hasattr(quantization, "to_dict") else quantization,
        # As peft counts: two 4-bit weights share a byte.
        "parameters": model.get_nb_trainable_parameters()[1] if hasattr(model, "get_nb_trainable_parameters") else None,
        "trainable_parameters": sum(one.numel() for one in trainable),
        "trainable_dtypes": sorted({str(one.dtype).removeprefix("torch.") for one in trainable}),
        "adapted_modules": adapted,
        "device": str(base.device),
        "gpu": _gpu(),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _peak_memory() -> int:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _gpu() -> str | None:
    import torch

    return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else None


def _peak_gpu() -> int | None:
    import torch

    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
