"""What trainers make of a row, as facts of pinned versions: kept, dropped, masked, changed or fatal to the run (B17).

Axolotl and LLaMA-Factory: read in the sources that each function names, and compared with what the real packages made
of the rows in tests/dataset/trainer_rows.json. Unsloth: by its documented rules, unchecked.

What depends on counting tokens (rows that are too long) is not here: D2 and D4 tell it. Nor is what a trainer does to
every row alike: LLaMA-Factory's `qwen3` opens each answer with an empty <think> block and keeps the reasoning of
earlier ones; Qwen3's own template (Axolotl, Unsloth) opens the last only; `qwen3_nothink` leaves the block out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from components.dataset.checks.tool_calls import parse_call, parse_tools
from components.dataset.checks.train_flags import FLAGS, is_trained
from components.dataset.conversation import ASSISTANT_ROLES, ROLES, USER_ROLES, Conversation, Turn
from components.dataset.findings import Hit, Severity

__all__ = ["Treatment", "What", "axolotl_0_19", "llamafactory_0_9_5", "trainer_hits", "unsloth"]

What = Literal["kept", "dropped", "masked", "changed", "stopped"]


class Treatment(NamedTuple):
    """What a trainer makes of a row.

    `dropped`: left out of the set; `masked`: no token of it carries loss; `changed`: what is trained is not what is
    written; `stopped`: the run ends with an error.
    """

    what: What
    why: str = ""
    rules: frozenset[str] = frozenset()
    """The rules that tell of it; none: B17 does."""
    turn: int | None = None
    fix: str | None = None
    severity: Severity | None = None
    """Of the finding, where it is less than an error: what is changed may be meant, or matters little."""


_KEPT = Treatment("kept")
_NO_TEXT = Treatment("stopped", "no turns of text", frozenset({"B1", "B2", "B3", "B5", "B6"}))
_ORDER = Treatment(
    "dropped",
    "human or observation at odd places, gpt or function_call at even ones",
    frozenset({"B1", "B2", "B3", "B6", "B7", "B8", "B9", "B10", "B11"}),
)
_ROLE = Treatment("changed", "the template leaves a turn of an unknown role out", frozenset({"B3", "B6"}))
_TOOLS = Treatment("stopped", "`tools` is no JSON text of a list of tools", frozenset({"B14"}))
_LIST = Treatment("stopped", "`tools` is a list", fix="write it as JSON text", severity="warning")
_SYSTEM = Treatment("changed", "the system column is not read where there is a system turn", frozenset({"B7"}))
_IDX = Treatment("changed", "{{idx}} in a human turn becomes the number of the turn", fix="write {{ idx }}")
_NO_TOOLS = Treatment("changed", "a text of `tools` without any opens an empty system prompt",
                      fix="leave `tools` out", severity="info")  # fmt: skip
_FLAGS = Treatment("changed", "training flags are not read: every gpt turn is trained whole, and no other",
                   frozenset({"B16"}), fix="train with Axolotl, or leave out what must not be trained",
                   severity="warning")  # fmt: skip
_MASKED = Treatment("masked", "no turn with text is trained, so the row is dropped", frozenset({"B11", "B16", "D4"}))


def axolotl_0_19(conversation: Conversation) -> Treatment:
    """Axolotl 0.19.0, `type: chat_template`, `chat_template: qwen3`, given what `templates.to_row` makes.

    Sources: axolotl/prompt_strategies/chat_template.py (ChatTemplateStrategy); utils/chat_templates/templates/
    qwen3.jinja; utils/trainer.py (drop_no_trainable_tokens). `train` and `train_detail` are its fields of training. It
    checks no order and no role. Of a ShareGPT file as it stands it would leave out function_call and observation.
    """
    turns = conversation.turns
    if not turns or not _readable(turns):
        return _NO_TEXT
    for place, turn in enumerate(turns):
        if turn.role not in ROLES:
            return _ROLE._replace(turn=place)
    # The template takes newlines from the begin of the last answer.
    if not any(turn.text if turn is not turns[-1] else turn.text.lstrip("\n") for turn in turns if is_trained(turn)):
        return _MASKED
    return _KEPT


def llamafactory_0_9_5(conversation: Conversation) -> Treatment:
    """LLaMA-Factory 0.9.5, `formatting: sharegpt` with its default tags, `template: qwen3` or `qwen3_nothink`.

    Sources: llamafactory/data/converter.py (SharegptDatasetConverter); data/processor/supervised.py;
    data/formatter.py (StringFormatter, FunctionFormatter, ToolFormatter); data/template.py (Template._encode).
    """
    turns = conversation.turns
    if turns is None or not _readable(turns):
        return _NO_TEXT
    first = int(bool(turns) and turns[0].role == "system")
    spoken = turns[first:]
    sides = (USER_ROLES, ASSISTANT_ROLES)
    if not spoken or len(spoken) % 2 or any(turn.role not in sides[i % 2] for i, turn in enumerate(spoken)):
        return _ORDER
    tools = conversation.tools
    if tools and parse_tools(tools).faults:
        return _TOOLS
    changed = [_SYSTEM] if first and isinstance(conversation.system, str) and conversation.system.strip() else []
    for place, turn in enumerate(turns):
        if turn.role == "function_call":
            try:
                calls = parse_call(turn.text)
            except ValueError as error:
                return Treatment("stopped", str(error), frozenset({"B13", "C1"}), place)
            if calls.stops:
                return Treatment("stopped", calls.stops, frozenset({"B13"}), place)
            changed += [Treatment("changed", doubt, frozenset({"B13"}), place) for doubt in calls.doubts]
        elif turn.role == "human" and "{{idx}}" in turn.text:
            changed.append(_IDX._replace(turn=place))
    if tools and not isinstance(tools, str):
        return _LIST
    if _has_flags(turns):
        changed.append(_FLAGS)
    if tools and not parse_tools(tools).given and not conversation.system_text():
        changed.append(_NO_TOOLS)
    return changed[0] if changed else _KEPT


def unsloth(conversation: Conversation) -> Treatment:
    """Unsloth 2026.8.19 by its documented rules (unchecked), given what `templates.to_row` makes.

    The text is the tokenizer's own template; `train_on_responses_only` trains all that follows an assistant marker up
    to the next user marker and drops rows without any. It reads no training flags.
    """
    turns = conversation.turns
    if not turns or not _readable(turns):
        return _NO_TEXT
    for place, turn in enumerate(turns):
        if turn.role not in ROLES:
            return _ROLE._replace(turn=place)
        if turn.role == "system" and place > 1:
            return Treatment("changed", "a system turn after an answer is trained with it", frozenset({"B7"}), place)
    if not any(turn.role in ASSISTANT_ROLES for turn in turns):
        return _MASKED
    return _FLAGS if _has_flags(turns) else _KEPT


def _readable(turns: tuple[Turn, ...]) -> bool:
    return all(isinstance(turn.role, str) and isinstance(turn.value, str) for turn in turns)


def _has_flags(turns: tuple[Turn, ...]) -> bool:
    """Whether what is trained depends on flags."""
    return any(
        is_trained(turn) != (turn.role in ASSISTANT_ROLES) or turn.extra.get("train_detail") is not None
        for turn in turns
        if turn.extra and not FLAGS.isdisjoint(turn.extra)
    )


def trainer_hits(conversation: Conversation, told: Iterable[Hit] = ()) -> Iterator[Hit]:
    """B17: a trainer drops, masks or changes the row, or stops on it, and none of the findings `told` says so.

    That only flags, lists and empty texts of `tools`, and {{idx}} are left for it is held by a test over generated
    rows; beside these it is a net.
    """
    found: dict[Treatment, list[str]] = {}
    for name, judge in _JUDGES:
        treatment = judge(conversation)
        if treatment is not _KEPT:
            found.setdefault(treatment, []).append(name)
    if found:
        rules = {hit.rule for hit in told}
        for treatment, names in found.items():
            if not rules & treatment.rules:
                message = f"{' and '.join(names)}: {treatment.why}"
                yield Hit("B17", message, treatment.turn, treatment.fix, treatment.severity)


_JUDGES = (("LLaMA-Factory", llamafactory_0_9_5), ("Unsloth", unsloth), ("Axolotl", axolotl_0_19))
