"""`cervella label` as a person uses it: keys in a terminal, lines from a pipe, blind, resumable, a kill."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from components.evaluate.instrument.labels import LabelLog, read_labels
from components.evaluate.judged import Judged, Verdict
from components.evaluate.said import CONTESTANTS, Item, Said
from components.store import Run, StepSpec, recorded_step

KEYS = "y yes  n no  s skip  u undo  q quit > "
COMMAND = [sys.executable, "-m", "flows.cli", "label"]
CHECKLIST = """
rules:
  - id: feminine
    rule: Parla al femminile.
    code: {check: feminine}
  - id: owns
    rule: Dice di chi è la decisione.
    ask: Dice di chi è la decisione?
"""


@dataclass(frozen=True)
class Bench:
    """A recipe, with or without a run that left answers."""

    folder: Path
    recipe: Path

    @property
    def labels(self) -> Path:
        return self.folder / "labels.jsonl"

    def run(self, *, judged: bool = True, answers: int = 4) -> str:
        """Seal a run's answers, as evaluate would: of each contestant, bad ones of the control. Returns the run."""
        run = Run.create(self.folder / "workspace", recipe="bench", phase="mvp")
        verdicts = []
        for contestant in CONTESTANTS:
            said = [self._said(contestant, number) for number in range(answers)]
            said.append(Said(Item("personality", "broken", "Domanda rotta?", "it", "fact"), error="no key"))
            with recorded_step(run, StepSpec(f"evaluate.{contestant}", 1, {"answers": answers})) as step:
                if not step.sealed:
                    step.write_jsonl("said.jsonl", (one.to_dict() for one in said))
            good: Verdict = "no" if contestant == "control" else "yes"
            verdicts += [
                Judged(contestant, one.item.key, "sounds", "judge", (good,), good, "SEGRETO")
                for one in said if one.error is None
            ]  # fmt: skip
        if judged:
            with recorded_step(run, StepSpec("evaluate.judge", 1, {"answers": answers})) as step:
                if not step.sealed:
                    step.write_jsonl("verdicts.jsonl", (one.to_dict() for one in verdicts))
        run.update(status="done")
        return run.id

    @staticmethod
    def _said(contestant: str, number: int) -> Said:
        item = Item("personality", f"p{number}", f"Domanda {number}?", "it", "fact")
        word = {"candidate": "pane", "champion": "miele", "control": "sasso"}[contestant]
        return Said(item, f"Risposta {number}: {word}.", sources=(f"NORD.md:{number}-9",))

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.labels.read_text().splitlines()] if self.labels.exists() else []


@pytest.fixture
def bench(tmp_path: Path, root: Path) -> Bench:
    (tmp_path / "prompts.jsonl").write_text('{"id": "p0", "prompt": "Domanda 0?", "lang": "it", "kind": "fact"}\n')
    (tmp_path / "checklist.yaml").write_text(CHECKLIST, encoding="utf-8")
    recipe = tmp_path / "bench.yaml"
    recipe.write_text(
        f"extends: {root / 'recipes' / 'mvp.yaml'}\nname: bench\nworkspace: workspace\n"
        "evaluate:\n  personality: {prompts: prompts.jsonl, checklist: checklist.yaml}\n"
        "  judge: {labels: labels.jsonl, min_labels: 10}\n"
    )
    return Bench(tmp_path, recipe)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    config = tmp_path / "gitconfig"
    config.write_text("[user]\n\tname = Agnese Prova\n")
    return os.environ | {"GIT_CONFIG_GLOBAL": str(config), "COLUMNS": "100"}


Label = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def typed(root: Path, environment: dict[str, str], bench: Bench) -> Label:
    def run(keys: str, *arguments: object, name: str = "Agnese Prova") -> subprocess.CompletedProcess[str]:
        Path(environment["GIT_CONFIG_GLOBAL"]).write_text(f"[user]\n\tname = {name}\n")
        done = subprocess.run(
            [*COMMAND, str(bench.recipe), *map(str, arguments)], cwd=root, env=environment,
            input="".join(f"{key}\n" for key in keys), capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


def shown(text: str) -> list[str]:
    """Answers in the order in which they were shown."""
    return re.findall(r"Risposta \d: \w+\.", text)


def test_verdicts_from_a_pipe(typed: Label, bench: Bench) -> None:
    bench.run()
    done = typed("ynsq")
    assert done.returncode == 0, done.stderr
    first, second, *_ = bench.records()
    assert (first["verdict"], second["verdict"], first["by"]) == ("yes", "no", "Agnese Prova")
    assert (first["question"], first["ask"], first["sources"]) == ("sounds", "Suona come Cervella?", ["NORD.md"])
    assert len(bench.records()) == 2 and len(shown(done.stdout)) == 4
    assert "1 of 16 · sounds" in done.stdout and "Suona come Cervella?" in done.stdout
    assert "2 labelled now, 14 of 16 left" in done.stdout
    assert "sounds: 2 labels (1 yes, 1 no): 8 more needed, of them at least 3 yes and 3 no" in done.stdout
    assert "constitution: 0 labels (0 yes, 0 no): 10 more needed" in done.stdout


def test_it_is_blind(typed: Label, bench: Bench) -> None:
    """No word of whose answer it is, nor of the judge; answers of all are mixed, and in the same order each time."""
    bench.run()
    done = typed("s" * 16)
    answers = shown(done.stdout)
    words = [answer.split()[-1].strip(".") for answer in answers[:12]]
    assert sorted(words) == ["miele"] * 4 + ["pane"] * 4 + ["sasso"] * 4
    assert all(words[start : start + 4] != words[start : start + 1] * 4 for start in range(9))
    assert not any(name in done.stdout.lower() for name in (*CONTESTANTS, "segreto"))
    assert shown(typed("s" * 16).stdout) == answers
    assert "Domanda rotta" not in done.stdout  # an error is no answer


def test_what_code_decides_is_not_asked_and_only_the_candidate_keeps_a_constitution(typed: Label, bench: Bench) -> None:
    bench.run()
    done = typed("s" * 16, "--question", "constitution")
    assert len(shown(done.stdout)) == 4 and "sasso" not in done.stdout and "miele" not in done.stdout
    assert "Parla al femminile" not in done.stdout and done.stdout.count("Dice di chi è la decisione?") == 4


def test_what_is_labelled_is_not_shown_again_unless_asked(typed: Label, bench: Bench) -> None:
    bench.run()
    first = shown(typed("yyq").stdout)
    assert shown(typed("q").stdout) == first[2:3]
    other = typed("yq", "--again", name="Nino")  # what nobody has labelled comes first
    assert shown(other.stdout)[0] == first[2]
    bench.run(answers=5)  # a newer run: answers that came back word for word are labelled already
    assert not set(shown(typed("s" * 25, "--question", "sounds").stdout)) & set(first[:2])


def test_a_second_opinion_is_asked_for_with_again(typed: Label, bench: Bench) -> None:
    bench.run(answers=1)
    typed("yyyy")
    assert "all of them are labelled already" in typed("", name="Nino").stdout
    assert "4 labelled now, 0 of 4 left" in typed("ynny", "--again", name="Nino").stdout
    assert [len(one.verdicts) for one in read_labels(bench.labels)] == [2] * 4
    assert "ties left out" in typed("").stdout


def test_undo_goes_back(typed: Label, bench: Bench) -> None:
    bench.run()
    done = typed("uyyunq")
    assert "nothing to undo" in done.stdout and "undone: yes" in done.stdout
    assert [record["verdict"] for record in bench.records()] == ["yes", "yes", "undo", "no"]
    assert "2 labelled now" in done.stdout
    answers = shown(done.stdout)
    assert answers[1] == answers[3]
    assert sorted(next(iter(one.verdicts.values())) for one in read_labels(bench.labels)) == ["no", "yes"]


def test_a_key_is_one_of_them(typed: Label, bench: Bench) -> None:
    bench.run()
    assert "'x' is none of the keys" in typed("xq").stdout and bench.records() == []


def test_how_far_the_judge_agrees_is_told_without_asking_it(typed: Label, bench: Bench) -> None:
    bench.run()
    answers = [answer.split()[-1] for answer in shown(typed("s" * 12, "--question", "sounds").stdout)]
    done = typed("".join("n" if answer == "sasso." else "y" for answer in answers), "--question", "sounds")
    assert "sounds: 12 labels (8 yes, 4 no): enough to tell" in done.stdout
    told = "agrees on 12 answers with TPR 1.00 (0.68 to 1.00), TNR 1.00 (0.51 to 1.00), kappa 1.00 (1.00 to 1.00)"
    assert f"the judge of this run {told}; its word would count" in done.stdout


def test_a_run_without_a_judge_is_labelled_too(typed: Label, bench: Bench) -> None:
    bench.run(judged=False)
    done = typed("yyq")
    assert done.returncode == 0 and "2 labelled now" in done.stdout and "agrees" not in done.stdout


def test_a_run_can_be_named(typed: Label, bench: Bench) -> None:
    old = bench.run(answers=1)
    bench.run(answers=3)
    assert "1 of 12" in typed("q").stdout and "1 of 4" in typed("q", "--run", old).stdout
    unknown = typed("q", "--run", "20200101-000000-bench-0000")
    assert unknown.returncode == 2 and "--run: no run in" in unknown.stderr
    assert "begin with '20200101-000000-bench-0000'; `cervella runs` lists them" in unknown.stderr


def test_the_beginning_of_a_run_will_do_where_it_is_of_one_run_alone(typed: Label, bench: Bench) -> None:
    runs = [bench.run(answers=1), bench.run(answers=3)]
    assert "1 of 4" in typed("q", "--run", runs[0][:-1]).stdout
    both = typed("q", "--run", os.path.commonprefix(runs))
    assert both.returncode == 2 and "--run: 2 runs in" in both.stderr


def test_labels_of_questions_that_are_not_asked_any_more_are_not_counted(typed: Label, bench: Bench) -> None:
    bench.run()
    typed("yyyn")
    sounds = typed("", "--question", "sounds").stdout
    assert "sounds: 4 labels (3 yes, 1 no): 6 more needed" in sounds and "left out" not in sounds
    renamed = typed("", "--question", "sounds", "-o", "persona.name=Ada").stdout
    assert "sounds: 0 labels (0 yes, 0 no): 10 more needed, of them at least 4 yes and 4 no, to tell" in renamed
    assert "can be believed; 4 labels of other questions are left out" in renamed


def test_control_characters_are_shown_and_not_obeyed(typed: Label, bench: Bench) -> None:
    run = Run.create(bench.folder / "workspace", recipe="bench", phase="mvp")
    item = Item("personality", "p0", "Ciao \x1b]0;titolo\x07?", "it", "fact")
    with recorded_step(run, StepSpec("evaluate.candidate", 1, {})) as step:
        step.write_jsonl("said.jsonl", [Said(item, "Bene\x1b[2J \u202egrazie").to_dict()])
    run.update(status="done")
    done = typed("yq")
    assert "\x1b" not in done.stdout and "\x07" not in done.stdout and "\u202e" not in done.stdout
    assert bench.records()[0]["text"] == "Bene\x1b[2J \u202egrazie"


def test_faults(typed: Label, bench: Bench) -> None:
    none_yet = typed("q")
    assert none_yet.returncode == 3 and f"cervella run {bench.recipe} makes them" in none_yet.stderr
    bench.run()
    unnamed = typed("q", "-o", "evaluate.judge.labels=null")
    assert unnamed.returncode == 2 and "evaluate.judge.labels names no file" in unnamed.stderr
    assert "-o evaluate.judge.labels=FILE" in unnamed.stderr
    nowhere = typed("q", "-o", f"evaluate.judge.labels={bench.folder / 'no' / 'labels'}")
    assert nowhere.returncode == 2 and "is not there" in nowhere.stderr
    nothing = typed("q", "-o", "evaluate.personality=null")
    assert nothing.returncode == 2 and "no judge is asked anything" in nothing.stderr
    bench.labels.write_text("{}\n")
    damaged = typed("q")
    assert damaged.returncode == 2 and "labels.jsonl:1: no label" in damaged.stderr


class Terminal:
    """A person's terminal: what is shown, and keys."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self.process, self.descriptor, self.shown = process, descriptor, ""

    def wait_for(self, text: str, *, times: int = 1) -> None:
        """Until `text` was shown so many times."""
        deadline = time.monotonic() + 60
        while self.shown.count(text) < times:
            assert time.monotonic() < deadline, self.shown
            if select.select([self.descriptor], [], [], 1)[0]:
                try:
                    self.shown += os.read(self.descriptor, 65536).decode()
                except OSError:  # its other end is closed
                    break
        assert self.shown.count(text) >= times, self.shown

    def type(self, keys: str) -> None:
        os.write(self.descriptor, keys.encode())


@pytest.fixture
def terminal(root: Path, environment: dict[str, str], bench: Bench) -> Iterator[Terminal]:
    bench.run()
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*COMMAND, str(bench.recipe)], cwd=root, env=environment | {"TERM": "xterm"},
                               stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
                               preexec_fn=_controlling)  # fmt: skip
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(ours)


def _controlling() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def pressed_until_it_ends(terminal: Terminal, key: str) -> None:
    """Press as a person would: a key that comes before the terminal tells keys one by one again is lost."""
    for _ in range(30):
        terminal.type(key)
        with contextlib.suppress(subprocess.TimeoutExpired):
            terminal.process.wait(2)
            return


@pytest.mark.slow
def test_keys_in_a_terminal_typed_ahead_too(terminal: Terminal, bench: Bench) -> None:
    terminal.wait_for(KEYS)
    terminal.type("yn")  # the second key before its answer is there
    terminal.wait_for("3 of 16")
    terminal.type("\x1b[A")  # an arrow
    terminal.wait_for("none of the keys")
    terminal.type("Yq")
    terminal.wait_for("3 labelled now, 13 of 16 left")
    assert terminal.process.wait(60) == 0
    assert [record["verdict"] for record in bench.records()] == ["yes", "no", "yes"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "code"),
    [("\x03", 130), ("\x04", 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -signal.SIGKILL)],
    ids=["Ctrl-C", "Ctrl-D", "SIGTERM", "SIGHUP", "SIGKILL"],
)
def test_left_in_any_way_no_verdict_is_lost(
    terminal: Terminal, bench: Bench, typed: Label, how: Any, code: int
) -> None:
    terminal.wait_for(KEYS)
    terminal.type("yn")
    terminal.wait_for(KEYS, times=3)
    if isinstance(how, str):
        pressed_until_it_ends(terminal, how)
    else:
        terminal.process.send_signal(how)
    assert terminal.process.wait(60) == code
    assert [record["verdict"] for record in bench.records()] == ["yes", "no"]
    assert "1 labelled now, 13 of 16 left" in typed("y").stdout


@pytest.mark.slow
def test_two_people_at_once(terminal: Terminal, bench: Bench, typed: Label) -> None:
    terminal.wait_for(KEYS)
    assert "2 labelled now" in typed("nnq", name="Nino").stdout
    terminal.type("y")  # on what Nino labelled meanwhile: both count
    terminal.wait_for("3 of 16")  # and what he labelled beyond is not shown
    terminal.type("q")
    assert terminal.process.wait(60) == 0
    verdicts = [dict(one.verdicts) for one in LabelLog(bench.labels).labelled()]
    assert sorted(verdicts, key=len) == [{"Nino": "no"}, {"Nino": "no", "Agnese Prova": "yes"}]
