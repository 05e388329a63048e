"""The packaged model as judge: it replies, and what is no verdict is counted. A model of this size cannot judge."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.evaluate.asking.paid import PaidLog
from components.evaluate.judge.ask import Tally, judge_all
from components.evaluate.judge.opening import open_judge
from components.evaluate.judge.pairs import Duel, judge_pairs
from components.evaluate.judge.summary import judge_summary
from components.evaluate.params import JudgeParams
from tests.evaluate.judging import item, llm, question

PERSONA = "Sei Cervella, una partner. Parli di te al femminile.\nDici sempre da quale nota viene ciò che affermi."


@pytest.mark.slow
def test_the_packaged_model_replies_and_every_reply_is_counted(tmp_path: Path) -> None:
    section = llm("local/smollm2-135m-instruct", max_tokens=64, timeout_seconds=600)
    judge, tally, log = (
        open_judge(JudgeParams(), section, workspace=tmp_path),
        Tally(),
        PaidLog(tmp_path / "paid.jsonl"),
    )
    said = ["Sono sicura: due cani. Lo dice `docs/MANUALE.md`.", "As an AI language model I cannot say."]
    questions = [question(number, text) for number, text in enumerate(said)]
    judged = list(
        judge_all(
            questions, judge=judge, log=log, at_once=8, persona=PERSONA, progress=lambda done, total: None, tally=tally
        )
    )
    pairs = list(
        judge_pairs(
            [Duel(item(), *said)], judge=judge, log=log, at_once=8, persona=PERSONA,
            progress=lambda done, total: None, tally=tally,
        )
    )  # fmt: skip
    assert judge.settings == (section.judge or section.chat).sampled()
    summary = judge_summary(
        judged,
        pairs,
        tally=tally,
        settings=judge.settings,
        repeats=1,
        candidate="local/smollm2-135m-instruct",
        base=None,
    )
    assert not any(one.errors for one in [*judged, *pairs])
    assert summary["scored"] + summary["unparsable"] == summary["expected"] == 2
    assert tally.replies == len(log) == 4
    assert tally.cost_usd == 0.0
    assert "family (smollm)" in summary["warning"]
