"""Scores of what was said: corrected where the judge is trusted, unknown where it is not, errors counted."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

import pytest

from components.evaluate import (
    Question,
    RankedFile,
    build_scorecard,
    render_scorecard,
    score_retrieval,
    scorecard_markdown,
)
from components.evaluate.checks import Check
from components.evaluate.instrument.correct import correct_rate
from components.evaluate.instrument.counts import Counts
from components.evaluate.intervals import rate_measure
from components.evaluate.judged import SOUNDS, Judged, Pair, rule_id
from components.evaluate.records import AnswerRecord
from components.evaluate.said import Item, Said
from components.evaluate.said_scores import Evaluated, score_said
from components.evaluate.suite import Checklist, CodeRule, Rule
from components.evaluate.verdicts import count_questions, count_verdicts
from components.evaluate.worst import MOST, worst_rows
from tests.evaluate.spoken import CHECKLIST, DOUBTED, TRUSTED, evaluated, said_scores, verdict


def scored(found: Evaluated) -> Any:
    return score_said(found, samples=500, seed=13)


def card(found: Evaluated) -> Any:
    retrieval = score_retrieval([], {})
    return build_scorecard(retrieval=retrieval, answers=[], expected=0, said=scored(found))


class TestSounds:
    def test_the_share_of_yes_is_corrected_for_the_errors_of_the_judge(self) -> None:
        found = said_scores(sounds=150)
        counts = Counts(**TRUSTED["sounds"]["counts"])
        assert found.metrics["sounds_like_her"] == correct_rate(yes=150, n=200, counts=counts)
        assert found.told["judge"]["sounds_raw"] == rate_measure([n < 150 for n in range(200)]).to_dict()
        assert found.told["contestants"]["candidate"]["sounds_raw"]["value"] == 0.75
        assert "sounds_like_her" not in found.undecided

    def test_a_judge_that_is_not_trusted_leaves_the_raw_rate_alone(self) -> None:
        found = said_scores(sounds=150, agreement=DOUBTED)
        assert found.metrics["sounds_like_her"].to_dict() == {"value": None, "low": None, "high": None, "n": 200}
        assert found.told["judge"]["sounds_raw"]["value"] == 0.75
        assert found.undecided["sounds_like_her"].endswith("kappa is 0.10; it takes 0.60")
        assert found.groups["lang:it"]["sounds_like_her"].value is None

    def test_groups_are_corrected_like_the_whole(self) -> None:
        found = said_scores(sounds=150)
        whole = found.metrics["sounds_like_her"]
        assert set(found.groups) == {"lang:it", "kind:daily", "project:casa"}
        assert all(group["sounds_like_her"] == whole for group in found.groups.values())

    def test_undecided_verdicts_are_neither_yes_nor_no(self) -> None:
        found = evaluated(prompts=100, sounds=80, calm=100, feminine=100)
        unread = [replace(one, verdicts=(None,), verdict=None) for one in found.judged if one.question == SOUNDS][:5]
        kept = [one for one in found.judged if one.question != SOUNDS or one.item not in {two.item for two in unread}]
        told = scored(replace(found, judged=[*kept, *unread]))
        assert told.metrics["sounds_like_her"].n == 95
        assert told.told["judge"]["parts"]["sounds"] == {
            "expected": 100, "scored": 95, "failed": 0, "unparsable": 5, "tied": 0,
        }  # fmt: skip
        assert told.told["judge"]["sounds_raw"]["value"] == pytest.approx(75 / 95)

    @pytest.mark.parametrize(("unread", "undecided"), [(5, False), (6, True)], ids=["5 %", "6 %"])
    def test_above_five_percent_unread_nothing_is_decided(self, unread: int, undecided: bool) -> None:
        found = evaluated(prompts=100, sounds=100, calm=100, feminine=100)
        judged = [
            replace(one, verdicts=(None,), verdict=None) if one.question == SOUNDS and n < 2 * unread else one
            for n, one in enumerate(found.judged)
        ]
        told = scored(replace(found, judged=judged))
        assert ("sounds_like_her" in told.undecided) == undecided
        if undecided:
            assert told.undecided["sounds_like_her"] == "6 of 100 verdicts of the judge could not be read"
            assert told.metrics["sounds_like_her"].value is None

    def test_a_judge_that_cannot_make_up_its_mind_decides_nothing(self) -> None:
        found = evaluated(prompts=20, sounds=20, calm=20, feminine=20)
        judged = [
            replace(one, verdicts=("yes", "no"), verdict=None) if one.question == SOUNDS and n < 4 else
            replace(one, verdicts=("yes", "yes"))
            for n, one in enumerate(found.judged)
        ]  # fmt: skip
        told = scored(replace(found, judged=judged))
        assert told.undecided["sounds_like_her"] == "on 2 of 20 answers the judge came to no verdict"
        assert told.told["judge"]["flip_rate"]["value"] == pytest.approx(2 / 40)

    @pytest.mark.parametrize("truth", [0.6, 0.9])
    def test_with_a_judge_of_known_errors_the_truth_is_recovered(self, truth: float) -> None:
        """Judge double: says yes to 85 % of what is good and to 20 % of what is not; 300 labels say so."""
        held = 0
        for seed in range(40):
            draw = random.Random(seed)  # noqa: S311
            labels = [(draw.random() < 0.5) for _ in range(300)]
            said = [draw.random() < (0.85 if good else 0.20) for good in labels]
            counts = {
                "tp": sum(g and s for g, s in zip(labels, said, strict=True)),
                "fn": sum(g and not s for g, s in zip(labels, said, strict=True)),
                "tn": sum(not g and not s for g, s in zip(labels, said, strict=True)),
                "fp": sum(not g and s for g, s in zip(labels, said, strict=True)),
            }
            group = {"trusted": True, "why": "", "counts": counts}
            found = evaluated(prompts=150, agreement=dict.fromkeys(TRUSTED, group))
            good = [draw.random() < truth for _ in range(150)]
            judged = [
                verdict(item, SOUNDS, draw.random() < (0.85 if is_good else 0.20))
                for item, is_good in zip(found.items, good, strict=False)
            ]
            measure = scored(replace(found, judged=judged)).metrics["sounds_like_her"]
            held += measure.low <= truth <= measure.high
        assert held >= 35


class TestRules:
    def test_the_worst_rule_is_the_score(self) -> None:
        found = said_scores(calm=190, feminine=180)
        assert found.metrics["constitution"] == rate_measure([n < 180 for n in range(200)])
        rows = {row["id"]: row for row in found.told["rules"]}
        assert {key: rows["feminine"][key] for key in ("by", "passed", "failed", "undecided")} == {
            "by": "code", "passed": 180, "failed": 20, "undecided": 0,
        }  # fmt: skip
        assert rows["feminine"]["measure"] == rows["feminine"]["raw"]
        assert rows["calm"]["measure"] != rows["calm"]["raw"]

    def test_a_rule_that_a_doubted_judge_decides_leaves_the_whole_undecided(self) -> None:
        found = said_scores(agreement=DOUBTED)
        assert found.metrics["constitution"].value is None
        assert found.undecided["constitution"].startswith("rule calm: the judge's word does not count")
        rows = {row["id"]: row for row in found.told["rules"]}
        assert (rows["calm"]["measure"]["value"], rows["calm"]["raw"]["value"]) == (None, 1.0)
        assert rows["feminine"]["measure"]["value"] == 1.0

    def test_rules_of_code_alone_need_no_judge_to_be_trusted(self) -> None:
        found = evaluated(agreement=None)
        checklist = Checklist(CHECKLIST.rules[:1], "c" * 64)
        told = scored(replace(found, checklist=checklist))
        assert told.metrics["constitution"].value == 1.0
        assert "constitution" not in told.undecided

    def test_a_rule_that_applies_to_no_answer_is_not_kept_by_that(self) -> None:
        found = evaluated()
        rare = Rule("rare", "Never on Sundays.", code=CodeRule("never", ["domenica"]), kinds=("sunday",))
        told = scored(replace(found, checklist=Checklist((*CHECKLIST.rules, rare), "c" * 64)))
        assert told.undecided["constitution"] == "rule rare: applies to no answer"

    def test_many_undecided_rules_are_told_in_a_line(self) -> None:
        rules = tuple(Rule(f"r{n}", "Be good.", ask="Is it good?") for n in range(6))
        found = evaluated(agreement=None)
        items = [item for item in found.items if item.part == "personality"]
        judged = [verdict(item, rule_id(rule.id), True) for item in items for rule in rules]
        told = scored(replace(found, checklist=Checklist(rules, "c" * 64), judged=judged))
        assert told.undecided["constitution"].startswith("rules r0, r1, r2 and 3 more: the judge's word does not")

    def test_an_empty_checklist_shows_nothing(self) -> None:
        told = scored(replace(evaluated(), checklist=Checklist((), "c" * 64)))
        assert told.undecided["constitution"] == "the checklist has no rules"


class TestErrors:
    def test_failed_answers_are_counted_and_in_no_rate(self) -> None:
        found = said_scores(failed=3)
        assert found.told["asked"]["personality"] == {
            "expected": 200, "scored": 197, "failed": 3,
            "errors": [{"id": f"p{n}", "error": "no network"} for n in range(3)],
        }  # fmt: skip
        assert found.metrics["sounds_like_her"].n == 197
        assert found.told["judge"]["failed"] == 0

    def test_answers_and_verdicts_that_never_came_are_failures(self) -> None:
        found = evaluated(prompts=50, sounds=50, calm=50, feminine=50)
        said = {"candidate": found.said["candidate"][1:]}
        assert scored(replace(found, said=said)).told["asked"]["personality"]["failed"] == 1
        parts = scored(replace(found, judged=found.judged[4:])).told["judge"]["parts"]
        assert (parts["sounds"]["failed"], parts["constitution"]["failed"], parts["tasks"]["failed"]) == (2, 2, 0)
        assert parts["sounds"]["expected"] == 50

    def test_a_verdict_that_failed_is_no_no(self) -> None:
        found = evaluated(prompts=50, sounds=50, calm=50, feminine=50)
        failed = replace(found.judged[0], verdicts=(None,), verdict=None, errors=("no network",))
        told = scored(replace(found, judged=[failed, *found.judged[1:]]))
        assert told.told["judge"]["parts"]["sounds"] | {"tied": 0} == {
            "expected": 50, "scored": 49, "failed": 1, "unparsable": 0, "tied": 0,
        }  # fmt: skip
        assert told.told["judge"]["sounds_raw"]["value"] == 1.0

    def test_counts_add_up(self) -> None:
        judged = [
            Judged("candidate", "a", SOUNDS, "judge", ("yes", None, "yes"), "yes"),
            Judged("candidate", "b", SOUNDS, "judge", (None, None, None), None),
            Judged("candidate", "c", SOUNDS, "judge", ("yes", "no"), None),
            Judged("candidate", "d", SOUNDS, "judge", (None, "no"), None, errors=("late",)),
        ]
        assert count_verdicts(judged) == {"expected": 10, "scored": 5, "failed": 1, "unparsable": 4}
        assert count_questions(judged, missing=2) == {
            "expected": 6, "scored": 1, "failed": 3, "unparsable": 1, "tied": 1,
        }  # fmt: skip


class TestBeside:
    def beside(self, *, candidate: int, control: int, champion: int = 90) -> Evaluated:
        found = evaluated(prompts=100, sounds=candidate, calm=100, feminine=100)
        items = [item for item in found.items if item.part == "personality"]
        good = Check("length", True)
        said = {
            "candidate": found.said["candidate"],
            "champion": [Said(item, "Sono qui.", seconds=2.0, cost_usd=0.01, checks=(good,)) for item in items],
            "control": [Said(item, "I am a model.", seconds=1.0, cost_usd=None) for item in items],
        }
        others = [
            Judged(who, item.key, SOUNDS, "judge", ("yes" if n < yes else "no",), "yes" if n < yes else "no")
            for who, yes in (("champion", champion), ("control", control)) for n, item in enumerate(items)
        ]  # fmt: skip
        return replace(found, said=said, judged=[*found.judged, *others])

    def test_each_contestant_has_its_own_scores(self) -> None:
        told = scored(self.beside(candidate=95, control=5)).told
        who = told["contestants"]
        assert {name: scores["sounds_raw"]["value"] for name, scores in who.items()} == {
            "candidate": 0.95, "champion": 0.9, "control": 0.05,
        }  # fmt: skip
        assert "persona_checks" not in who["control"]
        assert who["champion"]["persona_checks"]["value"] == 1.0
        assert who["champion"]["latency_p50_seconds"]["value"] == 2.0
        assert who["champion"]["cost_per_query_usd"]["value"] == pytest.approx(0.01)
        assert who["control"]["cost_per_query_usd"]["value"] is None
        assert told["warnings"] == []

    def test_a_bare_model_that_sounds_as_well_is_a_warning(self) -> None:
        told = scored(self.beside(candidate=80, control=75)).told
        assert told["warnings"] == [
            "the bare base model sounds like her in 75% of its answers, the candidate in 80%, and the intervals "
            "overlap: the prompts, or the judge, do not tell her from a bare model"
        ]

    def test_verdicts_on_others_do_not_move_the_candidate(self) -> None:
        alone, beside = (
            said_scores(prompts=100, sounds=95, calm=100, feminine=100),
            self.beside(candidate=95, control=5),
        )
        assert scored(beside).metrics == alone.metrics

    def test_answers_of_others_that_failed_are_told(self) -> None:
        found = self.beside(candidate=95, control=5)
        champion = [Said(one.item, error="late") for one in found.said["champion"][:2]]
        said = {**found.said, "champion": [*champion, *found.said["champion"][2:]]}
        assert "2 of 100 answers of the champion failed" in scored(replace(found, said=said)).told["warnings"]

    def test_pairs_are_counted_and_ties_are_half(self) -> None:
        outcomes = ["candidate"] * 6 + ["champion"] * 2 + ["tie"] * 2 + [None]
        pairs = [
            Pair(f"personality/p{n}", None, None, outcome, words=(20, 10))  # type: ignore[arg-type]
            for n, outcome in enumerate(outcomes)
        ]
        told = scored(replace(evaluated(), pairs=pairs)).told["pairs"]
        assert {key: told[key] for key in ("candidate", "champion", "tie", "unread", "words")} == {
            "candidate": 6, "champion": 2, "tie": 2, "unread": 1, "words": [20.0, 10.0],
        }  # fmt: skip
        assert told["rate"]["value"] == pytest.approx(0.7)
        assert told["rate"]["low"] < 0.7 < told["rate"]["high"]
        assert told["rate"]["n"] == 10
        assert scored(replace(evaluated(), pairs=pairs)).told["pairs"] == told


class TestTasks:
    def test_tasks_that_are_decided(self) -> None:
        found = said_scores(tasks=16)
        assert found.metrics["tasks_passed"].to_dict() == {"value": 16, "low": 16, "high": 16, "n": 20}
        assert found.told["tasks"]["verdict"] == "GO"
        assert "tasks_passed" not in found.undecided

    def test_an_answer_that_failed_is_a_range_and_a_failure(self) -> None:
        found = evaluated(tasks=14)
        candidate = [Said(one.item, error="late") if one.item.id == "t19" else one for one in found.said["candidate"]]
        told = scored(replace(found, said={"candidate": candidate}))
        assert (told.metrics["tasks_passed"].low, told.metrics["tasks_passed"].high) == (14, 15)
        assert told.undecided["tasks_passed"].startswith("14 to 15 of 20 tasks passed")
        assert told.told["asked"]["task"]["failed"] == 1


class TestScorecard:
    def test_nobody_asked(self) -> None:
        told = build_scorecard(retrieval=score_retrieval([], {}), answers=[], expected=0)
        assert told["undecided"] == {
            "sounds_like_her": "not asked: set evaluate.personality",
            "constitution": "not asked: set evaluate.personality", "tasks_passed": "not asked: set evaluate.tasks",
        }  # fmt: skip
        assert all(told["metrics"][name]["value"] is None for name in told["undecided"])
        assert (told["judge"], told["rules"], told["tasks"], told["pairs"]) == (None, [], None, None)

    def test_only_tasks_were_asked(self) -> None:
        told = scored(replace(evaluated(), checklist=None))
        assert set(told.undecided) == {"sounds_like_her", "constitution"}
        assert told.metrics["tasks_passed"].value == 20

    def test_it_is_plain_json_and_comes_out_the_same_twice(self) -> None:
        once, twice = (json.dumps(card(evaluated(agreement=DOUBTED)), allow_nan=False) for _ in range(2))
        assert once == twice

    def test_the_report_says_what_is_undecided_and_why_within_a_hundred_columns(self) -> None:
        found = replace(evaluated(sounds=100, agreement=DOUBTED), about={
            "model": "local/smollm2-135m-instruct", "family": "smollm", "candidate_family": "smollm", "repeats": 3,
            "warning": "The judge and the candidate are of one family: models judge their own kind too well.",
        })  # fmt: skip
        text = render_scorecard(card(found))
        assert all(len(line) <= 100 for line in text.splitlines())
        assert "undecided: sounds_like_her: the judge's word does not count" in text
        assert "warning: The judge and the candidate are of one family" in text
        assert "sounds like her, as judged: 0.500" in text
        assert "tasks: 20 of 20 passed: GO; simple 20 of 20 (8 needed)" in text
        assert "She stays calm." in scorecard_markdown(card(found))

    def test_a_scorecard_of_an_older_run_can_still_be_shown(self) -> None:
        old = {
            key: value for key, value in card(Evaluated()).items()
            if key in ("metrics", "groups", "questions", "unanswerable", "answers", "checks", "evidence")
        }  # fmt: skip
        assert "answers: 0 expected" in render_scorecard(old)
        assert "- answers: 0 expected" in scorecard_markdown(old)


class TestWorst:
    def test_the_worst_answers_come_first_with_all_that_is_wrong(self) -> None:
        asked = Question("q", "Dove?", "it", "fact", ("a.md",), answer="Nella memoria.")
        retrieval = score_retrieval([asked], {"q": [RankedFile("b.md")]})
        record = AnswerRecord.answered(
            asked,
            text="Sono pronto.",
            found=True,
            sources=["b.md:1-2"],
            cited=["b.md:1-2"],
            seconds=1.0,
            cost_usd=0.0,
            model="fake",
        )
        found = evaluated(prompts=4, failed=1, sounds=3, calm=2, feminine=4, tasks=19)
        rows = worst_rows(questions=[asked], found=retrieval, records=[record], evaluated=found)
        assert [(row["part"], row["id"]) for row in rows] == [
            ("personality", "p0"), ("golden", "q"), ("personality", "p3"), ("personality", "p2"), ("task", "t19"),
        ]  # fmt: skip
        assert rows[0]["failed"] == [
            {"question": "error", "rule": "an answer comes", "why": "no network", "by": "code"}
        ]
        assert [one["question"] for one in rows[1]["failed"]] == ["check:feminine", "retrieval"]
        assert (rows[1]["expected"], rows[1]["sources"]) == ("Nella memoria.", ["b.md:1-2"])
        assert [(one["question"], one["rule"], one["by"]) for one in rows[2]["failed"]] == [
            ("sounds", "it sounds like her", "judge"), ("rule:calm", "She stays calm.", "judge"),
        ]  # fmt: skip
        assert rows[4]["failed"][0]["rule"] == "it is done"

    def test_at_most_fifty_are_kept(self) -> None:
        found = evaluated(sounds=100)
        rows = worst_rows(questions=[], found=score_retrieval([], {}), records=[], evaluated=found)
        assert len(rows) == MOST

    def test_nothing_wrong_is_no_row(self) -> None:
        assert worst_rows(questions=[], found=score_retrieval([], {}), records=[], evaluated=evaluated()) == []


def test_an_item_of_another_part_with_the_same_id_is_another_item() -> None:
    found = evaluated(prompts=20, sounds=20, calm=20, feminine=20)
    task = Item("task", "p0", "?", "it", "t", tier="simple")
    stray = Judged("candidate", task.key, SOUNDS, "judge", ("no",), "no")
    assert scored(replace(found, judged=[*found.judged, stray])).metrics == scored(found).metrics
