"""What a reindex did, or why nothing was published: notes, chunks, secrets, recall before and after.

Not covered: notes are compared with those that are published, as far as the chunks of these are still in the store.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import HeldBackError, TerminalError
from components.index.probe import Probe, Probed
from components.index.published import Published, readable
from components.index.wanted import CHUNKS, ROWS
from components.page import markdown_cell
from components.store import Artefact, Store
from components.store.parts import Parts

if TYPE_CHECKING:
    from components.index import Index

__all__ = ["AskedProbe", "compare_chunks", "reindex_summary", "summary_markdown", "summary_words"]

_KINDS = ("added", "changed", "removed", "renamed")
_NOTHING: Mapping[str, Sequence[str]] = {kind: () for kind in _KINDS}
_SHOWN = 20  # notes of a kind by name
_LONGEST = 2000  # characters of a reason


class AskedProbe:
    """A probe that keeps what it found: `after` of the new rows, `before` of the published ones; none: not asked."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self.after: Probed | None = None
        self.before: Probed | None = None

    def prepare(self, paths: Collection[str]) -> bool:
        """As the probe does."""
        return self._probe.prepare(paths)

    def __call__(self, index: Index) -> Probed:
        """Ask; a sync asks the new rows first."""
        found = self._probe(index)
        if self.after is None:
            self.after = found
        else:
            self.before = found
        return found


def compare_chunks(before: Artefact, after: Artefact) -> dict[str, list[str]]:
    """Paths of notes, sorted, that were added, changed, removed or renamed between two sealed `index.chunk`.

    A note is changed when one of its rows is; renamed (its new path) when another path has the same texts.

    Raises:
        TerminalError: one of them was made by a version of the code that wrote no rows.
    """
    old, new = Parts(before, ROWS), Parts(after, ROWS)
    old_chunks, new_chunks = Parts(before, CHUNKS).entries, Parts(after, CHUNKS).entries
    was = {key: entry for key, entry in old.entries.items() if entry.size}
    now = {key: entry for key, entry in new.entries.items() if entry.size}
    gone: dict[tuple[str, ...], list[str]] = {}
    for key in was:
        if key not in now:
            gone.setdefault(tuple(old_chunks[key].about["texts"]), []).append(key)
    found: dict[str, list[str]] = {kind: [] for kind in _KINDS}
    for key, entry in now.items():
        path = str(entry.about[0])
        if key not in was:
            if same := gone.get(tuple(new_chunks[key].about["texts"])):
                same.pop()
                found["renamed"].append(path)
            else:
                found["added"].append(path)
        elif old_chunks[key].about["document"] != new_chunks[key].about["document"]:
            if old.lines(key) != new.lines(key):
                found["changed"].append(path)
    found["removed"] = [str(was[key].about[0]) for keys in gone.values() for key in keys]
    return {kind: sorted(paths) for kind, paths in found.items()}


def reindex_summary(
    *,
    workspace: Path,
    uri: Path,
    before: Published | None,
    notes: Artefact,
    chunks: Artefact,
    step: Mapping[str, Any],
    probe: AskedProbe | None = None,
    error: Exception | None = None,
) -> dict[str, Any]:
    """What a reindex did, as JSON.

    Args:
        workspace: of the run.
        uri: folder of the tables.
        before: what was published before it (see `readable`).
        notes: sealed `sncp.collect`.
        chunks: sealed `index.chunk`.
        step: what the run's record says of `index.build`.
        probe: that asked the golden questions, none without any.
        error: why nothing was published.

    Returns:
        `outcome` (published, unchanged, held back, failed), `why` (the error's text, none), `publication` (number of
        what readers see, none); `notes`: read, skipped, masked (counts), and added, changed, removed, renamed, each a
        `count` and the `first` 20 paths, or none where nothing is known of what was there before; `chunks`: added,
        updated, removed, embedded (counts), none when nothing was published; `recall`: before, after (0..1 or none),
        questions (how many were asked).
    """
    now = readable(uri)
    report = notes.read_json("report.json")
    outcome = "published" if error is None else "held back" if isinstance(error, HeldBackError) else "failed"
    if error is None and before is not None and now is not None and before.now.number == now.now.number:
        outcome = "unchanged"
    facts = step.get("facts", {}) if outcome == "published" and step.get("status") == "done" else {}
    return {
        "outcome": outcome,
        "why": None if error is None else str(error) or type(error).__name__,
        "publication": now.now.number if now else None,
        "notes": {
            "read": report["notes"], "skipped": len(report["skipped"]), "masked": len(report["findings"]),
            **_changes(workspace, before, chunks),
        },
        "chunks": {key: facts[key] for key in ("added", "updated", "removed", "embedded")} if facts else None,
        "recall": _recall(before, probe),
    }  # fmt: skip


def _changes(workspace: Path, before: Published | None, chunks: Artefact) -> dict[str, dict[str, Any] | None]:
    if before is None:
        paths = sorted(str(entry.about[0]) for entry in Parts(chunks, ROWS).entries.values() if entry.size)
        return _counted({**_NOTHING, "added": paths})
    if before.now.chunks_id == chunks.id:
        return _counted(_NOTHING)
    try:
        return _counted(compare_chunks(Store(workspace).open(str(before.now.chunks_id)), chunks))
    except TerminalError:  # gone, or of an older version of the code
        return dict.fromkeys(_KINDS)


def _counted(found: Mapping[str, Sequence[str]]) -> dict[str, dict[str, Any] | None]:
    return {kind: {"count": len(found[kind]), "first": list(found[kind][:_SHOWN])} for kind in _KINDS}


def _recall(before: Published | None, probe: AskedProbe | None) -> dict[str, Any]:
    after = probe.after if probe else None
    then = before.now if before else None
    known = then.recall if then and (after is None or then.golden == after.golden) else None
    return {
        "before": probe.before.recall if probe and probe.before else known,
        "after": after.recall if after else None,
        "questions": len(after.found) if after else 0,
    }


def summary_words(summary: Mapping[str, Any]) -> str:
    """In one line: what became of it, and of how many notes."""
    notes = summary["notes"]
    counts = {kind: notes[kind]["count"] for kind in _KINDS if notes[kind]}
    changed = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    if summary["outcome"] == "unchanged":
        return "nothing to publish: the index is as the notes are"
    if summary["outcome"] != "published":
        return f"not published ({summary['outcome']}){changed and f', notes: {changed}'}"
    return f"published, notes: {changed or notes['read']}"


def summary_markdown(summary: Mapping[str, Any], *, names: bool = True) -> str:
    """For a page: heading, why nothing was published, figures, and the notes by name (the first 20 of a kind).

    `names=False`: how many, and no names.
    """
    words = summary_words(summary)
    parts = [f"# {words[0].upper()}{words[1:]}"]
    if summary["why"]:
        parts.append(f"> {markdown_cell(summary['why'], longest=_LONGEST)}")
    notes, chunks, recall = summary["notes"], summary["chunks"] or {}, summary["recall"]
    rows = [(f"notes {kind}", "unknown" if notes[kind] is None else notes[kind]["count"]) for kind in _KINDS]
    rows += [
        ("notes read", notes["read"]),
        ("files skipped", notes["skipped"]),
        ("secrets and personal data masked", notes["masked"]),
        *((f"chunks {kind}", chunks[kind]) for kind in ("added", "updated", "removed") if chunks),
        *([("texts embedded", chunks["embedded"])] if chunks else []),
        ("recall at 5 before", _share(recall["before"])),
        ("recall at 5 after", _share(recall["after"]) + (f" of {recall['questions']}" if recall["questions"] else "")),
    ]
    parts.append(
        "\n".join(["| what | how many |", "| --- | --- |", *(f"| {name} | {value} |" for name, value in rows)])
    )
    for kind in _KINDS if names else ():
        if notes[kind] and notes[kind]["count"]:
            parts.append(f"## Notes {kind}\n\n{_listed(**notes[kind])}")
    return "\n\n".join(parts) + "\n"


def _share(value: float | None) -> str:
    return "not asked" if value is None else f"{value:.3f}"


def _listed(count: int, first: Sequence[str]) -> str:
    lines = [f"- {markdown_cell(path)}" for path in first]
    return "\n".join(lines + ([f"- and {count - len(first)} more"] if count > len(first) else []))
