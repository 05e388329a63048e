"""What trainers make of a row, as facts of pinned versions: kept, dropped, masked, changed or fatal to the run (B17).

Axolotl and LLaMA-Factory: read in the sources that each function names, and checked against what the installed
packages made of the rows in tests/dataset/trainer_facts.json. Unsloth: by its documented rules, unchecked.

What depends on counting tokens (rows that are too long) is not here: D2 and D4 tell it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from components.dataset.conversation import ASSISTANT_ROLES, ROLES, USER_ROLES, Conversation, Turn
from components.dataset.findings import Hit
from components.dataset.tool_calls import parse_call, parse_tools
from components.dataset.train_flags import is_trained

__all__ = ["Treatment", "What", "axolotl_0_19", "llamafactory_0_9_5", "trainer_hits", "unsloth"]

What = Literal["kept", "dropped", "masked", "changed", "stopped"]


class Treatment(NamedTuple):
    """What a trainer makes of a row.

    `dropped`: left out of the set; `masked`: no token of it carries loss; `changed`: what is trained is not what is
    written; `stopped`: the run ends with an error.
    """

    what: What
    why: str = ""


_KEPT = Treatment("kept")


def axolotl_0_19(conversation: Conversation) -> Treatment:
    """Axolotl 0.19.0, `type: chat_template`, `chat_template: qwen3`, given `templates.to_messages` and the tools.

    Sources: axolotl/prompt_strategies/chat_template.py (ChatTemplateStrategy), utils/chat_templates/templates/
    qwen3.jinja; rows without a token that carries loss are dropped by utils/trainer.py. With `train` and
    `train_detail` as its fields of training. Nothing else of order or roles is checked there.
    """
    turns = conversation.turns
    if not turns or not _readable(turns):
        return Treatment("stopped", "a row without turns of text")
    if parse_tools(conversation.tools).faults:
        return Treatment("stopped", "tools that cannot be read")
    if any(turn.role not in ROLES for turn in turns):
        return Treatment("changed", "the template leaves turns of unknown roles out")
    trained = [turn for turn in turns if is_trained(turn) and turn.text.lstrip("\n")]
    if not trained:
        return Treatment("masked", "no turn with text is trained, so the row is dropped")
    return _KEPT


def llamafactory_0_9_5(conversation: Conversation) -> Treatment:
    """LLaMA-Factory 0.9.5, `formatting: sharegpt` with its default tags, `template: qwen3` or `qwen3_nothink`.

    Sources: llamafactory/data/converter.py (SharegptDatasetConverter), data/formatter.py (FunctionFormatter,
    StringFormatter, ToolFormatter), data/processor/supervised.py. It reads no training flags.
    """
    turns = conversation.turns
    if turns is None or not _readable(turns):
        return Treatment("stopped", "a row without turns of text")
    spoken = turns[1:] if turns and turns[0].role == "system" else turns
    sides = (USER_ROLES, ASSISTANT_ROLES)
    if not spoken or len(spoken) % 2 or any(turn.role not in sides[i % 2] for i, turn in enumerate(spoken)):
        return Treatment("dropped", "human or observation at odd places, gpt or function_call at even ones")
    if conversation.tools and (not isinstance(conversation.tools, str) or parse_tools(conversation.tools).faults):
        return Treatment("stopped", "`tools` is no JSON text of a list of tools")
    if len(spoken) < len(turns) and isinstance(conversation.system, str) and conversation.system.strip():
        return Treatment("changed", "the system column is ignored where there is a system turn")
    for turn in spoken:
        if turn.role == "function_call":
            try:
                doubts = parse_call(turn.text).doubts
            except ValueError:
                return Treatment("stopped", "a call that cannot be read")
            if doubts:
                return Treatment("changed", doubts[0])
        if turn.role == "human" and "{{idx}}" in turn.text:
            return Treatment("changed", "{{idx}} in a human turn becomes the number of the turn")
    return _ignores_flags(turns)


def unsloth(conversation: Conversation) -> Treatment:
    """Unsloth 2026.8.19 by its documented rules (unchecked), given `templates.to_messages`.

    The text is the tokenizer's own template; `train_on_responses_only` trains all that follows an assistant marker up
    to the next user marker, drops rows without any, and reads no training flags.
    """
    turns = conversation.turns
    if not turns or not _readable(turns):
        return Treatment("stopped", "a row without turns of text")
    if any(turn.role not in ROLES for turn in turns):
        return Treatment("changed", "the template leaves turns of unknown roles out")
    if not any(turn.role in ASSISTANT_ROLES for turn in turns):
        return Treatment("masked", "no turn is trained, so the row is dropped")
    return _ignores_flags(turns)


def _readable(turns: tuple[Turn, ...]) -> bool:
    return all(isinstance(turn.role, str) and isinstance(turn.value, str) for turn in turns)


def _ignores_flags(turns: tuple[Turn, ...]) -> Treatment:
    if any(turn.extra and is_trained(turn) != (turn.role in ASSISTANT_ROLES) for turn in turns):
        return Treatment("changed", "training flags are not read")
    return (
        Treatment("changed", "training flags are not read") if any("train_detail" in t.extra for t in turns) else _KEPT
    )


def trainer_hits(conversation: Conversation) -> Iterator[Hit]:
    """B17: what a trainer makes of a row that no other rule tells of.

    Found by trying generated rows on the facts above: these three, and nothing else.
    """
    turns = conversation.turns or ()
    for place, turn in enumerate(turns):
        if turn.role == "human" and "{{idx}}" in turn.text:
            yield Hit("B17", "LLaMA-Factory writes the number of the turn where the text says {{idx}}", turn=place,
                      fix="write it with a space: {{ idx }}")  # fmt: skip
    if any(turn.extra for turn in turns) and _readable(turns) and _ignores_flags(turns) is not _KEPT:
        yield Hit("B17", "LLaMA-Factory and Unsloth read no training flags: they train every gpt turn whole",
                  fix="train with Axolotl, or leave out what must not be trained", severity="warning")  # fmt: skip
    if isinstance(conversation.tools, list) and conversation.tools and conversation.converted is None:
        yield Hit("B17", "`tools` is a list: LLaMA-Factory stops on it", fix="write it as JSON text",
                  severity="warning")  # fmt: skip
