"""A plan for people: columns that line up, old and new values, and totals that do not pretend to know."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.recipe.plan import Plan
from components.recipe.plan_notes import NoteChanges, compare_notes
from components.recipe.plan_reasons import Change, changes_of, in_words
from components.recipe.plan_steps import PlannedStep
from components.recipe.plan_text import duration, render_plan
from components.recipe.plan_work import Seconds, Work, total
from components.sncp import Document
from components.store import StepSpec

UNKNOWN = Work(calls_at_least=1, calls_at_most=1, usd_at_least=None, usd_at_most=None, seconds=None)
PAID = Work(texts=1, tokens=1200, calls_at_most=8, usd_at_most=0.1234, seconds=Seconds(10, 130, True))


def plan(*works: Work, rest: float | None = 20.0, problems: tuple[str, ...] = ()) -> Plan:
    steps = [PlannedStep(f"a.{number}", "run", "k: 5 → 8", work=work) for number, work in enumerate(works)]
    notes = NoteChanges(3, ("new.md",), ("b.md", "c.md", "d.md", "e.md"), ("gone.md",), (("old.md", "now.md"),))
    skipped = PlannedStep("a.skipped.step", "skip", "made 2026-11-22 21:25 UTC", facts={"chunks": 1234})
    return Plan(
        "soup", "mvp", Path("work"), (*steps, skipped), notes, None, {}, rest, ("fake/embedding", "gpt-x"), problems
    )


def test_a_plan_of_everything() -> None:
    assert render_plan(plan(PAID, problems=("it costs too much",))).splitlines() == [
        "soup: phase mvp, workspace work",
        "",
        "  ▸ run   a.0             1 text to embed, at most 8 calls  k: 5 → 8",
        "  = skip  a.skipped.step  1,234 chunks                      made 2026-11-22 21:25 UTC",
        "",
        "  steps   1 to run, 1 to skip",
        "  notes   3; 4 changed: b.md, c.md, d.md and 1 more; 1 added: new.md; 1 gone: gone.md; "
        "1 renamed: old.md → now.md",
        "  embed   1 text, 1,200 tokens, by fake/embedding",
        "  ask     at most 8 calls of gpt-x: at most 0 tokens read, 0 written",
        "  cost    at most $0.1234, by litellm's list of prices",
        "  time    0.5 to 2.5 min, as measured on this machine",
        "  stops   it costs too much",
    ]


def test_what_is_unknown_is_said_to_be_unknown_and_spoils_every_sum() -> None:
    text = render_plan(plan(PAID, UNKNOWN))
    assert "unknown: nobody lists a price for fake/embedding or gpt-x" in text
    assert "not measured yet on this machine" in text
    whole = total([PAID, UNKNOWN])
    assert (whole.usd_at_most, whole.seconds, whole.calls_at_least, whole.calls_at_most) == (None, None, 1, 9)


def test_nothing_to_do() -> None:
    text = render_plan(plan())
    assert "nothing to do" in text and "cost    $0" in text and "embed   nothing" in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        ((0, 0.4), "less than 1 s"), ((5, 5), "about 5 s"), ((12.3, 48), "12 to 48 s"), ((60, 89), "60 to 89 s"),
        ((60, 600), "1 to 10 min"), ((100, 100), "about 1.7 min"), ((7000, 9000), "1.9 to 2.5 h"),
    ],
)  # fmt: skip
def test_durations_are_as_people_say_them(seconds: tuple[float, float], words: str) -> None:
    assert duration(Seconds(*seconds, measured=True)) == words


def test_reasons_name_old_and_new_values_also_inside_parameters() -> None:
    old = StepSpec("a.b", 1, {"search": {"k": 5, "fusion": "rrf"}, "gone": True}, {"notes": "x", "golden": "g"})
    new = StepSpec("a.b", 2, {"search": {"k": 8, "fusion": "rrf"}, "new": None}, {"notes": "y", "index": "i"})
    changes = changes_of(old.to_dict(), new)
    assert Change("parameter", "search.k", 5, 8) in changes
    assert in_words(changes, {"notes": "2 changed"}) == (
        "the step's code: version 1 → 2, gone: true → none, search.k: 5 → 8, golden: none any more, "
        "index: none before, other notes (2 changed)"
    )
    assert changes_of(old.to_dict(), old) == ()


def document(path: str, text: str) -> Document:
    return Document(
        doc_id=path, path=path, paths=(path,), kind="decision", project=None, title=path, date=None, date_source=None,
        status="current", supersedes=(), superseded_by=(), content_hash=text, text=text,
    )  # fmt: skip


def test_a_note_with_the_same_text_under_another_name_is_renamed() -> None:
    old = [document("a.md", "1"), document("b.md", "2"), document("c.md", "3")]
    new = [document("a.md", "1"), document("z.md", "2"), document("c.md", "4"), document("d.md", "5")]
    found = compare_notes(old, new)
    assert (found.renamed, found.added, found.changed, found.gone) == ((("b.md", "z.md"),), ("d.md",), ("c.md",), ())
    assert found.counted() == "1 changed, 1 added, 1 renamed"
    first = compare_notes(None, new)
    assert first.added is None and first.facts() == {"notes": 4} and first.words() == ""


def test_a_child_s_result_is_the_function_s_and_what_it_raises_is_raised_here() -> None:
    from components.recipe.plan_ahead import Later

    assert Later(lambda: {"a": [1, "è"]}).get() == {"a": [1, "è"]}
    assert len(Later(lambda: "x" * 3_000_000).get()) == 3_000_000  # more than a pipe holds
    with pytest.raises(ZeroDivisionError):
        Later(lambda: 1 / 0).get()
    assert Later(lambda: lambda: 7).get()() == 7  # it cannot be sent: made here
