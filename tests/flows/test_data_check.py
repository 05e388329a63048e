"""`cervella data check` as its users call it: reports, pages, baselines, mending, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.planted import FAULTS, clean_rows, planted


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    return write(tmp_path / "clean.jsonl", list(clean_rows(12)))


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """Twelve conversations, of which the sixth has no answer."""
    path = tmp_path / "broken.jsonl"
    path.write_text(planted(FAULTS[0], among=12, at=5)[0], encoding="utf-8")
    return path


def test_nothing_found_is_exit_0_and_says_so(here: Callable[..., Any], clean: Path) -> None:
    done = here("data", "check", clean)
    assert done.code == 0
    assert done.out.startswith("Fit for training")


def test_an_error_is_exit_1_with_its_place_and_how_to_mend_it(here: Callable[..., Any], broken: Path) -> None:
    done = here("data", "check", broken)
    assert done.code == 1
    assert f"{broken}:6 turn 1" in done.out
    assert "mend: " in done.out


def test_the_json_report_is_as_the_documentation_says(here: Callable[..., Any], broken: Path, tmp_path: Path) -> None:
    assert here("data", "check", broken, "--json", tmp_path / "report.json").code == 1
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert {"files", "summary", "findings"} <= set(report)
    [empty] = [found for found in report["findings"] if found["rule"] == "C1"]
    assert set(empty) == {"rule", "severity", "file", "line", "conversation", "turn", "message", "fix"}
    assert (empty["line"], empty["conversation"], empty["turn"]) == (6, 5, 1)
    assert here("data", "check", broken, "--json", "-").json["summary"] == report["summary"]


def test_the_severity_that_fails_is_a_choice(here: Callable[..., Any], tmp_path: Path) -> None:
    rows = list(clean_rows(12))
    path = write(tmp_path / "double.jsonl", [*rows, {**rows[0], "id": "other"}])
    assert here("data", "check", path).code == 0
    assert here("data", "check", path, "--fail-on", "warning").code == 1


def test_the_page_is_one_file_that_asks_no_other_host(here: Callable[..., Any], broken: Path, tmp_path: Path) -> None:
    assert here("data", "check", broken, "--html", tmp_path / "page.html").code == 1
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "C1" in page and "http://" not in page.replace("http://www.w3.org/2000/svg", "") and "https://" not in page


def test_a_baseline_fails_on_what_got_worse_alone(
    here: Callable[..., Any], clean: Path, broken: Path, tmp_path: Path
) -> None:
    assert here("data", "check", broken, "--json", tmp_path / "before.json").code == 1
    same = here("data", "check", broken, "--baseline", tmp_path / "before.json")
    assert same.code == 0, same.out
    assert here("data", "check", clean, "--json", tmp_path / "clean.json").code == 0
    worse = here("data", "check", broken, "--baseline", tmp_path / "clean.json")
    assert worse.code == 1 and "C1" in worse.out
    (tmp_path / "none.json").write_text("[]")
    assert here("data", "check", clean, "--baseline", tmp_path / "none.json").code == 2


def test_mending_writes_a_new_file_and_what_it_changed(here: Callable[..., Any], tmp_path: Path) -> None:
    rows = [{"messages": [{"role": "user", "content": f"Che cosa dice la nota {n}?"},
                          {"role": "assistant", "content": f"La nota {n} parla della caparra di agosto.  "}]}
            for n in range(12)]  # fmt: skip
    path, out = write(tmp_path / "openai.jsonl", rows), tmp_path / "mended.jsonl"
    before = path.read_bytes()
    assert here("data", "check", path, "--fix", out).code == 0
    assert path.read_bytes() == before
    mended = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert mended[0]["conversations"][1] == {"from": "gpt", "value": "La nota 0 parla della caparra di agosto."}
    changes = [json.loads(line) for line in Path(f"{out}.changes.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {"A6", "C2"} <= {change["rule"] for change in changes}
    again = here("data", "check", path, "--fix", out)
    assert again.code == 2 and str(out) in again.err
    assert here("data", "check", path, path, "--fix", tmp_path / "x.jsonl").code == 2


def test_a_recipe_names_files_settings_and_golden_questions(here: Callable[..., Any], tmp_path: Path) -> None:
    done = here("data", "check", "-r", "dataset", "--json", "-")
    assert done.code == 0
    assert done.json["summary"]["conversations"] >= 40
    assert done.json["summary"]["settings"]["golden"] == 24
    short = here("data", "check", "-r", "dataset", "-o", "dataset.check.max_tokens=100", "--json", "-")
    assert short.code == 1 and "D2" in short.json["summary"]["rules"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.jsonl"], "nowhere.jsonl: no such file"),
        ([], "no file to check"),
        (["x.jsonl", "-o", "a=b"], "name it with -r"),
        (["-r", "mvp"], "no file to check"),
        (["examples"], "a folder"),
    ],
    ids=["no-file", "nothing-named", "override-without-recipe", "recipe-without-examples", "folder"],
)
def test_what_cannot_be_understood_is_exit_2(here: Callable[..., Any], arguments: list[str], says: str) -> None:
    done = here("data", "check", *arguments)
    assert done.code == 2
    assert says in done.err


def test_help_imports_no_rule(root: Path) -> None:
    heavy = ["tokenizers", "numpy", "great_expectations", "datasets", "pandas", "prefect", "jinja2", "ftfy"]
    code = (
        "import sys; from flows import cli; sys.argv = ['cervella', 'data', 'check', '--help']\n"
        "try: cli.main()\nexcept SystemExit: pass\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_nothing_that_is_there_is_written_over(here: Callable[..., Any], clean: Path, tmp_path: Path) -> None:
    before = clean.read_bytes()
    diary = tmp_path / "diary.txt"
    diary.write_text("Oggi ho potato gli olivi.")
    for option in ("--json", "--html", "--fix"):
        for target in (clean, diary, tmp_path, tmp_path / "nowhere" / "report"):
            done = here("data", "check", clean, option, target)
            assert done.code == 2, (option, target)
            assert str(target) in done.err
    assert clean.read_bytes() == before and diary.read_text() == "Oggi ho potato gli olivi."
    for option, name in (("--json", "report.json"), ("--html", "report.html")):  # of an earlier report there is a newer
        assert here("data", "check", clean, option, tmp_path / name).code == 0
        assert here("data", "check", clean, option, tmp_path / name).code == 0


def test_what_mending_leaves_out_is_no_success(here: Callable[..., Any], clean: Path, tmp_path: Path) -> None:
    clean.write_text(clean.read_text(encoding="utf-8") + '{"conversations": [\n', encoding="utf-8")
    done = here("data", "check", clean, "--fix", tmp_path / "mended.jsonl")
    assert done.code == 1
    assert "left-out" in done.err and (tmp_path / "mended.jsonl.left-out").read_text() == '{"conversations": [\n'


@pytest.mark.parametrize("text", ["", "%PDF-1.7\n", "not json\n"], ids=["empty", "pdf", "text"])
def test_what_is_held_out_must_be_read_whole(here: Callable[..., Any], clean: Path, tmp_path: Path, text: str) -> None:
    held = tmp_path / "held.jsonl"
    held.write_text(text)
    done = here("data", "check", clean, "--held-out", held)
    assert done.code == 2 and f"{held}" in done.err and "held out" in done.err
