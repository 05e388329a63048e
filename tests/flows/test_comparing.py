"""Another release beside what is in service, from the recipe: chosen, opened, asked, told; never a reason to fail."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

import flows.comparing
from components.errors import InputError, TerminalError
from components.llm import load_chat
from components.recipe.forget import asking_in
from components.scale.answers import recorded_answers
from components.serve.compare import ShadowDesk, comparisons_file
from components.serve.desk import Desk, Opened, Wanted
from components.serve.live import InService
from components.serve.own_desk import OwnDesk
from components.serve.router.helper import Helper
from components.serve.router.hybrid import HybridDesk
from components.serve.router.money import MonthMoney
from components.usage import usage_file
from components.usage.conversations import conversations_file, read_conversations
from flows.commands.options import load
from flows.comparing import Comparing, compared
from flows.serving import InRecipe
from tests.flows.conftest import Done, Program, Workspace
from tests.flows.released import put_in_service
from tests.flows.test_serve import RECIPE, serving

QUESTION = "Quanto è la caparra ad agosto?"


@contextmanager
def comparing(
    space: Workspace, root: Path, monkeypatch: pytest.MonkeyPatch, *options: str,
    as_served: Callable[[Opened], Opened] = lambda opened: opened,
    desk: Callable[[InService, Any], Desk] = lambda live, _: OwnDesk(live, max_chars=8000, history_tokens=1000),
    recipe: str = "mvp",
) -> Iterator[Comparing]:  # fmt: skip
    monkeypatch.chdir(root)
    loaded = load(recipe, (*space.options[1::2], *options))
    source = InRecipe(loaded)
    live = InService(look=source.look, open_now=lambda before: as_served(source.open_now(before)))
    live.start()
    try:
        found = compared(loaded, desk(live, loaded.recipe.serve.router), live)
        try:
            yield found
        finally:
            found.close()
    finally:
        live.close()


def rows(space: Workspace) -> list[Any]:
    with closing(sqlite3.connect(comparisons_file(space.path))) as connection:
        return connection.execute("SELECT side, mode, error, question, text FROM answer ORDER BY id").fetchall()


def test_the_newest_release_is_the_shadow_of_what_the_recipe_says(
    spoiled: Workspace, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("serve.answers=recipe", "serve.compare={mode: shadow, share: 1.0}")
    with comparing(spoiled, root, monkeypatch, *options) as found:
        assert isinstance(found.desk, ShadowDesk)
        with asking_in(spoiled.path):  # as the endpoint does
            assert found.desk.ask(Wanted(id="r1", question=QUESTION)).release is None
        assert found.desk.wait(60)
        told = dict(found.told())
        [release] = (spoiled.path / "store" / "registry.release").iterdir()
        assert (told["compared"], told["fault"], told["mode"]) == (1, None, "shadow")
        assert len(told["release"]) == 64 and str(spoiled.path) not in json.dumps(told) and release.is_dir()
    assert rows(spoiled) == [("A", "shadow", None, None, None), ("B", "shadow", None, None, None)]


def test_a_share_of_the_conversations_is_answered_by_the_candidate(
    spoiled: Workspace, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("serve.answers=recipe", "serve.compare={mode: ab, share: 1.0}", "serve.keep_conversations=true")
    with comparing(spoiled, root, monkeypatch, *options) as found:
        served = found.desk.ask(Wanted(id="r1", question=f"{QUESTION} Sono anna.rossi@libero.it"))
        assert (served.side, served.release) == ("B", found.told()["release"])
    [(side, mode, error, question, text)] = rows(spoiled)
    assert (side, mode, error) == ("B", "ab", None) and text and "anna.rossi@libero.it" not in question


def test_the_release_in_service_is_not_compared_with_itself(
    spoiled: Workspace, here: Callable[..., Done], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    assert here("promote", "mvp", *spoiled.options, "--reason", "per provarlo da vicino").code == 0
    with comparing(spoiled, root, monkeypatch, "serve.compare={mode: shadow}") as found:
        assert found.told()["why_not"] == "the candidate is in service"
        assert found.desk.ask(Wanted(id="r1", question=QUESTION)).asked.answer.found
    assert not comparisons_file(spoiled.path).exists()


@pytest.mark.parametrize("mode", ["shadow", "ab"])
def test_a_recipe_of_phase_scale_compares_a_release_of_another_recipe(
    spoiled: Workspace, root: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    champion = put_in_service(spoiled, chat={"model": "fake/chat?reply=Di+casa+[1]"})
    options = (f"serve.compare={{mode: {mode}, share: 1.0}}", "serve.router=null")
    with comparing(spoiled, root, monkeypatch, *options, recipe="scale-hybrid") as found:
        told = dict(found.told())
        assert "why_not" not in told and told["release"] != champion
        with asking_in(spoiled.path):  # as the endpoint does
            served = found.desk.ask(Wanted(id="r1", question=QUESTION))
        assert (served.side, served.release) == ((None, champion) if mode == "shadow" else ("B", told["release"]))
        assert not isinstance(found.desk, ShadowDesk) or found.desk.wait(60)
    answered = recorded_answers(spoiled.path, candidate=str(told["release"]), champion=champion)
    assert [one.side for one in answered] == (["champion", "candidate"] if mode == "shadow" else ["candidate"])


@pytest.mark.parametrize("named", ["scale.candidate=mvp", "scale.candidate=null", "serve.compare.run"])
def test_in_phase_scale_the_candidate_is_the_one_that_the_run_would_take(
    spoiled: Workspace, root: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    put_in_service(spoiled, chat={"model": "fake/chat?reply=Di+casa+[1]"})
    [run] = spoiled.runs()
    options = (named if "=" in named else f"{named}={run}", "serve.router=null")
    with comparing(
        spoiled, root, monkeypatch, "serve.compare={mode: shadow}", *options, recipe="scale-hybrid"
    ) as found:  # fmt: skip
        assert found.told()["run"] == run
    nowhere = (*options[1:], "scale.candidate=nowhere")
    with comparing(
        spoiled, root, monkeypatch, "serve.compare={mode: shadow}", *nowhere, recipe="scale-hybrid"
    ) as found:  # fmt: skip
        assert "cannot be opened" in found.told()["why_not"]


def test_with_a_router_the_candidate_is_under_the_same_one(
    spoiled: Workspace, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def routed(live: InService, router: Any) -> Desk:
        helper = Helper(router.helper, money=MonthMoney(per_month_usd=1, per_query_usd=1, spent=lambda: 0.0))
        return HybridDesk(live, router=router, helper=helper, seconds=60, max_chars=8000, history_tokens=1000)

    options = (
        "serve.answers=recipe", "serve.compare={mode: ab, share: 1.0}",
        "serve.router={helper: {model: 'fake/chat?reply=Dalla+aiutante.'}}",
    )  # fmt: skip
    with comparing(spoiled, root, monkeypatch, *options, desk=routed) as found:
        hard = "Confronta e valuta le due strategie, e pianifica i passi."
        easy, helped = (found.desk.ask(Wanted(id=text, question=text)) for text in (QUESTION, hard))
        assert (easy.side, easy.who, easy.tier) == ("B", "own", "simple")
        assert (helped.side, helped.who, helped.tier, helped.release) == ("B", "helper", "complex", easy.release)
        assert found.told()["compared"] == 1, "what the helper is asked first counts to neither"


@pytest.mark.parametrize("what", ["promoted", "gone", "spent"])
def test_a_comparison_ends_and_says_why(
    spoiled: Workspace, root: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    served: list[Opened] = []

    def keep(opened: Opened) -> Opened:
        served.append(opened)
        return opened

    options = ("serve.answers=recipe", "serve.compare={mode: ab, share: 1.0}")
    with comparing(spoiled, root, monkeypatch, *options, as_served=keep) as found:
        assert found.desk.ask(Wanted(id="r1", question=QUESTION)).side == "B" and "why_not" not in found.told()
        [release] = (spoiled.path / "store" / "registry.release").iterdir()
        if what == "promoted":
            served[0].release = found.told()["release"]
        elif what == "gone":
            os.rename(release, spoiled.path / "elsewhere")
        else:
            with candidate(found) as opened:
                opened.partner.budget.exhausted = True
        assert found.desk.ask(Wanted(id="r2", question=QUESTION)).side == "A"
        served[0].release = None
        assert found.told()["why_not"] == {
            "promoted": "the candidate is in service", "gone": "the candidate's release is gone",
            "spent": "the llm.budget.per_run_usd of the candidate is spent",
        }[what]  # fmt: skip
    assert [row[0] for row in rows(spoiled)] == ["B"]


def test_no_question_goes_to_a_candidate_elsewhere_while_the_model_in_service_is_here(
    spoiled: Workspace, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened_before, refused, served = flows.comparing.open_release, list[TerminalError](), list[Opened]()

    def open_elsewhere(*arguments: Any, **more: Any) -> Any:
        if refused:
            raise refused[0]
        return replace(opened_before(*arguments, **more), chat=far("fake/chat?reply=Lontana [1]"))

    def keep(opened: Opened) -> Opened:
        served.append(opened)
        return opened

    monkeypatch.setattr(flows.comparing, "open_release", open_elsewhere)
    options = ("serve.answers=recipe", "serve.compare={mode: ab, share: 1.0}")
    with comparing(spoiled, root, monkeypatch, *options, as_served=keep) as found:
        assert found.desk.ask(Wanted(id="r1", question=QUESTION)).side == "A"
        assert "is elsewhere" in found.told()["why_not"]
        served[0].partner = replace(served[0].partner, chat=far("fake/chat?reply=Di casa [1]"))
        assert found.desk.ask(Wanted(id="r2", question=QUESTION)).side == "B" and "why_not" not in found.told()
        with candidate(found) as opened:
            assert opened.partner.leave_out_local, "what another model said before may quote a local note"
        refused.append(TerminalError("1 local note (a.md) must not leave this machine"))
        live = spoiled.path / "index" / "live.json"
        told = json.loads(live.read_text())
        told["history"][-1]["digest"] = told["digest"] = "0" * 64  # as another publication does
        live.write_text(json.dumps(told))
        assert not found.desk._desks["B"]._live.look()  # type: ignore[attr-defined]
        assert found.told()["why_not"] == "the candidate cannot be opened on what is published (see the log)"
        assert found.desk.ask(Wanted(id="r3", question=QUESTION)).side == "A"
    assert [row[0] for row in rows(spoiled)] == ["B"]


def candidate(found: Comparing) -> Any:
    """What is opened beside, for the length of a block."""
    return found.desk._desks["B"]._live.use()  # type: ignore[attr-defined]


def far(model: str) -> Any:
    """A double that says it is on another machine."""
    made: Any = load_chat(
        model=model, temperature=0, max_tokens=200, context_tokens=8192, timeout_seconds=30, retries=0, seed=1
    )
    made._backend.leaves_to = "example.org"
    return made


def test_a_run_that_is_none_is_told_and_a_release_that_is_gone_fails_nothing(
    spoiled: Workspace, root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        pytest.raises(InputError, match=r"serve\.compare\.run: no run in .* begin with 'nowhere'"),
        comparing(spoiled, root, monkeypatch, "serve.answers=recipe", "serve.compare={mode: ab, run: nowhere}"),
    ):
        pass
    [release] = (spoiled.path / "store" / "registry.release").iterdir()
    os.rename(release, spoiled.path / "elsewhere")
    with comparing(spoiled, root, monkeypatch, "serve.answers=recipe", "serve.compare={mode: shadow}") as found:
        assert found.told()["why_not"] == "the candidate cannot be opened (TerminalError, see the log)"
        assert found.desk.ask(Wanted(id="r1", question=QUESTION)).side is None
    assert "nothing is compared" in caplog.text


@pytest.mark.slow
def test_an_endpoint_tells_what_it_compares_and_keeps_what_it_was_told(program: Program, spoiled: Workspace) -> None:
    options = (*RECIPE, "-o", "serve.compare={mode: ab, share: 1.0}", "-o", "serve.keep_conversations=true")
    with serving(program, "mvp", *spoiled.options, *options) as up, up.client() as client:
        answer = client.chat.completions.create(model="cervella", messages=[{"role": "user", "content": QUESTION}])
        assert answer.cervella["side"] == "B"
        told = up.health()["compare"]
        assert (told["compared"], told["release"]) == (1, answer.cervella["release"])
        for request, status in ((answer.id, 200), ("chatcmpl-none", 404)):
            given = httpx.post(f"{up.url}/v1/feedback", json={"id": request, "score": 1, "text": "sì"}, timeout=30)
            assert given.status_code == status
    with closing(sqlite3.connect(usage_file(spoiled.path))) as log:
        found = log.execute("SELECT who, side, score, comment FROM query WHERE request = ?", (answer.id,)).fetchall()
    assert found == [("own", "B", 1, "sì")]
    [talked] = read_conversations(conversations_file(spoiled.path))
    assert talked.turns[0][0] == QUESTION
