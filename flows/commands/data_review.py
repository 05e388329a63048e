"""Examples one at a time, for a person to accept, edit or reject: data review."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from components.errors import InputError
from flows.commands.keys import Keys
from flows.commands.options import load, override_option

if TYPE_CHECKING:
    from rich.console import Console

    from components.dataset.conversation import Conversation
    from components.dataset.curation.reviews import ReviewLog, Standing
    from components.dataset.findings import Hit

__all__ = ["review_command"]

_KEYS = {"a": "accept", "e": "edit", "r": "reject", "s": "skip", "u": "undo", "q": "quit"}
_DECIDED = {"accept": "accepted", "edit": "edited", "reject": "rejected"}
_LOG = ".reviews.jsonl"  # hidden, so that *.jsonl does not take it for examples
# What would drive a terminal, or reorder what is read.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_STYLES = {"system": "dim", "human": "bold cyan", "gpt": "bold green", "error": "bold red", "warning": "yellow"}


@click.command("review")
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("-r", "--recipe", metavar="RECIPE", help="without FILE: the examples of this recipe, first what waits")
@override_option
@click.option(
    "--reviews", type=click.Path(path_type=Path), metavar="PATH",
    help=f"log of the decisions, only ever added to (default: {_LOG} beside the first FILE)",
)  # fmt: skip
@click.option("--stage", type=click.Choice(["foundation", "expansion", "refinement"]), help="only examples of it")
@click.option("--again", is_flag=True, help="show also what is decided already")
def review_command(
    files: tuple[Path, ...], recipe: str | None, overrides: tuple[str, ...], reviews: Path | None,
    stage: str | None, again: bool,
) -> None:  # fmt: skip
    """Show the examples of FILE... one at a time: accept, edit, reject with a reason, skip, undo.

    Each decision is on disk before the next example is shown, with who took it and when, so it can be left at any
    moment and by any means. Nothing is written into FILE: a recipe takes the decisions from the log. An example whose
    words change is asked about again. From a pipe, a key is a line.
    """
    from components.dataset.curation.reviews import ReviewLog, reviewer_name

    if recipe is not None:
        files, reviews = _of_recipe(recipe, overrides, files, reviews)
    if not files:
        raise InputError("no file to review: cervella data review FILE..., or -r RECIPE for the examples of a recipe")
    log = ReviewLog(reviews or files[0].parent / _LOG)
    if not log.path.parent.is_dir():
        raise InputError(f"--reviews {log.path}: the folder is not there")
    examples, strange = _examples(files, stage)
    session = _Session(log, reviewer_name(), examples, again)
    if strange:
        session.say(f"{strange} rows hold no conversation and are not shown: `cervella data check` says why", "yellow")
    try:
        session.run()
    finally:
        session.sum_up()


def _of_recipe(
    recipe: str, overrides: tuple[str, ...], files: tuple[Path, ...], reviews: Path | None
) -> tuple[tuple[Path, ...], Path]:
    """What waits for a review since the last run of the recipe, then its own files; and its log."""
    from components.dataset.steps import example_files, waiting_file

    loaded = load(recipe, overrides).recipe
    reviews = reviews or loaded.dataset.reviews
    if reviews is None:
        raise InputError(f"{recipe}: dataset.reviews names no file, so no run would see a decision; set it to a path")
    waiting = waiting_file(loaded.workspace, recipe=loaded.name)
    own = (*([waiting] if waiting else []), *example_files(loaded.dataset))
    return files or own, reviews


@dataclass(frozen=True)
class _Example:
    place: str
    """file:line."""
    row: dict[str, Any]
    conversation: Conversation


def _examples(files: Sequence[Path], stage: str | None) -> tuple[list[_Example], int]:
    """The examples of `stage`, or all, in order; and how many rows are none."""
    from components.dataset.checks.provenance import stage_of
    from components.dataset.files.formats import to_sharegpt
    from components.dataset.files.rows import Rows

    found, strange = [], 0
    for path in files:
        for read in Rows(path):
            conversation = read.conversation
            if conversation is None or not conversation.turns:
                strange += 1
            elif stage is None or stage_of(conversation) == stage:
                found.append(_Example(f"{path}:{read.row.line}", to_sharegpt(conversation), conversation))
    return found, strange


def _hits(row: dict[str, Any]) -> list[tuple[str, Hit]]:
    """What the check says of one example by itself, each with its severity, the worst first."""
    from components.dataset.checks.italian import italian_hits
    from components.dataset.checks.private import private_hits
    from components.dataset.checks.provenance import provenance_hits
    from components.dataset.checks.structure import structure_hits
    from components.dataset.checks.text import text_hits
    from components.dataset.checks.tool_calls import tool_hits
    from components.dataset.checks.trainers import trainer_hits
    from components.dataset.files.formats import to_conversation
    from components.dataset.findings import SEVERITIES
    from components.dataset.rules import RULES

    one, hits = to_conversation(row, index=0, line=1, format="sharegpt")
    for rule in (structure_hits, tool_hits, text_hits, trainer_hits, italian_hits, private_hits, provenance_hits):
        hits = [*hits, *rule(one)]
    told: list[tuple[str, Hit]] = [(hit.severity or RULES[hit.rule].severity, hit) for hit in hits]
    return sorted(told, key=lambda pair: -SEVERITIES.index(pair[0]))


class _Session:
    """One person in front of the examples."""

    def __init__(self, log: ReviewLog, by: str, examples: Sequence[_Example], again: bool) -> None:
        from rich.console import Console

        self._console: Console = Console(highlight=False)
        self._keys = Keys()
        self._log, self._by, self._examples, self._again = log, by, examples, again
        self._history: list[int] = []
        self._counts: Counter[str] = Counter()
        self._at = 0

    def run(self) -> None:
        """Until the last example, `q`, or the end of the input."""
        while self._at < len(self._examples):
            self._log.refresh()
            standing = self._standing(self._examples[self._at])
            if standing is not None and not self._again:
                self._at += 1
                continue
            self._show(self._examples[self._at], standing)
            if not self._handle(self._examples[self._at], standing):
                return

    def say(self, text: str, style: str = "", *, wrapped: bool = False) -> None:
        """Words for the person; `wrapped` between words. Lines with paths are not, so that they can be copied."""
        from rich.text import Text

        self._console.print(Text(_plain(text), style=style), soft_wrap=not wrapped)

    def sum_up(self) -> None:
        """What was decided, what is left, and where it is kept."""
        decided = ", ".join(f"{self._counts[key]} {key}" for key in _DECIDED.values())
        left = sum(self._standing(example) is None for example in self._examples)
        self.say(f"\n{decided}; {left} of {len(self._examples)} still to be decided. Decisions: {self._log.path}")

    def _handle(self, example: _Example, standing: Standing | None) -> bool:
        """One key. False: leave."""
        while True:
            key = self._keys.key("  ".join(f"{key} {what}" for key, what in _KEYS.items()) + " > ")
            match _KEYS.get(key, key):
                case "quit" | "":
                    return False
                case "skip":
                    self._at += 1
                case "accept":
                    self._decide(example, standing, "accept")
                case "reject":
                    reason = self._keys.line("why > ")
                    if not reason:
                        self.say("nothing is decided: a rejection needs a reason", "yellow")
                        continue
                    self._decide(example, standing, "reject", reason=reason)
                case "edit":
                    if (content := self._edited(example)) is None:
                        continue
                    self._decide(example, standing, "edit", content=content)
                case "undo":
                    if not self._undo():
                        continue
                case _:
                    self.say(f"{key!r} is none of the keys", "yellow")
                    continue
            return True

    def _decide(
        self, example: _Example, standing: Standing | None, decision: Literal["accept", "edit", "reject"],
        *, reason: str | None = None, content: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        written = self._log.decide(
            example.row, decision, by=self._by, reason=reason, content=content, instead_of=standing
        )
        if not written:
            self._tell_other(example)
            return
        self._history.append(self._at)
        self._counts[_DECIDED[decision]] += 1
        self._at += 1

    def _tell_other(self, example: _Example) -> None:
        other = self._standing(example)
        what = f"{other.by} {_DECIDED[other.decision]} it meanwhile" if other else "its decision was undone meanwhile"
        self.say(f"nothing is written: {what}", "yellow")

    def _undo(self) -> bool:
        if not self._history:
            self.say("nothing to undo: nothing was decided since this began", "yellow")
            return False
        self._at = self._history.pop()
        undone = self._log.undo(self._examples[self._at].row, by=self._by)
        if undone is not None:
            self._counts[_DECIDED[undone.decision]] -= 1
            self.say(f"undone: {undone.decision}", "yellow")
        return True

    def _standing(self, example: _Example) -> Standing | None:
        from components.dataset.curation.reviews import content_digest

        return self._log.standing(content_digest(example.row))

    def _edited(self, example: _Example) -> dict[str, Any] | None:
        """What the editor made of it, without errors; None: it stays as it is."""
        from components.dataset.curation.review_text import editable_text, edited_content

        try:
            text = before = editable_text(example.row)
        except InputError as error:
            self.say(str(error), "yellow")
            return None
        while True:
            try:
                text = _in_editor(text)
                if text == before:
                    self.say("nothing was changed", "yellow")
                    return None
                content = edited_content(text, example.row)
            except InputError as error:
                self.say(str(error), "bold red")
            else:
                kept = {key: value for key, value in example.row.items() if key not in ("system", "tools")}
                found = _hits({**kept, **content})
                if not any(severity == "error" for severity, _ in found):
                    return content
                self._tell(found)
            while (key := self._keys.key("m mend it  d drop the edit > ")) not in ("m", "d", ""):
                self.say(f"{key!r} is none of the keys", "yellow")
            if key != "m":
                return None

    def _show(self, example: _Example, standing: Standing | None) -> None:
        row = example.row
        self._console.rule(style="dim")
        named = [f"{self._at + 1} of {len(self._examples)}", *(str(row[key]) for key in ("id", "stage") if key in row)]
        self.say(" · ".join([*named, example.place]), "bold")
        for line in _about(row, standing):
            self.say(line, "dim")
        if isinstance(row.get("system"), str):
            self._turn("system", row["system"])
        for turn in example.conversation.turns or ():
            self._turn(str(turn.role), turn.text if isinstance(turn.value, str) else repr(turn.value))
        self._console.print()
        self._tell(_hits(row))

    def _turn(self, role: str, text: str) -> None:
        self._console.print()
        self.say(role, _STYLES.get(role, "bold magenta"))
        self.say(text, "dim" if role == "system" else "", wrapped=True)

    def _tell(self, found: Sequence[tuple[str, Hit]]) -> None:
        for severity, hit in found:
            where = "" if hit.turn is None else f" turn {hit.turn}:"
            self.say(f"{severity} {hit.rule}:{where} {hit.message}", _STYLES.get(severity, "dim"))


def _about(row: dict[str, Any], standing: Standing | None) -> Iterator[str]:
    provenance, rating = row.get("provenance"), row.get("rating")
    if isinstance(provenance, dict):
        yield ", ".join(
            f"{key} {provenance[key]}" for key in ("kind", "note", "model", "author") if provenance.get(key)
        )
    if isinstance(rating, dict):
        mark = "a mark that could not be read" if rating.get("score") is None else f"mark {rating['score']}"
        yield f"{mark}, by {rating.get('by')}"
    if standing is not None:
        yield f"{_DECIDED[standing.decision]} by {standing.by}, {standing.at}" + (
            f": {standing.reason}" if standing.reason else ""
        )


def _plain(text: str) -> str:
    return _CONTROL.sub("\ufffd", text.replace("\r\n", "\n"))


def _in_editor(text: str) -> str:
    """`text` as the person's editor leaves it. Raises InputError when there is no editor, or it fails."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="cervella-") as folder:
        path = Path(folder, "example.txt")
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            done = subprocess.run(  # noqa: S603  # the person's own editor
                [*shlex.split(editor), str(path)], check=False, stdin=None if sys.stdin.isatty() else subprocess.DEVNULL
            )
            if done.returncode != 0:
                raise InputError(f"the editor ({editor}) ended with {done.returncode}: nothing was changed")
            return path.read_bytes().decode("utf-8", "surrogatepass")
        except (OSError, ValueError) as error:
            raise InputError(f"the editor ({editor}) could not be used: {error}. Set EDITOR to yours") from error
