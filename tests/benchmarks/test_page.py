"""The page of comparisons: what the results say, what is not there, and figures that are drawn to scale."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks.drawing import OURS, Bar, Line, bars, lines
from benchmarks.measured import Report, kept, ran, summed_up
from benchmarks.page import DOCS, figures, page

SVG = "{http://www.w3.org/2000/svg}"


def peers(**more: Any) -> dict[str, Any]:
    """Results of a contest of two, one of which deletes nothing."""
    seconds = summed_up([1.0, 3.0, 2.0])

    def step(new: int, wrong: int, texts: int) -> dict[str, Any]:
        return {"new_wrong_files": new, "wrong_files": wrong, "texts": texts, "seconds": seconds}

    told = {
        "date": "2026-01-01", "load": [0.1, 0.3], "repeats": 3,
        "machine": {"processor": "P", "processors": 2, "memory_gb": 8.4, "system": "Linux", "python": "3.11"},
        "notes": {"all": 70, "real": 20, "generated": 42, "twins": 8},
        "packages": {"haystack": {"haystack-ai": "3.4.0"}},
        "steps": [{"name": "S0", "about": "all", "touched": 70}, {"name": "S3", "about": "deleted", "touched": 5}],
        "results": {"cervella": {"S0": step(0, 0, 90), "S3": step(0, 0, 0)},
                    "haystack": {"S0": step(0, 0, 80), "S3": step(5, 7, 1080)}},
    }  # fmt: skip
    return told | more


class TestThePage:
    def test_shows_wrong_files_new_ones_apart_from_old_ones(self) -> None:
        text = page({"peers": peers()})
        assert "| **S3** deleted | 0 | **5** (2) |" in text
        assert "| S3 | 0 | 1,080 |" in text
        assert "| S3 | 2.00 | 2.00 |" in text

    def test_says_what_was_not_measured(self) -> None:
        assert "Not measured yet: validation, planning, embedding, retrieval, growth." in page({"peers": peers()})

    def test_says_who_is_absent_and_why(self) -> None:
        assert "Absent: langchain (no network)." in page({"peers": peers(absent={"langchain": "no network"})})

    def test_names_the_machine_and_warns_of_its_load_alone_when_there_was_one(self) -> None:
        idle, busy = page({"peers": peers()}), page({"peers": peers(load=[0.1, 7.0])})
        assert "P, 2 processors, 8 GB, Linux, Python 3.11; load 0.1 to 0.3" in idle
        assert "others used the processors as well" not in idle
        assert "others used the processors as well" in busy

    def test_shows_each_figure_that_is_drawn(self) -> None:
        results = kept()
        assert set(re.findall(r"\((comparison-\S+\.svg)\)", page(results))) == figures(results).keys()

    def test_of_the_project_is_what_its_results_say(self) -> None:
        results = kept()
        assert (DOCS / "comparison.md").read_text(encoding="utf-8") == page(results)
        for name, svg in figures(results).items():
            assert (DOCS / name).read_text(encoding="utf-8") == svg


def marks(svg: str, kind: str) -> list[dict[str, str]]:
    """Attributes of all elements of a kind."""
    return [dict(element.attrib) for element in ElementTree.fromstring(svg).iter(f"{SVG}{kind}")]


class TestFigures:
    def test_bars_are_as_long_as_their_values_and_ours_has_a_colour_of_its_own(self) -> None:
        svg = bars([Bar("us", 50, "50", True), Bar("them", 100, "100"), Bar("nobody", 0, "0")], about="files")
        _, *drawn = marks(svg, "rect")  # the first is the paper
        us, them, nobody = (float(bar["width"]) for bar in drawn)
        assert us * 2 == pytest.approx(them)
        assert nobody == 1
        assert [bar["fill"] == OURS for bar in drawn] == [True, False, False]

    def test_a_name_with_signs_of_markup_stays_text(self) -> None:
        assert "a < b & c" in ElementTree.fromstring(bars([Bar("a < b & c", 1, "1")], about="")).itertext()

    def test_nothing_but_zeros_is_drawn(self) -> None:
        assert len(marks(bars([Bar("us", 0, "0", True)], about="wrong files"), "rect")) == 2

    def test_points_of_a_line_lie_where_their_values_are(self) -> None:
        dots = marks(lines([Line("one", [(100, 1.0), (200, 2.0)])], unit="s", about=""), "circle")
        (left, high), (right, low) = ((float(dot["cx"]), float(dot["cy"])) for dot in dots)
        assert (right - 60) == pytest.approx(2 * (left - 60), abs=0.2)
        assert (310 - low) == pytest.approx(2 * (310 - high), abs=0.2)

    def test_marks_that_would_cover_each_other_are_left_out_but_the_last_is_there(self) -> None:
        svg = lines([Line("one", [(100, 1.0), (150, 1.0), (10_000, 2.0)])], unit="s", about="")
        told = list(ElementTree.fromstring(svg).itertext())
        assert "10,000" in told
        assert "150" in told
        assert "100" not in told


class TestResults:
    def test_are_kept_with_machine_date_and_load(self, tmp_path: Path) -> None:
        report = Report("some")
        report.values = {"found": 3}
        report.keep(tmp_path / "some.json")
        told = kept(tmp_path)["some"]
        assert told["found"] == 3
        assert told["machine"]["processors"] >= 1
        assert len(told["load"]) == 2

    def test_a_process_is_told_with_its_exit_code_words_and_memory(self) -> None:
        done = ran(["python3", "-c", "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"])
        assert (done.code, done.stdout, done.stderr) == (3, "out\n", "err\n")
        assert done.processor > 0
        assert 1 < done.peak_mb < 1000
