"""The judge beside people: counts, kappa and its interval, when its word counts, and several people on one answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.evaluate.instrument import Counts, cohen_kappa, kappa_measure
from components.evaluate.instrument.agreement import NOBODY, agreement_of, labels_needed, people_agreement, trusted
from components.evaluate.instrument.labels import Labelled, label_digest
from components.evaluate.judged import Judged, Verdict

counts = st.builds(Counts, *[st.integers(0, 60)] * 4)


def labelled(number: int, question: str = "sounds", item: str = "", **verdicts: Verdict) -> Labelled:
    words = {"prompt": f"Domanda {number}?", "text": f"Risposta {number}.", "question": question, "ask": "Suona?"}
    return Labelled(
        digest=label_digest(**words), item=item or f"personality/{number}", lang="it", standard="", sources=(),
        verdicts=verdicts, **words,
    )  # fmt: skip


def judged(one: Labelled, *verdicts: Verdict | None, errors: tuple[str, ...] = ()) -> Judged:
    said = [verdict for verdict in verdicts if verdict]
    yes, no = said.count("yes"), said.count("no")
    verdict: Verdict | None = None if yes == no or errors else "yes" if yes > no else "no"
    return Judged("candidate", one.item, one.question, "judge", verdicts, verdict, errors=errors)


def measured(
    pairs: Sequence[tuple[Labelled, Judged]], *, min_kappa: float = 0.6, min_labels: int = 30
) -> dict[str, Any]:
    said: Mapping[str, Judged] = {one.digest: of_judge for one, of_judge in pairs}
    return agreement_of(
        [one for one, _ in pairs], said, min_kappa=min_kappa, min_labels=min_labels, samples=500, seed=13
    )


def verdicts(tp: int, fn: int, tn: int, fp: int) -> list[tuple[Verdict, Verdict]]:
    """Of the first and of the second who judge."""
    kinds: list[tuple[tuple[Verdict, Verdict], int]] = [
        (("yes", "yes"), tp), (("yes", "no"), fn), (("no", "no"), tn), (("no", "yes"), fp),
    ]  # fmt: skip
    return [pair for pair, times in kinds for _ in range(times)]


def group(tp: int, fn: int, tn: int, fp: int) -> list[tuple[Labelled, Judged]]:
    said = verdicts(tp, fn, tn, fp)
    ones = [labelled(number, Bianca=people) for number, (people, _) in enumerate(said)]
    return [(one, judged(one, verdict)) for one, (_, verdict) in zip(ones, said, strict=True)]


def test_kappa_by_hand() -> None:
    # Of 50 grant applications, both yes 20, both no 15, 5 and 10 apart: po 0.7, pe 0.5 (a textbook example)
    assert cohen_kappa(Counts(tp=20, fn=5, tn=15, fp=10)) == pytest.approx(0.4)
    assert cohen_kappa(Counts(tp=7, tn=9)) == 1.0
    assert cohen_kappa(Counts(fn=5, fp=5)) == pytest.approx(-1)
    assert cohen_kappa(Counts(tp=6, fp=4)) == 0.0  # always yes: right in 6 of 10, and knows nothing


@pytest.mark.parametrize("one", [Counts(), Counts(tp=9), Counts(tp=5, fn=4), Counts(tn=9), Counts(tn=1, fp=3)])
def test_kappa_of_one_class_alone_is_unknown(one: Counts) -> None:
    assert cohen_kappa(one) is None
    assert kappa_measure([one], samples=100, seed=1).value is None


@given(counts)
def test_kappa_is_between_minus_1_and_1_and_the_same_with_yes_and_no_exchanged(one: Counts) -> None:
    kappa = cohen_kappa(one)
    if kappa is not None:
        assert -1 - 1e-12 <= kappa <= 1 + 1e-12
        assert cohen_kappa(Counts(one.tn, one.fp, one.tp, one.fn)) == pytest.approx(kappa)


@given(counts)
def test_rates_are_shares_of_what_people_said(one: Counts) -> None:
    assert one.tpr.n + one.tnr.n == one.n
    assert one.tpr.value == (one.tp / one.tpr.n if one.tpr.n else None)
    assert one.tnr.value == (one.tn / one.tnr.n if one.tnr.n else None)


def test_the_interval_of_kappa_holds_the_truth() -> None:
    """100 answers, TPR 0.9, TNR 0.8, half of them yes: kappa 0.7. A percentile bootstrap is a little narrow."""
    rng, held = np.random.default_rng(5), 0
    for world in range(200):
        good = rng.random(100) < 0.5
        right = rng.random(100) < np.where(good, 0.9, 0.8)
        clusters = [Counts.of(people=bool(g), judge=bool(g == r)) for g, r in zip(good, right, strict=True)]
        measure = kappa_measure(clusters, samples=400, seed=world)
        assert measure.low is not None and measure.high is not None
        held += measure.low <= 0.7 <= measure.high
    assert held >= 0.9 * 200


def test_questions_on_one_item_are_drawn_together() -> None:
    single = [Counts(tp=1)] * 20 + [Counts(fn=1)] * 5 + [Counts(tn=1)] * 20 + [Counts(fp=1)] * 5
    # The same verdicts, five on each item and all of one kind: ten times as much hangs on each draw.
    together = [Counts(tp=5)] * 4 + [Counts(fn=5)] + [Counts(tn=5)] * 4 + [Counts(fp=5)]
    narrow, wide = (kappa_measure(clusters, samples=1000, seed=1) for clusters in (single, together))
    assert narrow.value == wide.value == pytest.approx(0.6)
    assert None not in (narrow.low, narrow.high, wide.low, wide.high)
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)  # type: ignore[operator]
    assert kappa_measure(single, samples=1000, seed=1) == narrow


def test_a_good_judge_on_enough_labels_is_trusted() -> None:
    told = measured(group(tp=18, fn=2, tn=17, fp=3))
    assert (told["n"], told["yes"], told["no"], told["ties"], told["undecided"]) == (40, 20, 20, 0, 0)
    assert told["counts"] == {"tp": 18, "fn": 2, "tn": 17, "fp": 3}
    assert told["tpr"]["value"] == 0.9 and told["tnr"]["value"] == 0.85 and told["kappa"]["value"] == 0.75
    assert told["trusted"] and told["why"] == "its kappa with people is 0.75 on 40 answers"
    assert told["people"] is None and told["flip_rate"]["value"] is None


def test_without_labels_nobody_is_trusted() -> None:
    told = measured([])
    assert (told["n"], told["trusted"], told["why"]) == (0, False, NOBODY)
    assert told["kappa"]["value"] is None and told["tpr"]["value"] is None


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"yes": 12, "no": 10, "counts": Counts(tp=12, tn=10)}, r"only 22 labels \(12 yes, 10 no\): 8 more needed: "),
        ({"yes": 37, "no": 3, "counts": Counts(tp=37, tn=3)}, "7 more needed, of them at least 7 no"),
        ({"yes": 2, "no": 98, "counts": Counts(tp=2, tn=98)}, "8 more needed, of them at least 8 yes"),
        ({"unread": 0.12}, "12% of its verdicts failed or could not be read, at most 10% may"),
        ({"counts": Counts(tp=12, fn=8, tn=8, fp=12)}, "no better than a coin: it says yes to 60% .* and to 60% "),
        ({"counts": Counts(tp=20)}, "no verdict on what people said yes to, or on what they said no to"),
        ({"counts": Counts(tp=15, fn=5, tn=14, fp=6)}, r"its kappa with people is 0\.45, below 0\.60"),
    ],
    ids=["few labels", "few no", "few yes", "unread", "a coin", "one class read", "low kappa"],
)
def test_who_is_not_trusted_and_why(values: dict[str, Any], why: str) -> None:
    good: dict[str, Any] = {"yes": 20, "no": 20, "counts": Counts(tp=18, fn=2, tn=18, fp=2), "unread": 0.1}
    assert trusted(**good, min_kappa=0.6, min_labels=30)[0]
    is_trusted, said = trusted(**good | values, min_kappa=0.6, min_labels=30)
    assert not is_trusted and re.search(why, said), said


def test_the_kappa_that_is_asked_for_is_enough() -> None:
    exactly = Counts(tp=20, fn=5, tn=15, fp=10)  # 0.4
    assert trusted(yes=25, no=25, counts=exactly, unread=0, min_kappa=0.4, min_labels=30)[0]


@given(yes=st.integers(0, 60), no=st.integers(0, 60), least=st.integers(10, 60))
def test_so_many_more_labels_are_enough_and_one_less_is_not(yes: int, no: int, least: int) -> None:
    words = labels_needed(yes=yes, no=no, min_labels=least)
    third = -(-least // 3)
    assert (words == "") == (yes + no >= least and yes >= third and no >= third)
    if words:
        more_yes, more_no = max(0, third - yes), max(0, third - no)
        assert words.startswith(f"{max(least - yes - no, more_yes + more_no)} more needed")


def test_what_could_not_be_read_or_failed_is_neither_yes_nor_no() -> None:
    pairs = group(tp=20, fn=0, tn=20, fp=0)
    pairs[0] = (pairs[0][0], judged(pairs[0][0], None))
    pairs[1] = (pairs[1][0], judged(pairs[1][0], None, errors=("no key",)))
    told = measured(pairs)
    assert (told["unparsable"], told["failed"], told["undecided"], told["n"]) == (1, 1, 2, 40)
    assert told["counts"] == {"tp": 18, "fn": 0, "tn": 20, "fp": 0} and told["trusted"]
    for number in range(2, 6):
        pairs[number] = (pairs[number][0], judged(pairs[number][0], None))
    told = measured(pairs)
    assert not told["trusted"] and told["why"].startswith("15% of its verdicts failed or could not be read")


def test_a_judge_that_cannot_decide_is_not_believed_on_the_rest() -> None:
    pairs = group(tp=20, fn=0, tn=20, fp=0)
    pairs[:10] = [(one, judged(one, "yes", "no")) for one, _ in pairs[:10]]
    told = measured([(one, judged(one, *(said.verdicts * (3 - len(said.verdicts))))) for one, said in pairs])
    assert told["undecided"] == 10 and told["unparsable"] == 0 and not told["trusted"]
    assert told["flip_rate"] == {"value": 0.25, "low": 0.1419, "high": 0.4019, "n": 40}


def test_people_decide_by_majority_and_ties_are_left_out() -> None:
    ones = [
        labelled(1, Bianca="yes", Nino="yes", Agnese="no"),
        labelled(2, Bianca="yes", Nino="no"),
        labelled(3, Bianca="no"),
    ]
    assert [one.verdict for one in ones] == ["yes", None, "no"]
    said = {one.digest: judged(one, "yes") for one in ones if one.verdict}
    told = agreement_of(ones, said, min_kappa=0.6, min_labels=30, samples=100, seed=1)
    assert (told["n"], told["yes"], told["no"], told["ties"]) == (2, 1, 1, 1)
    assert told["counts"] == {"tp": 1, "fn": 0, "tn": 0, "fp": 1}
    assert told["people"]["people"] == 3 and told["people"]["n"] == 2


def test_agreement_between_two_people_is_their_kappa() -> None:
    said = enumerate(verdicts(20, 5, 15, 10))
    ones = [labelled(number, Bianca=first, Nino=second) for number, (first, second) in said]
    told = people_agreement(ones, samples=500, seed=1)
    assert told is not None and (told["people"], told["n"], told["kappa"]["value"]) == (2, 50, 0.4)
    assert told["kappa"]["low"] < 0.4 < told["kappa"]["high"]
    assert people_agreement([labelled(1, Bianca="yes")], samples=100, seed=1) is None
