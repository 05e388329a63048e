"""The judge is checked in a real store, with a double whose error rates are known; corrected rates find the truth.

Truth stands in the answers (`[[bad]]`), labels say it, and the double errs as often as its name says.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.evaluate import EvaluateParams, Measure
from components.evaluate.asking.paid import PaidLog
from components.evaluate.instrument import correct_rate
from components.evaluate.instrument.agreement import NOBODY, agreement_of
from components.evaluate.instrument.labels import Labelled, LabelLog, label_digest
from components.evaluate.instrument.steps import agreement_spec, failed_verdicts, measure_agreement
from components.evaluate.judge.ask import judge_all
from components.evaluate.judge.opening import Judge, open_judge
from components.evaluate.judged import Judged, Verdict
from components.evaluate.params import JudgeParams
from components.evaluate.said import Item
from components.evaluate.suite import JudgeQuestion, Wording
from components.llm.params import ChatParams, LlmParams
from components.store import Artefact, Run

DOUBLE = "fake/chat?mode=judge&tpr=0.9&tnr=0.85"
ASKED = frozenset(
    Wording(question, "Suona come Cervella?", "La sua voce.", lang)
    for question in ("sounds", "rule:feminine") for lang in ("it", "en")
)  # fmt: skip


def asked(number: int, *, good: bool, question: str = "sounds") -> JudgeQuestion:
    item = Item("personality", f"p{number}", f"Domanda {number}?", "it" if number % 2 else "en", "greeting")
    text = f"Risposta {number}." if good else f"Risposta {number}. [[bad]]"
    return JudgeQuestion("candidate", item, question, "Suona come Cervella?", "La sua voce.", text)


class Court:
    """A workspace, labels, and a judge that counts how often it is opened."""

    def __init__(self, folder: Path, model: str = DOUBLE, **judge: Any) -> None:
        self.workspace = folder / "workspace"
        self.labels = folder / "labels.jsonl"
        self.judge = judge
        self.model = model
        self.faults = ""
        self.opened = 0
        self.asked = ASKED

    @property
    def params(self) -> EvaluateParams:
        return EvaluateParams(judge=JudgeParams(labels=self.labels, **self.judge), bootstrap_samples=200)

    @property
    def llm(self) -> LlmParams:
        temperature = 0.7 if self.judge.get("repeats", 1) > 1 else 0.0
        return LlmParams(judge=ChatParams(model=self.model, temperature=temperature), cache=False)

    def label(self, *numbers: int, by: str = "Bianca", question: str = "sounds") -> None:
        """By the truth: every second answer is good."""
        log = LabelLog(self.labels)
        for number in numbers:
            log.add(asked(number, good=number % 2 == 0, question=question), "no" if number % 2 else "yes", by=by)

    def open(self) -> Judge:
        self.opened += 1
        judge = open_judge(self.params.judge, self.llm, workspace=self.workspace)
        if not self.faults:
            return judge
        # Faults of a provider are in no settings, those of the double are in its name.
        chat = ChatParams(model=f"{self.model}&{self.faults}", retries=0, temperature=self.llm.judge.temperature)  # type: ignore[union-attr]
        faulty = open_judge(self.params.judge, LlmParams(judge=chat, cache=False), workspace=self.workspace)
        return Judge((*judge.chats[1:], faulty.chats[0]), judge.settings)

    def measure(self, persona: str = "Sei Cervella.", **local: Any) -> Artefact:
        run = Run.create(self.workspace, recipe="test", phase="mvp")
        try:
            return measure_agreement(
                run, self.params, self.llm, judge=self.open, persona=persona, wordings=self.asked, **local
            )
        finally:
            run.update(status="done")

    def calls(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """What is paid for from now on."""
        paid: list[str] = []
        put = PaidLog.put

        def counted(log: PaidLog, key: str, value: dict[str, Any]) -> None:
            paid.append(key)
            put(log, key, value)

        monkeypatch.setattr(PaidLog, "put", counted)
        return paid


@pytest.fixture
def court(tmp_path: Path) -> Court:
    return Court(tmp_path)


def test_without_labels_no_judge_is_opened_and_none_is_trusted(court: Court) -> None:
    sealed = court.measure()
    told = sealed.read_json("agreement.json")
    assert court.opened == 0 and list(sealed.read_jsonl("verdicts.jsonl")) == []
    assert told["model"] == DOUBLE and list(told["groups"]) == ["sounds", "constitution", "tasks"]
    assert all((group["n"], group["trusted"], group["why"]) == (0, False, NOBODY) for group in told["groups"].values())
    # Nor when the recipe names no file.
    unnamed, unwritten = (
        agreement_spec(
            EvaluateParams(judge=judge, bootstrap_samples=200), court.llm, persona="Sei Cervella.", wordings=ASKED
        )
        for judge in (JudgeParams(), JudgeParams(labels=court.labels))
    )
    assert unnamed == unwritten


def test_each_group_is_measured_by_itself(court: Court) -> None:
    court.model = "fake/chat?mode=judge&tpr=0.95&tnr=0.9"
    court.label(*range(60))
    court.label(*range(12), question="rule:feminine")
    sealed = court.measure()
    groups = sealed.read_json("agreement.json")["groups"]
    sounds = groups["sounds"]
    assert (sounds["n"], sounds["yes"], sounds["no"], sounds["failed"], sounds["unparsable"]) == (60, 30, 30, 0, 0)
    assert sounds["trusted"] and sum(sounds["counts"].values()) == 60
    assert (
        sounds["tpr"]["low"] <= 0.95 <= sounds["tpr"]["high"] and sounds["tnr"]["low"] <= 0.9 <= sounds["tnr"]["high"]
    )
    assert not groups["constitution"]["trusted"] and groups["constitution"]["why"].startswith(
        "only 12 labels (6 yes, 6 no)"
    )
    assert groups["tasks"]["why"] == NOBODY
    rows = list(sealed.read_jsonl("verdicts.jsonl"))
    assert len(rows) == 72 and {row["group"] for row in rows} == {"sounds", "constitution"}
    right = sum(row["people"] == Judged.from_dict(row["judged"]).verdict for row in rows if row["group"] == "sounds")
    assert right == sounds["counts"]["tp"] + sounds["counts"]["tn"]


@pytest.mark.parametrize(
    "other",
    [{"question": "rule:gone"}, {"ask": "Sembra Cervella?"}, {"standard": "Com'era una volta."}, {"lang": "de"}],
    ids=["a rule that is gone", "other words", "another measure", "another language"],
)
def test_labels_of_questions_that_nobody_asks_any_more_do_not_make_a_judge_trusted(
    court: Court, other: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    court.model = "fake/chat?mode=judge"
    court.label(*range(60), question="rule:feminine")
    assert court.measure().read_json("agreement.json")["groups"]["constitution"]["trusted"]
    court.asked = frozenset({Wording("rule:feminine", "Suona come Cervella?", "La sua voce.", "it")._replace(**other)})
    paid = court.calls(monkeypatch)
    sealed = court.measure()
    rules = sealed.read_json("agreement.json")["groups"]["constitution"]
    assert not rules["trusted"] and (rules["n"], rules["left_out"]) == (0, 60)
    assert rules["why"] == f"{NOBODY}; 60 labels of other questions are left out"
    assert not paid and (sealed.facts["labels"], sealed.facts["left_out"]) == (0, 60)


def test_labels_of_one_language_alone_count_where_one_alone_is_asked(court: Court) -> None:
    court.model = "fake/chat?mode=judge"
    court.label(*range(60))
    court.asked = frozenset(one for one in ASKED if one.lang == "it")
    sounds = court.measure().read_json("agreement.json")["groups"]["sounds"]
    assert (sounds["n"], sounds["left_out"]) == (30, 30)
    assert sounds["why"].endswith("; 30 labels of other questions are left out")


def test_a_coin_is_not_trusted(tmp_path: Path) -> None:
    court = Court(tmp_path, "fake/chat?mode=judge&tpr=0.5&tnr=0.4")
    court.label(*range(60))
    sounds = court.measure().read_json("agreement.json")["groups"]["sounds"]
    assert not sounds["trusted"] and correct_rate(50, 100, sounds["counts"]).value is None


def test_who_labelled_and_when_does_not_make_it_another_step(tmp_path: Path) -> None:
    courts = [Court(tmp_path / name) for name in ("a", "b")]
    for court in courts:
        court.labels.parent.mkdir()
    courts[0].label(*range(10))
    courts[1].label(*reversed(range(10)), by="Nino")
    first, second = (agreement_spec(court.params, court.llm, persona="P", wordings=ASKED) for court in courts)
    assert first == second
    courts[1].label(10, by="Nino")
    assert agreement_spec(courts[1].params, courts[1].llm, persona="P", wordings=ASKED) != first
    assert agreement_spec(courts[0].params, courts[0].llm, persona="Q", wordings=ASKED) != first


@pytest.mark.parametrize(
    "change", [{"min_kappa": 0.7}, {"min_labels": 40}, {"repeats": 3}], ids=["min_kappa", "min_labels", "repeats"]
)
def test_what_it_takes_is_part_of_the_step(court: Court, change: dict[str, Any]) -> None:
    before = agreement_spec(court.params, court.llm, persona="P", wordings=ASKED)
    court.judge |= change
    assert agreement_spec(court.params, court.llm, persona="P", wordings=ASKED) != before


def test_a_few_more_labels_cost_a_few_more_calls(court: Court, monkeypatch: pytest.MonkeyPatch) -> None:
    court.judge["repeats"] = 3
    court.label(*range(20))
    first = court.measure()
    paid = court.calls(monkeypatch)
    assert court.measure().digest == first.digest and not paid
    court.label(*range(20, 25))
    court.judge["min_kappa"] = 0.5  # what is made of the verdicts changes none of them
    more = court.measure()
    assert len(paid) == 5 * 3
    kept = {row["digest"]: row for row in more.read_jsonl("verdicts.jsonl")}
    assert all(kept[row["digest"]] == row for row in first.read_jsonl("verdicts.jsonl"))
    court.measure(persona="Un'altra.")
    assert len(paid) == 5 * 3 + 25 * 3


def test_what_failed_is_asked_again_and_nothing_else(court: Court, monkeypatch: pytest.MonkeyPatch) -> None:
    court.label(*range(40))
    court.faults = "fail_prob=0.3"
    first = court.measure()
    sounds = first.read_json("agreement.json")["groups"]["sounds"]
    failed = failed_verdicts(first)
    assert 4 < failed < 30 and sounds["failed"] == failed == sounds["undecided"]
    assert not sounds["trusted"] and "failed or could not be read" in sounds["why"]
    before = [row for row in first.read_jsonl("verdicts.jsonl") if not row["judged"]["errors"]]
    paid = court.calls(monkeypatch)
    court.faults = ""
    again = court.measure()
    assert failed_verdicts(again) == 0 and again.read_json("agreement.json")["groups"]["sounds"]["trusted"]
    assert len(paid) == failed
    kept = {row["digest"]: row for row in again.read_jsonl("verdicts.jsonl")}
    assert len(before) == 40 - failed and all(kept[row["digest"]] == row for row in before)


def test_of_a_label_asked_three_times_only_the_reply_that_failed_is_asked_for(
    court: Court, monkeypatch: pytest.MonkeyPatch
) -> None:
    court.judge["repeats"] = 3
    court.label(*range(20))
    court.faults = "fail_prob=0.5"
    first = court.measure()
    lost = [len(row["judged"]["errors"]) for row in first.read_jsonl("verdicts.jsonl")]
    assert sum(lost) == failed_verdicts(first) and any(0 < one < 3 for one in lost)
    paid = court.calls(monkeypatch)
    court.faults = ""
    assert failed_verdicts(court.measure()) == 0
    assert len(paid) == sum(lost)


def test_answers_of_local_notes_do_not_go_to_a_judge_elsewhere(tmp_path: Path) -> None:
    court = Court(tmp_path, DOUBLE)
    log = LabelLog(court.labels)
    log.add(asked(0, good=True), "yes", by="Bianca", sources=("diario.md", "NORD.md"))
    log.add(asked(1, good=False), "no", by="Bianca", sources=("NORD.md",))
    here = court.measure(local_paths=("diario.md",))
    assert here.facts["failed"] == 0  # the judge is on this machine
    elsewhere = open_judge(court.params.judge, court.llm, workspace=court.workspace)
    object.__setattr__(elsewhere, "chats", (_Elsewhere(elsewhere.chats[0]),))
    court.open = lambda: elsewhere  # type: ignore[method-assign]
    there = court.measure(persona="Sono un'altra.", local_paths=("diario.md",))
    (refused,) = (row for row in there.read_jsonl("verdicts.jsonl") if row["judged"]["errors"])
    assert refused["people"] == "yes" and "diario.md" in refused["judged"]["errors"][0]


class _Elsewhere:
    """A chat that refuses local notes, as one of a provider does."""

    def __init__(self, chat: Any) -> None:
        self._chat = chat
        self.model = chat.model
        self.is_local, self.leaves_to = False, "a provider"
        self.count_tokens = chat.count_tokens

    def chat(self, messages: Any, *, max_tokens: int | None = None, local_notes: Any) -> Any:
        from components.llm.places import refuse_local

        refuse_local(local_notes, model=self.model, leaves=self.leaves_to)
        return self._chat.chat(messages, max_tokens=max_tokens, local_notes=local_notes)


KILLED = """
import sys
from pathlib import Path
from tests.evaluate.test_instrument_steps import Court
court = Court(Path(sys.argv[1]))
court.faults = "die_at=12"
court.measure()
"""


@pytest.mark.slow
def test_killed_it_goes_on_and_pays_for_no_question_twice(
    court: Court, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    court.label(*range(30))
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=root, capture_output=True, timeout=120)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    paid = court.calls(monkeypatch)
    court.measure()
    assert len(paid) == 30 - 11


def world(seed: int) -> tuple[dict[str, Any], list[Verdict]]:
    """A judge of TPR 0.88 and TNR 0.82, checked on 60 labels, and its verdicts on 100 answers, 85 % of them good."""
    rng = np.random.default_rng(seed)

    def verdict(good: bool) -> Verdict:
        return "yes" if good == bool(rng.random() < (0.88 if good else 0.82)) else "no"

    labelled, judged = [], {}
    for number in range(60):
        good = number % 2 == 0
        words = {"prompt": f"{seed} {number}", "text": "Ciao.", "question": "sounds", "ask": "Suona?"}
        one = Labelled(
            digest=label_digest(**words), item=f"personality/{number}", lang="it", standard="", sources=(),
            verdicts={"Bianca": "yes" if good else "no"}, **words,
        )  # fmt: skip
        said = verdict(good)
        labelled.append(one)
        judged[one.digest] = Judged("candidate", one.item, "sounds", "judge", (said,), said)
    told = agreement_of(labelled, judged, min_kappa=0.4, min_labels=30, samples=100, seed=13)
    return told, [verdict(bool(rng.random() < 0.85)) for _ in range(100)]


def holds(measure: Measure, truth: float) -> bool:
    return measure.low is not None and measure.high is not None and measure.low <= truth <= measure.high


def test_corrected_rates_find_the_truth_in_93_of_100_worlds() -> None:
    held = believed = 0
    for seed in range(300):
        told, verdicts = world(seed)
        if told["trusted"]:
            believed += 1
            held += holds(correct_rate(verdicts.count("yes"), len(verdicts), told["counts"]), 0.85)
    assert believed > 280 and held >= 0.93 * believed


def test_with_a_judge_double_from_labels_to_the_corrected_rate(tmp_path: Path) -> None:
    held = []
    for seed in range(6):
        court = Court(tmp_path / str(seed), f"fake/chat?mode=judge&tpr=0.92&tnr=0.85&seed={seed}", min_kappa=0.5)
        court.labels.parent.mkdir()
        court.label(*range(60))
        told = court.measure().read_json("agreement.json")["groups"]["sounds"]
        assert told["trusted"], told["why"]
        questions = [asked(1000 + number, good=number < 80) for number in range(100)]
        log, silent = PaidLog(court.workspace / "paid.jsonl"), lambda done, total: None
        judged = list(
            judge_all(questions, judge=court.open(), log=log, at_once=1, persona="Sei Cervella.", progress=silent)
        )
        yes = sum(one.verdict == "yes" for one in judged)
        held.append(holds(correct_rate(yes, len(judged), told["counts"]), 0.8))
    assert sum(held) >= 5, held
