"""Trains with LLaMA-Factory what lies in the folder of a job: run by its own Python, in that folder.

Its templates train other tokens than the model is served with, so one of ours is registered with it: the tokenizer's
own chat template, with loss on answers only (labels.py).
"""

from __future__ import annotations

import json
from typing import Any

from labels import IGNORED, Encoder  # type: ignore[import-not-found]

TEMPLATE = "cervella"


def register(most: int) -> None:
    """Make LLaMA-Factory know the template; it would cut what has more than `most` tokens, so that is refused."""
    from llamafactory.data.template import Template, register_template

    class Served(Template):  # type: ignore[misc]
        """The tokenizer's own chat template."""

        def encode_multiturn(
            self, tokenizer: Any, messages: list[dict[str, str]], system: str | None = None, tools: str | None = None,
            discarding_history_cot: bool = False,
        ) -> list[tuple[list[int], list[int]]]:  # fmt: skip
            """Pairs of tokens that carry no loss and tokens that do, in the order of the text."""
            if getattr(self, "_encoder", None) is None:
                self._encoder = Encoder(tokenizer)
            first = [{"role": "system", "content": system}] if system else []
            ids, labels = self._encoder.encode([*first, *map(_message, messages)], tools or None)
            if len(ids) > most:
                raise ValueError(f"a sequence of {len(ids)} tokens is longer than train.max_tokens, {most}")
            return _pairs(ids, labels)

    register_template(name=TEMPLATE, template_class=Served)


def _message(given: dict[str, str]) -> dict[str, Any]:
    """OpenAI's form of a turn: LLaMA-Factory's roles are user, assistant, observation and function."""
    role, content = given["role"], given["content"]
    if role == "observation":
        return {"role": "tool", "content": content}
    if role != "function":
        return {"role": role, "content": content}
    thought, mark, rest = content.partition("<tool_call>")
    calls = json.loads(rest.rpartition("</tool_call>")[0] if mark and not content.startswith("[") else content)
    return {
        "role": "assistant",
        "content": thought.removesuffix("\n") if mark and not content.startswith("[") else "",
        "tool_calls": [{"type": "function", "function": call} for call in calls],
    }


def _pairs(ids: list[int], labels: list[int]) -> list[tuple[list[int], list[int]]]:
    pairs: list[tuple[list[int], list[int]]] = [([], [])]
    for token, label in zip(ids, labels, strict=True):
        if label == IGNORED and pairs[-1][1]:
            pairs.append(([], []))
        pairs[-1][label != IGNORED].append(token)
    return pairs


def main() -> None:
    """Train; LLaMA-Factory goes on from the newest checkpoint by itself."""
    import yaml
    from llamafactory.train.tuner import run_exp
    from telling import make_telling  # type: ignore[import-not-found]
    from transformers import TrainerCallback

    with open("config.yaml", encoding="utf-8") as file:
        arguments = yaml.safe_load(file)
    register(arguments["cutoff_len"])
    callbacks: list[Any] = []

    class Once(TrainerCallback):  # type: ignore[misc]
        """LLaMA-Factory would evaluate once more after the end, which tells nothing new."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
            args.do_eval = False

    callbacks += [
        make_telling(package="llamafactory", config=lambda: _config(callbacks), callbacks=lambda: callbacks),
        Once(),
    ]
    run_exp(arguments, callbacks=callbacks)


def _config(callbacks: list[Any]) -> dict[str, Any]:
    """The arguments as LLaMA-Factory resolved them: it hands them to the last callback that it adds."""
    from dataclasses import asdict

    reporter = callbacks[-1]
    found: dict[str, Any] = {}
    for one in (reporter.model_args, reporter.data_args, reporter.finetuning_args):
        found |= asdict(one)
    return {key: value for key, value in found.items() if "token" not in key}


if __name__ == "__main__":
    main()
