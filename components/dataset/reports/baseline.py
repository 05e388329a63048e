"""What got worse since an earlier report: rates of findings, and whether the data is still like what it was (E10).

Findings are not matched one by one: conversations move and change, and a key that survives this does not exist. So what
is compared is how many there are:

- of a rule's errors, one more than before is worse;
- of errors and warnings, a rate (findings in a conversation) is worse when it rose by more than `RISE`, and by more
  than chance explains: were the rates the same, so many would come to the new side with a probability below `CHANCE`.
  Given their sum, the findings of the new side are then binomial (Przyborowski and Wilenski 1940, Biometrika 31, 313);
- remarks and drift are told and never fail.

**Not caught**: a fault that took the place of another of the same rule.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import erfc, exp, lgamma, log, sqrt
from pathlib import Path
from typing import Any

from components.dataset.findings import SEVERITIES, Hit, Severity
from components.dataset.report import REPORT_VERSION, Report
from components.dataset.reports.drift import Moved, moved
from components.dataset.reports.report_text import counted
from components.dataset.rules import RULES
from components.errors import InputError
from components.page import one_line

__all__ = ["CHANCE", "RISE", "Baseline", "Change", "Comparison", "compare", "read_baseline"]

RISE = 0.005
"""Findings in a conversation: half a finding in 100. Less is told by nobody's eye."""
CHANCE = 0.05
_EXACT = 2_000


@dataclass(frozen=True, slots=True)
class Baseline:
    """An earlier report, as far as it is compared. `counts`: (rule, severity) -> findings."""

    path: str
    conversations: int
    counts: Mapping[tuple[str, Severity], int]
    checked_rules: frozenset[str]
    settings: Mapping[str, Any]
    distributions: Mapping[str, Mapping[str, int]]
    statistics: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """How many findings of a rule there were and are, and how many that is in one conversation."""

    rule: str
    severity: Severity
    before: int
    after: int
    rate_before: float
    rate_after: float

    def __str__(self) -> str:
        """`error B6 role: 2, before 0`, with rates where they say more."""
        head = f"{self.severity} {self.rule} {RULES[self.rule].name}"
        rates = f"{100 * self.rate_after:.3g} in 100 conversations, before {100 * self.rate_before:.3g}"
        return f"{head}: {self.after:,}, before {self.before:,} ({rates})"


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed. `worse` decides the exit code; `notes` say what could not be compared."""

    path: str
    worsened: tuple[Change, ...]
    improved: tuple[Change, ...]
    drift: tuple[Moved, ...]
    notes: tuple[str, ...]
    empty: bool = False
    """There are no conversations any more."""

    @property
    def worse(self) -> bool:
        """Whether anything got worse."""
        return bool(self.worsened) or self.empty

    def hits(self) -> list[Hit]:
        """The drift as findings of rule E10."""
        return [Hit("E10", str(one)) for one in self.drift]

    def to_dict(self) -> dict[str, Any]:
        """JSON values only."""
        return {
            "file": self.path,
            "worse": self.worse,
            "worsened": [{**asdict(change), "says": str(change)} for change in self.worsened],
            "improved": [{**asdict(change), "says": str(change)} for change in self.improved],
            "drift": [{**asdict(one), "says": str(one)} for one in self.drift],
            "notes": list(self.notes),
        }

    def text(self) -> str:
        """For a terminal: what got worse first."""
        out = [f"{'Worse than' if self.worse else 'Not worse than'} the baseline {one_line(self.path)}"]
        out += ["  there is no conversation any more"] if self.empty else []
        out += [f"  {change}" for change in self.worsened]
        for title, rows in (
            ("Better:", self.improved), ("Moved, which is told and never fails:", self.drift),
            ("To be read with care:", self.notes),
        ):  # fmt: skip
            out += [title, *(f"  {row}" for row in rows)] if rows else []
        return "\n".join(out)


def read_baseline(path: Path) -> Baseline:
    """Read what `cervella data check --json` wrote. Raises InputError where it cannot be compared with."""
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: the baseline cannot be read: {(error.strerror or str(error)).lower()}") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path}: the baseline is not JSON; expected what --json OUT wrote") from None
    version = found.get("version") if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(found.get("summary"), dict):
        raise InputError(f"{path}: is no report of a check; expected what --json OUT wrote")
    if version != REPORT_VERSION or isinstance(version, bool):
        said = one_line(json.dumps(version), longest=40)
        raise InputError(
            f"{path}: the baseline has format version {said}, and {REPORT_VERSION} is expected; "
            "make it anew from the approved files with --json OUT"
        )
    try:
        return _baseline(path, found)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: the baseline is damaged at {error}; make it anew with --json OUT") from None


def _baseline(path: Path, found: Mapping[str, Any]) -> Baseline:
    summary = found["summary"]
    conversations = _count(summary["conversations"], "conversations")
    if not conversations:
        raise InputError(f"{path}: the baseline has no conversation, so nothing can be compared with it")
    counts: dict[tuple[str, Severity], int] = {}
    for rule, severities in _mapping(summary["rules"], "rules").items():
        for severity, count in _mapping(severities, f"rules.{rule}").items():
            if severity not in SEVERITIES:
                raise ValueError(f"rules.{rule}")
            counts[rule, severity] = _count(count, f"rules.{rule}")
    distributions = {
        name: {key: _count(count, name) for key, count in bins.items()}
        for name, bins in _mapping(summary["distributions"], "distributions").items()
        if isinstance(bins, dict)
    }
    rules = found["checked_rules"]
    if not isinstance(rules, list) or not all(isinstance(rule, str) for rule in rules):
        raise ValueError("checked_rules")
    return Baseline(
        path=str(path),
        conversations=conversations,
        counts=counts,
        checked_rules=frozenset(rules),
        settings=_mapping(summary["settings"], "settings"),
        distributions=distributions,
        statistics=_mapping(summary["statistics"], "statistics"),
    )


def _mapping(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(name)
    return value


def _count(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 10**12:
        raise ValueError(name)
    return value


def compare(before: Baseline, report: Report) -> Comparison:
    """What got worse, what got better, and what moved, from the baseline to this report."""
    after = len(report.rows)
    worsened, improved = [], []
    known = [key for key in {*before.counts, *report.counts} if key[0] in before.checked_rules and key[0] in RULES]
    order = list(RULES)
    for rule, severity in sorted(known, key=lambda key: (-SEVERITIES.index(key[1]), order.index(key[0]))):
        old, new = before.counts.get((rule, severity), 0), report.counts[rule, severity]
        change = Change(rule, severity, old, new, old / before.conversations, new / after if after else 0.0)
        if severity == "info":
            continue
        if (severity == "error" and new > old) or _rose(old, before.conversations, new, after):
            worsened.append(change)
        elif (severity == "error" and new < old) or _rose(new, after, old, before.conversations):
            improved.append(change)
    summary = report.summary()
    return Comparison(
        path=before.path,
        worsened=tuple(worsened),
        improved=tuple(improved),
        drift=tuple(moved(before.distributions, before.statistics, summary["distributions"], summary["statistics"])),
        notes=tuple(_notes(before, report)),
        empty=not after,
    )


def _rose(old: int, old_conversations: int, new: int, new_conversations: int) -> bool:
    if not old_conversations or not new_conversations:
        return False
    if new / new_conversations - old / old_conversations <= RISE:
        return False
    return _at_least(new, old + new, new_conversations / (old_conversations + new_conversations)) < CHANCE


def _at_least(count: int, trials: int, share: float) -> float:
    """Probability of `count` or more out of `trials` where each has the probability `share`."""
    if trials > _EXACT:  # so many that the normal approximation is right to the third digit
        spread = sqrt(trials * share * (1 - share))
        return erfc((count - 0.5 - trials * share) / spread / sqrt(2)) / 2
    whole = lgamma(trials + 1)
    return sum(
        exp(
            whole - lgamma(hits + 1) - lgamma(trials - hits + 1)
            + hits * log(share) + (trials - hits) * log(1 - share)
        )
        for hits in range(count, trials + 1)
    )  # fmt: skip


def _notes(before: Baseline, report: Report) -> list[str]:
    notes = []
    for key in sorted({*before.settings, *report.settings}):
        old, new = before.settings.get(key), report.settings.get(key)
        if old != new:
            notes.append(
                f"the setting `{key}` was {_said(old)} and is {_said(new)}: what it decides cannot be compared"
            )
    new_rules = [rule for rule in RULES if rule not in before.checked_rules]
    if new_rules:
        found = sum(count for (rule, _), count in report.counts.items() if rule in new_rules)
        told = ", ".join(new_rules)
        notes.append(f"not compared, because the baseline did not check it: {told} ({counted(found, 'finding')} now)")
    return notes


def _said(value: Any) -> str:
    return "not there" if value is None else one_line(json.dumps(value, ensure_ascii=False), longest=60)
