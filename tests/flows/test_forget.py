"""`cervella forget` as a command: what goes on while it asks."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from components.recipe.forget import asking_in
from components.store import Run
from flows.commands import keep

SECRET = "caparra del trenta per cento"


@pytest.mark.parametrize("agreed", [True, False])
def test_while_a_person_thinks_runs_begin_and_questions_are_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], agreed: bool
) -> None:
    workspace, recipe = tmp_path / "ws", tmp_path / "casa.yaml"
    recipe.write_text(
        f"name: casa\nphase: reindex\nworkspace: {workspace}\nsncp: {{root: {tmp_path}}}\n"
        "index: {embedding: {model: fake/embedding}}\n"
    )
    Run.create(workspace, recipe="casa", phase="reindex").update(status="done", error=SECRET)

    def thinking(question: str, *, yes: bool) -> bool:
        with asking_in(workspace):
            run = Run.create(workspace, recipe="casa", phase="reindex", wait_seconds=0)
        run.update(status="done", error=f"again {SECRET}")
        return agreed

    monkeypatch.setattr(keep, "agreed", thinking)
    monkeypatch.setattr(sys, "stdin", io.StringIO(SECRET))
    code = keep.forget_command.main([str(recipe), "--secret"], standalone_mode=False)
    assert code == (0 if agreed else 1) and "runs: " in capsys.readouterr().out
    assert len([path for path in workspace.glob("runs/*/run.json") if SECRET in path.read_text()]) == 2 * (not agreed)
