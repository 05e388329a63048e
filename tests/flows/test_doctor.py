"""`cervella doctor` as a whole: where there is no trouble, none is told; it never gives up."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.services.doctor import Check, looked
from tests.flows.doctor_house import in_a_process, only

LIGHT = """
import sys
from flows.cli import main
sys.argv = ["cervella", "doctor", "-w", "nowhere"]
try:
    main()
except SystemExit:
    print(sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_a_healthy_installation_shows_no_trouble(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PREFECT_API_URL", "OMP_NUM_THREADS"):  # a test before this one may have loaded a model
        monkeypatch.delenv(name, raising=False)
    code, found = in_a_process(root, "-w", tmp_path / "new")
    troubles = {name: check for name, check in found.items() if check["level"] != "ok"}
    assert (code, troubles) == (0, {})
    assert len(found) >= 18
    assert not (tmp_path / "new").exists()


def test_without_a_recipe_nothing_heavy_is_imported(root: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], cwd=root, capture_output=True, text=True, check=True)
    heavy = {"prefect", "mlflow", "litellm", "lancedb", "great_expectations", "torch", "pandas", "pyarrow", "numpy"}
    assert not heavy & set(json.loads(done.stdout.splitlines()[-1].replace("'", '"')))


def test_a_faulty_recipe_is_one_of_the_findings(here: Any, tmp_path: Path) -> None:
    (tmp_path / "faulty.yaml").write_text("name: faulty\nphase: mpv\n", encoding="utf-8")
    done = here("doctor", tmp_path / "faulty.yaml", "-w", tmp_path / "new")
    assert done.code == 1
    assert "✗ recipe" in done.out and "faulty.yaml:" in done.out and "cervella validate" in done.out
    assert "✓ python" in done.out  # the rest is looked at all the same


def test_a_look_that_fails_is_a_finding() -> None:
    def broken() -> Iterator[Check]:
        yield Check("disk", "ok", "fine")
        raise PermissionError(13, "Permission denied", "/closed")

    found = only(looked("disk", broken))
    assert found.level == "problem" and "/closed: Permission denied" in found.says
