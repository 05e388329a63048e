"""Local notes through the whole program, with a server that stands for a provider; forget and gc as commands."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from tests.llm.heard import Heard

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:litellm.*"),
    pytest.mark.filterwarnings("ignore:Item '.*' on TypedDict class"),
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings"),
]
SENTENCE = "Agnese tiene il registro azzurro dietro la terza pentola di rame"


def test_no_door_sends_a_local_note(program: Any, one_server: Any, new_workspace: Any, here: Any) -> None:
    away = Heard()
    try:
        url = away.url("0.0.0.0")  # noqa: S104
        remote = [
            "index.embedding.model=openai/e", f"index.embedding.api_base={url}", "index.embedding.dimensions=2",
            "llm.chat.model=openai/m", f"llm.chat.api_base={url}", "llm.chat.retries=0",
        ]  # fmt: skip
        workspace = new_workspace(golden=2, doubles=(), first=False)
        mvp = [word for value in remote for word in ("-o", value)]
        (workspace.notes / ".sncp" / "idee" / "segreta.md").write_text(
            f"---\nprivacy: local\n---\n# Caparra\n\nQuanto si paga di caparra: {SENTENCE}.\n", encoding="utf-8"
        )
        refused = program("run", "mvp", *workspace.options, *mvp)
        assert refused.code == 3 and ".sncp/idee/segreta.md" in refused.err and "when_remote" in refused.err
        assert not away.bytes and not workspace.runs()
        assert here("plan", "mvp", *workspace.options, *mvp).code == 3
        one_server(workspace)
        leave = (*workspace.options, *mvp, "-o", "privacy.when_remote=leave_out")
        done = program("reindex", "mvp", *leave, "--json")
        assert done.code == 0, done.err
        assert done.facts("index.chunk")["local_chunks_left_out"] > 0
        question = "Quanto si paga di caparra?"
        for door in ("search", "ask"):
            assert here(door, "mvp", *leave, question).code in (0, 1)
        assert here("score", "mvp", *leave).code == 0
        # A local embedder knows the note, the remote model never reads it.
        mixed = (*leave, "-o", "index.embedding.model=fake/embedding", "-o", "index.embedding.api_base=null",
                 "-o", "index.embedding.dimensions=64", "-o", "llm.cache=false")  # fmt: skip
        assert program("run", "mvp", *mixed, "--json").json["status"] == "done"
        assert "segreta.md" in here("search", "mvp", *mixed, question).out
        asked = here("ask", "mvp", *mixed, question)
        assert "1 local notes were left out" in asked.err
        assert here("score", "mvp", *mixed).code == 0
        assert b"caparra" in away.bytes and b"registro azzurro" not in away.bytes
    finally:
        away.close()


def test_forget_and_gc_as_commands(spoiled: Any, here: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    note = "docs/MANUALE_PORTINERIA.md"
    told = here("forget", "mvp", *spoiled.options, note)
    assert told.code == 1 and "(rows)" in told.out and "With --yes it is done" in told.out

    def found() -> set[str]:
        return {hit["path"] for hit in here("search", "mvp", *spoiled.options, "portineria", "--json").json}

    assert note in found()
    done = here("forget", "mvp", *spoiled.options, note, "--yes")
    assert done.code == 0 and "forgotten" in done.out
    assert f"still among your notes, so a reindex brings it back: {note}" in done.err
    assert note not in found()
    monkeypatch.setattr(sys, "stdin", io.StringIO("caparra del trenta per cento\n"))
    assert here("forget", "mvp", *spoiled.options, "--secret", "--yes").code == 0
    assert here("forget", "mvp", *spoiled.options).code == 2
    assert here("forget", "mvp", *spoiled.options, "mai.md", "--yes").code == 2
    (spoiled.path / "store" / "index.chunk" / ".dead.x").mkdir(parents=True)
    told = here("gc", "mvp", *spoiled.options)
    assert told.code == 1 and "half-made" in told.out
    assert here("gc", "mvp", *spoiled.options, "--yes").code == 0
    again = here("gc", "mvp", *spoiled.options)
    assert again.code == 0 and "0 things" in again.out
    assert here("gc", "mvp", *spoiled.options, "--keep", "1", "--older-than", "1").code == 2
