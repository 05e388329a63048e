"""The verdict in words that a person understands, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.registry.criteria import CRITERIA
from components.registry.report.reading import listed, mapping, part, text, whole
from components.registry.report.words import label

__all__ = ["Headline", "headline", "machinery", "noun_of", "undecided"]

_SHOWN = 4
_SMALL = ("local/", "fake/")


@dataclass(frozen=True)
class Headline:
    """`mood`: good, bad or empty. `says`: in sentences; `next`: what to do, step by step. A backtick marks code."""

    title: str
    mood: str
    says: str
    next: tuple[str, ...] = ()


def headline(gate: Mapping[str, Any], scorecard: Mapping[str, Any]) -> Headline:
    """Of a gate.json and the scorecard that it decided on."""
    criteria = listed(gate.get("criteria"))
    failed, open_ = (
        [one for one in criteria if one.get("verdict") == verdict] for verdict in ("NO-GO", "INCONCLUSIVE")
    )
    says = f"Phase {text(gate.get('phase')) or 'unknown'}: {_counted(len(criteria), len(failed), len(open_))}"
    verdict = gate.get("verdict")
    if verdict == "GO":
        return Headline("GO: good enough to go live", "good", f"{says} {_PROMOTE}")
    if verdict == "NO-GO":
        more = f"Then decide what is still open ({len(open_)})."
        steps = (*_told(failed, ask=False), *([more] if open_ else []))
        return Headline("NO-GO: not good enough to go live", "bad", f"{says} What is in service stays. Mend:", steps)
    if verdict == "INCONCLUSIVE":
        why = "Nothing shows that it is good enough, and nothing that it is not. To decide it:"
        return Headline("INCONCLUSIVE: it cannot be told yet", "", f"{says} {why}", tuple(_decide(open_, scorecard)))
    return Headline("No verdict: the gate did not decide", "bad", f"{says} Run the recipe again.")


_PROMOTE = "Put it into service with `cervella promote`; what is in service now stays until then."


def _counted(all_: int, failed: int, open_: int) -> str:
    parts = [f"{all_ - failed - open_} of {all_} criteria passed"]
    parts += [f"{failed} failed"] if failed else []
    parts += [f"{open_} could not be decided"] if open_ else []
    return ", ".join(parts) + "."


def _told(criteria: Sequence[Mapping[str, Any]], *, ask: bool) -> Iterator[str]:
    """Criteria with their reasons, those of one reason together. `ask`: how many more questions would decide it."""
    by_reason: dict[str, list[Mapping[str, Any]]] = {}
    for one in criteria:
        by_reason.setdefault(text(one.get("reason")), []).append(one)
    for reason, members in list(by_reason.items())[:_SHOWN]:
        first, *others = (label(text(one.get("name"))) for one in members)
        names = ", ".join([first, *(_within(name) for name in others)])
        needed = max((whole(one.get("needed")) or 0 for one in members), default=0) if ask else 0
        more = f" Ask about {needed:,} {noun_of(text(members[0].get('name')))}." if needed else ""
        yield f"{names}: {reason or 'no reason is told'}.{more}"
    if len(by_reason) > _SHOWN:
        yield f"and {sum(map(len, list(by_reason.values())[_SHOWN:]))} more, in the table below."


def _within(name: str) -> str:
    """A name within a sentence: COSTITUZIONE stays as it is."""
    return name[:1].lower() + name[1:] if name[1:2].islower() or name[1:2] == " " else name


def _decide(open_: Sequence[Mapping[str, Any]], scorecard: Mapping[str, Any]) -> Iterator[str]:
    yield from _told(open_, ask=True)
    judge = part(scorecard, "judge")
    groups = [mapping(one) for one in part(judge, "agreement").values()]
    if judge and not any(one.get("trusted") is True for one in groups):
        yield "The judge is not believed: let people's verdicts be held against it, with `cervella label`."
    yield "Or, if you know better: `cervella promote --reason ...`, which is recorded."


def noun_of(name: str) -> str:
    """What a criterion counts."""
    plain = name.partition(" of ")[0]
    return next((rule.of for rules in CRITERIA.values() for rule in rules if rule.name == plain), "questions")


def undecided(scorecard: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the scorecard leaves open: the score in words, and why."""
    found = part(scorecard, "undecided").items()
    return [(label(str(name)), text(why if isinstance(why, str) else None)) for name, why in found]


def machinery(models: Sequence[str], judge: str) -> str:
    """That the models which took part prove the machinery only; empty where they may prove more."""
    took_part = [("chat model", name) for name in models] + ([("judge", judge)] if judge else [])
    small = [(what, name) for what, name in took_part if name.startswith(_SMALL)]
    if not small:
        return ""
    names = " and ".join(f"the {what} {name}" for what, name in small)
    kinds = {
        "double for tests" if name.startswith("fake/") else "small model that comes with a package" for _, name in small
    }
    kind = " or ".join(sorted(kinds))
    verb = f"is a {kind}" if len(small) == 1 else f"are each a {kind}"
    return f"T{names[1:]} {verb}. This proves that the machinery works, and nothing about the partner."
