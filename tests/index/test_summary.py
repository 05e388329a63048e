"""What a reindex did, told: which notes, which chunks, what recall, and why nothing was published."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from house import House  # noqa: E402

from components.errors import CervellaError, HeldBackError  # noqa: E402
from components.index import steps as index  # noqa: E402
from components.index.probe import Probed  # noqa: E402
from components.index.published import readable  # noqa: E402
from components.index.summary import (  # noqa: E402
    AskedProbe,
    reindex_summary,
    summary_markdown,
    summary_words,
)
from components.sncp import steps as sncp  # noqa: E402
from components.store import Run  # noqa: E402

NOTE = ".sncp/idee/20260402_STUFE_E_SENSORI.md"
OTHER = ".sncp/memoria/decisioni/calendario-unico.md"


class Recall:
    """A probe that finds what a test says: in the new rows first, then in the published ones."""

    def __init__(self, *recalls: float, golden: str = "golden") -> None:
        self.recalls, self.golden = list(recalls), golden

    def prepare(self, paths: Any) -> bool:
        return True

    def __call__(self, index: Any) -> Probed:
        good = round(self.recalls.pop(0) * 10)
        found = {str(number): number < good for number in range(10)}
        return Probed(self.golden, found, dict.fromkeys(found, "Where?"), 0.0)


def summed_up(house: House, *, recall: Recall | None = None) -> dict[str, Any]:
    """Reindex, as the task does it, and sum it up."""
    run = Run.create(house.workspace, recipe="test", phase="reindex")
    before, asked = readable(house.uri), AskedProbe(recall) if recall else None
    notes = sncp.collect_notes(run, house.sncp, persona_files=[])
    chunks = index.chunk_notes(run, house.params, notes=notes)
    error: CervellaError | None = None
    try:
        index.build_index(run, house.params, chunks=chunks, root=house.root, probe=asked)
    except CervellaError as raised:
        error = raised
    step = next(step for step in run.read()["steps"] if step["name"] == "index.build")
    return reindex_summary(
        workspace=house.workspace, uri=house.uri, before=before, notes=notes, chunks=chunks, step=step, probe=asked,
        error=error,
    )  # fmt: skip


@pytest.fixture
def house(tmp_path: Path, examples: Path) -> House:
    return House(tmp_path, examples / "sncp", max_recall_drop=0.0, max_removed_share=0.2)


def counts(summary: dict[str, Any]) -> dict[str, int]:
    return {kind: summary["notes"][kind]["count"] for kind in ("added", "changed", "removed", "renamed")}


def test_the_first_one_adds_all_notes_and_one_without_changes_publishes_nothing(house: House) -> None:
    first = summed_up(house)
    assert (first["outcome"], first["publication"], first["why"]) == ("published", 1, None)
    assert counts(first) == {"added": first["notes"]["read"], "changed": 0, "removed": 0, "renamed": 0}
    assert first["chunks"]["added"] == first["chunks"]["embedded"] > 100
    again = summed_up(house)
    assert (again["outcome"], again["publication"], again["chunks"]) == ("unchanged", 1, None)
    assert set(counts(again).values()) == {0}
    assert summary_words(again) == "nothing to publish: the index is as the notes are"


def test_notes_are_added_changed_removed_and_renamed_by_name(house: House) -> None:
    summed_up(house)
    with (house.root / NOTE).open("a", encoding="utf-8") as file:
        file.write("\n\n## Later\n\nThe stove is cold.\n")
    (house.root / "NEW.md").write_text("# New\n\nA heron.\n", encoding="utf-8")
    (house.root / "NORD.md").unlink()
    shutil.move(house.root / OTHER, house.root / "moved.md")
    summary = summed_up(house)
    assert {kind: summary["notes"][kind]["first"] for kind in ("added", "changed", "removed", "renamed")} == {
        "added": ["NEW.md"], "changed": [NOTE], "removed": ["NORD.md"], "renamed": ["moved.md"],
    }  # fmt: skip
    assert summary_words(summary) == "published, notes: 1 added, 1 changed, 1 removed, 1 renamed"
    page = summary_markdown(summary)
    assert "| notes removed | 1 |" in page and "## Notes changed\n\n- .sncp/idee/20260402\\_STUFE" in page


def test_notes_of_equal_texts_are_counted_one_by_one(house: House) -> None:
    def write(letter: str, count: int) -> None:
        for number in range(count):
            head = f"---\ntags: [{letter}{number}]\n---\n"  # other bytes, the same text
            (house.root / f"{letter}{number}.md").write_text(f"{head}# Verbale\n\nNon scritto.\n", encoding="utf-8")

    write("r", 4)
    summed_up(house)
    for number in range(4):
        (house.root / f"r{number}.md").unlink()
    write("s", 3)
    assert counts(summed_up(house)) == {"added": 0, "changed": 0, "removed": 1, "renamed": 3}
    write("t", 2)
    assert counts(summed_up(house)) == {"added": 2, "changed": 0, "removed": 0, "renamed": 0}


@pytest.mark.parametrize(
    ("server", "named"),
    [("https://prefect.example.org/api", False), ("http://127.0.0.1:4200/api", True), ("", True)],
    ids=["elsewhere", "here", "none"],
)
def test_no_note_is_named_to_a_prefect_server_elsewhere(
    house: House, monkeypatch: pytest.MonkeyPatch, server: str, named: bool
) -> None:
    from components.index import tasks

    pages: list[str] = []
    monkeypatch.setattr(tasks, "show_markdown", lambda run, key, page, description: pages.append(page))
    monkeypatch.setenv("PREFECT_API_URL", server)
    run = Run.create(house.workspace, recipe="test", phase="reindex")
    notes = sncp.collect_notes(run, house.sncp, persona_files=[])
    chunks = index.chunk_notes(run, house.params, notes=notes)
    tasks._show_summary(
        run, house.params, before=None, notes=notes.id, chunks=chunks.id, trusted_hosts=(), probe=None
    )  # fmt: skip
    assert ("20260402" in pages[0]) == named and "| notes added |" in pages[0]


def test_masked_secrets_and_skipped_files_are_counted_and_never_quoted(house: House) -> None:
    secret = "ghp_" + "A1b2C3d4E5f6" * 3
    (house.root / "keys.md").write_text(f"# Keys\n\n{secret}\n", encoding="utf-8")
    (house.root / "large.md").write_text("# Large\n\n" + "A heron stands.\n" * 4000, encoding="utf-8")
    house.sncp = house.sncp.model_copy(update={"max_bytes": 60_000})
    summary = summed_up(house)
    assert summary["notes"]["masked"] == 1
    assert summary["notes"]["skipped"] == 1
    assert secret not in str(summary) + summary_markdown(summary)


def test_recall_before_and_after_and_what_a_lower_one_holds_back(house: House) -> None:
    first = summed_up(house, recall=Recall(0.8))
    assert first["recall"] == {"before": None, "after": 0.8, "questions": 10}
    (house.root / "NEW.md").write_text("# New\n\nA heron.\n", encoding="utf-8")
    worse = summed_up(house, recall=Recall(0.5, 0.8))
    assert worse["outcome"] == "held back" and worse["publication"] == 1
    assert worse["recall"] == {"before": 0.8, "after": 0.5, "questions": 10}
    assert counts(worse)["added"] == 1 and worse["chunks"] is None
    assert "recall of the golden questions would fall from 0.800 to 0.500" in worse["why"]
    page = summary_markdown(worse)
    assert page.startswith("# Not published (held back), notes: 1 added\n\n> the new index was not published")
    better = summed_up(house, recall=Recall(1.0))
    assert (better["outcome"], better["recall"]) == ("published", {"before": 0.8, "after": 1.0, "questions": 10})


def test_recall_on_other_questions_is_not_compared(house: House) -> None:
    summed_up(house, recall=Recall(0.8))
    (house.root / "NEW.md").write_text("# New\n\nA heron.\n", encoding="utf-8")
    assert summed_up(house, recall=Recall(1.0, golden="others"))["recall"]["before"] is None


def test_too_many_notes_that_would_vanish_are_named_though_nothing_was_changed(house: House) -> None:
    first = summed_up(house)
    for path in sorted((house.root / ".sncp" / "memoria").rglob("*.md")):
        path.unlink()
    summary = summed_up(house)
    assert summary["outcome"] == "held back"
    assert counts(summary)["removed"] > 0.2 * first["notes"]["read"]
    assert "index.max_removed_share" in summary["why"]


def test_a_model_that_fails_is_no_refusal(house: House) -> None:
    summed_up(house)
    (house.root / "NEW.md").write_text("# New\n\nA heron.\n", encoding="utf-8")
    house.using(model="fake/embedding?fail_prob=1")
    summary = summed_up(house)
    assert summary["outcome"] == "failed" and "as it was told to" in summary["why"]
    assert summary_words(summary).startswith("not published (failed)")


def test_chunks_that_are_gone_leave_it_unknown_what_the_notes_were(house: House) -> None:
    summed_up(house)
    shutil.rmtree(house.workspace / "store" / "index.chunk")
    (house.root / "NEW.md").write_text("# New\n\nA heron.\n", encoding="utf-8")
    summary = summed_up(house)
    assert summary["outcome"] == "published" and summary["notes"]["added"] is None
    assert "| notes added | unknown |" in summary_markdown(summary)


def test_reasons_and_paths_of_people_make_no_markup_of_the_page(house: House) -> None:
    summary = summed_up(house)
    summary["why"] = str(HeldBackError("<script>alert(1)</script> [a](http://b) | c"))
    summary["notes"]["changed"] = {"count": 30, "first": ["a|b.md", "[x](http://y).md"]}
    page = summary_markdown(summary)
    assert not re.search(r"(?<!\\)<script", page) and not re.search(r"(?<!\\)\]\(http", page)
    assert "- a\\|b.md" in page and "- and 28 more" in page
