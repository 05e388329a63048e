"""A champion in words: what is in service, since when, and what is other than before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.errors import TerminalError
from components.registry.champion.candidate import open_release
from components.registry.champion.change import Changed
from components.registry.champion.record import Champion
from components.registry.champion.release_step import RELEASE
from components.store.mlflow_params import flat

__all__ = ["differences", "render_changed"]

Difference = tuple[str, Any, Any]
_LONG = 60  # characters of a value


def differences(workspace: Path, before: Champion, now: Champion) -> list[Difference]:
    """(what, before, now) of each setting of the release that is other: prompt tokens, model, adapter, index, search.

    The prompt's text is told as `prompt_tokens` and `prompt_lines` (how many stand in the one alone). Raises
    TerminalError: the one or the other is gone.
    """
    old, new = _values(workspace, before), _values(workspace, now)
    found = []
    prompts = [set(str(values.pop("persona.prompt", "")).splitlines()) for values in (old, new)]
    if prompts[0] != prompts[1]:
        found.append(("prompt_lines", len(prompts[0] - prompts[1]), len(prompts[1] - prompts[0])))
    names = [*old, *(name for name in new if name not in old)]
    return [*((name, old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)), *found]


def _values(workspace: Path, champion: Champion) -> dict[str, Any]:
    artefact, _ = open_release(workspace, champion.release)
    release: Mapping[str, Any] = artefact.read_json(RELEASE)
    return {"prompt_tokens": int(artefact.read_json("prompt.json")["tokens"]), **flat(release)}


def render_changed(done: Changed, *, workspace: Path, model_name: str) -> str:
    """Plain text for a terminal."""
    now = done.champion
    if now is None:
        return f"nothing is in service as {model_name}"
    head = "in service" if done.changed else "in service, as before"
    by = "promoted" if now.what == "promote" else "rolled back to"
    lines = [
        f"{head}: {model_name} version {now.version}, release {now.digest[:12]}, since {now.at}, {by} by {now.by}",
        f"  of run {now.run}, gate of phase {now.phase}: {now.verdict}",
    ]
    if now.reason:
        lines.append(f"  reason: {now.reason}")
    lines += _facts(workspace, now)
    if done.changed and done.before is not None:
        lines += [f"before: version {done.before.version}, release {done.before.digest[:12]}"]
        lines += _changes(workspace, done.before, now)
    return "\n".join(lines)


def _facts(workspace: Path, now: Champion) -> list[str]:
    try:
        values = _values(workspace, now)
    except TerminalError as error:
        return [f"  GONE OR DAMAGED: {error}"]
    adapter = values["adapter"]
    search = ", ".join(
        f"{name.removeprefix('index.search.')} {_shown(value)}" for name, value in values.items()
        if name.startswith("index.search.")
    )  # fmt: skip
    return [
        f"  prompt: {values['prompt_tokens']} tokens; model: {values.get('base_model.model')}; "
        f"adapter: {adapter[:12] if adapter else 'none'}",
        f"  search: {search or 'as by default'}",
    ]


def _changes(workspace: Path, before: Champion, now: Champion) -> list[str]:
    try:
        found = differences(workspace, before, now)
    except TerminalError as error:
        return [f"  what changed cannot be told: {error}"]
    if not found:
        return ["  nothing changed in the release"]
    width = max(len(name) for name, _, _ in found)
    return [
        f"  {name:<{width}}  {old} gone, {new} new" if name == "prompt_lines"
        else f"  {name:<{width}}  {_shown(old)} -> {_shown(new)}"
        for name, old, new in found
    ]  # fmt: skip


def _shown(value: Any) -> str:
    text = "none" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONG else f"{text[: _LONG - 3]}..."
