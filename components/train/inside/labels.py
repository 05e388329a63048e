"""A conversation as tokens, and which of them carry loss: by the tokenizer's own chat template, as it is served.

For trainers that would tokenize otherwise: LLaMA-Factory puts an empty <think> block before every answer and trains the
line end after it; Unsloth trains the block itself. So all trainers train the same tokens: each answer of the assistant
and the end token after it, nothing of the block, no header. Axolotl does so by itself; tests compare.

Not covered: parts of a turn (`train_detail`) and turns of others that are to be trained; `encode` refuses them.
"""

from __future__ import annotations

import json
from typing import Any

IGNORED = -100
_BRIEF = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]


class Encoder:
    """Encodes messages with one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        plain = self._render(_BRIEF[:1], None, add_generation_prompt=False)
        thinking = self._render(_BRIEF[:1], None, add_generation_prompt=True)
        silent = self._render(_BRIEF[:1], None, add_generation_prompt=True, enable_thinking=False)
        if not thinking.startswith(plain):
            raise ValueError("the chat template rewrites what stands before an answer: it cannot be trained here")
        # Mistral's templates write nothing before an answer but the end of the question.
        self._header = thinking[len(plain) :] or plain[plain.rindex("?") + 1 :]
        if not self._header:
            raise ValueError("the chat template has no mark before an answer: it cannot be told from what it answers")
        # What is written for the model before an answer without reasoning: Qwen3's empty block.
        self._silence = silent[len(thinking) :] if silent.startswith(thinking) else ""
        whole = self._render(_BRIEF, None, add_generation_prompt=False)
        after = whole[whole.rindex("!") + 1 :]
        ids = tokenizer(after, add_special_tokens=False)["input_ids"]
        if not ids:
            raise ValueError("the chat template writes nothing after an answer: a model would not learn to stop")
        self._end = ids[0]
        self._end_text: str = tokenizer.convert_ids_to_tokens(self._end)

    def encode(self, messages: list[dict[str, Any]], tools: Any = None) -> tuple[list[int], list[int]]:
        """Ids and labels of a conversation.

        Args:
            messages: OpenAI's form; an assistant's with `train: false` carries no loss.
            tools: list of tools, or its JSON text; None: there are none.

        Raises:
            ValueError: it cannot be trained as it stands; the text says why.
        """
        messages = [_message(one) for one in messages]
        trained = [_is_trained(one) for one in messages]
        given = [{key: value for key, value in one.items() if not key.startswith("train")} for one in messages]
        text = self._render(given, json.loads(tools) if isinstance(tools, str) else tools, add_generation_prompt=False)
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids: list[int] = list(encoded["input_ids"])
        labels = [IGNORED] * len(ids)
        answers = [number for number, one in enumerate(given) if one["role"] == "assistant"]
        # Two texts that look like a header would shift every answer: then nothing is trained rather than something.
        if text.count(self._header) != len(answers) or any(self._end_text in str(one.get("content")) for one in given):
            raise ValueError("a text in it looks like a mark of the chat template")
        cursor = 0
        for number in answers:
            begin = text.index(self._header, cursor) + len(self._header)
            cursor = begin
            calls = [one["function"]["name"] for one in given[number].get("tool_calls", ())]
            if not all(name in text[begin : text.index(self._end_text, begin)] for name in calls):
                raise ValueError("the chat template leaves calls of tools out")
            if trained[number]:
                last = number == len(given) - 1
                self._label(begin + self._skipped(text, begin, last=last), ids, encoded["offset_mapping"], labels)
        return ids, labels

    def _skipped(self, text: str, begin: int, *, last: bool) -> int:
        """Characters of the last answer that are written for the model, not by it: as Axolotl tells them."""
        if not last or not self._silence:
            return 0
        if text.startswith(self._silence, begin):
            return len(self._silence)
        opening = self._silence[: self._silence.index("\n") + 1] if "\n" in self._silence else ""
        return len(opening) if opening and text.startswith(opening, begin) else 0

    def _label(self, begin: int, ids: list[int], offsets: Any, labels: list[int]) -> None:
        first = next((place for place, (_, end) in enumerate(offsets) if end > begin), len(ids))
        if first < len(ids) and ids[first] == self._end:
            return  # an empty answer: the model would learn to say nothing
        for place in range(first, len(ids)):
            labels[place] = ids[place]
            if ids[place] == self._end:
                return
        raise ValueError("the end token of an answer is missing in what the chat template makes of it")

    def _render(self, messages: list[dict[str, Any]], tools: Any, **options: Any) -> str:
        text: str = self._tokenizer.apply_chat_template(messages, tools=tools or None, tokenize=False, **options)
        return text


def _message(given: dict[str, Any]) -> dict[str, Any]:
    """Without nulls that a column format added; arguments of calls as objects, as the template is asked with."""
    message = {key: value for key, value in given.items() if value is not None}
    calls = message.get("tool_calls")
    if calls:
        message["tool_calls"] = [
            {"type": "function", "function": {"name": name, "arguments": _loads(arguments)}}
            for name, arguments in ((one["function"]["name"], one["function"]["arguments"]) for one in calls)
        ]
    else:
        message.pop("tool_calls", None)
    return message


def _loads(arguments: Any) -> Any:
    return json.loads(arguments) if isinstance(arguments, str) else arguments


def _is_trained(message: dict[str, Any]) -> bool:
    answers = message["role"] == "assistant"
    if message.get("train_detail"):
        raise ValueError("parts of a turn (train_detail) cannot be trained by this trainer; Axolotl can")
    if not answers and message.get("train"):
        raise ValueError(f"a {message['role']} turn cannot be trained by this trainer; Axolotl can")
    return bool(answers and message.get("train", True))
