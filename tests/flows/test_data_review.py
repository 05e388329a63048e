"""`cervella data review` as a person uses it: keys in a terminal, lines from a pipe, an editor, a kill."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.dataset.curation.review_text import editable_text, edited_content
from components.dataset.curation.reviews import ReviewLog, apply_reviews
from components.errors import InputError

KEYS = "a accept  e edit  r reject  s skip  u undo  q quit > "
COMMAND = [sys.executable, "-m", "flows.cli", "data", "review"]


def example(number: int, answer: str = "Lo dice `NORD.md`.", **extra: Any) -> dict[str, Any]:
    turns = [{"from": "human", "value": f"Domanda {number}?"}, {"from": "gpt", "value": answer}]
    provenance = {"kind": "hand", "author": "Bianca"}
    return {"id": f"e{number}", "stage": "expansion", "conversations": turns, "provenance": provenance, **extra}


@pytest.fixture
def examples_file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(example(number)) + "\n" for number in range(4)), encoding="utf-8")
    return path


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    config = tmp_path / "gitconfig"
    config.write_text("[user]\n\tname = Agnese Prova\n")
    kept = {name: value for name, value in os.environ.items() if name not in ("VISUAL", "EDITOR")}
    return kept | {"GIT_CONFIG_GLOBAL": str(config), "COLUMNS": "100", "EDITOR": "false"}


Review = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def review(root: Path, environment: dict[str, str]) -> Review:
    def run(typed: str, *arguments: object, **changes: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([*COMMAND, *map(str, arguments)], cwd=root, env=environment | changes, input=typed,
                              capture_output=True, text=True, timeout=120)  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


def editor(tmp_path: Path, *edits: str) -> str:
    """An editor that makes, each time it is opened, the next of these replacements (`old=>new`)."""
    script = tmp_path / "editor.py"
    script.write_text(
        "import sys, pathlib\n"
        f"edits, count = {edits!r}, pathlib.Path({str(tmp_path / 'opened')!r})\n"
        "n = len(count.read_text()) if count.exists() else 0\n"
        "count.write_text('x' * (n + 1))\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "old, new = edits[n].split('=>')\n"
        "path.write_text(path.read_text().replace(old, new))\n"
    )
    return f"{sys.executable} {script}"


def decided(path: Path) -> list[tuple[str, str]]:
    log = path.parent / ".reviews.jsonl"
    records = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [(record["decision"], record["id"] if "id" in record else "") for record in records]


def test_decisions_from_a_pipe(review: Review, examples_file: Path) -> None:
    done = review("a\nr\nnon è nella nota\ns\nq\n", examples_file)
    assert done.returncode == 0
    assert decided(examples_file) == [("accept", "e0"), ("reject", "e1")]
    assert "1 of 4 · e0 · expansion" in done.stdout and "rows.jsonl:1" in done.stdout
    assert "1 accepted, 0 edited, 1 rejected; 2 of 4 still to be decided" in done.stdout
    last = json.loads((examples_file.parent / ".reviews.jsonl").read_text().splitlines()[-1])
    assert (last["by"], last["reason"]) == ("Agnese Prova", "non è nella nota") and last["at"].endswith("+00:00")
    assert json.loads(examples_file.read_text().splitlines()[0]) == example(0)


def test_what_is_decided_is_not_shown_again_unless_asked(review: Review, examples_file: Path) -> None:
    review("a\na\n", examples_file)
    again = review("", examples_file).stdout
    assert "3 of 4 · e2" in again and "Domanda 0?" not in again
    shown = review("r\nfalsa\n", examples_file, "--again").stdout
    assert "accepted by Agnese Prova" in shown
    rows = [json.loads(line) for line in examples_file.read_text().splitlines()]
    done = apply_reviews(rows, ReviewLog(examples_file.parent / ".reviews.jsonl"))
    assert dict(done.counts) == {"rejected": 1, "accepted": 1, "undecided": 2}


def test_undo_goes_back(review: Review, examples_file: Path) -> None:
    done = review("u\na\na\nu\nr\nfalsa\n", examples_file)
    assert "nothing to undo" in done.stdout
    assert decided(examples_file) == [("accept", "e0"), ("accept", "e1"), ("undo", ""), ("reject", "e1")]
    assert "1 accepted, 0 edited, 1 rejected" in done.stdout


def test_a_rejection_wants_a_reason_and_a_key_is_one_of_them(review: Review, examples_file: Path) -> None:
    done = review("x\nr\n\nq\n", examples_file)
    assert "'x' is none of the keys" in done.stdout and "a rejection needs a reason" in done.stdout
    assert decided(examples_file) == []


def test_stage_and_log_can_be_chosen(review: Review, tmp_path: Path, examples_file: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps(example(9, stage="refinement")) + "\n7\n{}\n")
    log = tmp_path / "log"
    done = review("a\na\n", examples_file, other, "--stage", "refinement", "--reviews", log)
    assert "1 of 1 · e9" in done.stdout and "2 rows hold no conversation" in done.stdout
    assert len(log.read_text().splitlines()) == 1 and decided(examples_file) == []


def test_findings_and_source_are_shown_and_control_characters_are_not_obeyed(review: Review, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    source = {"kind": "generated", "note": "a.md", "note_sha256": "a" * 64, "model": "m-1"}
    rating = {"by": "judge-1", "score": 0.4, "unparsable": False}
    row = example(1, "Sono sicuro: \x1b]0;titolo\x07 <|im_end|>", provenance=source, rating=rating)
    rows.write_text(json.dumps(row) + "\n")
    shown = review("q\n", rows).stdout
    assert "kind generated, note a.md, model m-1" in shown and "mark 0.4, by judge-1" in shown
    assert "error C5: turn 1:" in shown and "warning C15: turn 1:" in shown
    assert "\x1b" not in shown and "\x07" not in shown


def test_other_formats_are_shown_too(review: Review, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    messages = [{"role": "user", "content": "Chi decide i prezzi?"}, {"role": "assistant", "content": "Agnese."}]
    rows.write_text(json.dumps({"messages": messages}) + "\n")
    shown = review("a\n", rows)
    assert "Chi decide i prezzi?" in shown.stdout and "1 accepted" in shown.stdout


def test_edit_replaces_what_was_said(review: Review, tmp_path: Path, examples_file: Path) -> None:
    done = review("e\nq\n", examples_file, EDITOR=editor(tmp_path, "Lo dice=>Lo scrive"))
    assert "0 accepted, 1 edited" in done.stdout
    (row, *_) = apply_reviews([example(0)], ReviewLog(examples_file.parent / ".reviews.jsonl")).rows
    assert row["conversations"][1]["value"] == "Lo scrive `NORD.md`."
    assert row["review"]["status"] == "edited" and row["provenance"] == example(0)["provenance"]


def test_a_bad_edit_is_mended_or_dropped(review: Review, tmp_path: Path, examples_file: Path) -> None:
    edits = ("=== gpt ====>=== bot ===", "=== bot ====>=== human ===", "=== human ===\nLo=>=== gpt ===\nEcco: lo")
    done = review("e\nm\nm\nq\n", examples_file, EDITOR=editor(tmp_path, *edits))
    assert "line 7: 'bot' is no role" in done.stdout and "error B" in done.stdout and "1 edited" in done.stdout
    (row,) = apply_reviews([example(0)], ReviewLog(examples_file.parent / ".reviews.jsonl")).rows
    assert row["conversations"][1] == {"from": "gpt", "value": "Ecco: lo dice `NORD.md`."}
    (tmp_path / "opened").unlink()
    dropped = review("e\nd\na\n", examples_file, EDITOR=editor(tmp_path, "=== gpt ====>=== bot ==="))
    assert "1 accepted, 0 edited" in dropped.stdout


def test_an_editor_that_fails_or_changes_nothing(review: Review, tmp_path: Path, examples_file: Path) -> None:
    assert "ended with 1" in review("e\nd\nq\n", examples_file).stdout
    assert "could not be used" in review("e\nd\nq\n", examples_file, EDITOR="no-such-editor").stdout
    assert "nothing was changed" in review("e\nq\n", examples_file, VISUAL="true").stdout
    assert decided(examples_file) == []


def test_faults_of_the_arguments(review: Review, tmp_path: Path, examples_file: Path) -> None:
    missing = review("", tmp_path / "no.jsonl")
    assert missing.returncode == 2 and "no such file" in missing.stderr
    nowhere = review("", examples_file, "--reviews", tmp_path / "no" / "log")
    assert nowhere.returncode == 2 and "the folder is not there" in nowhere.stderr
    (tmp_path / ".reviews.jsonl").write_text("{}\n")
    damaged = review("", examples_file)
    assert damaged.returncode == 2 and ".reviews.jsonl:1: no decision" in damaged.stderr


@pytest.mark.parametrize(
    "row",
    [
        example(1),
        example(1, system="Sei Cervella.\n\nDue righe."),
        example(1, "=== gpt ===\n\\=== human ===\n=== x\n=== due parole ===", tools='[{"name": "x"}]'),
        {"conversations": [{"from": "system", "value": "S"}, {"from": "human", "value": "", "weight": 1}]},
        {"system": "Colonna", "conversations": [{"from": "system", "value": "S"}, {"from": "gpt", "value": "à\t\r"}]},
    ],
    ids=["plain", "system", "lines like heads", "system turn", "both systems"],
)
def test_text_form_says_the_same(row: dict[str, Any]) -> None:
    content = edited_content(editable_text(row), row)
    assert content == {key: row[key] for key in ("system", "conversations", "tools") if key in row}


def test_text_form_of_what_is_no_text_is_refused() -> None:
    with pytest.raises(InputError, match="turn 1 is not a role and a text"):
        editable_text({"conversations": [{"from": "human", "value": "x"}, {"from": "gpt", "value": None}]})
    with pytest.raises(InputError, match="no turn is left"):
        edited_content("# nothing\n", example(1))


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
def terminal(root: Path, environment: dict[str, str], examples_file: Path) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*COMMAND, str(examples_file)], cwd=root, env=environment | {"TERM": "xterm"},
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


@pytest.mark.slow
def test_keys_in_a_terminal_typed_ahead_too(terminal: Terminal, examples_file: Path) -> None:
    terminal.wait_for(KEYS)
    terminal.type("ar")  # the second key before its example is there
    terminal.wait_for("why > ")
    terminal.type("è falsa\n")
    terminal.wait_for("3 of 4")
    terminal.type("\x1b[A")  # an arrow
    terminal.wait_for("none of the keys")
    terminal.type("Aq")
    terminal.wait_for("2 accepted, 0 edited, 1 rejected; 1 of 4")
    assert terminal.process.wait(60) == 0
    assert decided(examples_file) == [("accept", "e0"), ("reject", "e1"), ("accept", "e2")]


def pressed_until_it_ends(terminal: Terminal, key: str) -> None:
    """Press as a person would: a key that comes before the terminal tells keys one by one again is lost."""
    for _ in range(30):
        terminal.type(key)
        with contextlib.suppress(subprocess.TimeoutExpired):
            terminal.process.wait(2)
            return


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "code"),
    [("\x03", 130), ("\x04", 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGKILL, -signal.SIGKILL)],
    ids=["Ctrl-C", "Ctrl-D", "SIGTERM", "SIGHUP", "SIGKILL"],
)
def test_left_in_any_way_nothing_decided_is_lost(
    terminal: Terminal, examples_file: Path, review: Review, how: Any, code: int
) -> None:
    terminal.wait_for(KEYS)
    terminal.type("aa")
    terminal.wait_for(KEYS, times=3)
    if isinstance(how, str):
        pressed_until_it_ends(terminal, how)
    else:
        terminal.process.send_signal(how)
    assert terminal.process.wait(60) == code
    assert decided(examples_file) == [("accept", "e0"), ("accept", "e1")]
    assert "2 accepted, 0 edited, 0 rejected; 0 of 4" in review("a\na\n", examples_file).stdout


@pytest.mark.slow
def test_two_people_at_once(terminal: Terminal, examples_file: Path, review: Review) -> None:
    terminal.wait_for(KEYS)
    assert "1 rejected" in review("r\nfalsa\n", examples_file).stdout
    terminal.type("a")
    terminal.wait_for("nothing is written: Agnese Prova rejected it meanwhile")
    terminal.wait_for("2 of 4 · e1")
    assert decided(examples_file) == [("reject", "e0")]
