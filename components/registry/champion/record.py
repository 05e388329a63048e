"""What is in service: `<workspace>/registry/champion.json`, for each registered model the history of its champions.

The file is the truth; the alias `champion` in MLflow follows it. Nothing is ever taken out of a history.

State after a hard crash: the file as it was before or as it is after a change, never half of it (written beside,
flushed, renamed; `.champion.json.<random>` may be left and goes with `gc`). Between file and MLflow: the file tells the
new champion and that the change is open, MLflow tells the old one; the next promote, rollback or run of the recipe
makes MLflow agree. A rollback that finds an open rollback completes it, and goes back no further: done again after a
kill, a command has the effect of one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from components.errors import TerminalError
from components.store import canonical_json, hold, logger, sha256_hex, write_atomic
from components.store.purge import Words

__all__ = [
    "Champion", "champion_file", "close", "forget_words", "is_open", "line_of", "locked", "read_champion",
    "read_champions", "read_history", "write_history",
]  # fmt: skip

_FORMAT = 1
_LOCK_SECONDS = 300  # MLflow's first start takes ten of them, a server that does not answer minutes


@dataclass(frozen=True)
class Champion:
    """A release in service, and how it came there: one entry of the history.

    Attributes:
        what: promote or rollback.
        at: when (ISO 8601, UTC).
        by: who.
        reason: in words; None: none was given.
        verdict: of the gate of the run that it came from.
        digest: of the release.
        before: digest of the release that it replaced; None: there was none.
        release: id of the artefact `registry.release`.
        scorecard: id of `evaluate.score`; None: the run told none.
        gate: id of `registry.gate`.
        run: that it came from.
        recipe: name of its recipe.
        phase: of its recipe.
        version: of the registered model in MLflow; None: unknown.
    """

    what: Literal["promote", "rollback"]
    at: str
    by: str
    reason: str | None
    verdict: str
    digest: str
    before: str | None
    release: str
    scorecard: str | None
    gate: str
    run: str
    recipe: str
    phase: str
    version: int | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON: the fields, `from` and `to` in the places of `before` and `digest`."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in ("digest", "before")}
        return {**values, "from": self.before, "to": self.digest}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Champion:
        """What `to_dict` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        values = {**data, "before": data["from"], "digest": data["to"]}
        texts = ("at", "by", "verdict", "digest", "release", "gate", "run", "recipe", "phase")
        if data["what"] not in ("promote", "rollback") or not all(isinstance(values[name], str) for name in texts):
            raise ValueError("not an entry of the history")
        return cls(**{name: values[name] for name in cls.__dataclass_fields__})


def champion_file(workspace: Path) -> Path:
    """The file of all champions of a workspace."""
    return workspace / "registry" / "champion.json"


@contextmanager
def locked(workspace: Path, what: str) -> Iterator[None]:
    """Hold the champions of a workspace for the block; a second one waits. Raises TerminalError after 300 s."""
    lock = workspace / "locks" / "registry.champion"
    with hold(lock, what=what, timeout_seconds=_LOCK_SECONDS, waiting=lambda who: logger.info("waits for %s", who)):
        yield


def read_champions(workspace: Path) -> dict[str, list[Champion]]:
    """Registered model -> its history, oldest first. Raises TerminalError for a file that is damaged."""
    return _read(workspace)[0]


def _read(workspace: Path) -> tuple[dict[str, list[Champion]], set[str]]:
    """All histories, and the models whose last change is open."""
    path = champion_file(workspace)
    try:
        told = json.loads(path.read_bytes())
        if told["format"] != _FORMAT or told["sum"] != _sum(told):
            raise _damaged(path, "was changed: its checksum does not match")
        models = {name: [Champion.from_dict(one) for one in entries] for name, entries in told["models"].items()}
        return models, set(told["open"])
    except FileNotFoundError:
        return {}, set()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(path, f"cannot be read ({error})") from error


def read_history(workspace: Path, model_name: str) -> list[Champion]:
    """All changes of a registered model's champion, oldest first; the last one is in service."""
    return read_champions(workspace).get(model_name, [])


def read_champion(workspace: Path, model_name: str) -> Champion | None:
    """What is in service as `model_name`; None: nothing was promoted yet. Raises TerminalError: the file is damaged."""
    history = read_history(workspace, model_name)
    return history[-1] if history else None


def write_history(workspace: Path, model_name: str, history: Sequence[Champion]) -> None:
    """Replace the history of one registered model, whose last change is then open. For the holder of `locked`."""
    champions, opened = _read(workspace)
    _write(workspace, {**champions, model_name: list(history)}, opened | {model_name})


def is_open(workspace: Path, model_name: str) -> bool:
    """Whether the last change was begun and not ended: MLflow may not know of it, nor who asked for it."""
    return model_name in _read(workspace)[1]


def close(workspace: Path, model_name: str) -> None:
    """The last change is ended. For the holder of `locked`."""
    champions, opened = _read(workspace)
    if model_name in opened:
        _write(workspace, champions, opened - {model_name})


def line_of(history: Sequence[Champion]) -> list[Champion]:
    """The releases that `rollback` goes back along, the one in service last.

    A promotion adds one. A rollback goes back to one and drops those after it, so two rollbacks in a row go back two
    steps, and never forth to what was just left; back to one that was dropped (`--to`) adds it again.
    """
    line: list[Champion] = []
    for change in history:
        if change.what == "rollback":
            places = [place for place, one in enumerate(line[:-1]) if one.digest == change.digest]
            line = line[: places[-1]] if places else line
        elif line and line[-1].digest == change.digest:  # its artefact was made anew
            line = line[:-1]
        line.append(change)
    return line


def forget_words(workspace: Path, words: Words) -> None:
    """Replace words in what people gave as reasons; a file that is damaged stays damaged, without them."""
    with locked(workspace, "forget"):
        path = champion_file(workspace)
        if words.in_file(path):
            try:
                read_champions(workspace)
                text = _text(json.loads(words.blot(path.read_bytes())))
            except TerminalError:
                text = words.blot(path.read_bytes())
            write_atomic(path, text)


def _write(workspace: Path, champions: Mapping[str, Sequence[Champion]], opened: Collection[str]) -> None:
    models = {name: [one.to_dict() for one in history] for name, history in champions.items()}
    write_atomic(champion_file(workspace), _text({"format": _FORMAT, "models": models, "open": sorted(opened)}))


def _text(told: Mapping[str, Any]) -> bytes:
    text = json.dumps({**told, "sum": _sum(told)}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return text.encode("utf-8", "surrogatepass")


def _sum(told: Mapping[str, Any]) -> str:
    return sha256_hex(canonical_json({name: value for name, value in told.items() if name != "sum"}))


def _damaged(path: Path, how: str) -> TerminalError:
    return TerminalError(
        f"{path} {how}: what is in service cannot be told. Bring it back from a copy; without one move it away and "
        "promote again: releases and their scores are in the store, only the history is lost"
    )
