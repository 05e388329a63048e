"""Verdicts of people on answers that a judge judges, one at a time and blind: label."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import click

from components.errors import InputError, TerminalError
from components.evaluate.judged import GROUPS, group_of
from flows.commands.keys import Keys
from flows.commands.options import load, recipe_options

if TYPE_CHECKING:
    from rich.console import Console

    from components.evaluate.asking.items import Asked
    from components.evaluate.instrument.labels import Labelled, LabelLog
    from components.evaluate.judged import Judged
    from components.evaluate.said import Contestant
    from components.evaluate.suite import JudgeQuestion, Wording
    from components.recipe import LoadedRecipe
    from components.store import Artefact

__all__ = ["label_command"]

_KEYS = {"y": "yes", "n": "no", "s": "skip", "u": "undo", "q": "quit"}


@click.command("label")
@recipe_options
@click.option(
    "--run", "run_id", metavar="RUN", help="answers of this run, its id or the beginning (default: the newest)"
)
@click.option("--question", type=click.Choice(GROUPS), help="only questions of this group (default: all, in turn)")
@click.option("--again", is_flag=True, help="also what is labelled already, first what others labelled")
def label_command(
    recipe: str, overrides: tuple[str, ...], run_id: str | None, question: str | None, again: bool
) -> None:
    """Answer yes or no to the questions that the judge answers, so that it can be told how far to believe it.

    Shown are answers of the newest run: of the candidate and of those beside it, mixed, without saying whose they are
    or what the judge said. Each verdict is on disk before the next answer is shown, in the file evaluate.judge.labels.
    What anybody has labelled is not shown again. From a pipe, a key is a line.
    """
    from components.dataset.curation.reviews import reviewer_name
    from components.evaluate.asking.items import asked_items
    from components.evaluate.instrument.labels import LabelLog

    loaded = load(recipe, overrides)
    labels = loaded.recipe.evaluate.judge.labels
    if labels is None:
        raise InputError(
            f"{loaded.path}: evaluate.judge.labels names no file, so no run would see a verdict of yours. Set it in "
            "the recipe (evaluate: {judge: {labels: labels.jsonl}}); for this time, -o evaluate.judge.labels=FILE"
        )
    if not labels.parent.is_dir():
        raise InputError(f"evaluate.judge.labels: the folder of {labels} is not there")
    steps, asked = _steps(loaded, run_id), asked_items(loaded.recipe.evaluate)
    shown = [one for one in _shown(loaded, steps, asked) if question in (None, one.group)]
    wordings = asked.wordings(name=loaded.recipe.persona.name)
    session = _Session(LabelLog(labels), reviewer_name(), shown, loaded, wordings, again)
    try:
        session.run()
    finally:
        session.sum_up(_judged(steps.get("evaluate.judge"), shown))


@dataclass(frozen=True)
class _Shown:
    """A question on an answer."""

    digest: str
    group: str
    question: JudgeQuestion
    sources: tuple[str, ...]


def _steps(loaded: LoadedRecipe, run_id: str | None) -> dict[str, Artefact]:
    """Name -> artefact of the steps of the run whose answers are labelled."""
    from components.store import Store, read_runs

    recipe, states = loaded.recipe, read_runs(loaded.recipe.workspace)
    if run_id is not None:
        states = [state for state in states if state["run"].startswith(run_id)]
        if len(states) != 1:
            which = "no run" if not states else f"{len(states)} runs"
            raise InputError(f"--run: {which} in {recipe.workspace} begin with {run_id!r}; `cervella runs` lists them")
        run_id = states[0]["run"]
    else:
        states = [
            state
            for state in states
            if state["recipe"] == recipe.name and not state.get("matrix")  # of a matrix, --run names one
        ]
    store = Store(recipe.workspace)
    for state in states:
        made = {step["name"]: step["artefact"] for step in state["steps"] if step.get("artefact")}
        if "evaluate.candidate" in made:
            wanted = ("evaluate.candidate", "evaluate.champion", "evaluate.control", "evaluate.judge")
            return {name: store.open(made[name]) for name in wanted if name in made}
    if run_id is not None:
        raise TerminalError(f"run {run_id} holds no answers to judge: evaluate.candidate did not end in it")
    raise TerminalError(f"no run of this recipe holds answers to judge yet: cervella run {loaded.path} makes them")


def _shown(loaded: LoadedRecipe, steps: Mapping[str, Artefact], rules: Asked) -> list[_Shown]:
    """What there is to label: group after group, answers of all contestants mixed; the same for everybody."""
    from components.evaluate.asking.steps import read_said
    from components.evaluate.instrument.labels import label_digest
    from components.evaluate.judge.steps import questions_of
    from components.evaluate.said import CONTESTANTS, Said

    params = loaded.recipe.evaluate
    if params.personality is None and params.tasks is None:
        raise InputError(
            f"{loaded.path}: neither evaluate.personality nor evaluate.tasks is set, so no judge is asked anything"
        )
    said: dict[Contestant, list[Said]] = {
        contestant: list(read_said(steps[f"evaluate.{contestant}"]))
        for contestant in CONTESTANTS
        if f"evaluate.{contestant}" in steps
    }
    sources = {(contestant, one.item.key): one.sources for contestant, answers in said.items() for one in answers}
    asked = questions_of(said, checklist=rules.checklist, tasks=rules.tasks, name=loaded.recipe.persona.name)
    found: dict[str, _Shown] = {}
    for one in asked:
        digest = label_digest(prompt=one.item.prompt, text=one.text, question=one.question, ask=one.ask)
        named = sources[one.contestant, one.item.key]
        paths = tuple(sorted({source.rpartition(":")[0] for source in named}))
        found.setdefault(digest, _Shown(digest, group_of(one.question), one, paths))

    def place(one: _Shown) -> tuple[int, str]:
        return GROUPS.index(one.group), sha256(f"{params.seed} {one.digest}".encode()).hexdigest()

    return sorted(found.values(), key=place)


def _judged(artefact: Artefact | None, shown: Sequence[_Shown]) -> dict[str, Judged]:
    """Digest -> what the judge said in that run, where it was asked."""
    from components.evaluate.judged import Judged

    if artefact is None:
        return {}
    told = [Judged.from_dict(row) for row in artefact.read_jsonl("verdicts.jsonl")]
    by_place = {(one.contestant, one.item, one.question): one for one in told if one.by == "judge"}
    places = {one.digest: (one.question.contestant, one.question.item.key, one.question.question) for one in shown}
    return {digest: by_place[place] for digest, place in places.items() if place in by_place}


class _Session:
    """One person in front of the answers."""

    def __init__(
        self, log: LabelLog, by: str, shown: Sequence[_Shown], loaded: LoadedRecipe, wordings: Collection[Wording],
        again: bool,
    ) -> None:  # fmt: skip
        from rich.console import Console

        self._console: Console = Console(highlight=False)
        self._keys = Keys()
        self._log, self._by, self._loaded, self._again = log, by, loaded, again
        self._all, self._wordings = shown, wordings
        self._shown = sorted(shown, key=self._told_before) if again else list(shown)
        self._history: list[int] = []
        self._at = 0
        self._back: int | None = None  # where an undo has led, whoever else has labelled it

    def run(self) -> None:
        """Until the last answer, `q`, or the end of the input."""
        while self._at < len(self._shown):
            one = self._shown[self._at]
            self._log.refresh()
            if not self._again and self._at != self._back and self._log.find(one.digest) is not None:
                self._at += 1
                continue
            self._show(one)
            if not self._handle(one):
                return

    def sum_up(self, judged: Mapping[str, Judged]) -> None:
        """What was labelled, what is missing, and how far the judge agrees where it has spoken."""
        self._log.refresh()
        left = sum(self._log.find(one.digest) is None for one in self._all)
        self._say(f"\n{len(self._history)} labelled now, {left} of {len(self._all)} left. Labels: {self._log.path}")
        if not left and not self._history and self._all:
            self._say("all of them are labelled already; --again shows them again")
        for group in GROUPS:
            if any(one.group == group for one in self._all):
                self._say(self._needed(group))
        for group in GROUPS:
            if told := self._agreement(group, judged):
                self._say(told)

    def _told_before(self, one: _Shown) -> int:
        if self._log.find(one.digest) is None:
            return 0
        return 1 if self._log.verdict_of(one.digest, self._by) is None else 2

    def _handle(self, one: _Shown) -> bool:
        """One key. False: leave."""
        while True:
            key = self._keys.key("  ".join(f"{key} {what}" for key, what in _KEYS.items()) + " > ")
            match _KEYS.get(key, key):
                case "quit" | "":
                    return False
                case "skip":
                    self._at, self._back = self._at + 1, None
                case "yes" | "no" as verdict:
                    self._log.add(one.question, "yes" if verdict == "yes" else "no", by=self._by, sources=one.sources)
                    self._history.append(self._at)
                    self._at, self._back = self._at + 1, None
                case "undo":
                    if not self._history:
                        self._say("nothing to undo: nothing was labelled since this began", "yellow")
                        continue
                    self._at = self._back = self._history.pop()
                    undone = self._log.undo(self._shown[self._at].digest, by=self._by)
                    self._say(f"undone: {undone}", "yellow")
                case _:
                    self._say(f"{key!r} is none of the keys", "yellow")
                    continue
            return True

    def _show(self, one: _Shown) -> None:
        question = one.question
        self._console.rule(style="dim")
        self._say(f"{self._at + 1} of {len(self._shown)} · {one.group}", "bold")
        for name, text, style in (
            ("asked", question.item.prompt, "bold cyan"),
            ("answer", question.text, "bold green"),
            ("measure", question.standard, "bold magenta"),
        ):
            if text.strip():
                self._console.print()
                self._say(name, style)
                self._say(text, "dim" if name == "measure" else "", wrapped=True)
        self._console.print()
        self._say(question.ask, "bold")

    def _say(self, text: str, style: str = "", *, wrapped: bool = False) -> None:
        from rich.text import Text

        from components.page import visible

        self._console.print(Text(visible(text.replace("\r\n", "\n")), style=style), soft_wrap=not wrapped)

    def _needed(self, group: str) -> str:
        from components.evaluate.instrument.agreement import labels_left_out, labels_needed

        count, left_out = self._that_count()
        own = [one.verdict for one in count if one.group == group]
        yes, no, ties = (own.count(verdict) for verdict in ("yes", "no", None))
        needed = labels_needed(yes=yes, no=no, min_labels=self._loaded.recipe.evaluate.judge.min_labels)
        told = f"{group}: {yes + no} labels ({yes} yes, {no} no" + (f", {ties} ties left out)" if ties else ")")
        others = f"; {labels_left_out(left_out[group])}" if left_out[group] else ""
        return f"{told}: {f'{needed},' if needed else 'enough'} to tell whether the judge can be believed{others}"

    def _that_count(self) -> tuple[list[Labelled], dict[str, int]]:
        from components.evaluate.instrument.steps import labels_that_count

        return labels_that_count(self._log.labelled(), self._wordings)

    def _agreement(self, group: str, judged: Mapping[str, Judged]) -> str:
        from components.evaluate.instrument.agreement import agreement_of

        params = self._loaded.recipe.evaluate
        own = [one for one in self._that_count()[0] if one.group == group and one.digest in judged]
        if not any(one.verdict for one in own):
            return ""
        told = agreement_of(
            own, judged, min_kappa=params.judge.min_kappa, min_labels=params.judge.min_labels,
            samples=params.bootstrap_samples, seed=params.seed,
        )  # fmt: skip
        rates = ", ".join(f"{name} {_measured(told[key])}" for name, key in _RATES)
        counts = "would count" if told["trusted"] else f"does not count: {told['why']}"
        return f"{group}: the judge of this run agrees on {told['n']} answers with {rates}; its word {counts}"


_RATES = (("TPR", "tpr"), ("TNR", "tnr"), ("kappa", "kappa"))


def _measured(measure: Mapping[str, Any]) -> str:
    if measure["value"] is None:
        return "unknown"
    return f"{measure['value']:.2f} ({measure['low']:.2f} to {measure['high']:.2f})"
