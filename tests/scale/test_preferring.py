"""Whose answer the judge prefers: asked in the comparison, and in the gate where people have checked this judge."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from components.answer.partner import Partner
from components.evaluate.judge.opening import Judge
from components.evaluate.judge.words import PROMPT_VERSION
from components.llm import load_chat
from components.llm.params import ChatParams
from components.recipe import load_recipe
from components.recipe.plan import plan_run
from components.recipe.plan_text import render_plan
from components.recipe.privacy import leaving
from components.scale.preferring import preference
from components.scale.questions import Question
from components.store import Run, StepSpec
from tests.registry.shelf import seal
from tests.scale.flow_house import FEW, Follows, told
from tests.scale.scale_house import ScaleHouse

GOOD, BAD = "fake/chat?reply=Bene+[[good]]+[1].", "fake/chat?reply=Male+[[bad]]+[1]."
JUDGE = "fake/chat?mode=judge"
ASKED = (f"llm.judge={{model: '{JUDGE}'}}", "scale.judge=true", "scale.promote=false", "scale.questions=8")


def released(house: ScaleHouse, model: str, *, judge: str | None = JUDGE, trusted: bool = True) -> str:
    """A release whose run has had this judge checked by people; None: no judge."""
    before = set((house.workspace / "runs").iterdir())
    digest = house.release(model)
    (folder,) = set((house.workspace / "runs").iterdir()) - before
    if judge:
        params = {"judge": ChatParams(model=judge).sampled(), "prompt_version": PROMPT_VERSION, "of": digest}
        sounds = {"trusted": trusted, "why": None if trusted else "kappa 0.31 with people, it takes 0.6"}
        seal(Run(folder), StepSpec("evaluate.agreement", 2, params, {}), {
            "agreement.json": {"model": judge, "prompt_version": PROMPT_VERSION, "groups": {"sounds": sounds}},
        })  # fmt: skip
    return digest


def preferred(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in run.read()["gate"]["criteria"] if one["name"] == "preferred")
    return found


@pytest.mark.parametrize(
    ("candidate", "champion", "verdict", "value"),
    [(BAD, GOOD, "NO-GO", 0.0), (GOOD, BAD, "GO", 1.0), (GOOD, f"{GOOD}&seed=1", "GO", 0.5)],
    ids=["worse", "better", "the same"],
)
def test_only_what_the_judge_clearly_likes_less_is_no_go(
    house: ScaleHouse, endpoint: Follows, candidate: str, champion: str, verdict: str, value: float
) -> None:
    released(house, champion)
    house.promote()
    released(house, candidate)
    found = preferred(house.run(*ASKED))
    assert (found["verdict"], found["value"], found["n"], found["threshold"]) == (verdict, value, 8, 0.5)


@pytest.mark.parametrize(
    ("checked", "says"),
    [
        ({"judge": None}, "nobody has checked this judge: cervella label RECIPE"),
        ({"trusted": False}, "kappa 0.31 with people"),
        ({"judge": "fake/chat?mode=judge&seed=2"}, "people have checked another judge (llm.judge)"),
    ],
    ids=["by nobody", "not trusted", "another one"],
)
def test_a_judge_whose_word_does_not_count_is_not_asked(
    house: ScaleHouse, endpoint: Follows, checked: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    released(house, GOOD)
    house.promote()
    released(house, BAD, **checked)
    monkeypatch.setattr("components.scale.tasks.open_judge", lambda *_, **__: pytest.fail("it was opened"))
    found = preferred(house.run(*ASKED))
    assert (found["verdict"], found["value"], found["n"]) == ("INCONCLUSIVE", None, 0) and says in found["reason"]


def test_alone_or_not_wanted_nothing_is_judged(house: ScaleHouse, endpoint: Follows) -> None:
    released(house, GOOD)
    assert "preferred" not in json.dumps(house.run(*ASKED).read()["gate"])
    house.promote()
    released(house, BAD)
    assert "preferred" not in json.dumps(house.run(FEW, "scale.promote=false").read()["gate"])


def test_a_run_that_was_killed_asks_neither_of_them_nor_the_judge_twice(
    house: ScaleHouse, endpoint: Follows, monkeypatch: pytest.MonkeyPatch
) -> None:
    released(house, GOOD)
    house.promote()
    released(house, BAD)
    stream, asked = Partner.stream, list[str]()

    def counted(self: Partner, question: str, **options: Any) -> Any:
        asked.append(question)
        if len(asked) == 11:  # in the midst of the fifth question: two more have loaded the models
            raise KeyboardInterrupt
        return stream(self, question, **options)

    monkeypatch.setattr(Partner, "stream", counted)
    with pytest.raises(KeyboardInterrupt):
        house.run(*ASKED, "llm.cache=false")
    monkeypatch.undo()
    monkeypatch.setattr("flows.scale.endpoint_up", lambda run, recipe: endpoint)
    found = preferred(house.run(*ASKED, "llm.cache=false"))
    assert (found["verdict"], found["n"]) == ("NO-GO", 8)


def test_no_text_of_an_answer_is_kept_by_the_steps(house: ScaleHouse, endpoint: Follows) -> None:
    released(house, GOOD)
    house.promote()
    released(house, BAD)
    run = house.run(*ASKED)
    assert told(run)["numbers"]["champion"]["asked"] == 8
    for file in [*house.workspace.glob("store/scale.*/*/*"), *house.workspace.glob("scratch/**/*")]:
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            assert "[[good]]" not in text and "[[bad]]" not in text and "caparra" not in text, file


def test_a_judge_elsewhere_is_given_no_answer_that_may_quote_a_local_note() -> None:
    away: Any = load_chat(
        model=JUDGE, temperature=0, max_tokens=50, context_tokens=8192, timeout_seconds=5, retries=0, seed=1
    )
    away._backend.leaves_to = "example.org"
    partner: Any = SimpleNamespace(prompt=SimpleNamespace(text="", local_notes=()), session=None)

    def said(text: str, *local: str) -> Any:
        return SimpleNamespace(
            answer=SimpleNamespace(text=text, sources=[SimpleNamespace(path=path, local=True) for path in local])
        )

    prefer = preference(Judge((away,), {}), sides={"candidate": partner, "champion": partner})
    question = Question("q", "Quanto costa?")
    assert prefer(question, {"candidate": said("[[good]]"), "champion": said("[[bad]]")}) == "candidate"
    assert prefer(question, {"candidate": said("[[good]]"), "champion": said("[[bad]]", "a.md")}) is None


def test_the_plan_counts_the_judge_and_says_where_its_word_does_not_count(house: ScaleHouse) -> None:
    released(house, GOOD)
    house.promote()
    released(house, BAD)

    def planned(*options: str) -> Any:
        return plan_run(load_recipe(house.recipe, overrides=options, cwd=house.folder).recipe)

    without = planned(*ASKED, "scale.judge=false")
    plan = planned(*ASKED)
    assert plan.work.calls_at_most == without.work.calls_at_most + 2 * 8 and f"as judge, {JUDGE}" in render_plan(plan)
    other = planned(*ASKED, "llm.judge={model: 'fake/chat?mode=judge&seed=2'}")
    assert other.work.calls_at_most == without.work.calls_at_most
    assert "INCONCLUSIVE for certain" in render_plan(other)


def test_answers_go_where_the_judge_is(house: ScaleHouse) -> None:
    def away(*options: str) -> Any:
        overrides = ("llm.judge={model: anthropic/claude-sonnet-4-5}", *options)
        return leaving(load_recipe(house.recipe, overrides=overrides, cwd=house.folder).recipe)

    assert away() == {} and list(away("scale.judge=true")) == ["llm.judge.model"]
