"""`cervella compared`: what the endpoint recorded of two releases, side by side; the judge on kept texts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.serve.compare import Compared, Comparisons, comparisons_file
from components.usage import UsageLog, usage_file
from tests.flows.conftest import Done, Workspace

CANDIDATE = "b" * 64


@pytest.fixture
def recorded(published: Workspace, tmp_path: Path) -> Workspace:
    """Four questions of a shadow whose texts were kept, then an A/B; with feedback."""
    space = Workspace(tmp_path, published.notes, (*published.options, "-o", f"workspace={tmp_path}"))
    records, log = Comparisons(comparisons_file(tmp_path)), UsageLog(usage_file(tmp_path))

    def told(mode: Any, side: Any, request: str, **more: Any) -> Compared:
        answer = {
            "seconds": 2.0, "found": True, "cost_usd": 0.0, "model": f"model-{side}", "prompt_tokens": 10,
            "completion_tokens": 2, "release": CANDIDATE if side == "B" else None,
        }  # fmt: skip
        return Compared(CANDIDATE, mode, side, request, "it", **({} if "error" in more else answer) | more)

    for number, (seconds, text) in enumerate([(1.0, "Uguale."), (3.0, "Altro."), (5.0, "Diverso.")]):
        texts = {"question": f"Quale {number}?", "seconds": seconds}
        both = [told("shadow", side, f"s{number}", text="Uguale." if side == "A" else text, **texts) for side in "AB"]
        assert records.record(both)
    failed = [told("shadow", "A", "s3", text="Ecco.", question="Q?"), told("shadow", "B", "s3", error="TransientError")]
    assert records.record(failed)
    assert records.record([told("ab", "B", "r1", error="InputError"), told("ab", "A", "r1")])
    assert records.record([told("ab", "B", "r2", cost_usd=None, found=False)])
    for request, score in (("s0", 1), ("r1", -1), ("r2", 1)):
        assert log.record(door="serve", question="?", request=request) and log.feedback(request, score=score)
    records.close()
    log.close()
    return space


def test_both_sides_are_told_the_newest_comparison_first(recorded: Workspace, here: Callable[..., Done]) -> None:
    told = json.loads(here("compared", "mvp", *recorded.options, "--json").out)["comparisons"]
    assert [one["mode"] for one in told] == ["ab", "shadow"] and {one["candidate"] for one in told} == {CANDIDATE}
    a, b = told[1]["sides"]["A"], told[1]["sides"]["B"]
    assert (a["asked"], a["answered"], b["asked"], b["answered"]) == (4, 4, 4, 3)
    assert b["errors"] == {"TransientError": 1} and (b["seconds_p50"], b["prompt_tokens"]) == (3.0, 30)
    assert (a["good"], b["good"]) == (1, 0), "nobody read the answer of a shadow"
    a, b = told[0]["sides"]["A"], told[0]["sides"]["B"]
    assert (a["bad"], b["bad"], b["good"]) == (1, 0, 1), "what is said of an answer is said of who gave it"
    assert (b["errors"], b["cost_unknown"], b["found"], b["releases"]) == ({"InputError": 1}, 1, 0, [CANDIDATE])
    assert a["releases"] == [None]


def test_as_a_table(recorded: Workspace, here: Callable[..., Done]) -> None:
    done = here("compared", "mvp", *recorded.options)
    assert done.code == 0
    lines = [line.split() for line in done.out.splitlines()]
    assert ["answered", "4", "3"] in lines and ["seconds,", "median", "2.50", "3.00"] in lines
    assert ["no", "answer", "0", "1", "TransientError"] in lines and ["release", "the", "recipe", "b" * 12] in lines


def test_the_judge_compares_texts_that_were_kept(recorded: Workspace, here: Callable[..., Done]) -> None:
    options = ("-o", "llm.judge={model: 'fake/chat?mode=judge&favours=second'}", "--judge", "--json")
    done = here("compared", "mvp", *recorded.options, *options)
    told = json.loads(done.out)["judged"]
    assert (told["candidate"], told["pairs"], told["failed"]) == (CANDIDATE, 3, 0)
    assert (told["better"], told["worse"], told["tie"]) == (0, 0, 3), "who wins in one order only has not won"


def test_a_judge_elsewhere_is_sent_nothing_where_notes_must_not_leave(
    recorded: Workspace, here: Callable[..., Done]
) -> None:
    options = ("-o", "llm.judge={model: openai/gpt-5}", "-o", "privacy.local=['**/*.md']", "--judge")
    done = here("compared", "mvp", *recorded.options, *options)
    assert done.code == 3 and "Nothing was sent" in done.err


def test_nothing_compared_and_no_texts_are_told(
    published: Workspace, recorded: Workspace, here: Callable[..., Done]
) -> None:
    done = here("compared", "mvp", *published.options)
    assert done.code == 2 and "nothing was compared yet" in done.err
    assert not comparisons_file(published.path).exists()
    comparisons_file(recorded.path).unlink()
    records = Comparisons(comparisons_file(recorded.path))
    assert records.record([Compared(CANDIDATE, "shadow", side, "s", "it") for side in ("A", "B")])
    records.close()
    done = here("compared", "mvp", *recorded.options, "--judge")
    assert done.code == 3 and "serve.keep_conversations" in done.err
