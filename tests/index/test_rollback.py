"""The way back: an older state published again for nothing, and kept until the notes are changed."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from house import DOUBLE, House  # noqa: E402

from components.errors import InputError, TerminalError  # noqa: E402
from components.index import steps as index  # noqa: E402
from components.index.published import read_published  # noqa: E402

NOTE = ".sncp/idee/20260402_STUFE_E_SENSORI.md"
OTHER = ".sncp/memoria/decisioni/calendario-unico.md"


def append(house: House, path: str, text: str) -> None:
    with (house.root / path).open("a", encoding="utf-8") as file:
        file.write(text)


def back(house: House, number: int | None = None, **options: Any) -> Any:
    with house.counting():
        return index.roll_back(house.params, workspace=house.workspace, number=number, **options)


@pytest.fixture
def house(tmp_path: Path, examples: Path) -> House:
    """Three publications: the example notes, a note longer, another one longer."""
    made = House(tmp_path, examples / "sncp")
    made.reindex()
    append(made, NOTE, "\n\n## Sbaglio\n\nsbagliata una riga\n")
    made.reindex()
    append(made, OTHER, "\n\n## Giusto\n\ngiusta una riga\n")
    made.reindex()
    made.embedded()
    return made


def test_back_to_the_state_before_and_further_and_forth(house: House) -> None:
    published = read_published(house.uri)
    assert published is not None
    digests = [entry.digest for entry in published.history]
    for wanted in (1, 0):
        target, report = back(house)
        assert (target.number, report.embedded) == (wanted + 1, 0)
        assert house.opened().live_digest() == digests[wanted]
    with pytest.raises(InputError, match="nothing was published before"):
        back(house)
    back(house, 3)
    assert house.opened().live_digest() == digests[2]
    assert (house.is_right(), house.embedded()) == (True, 0)
    published = read_published(house.uri)
    assert published is not None
    assert [entry.state for entry in published.history] == [1, 2, 3, 2, 1, 3]


def test_a_nightly_reindex_does_not_bring_back_what_was_rolled_back(house: House) -> None:
    back(house, 1)
    digest = house.opened().live_digest()
    for _ in range(2):
        with pytest.raises(TerminalError, match=r"publication 3 was rolled back.*--force index.build"):
            house.reindex()
        assert house.opened().live_digest() == digest
    append(house, "NORD.md", "\nUn'altra riga, che non c'entra.\n")
    with pytest.raises(TerminalError, match=r"still hold what it brought \(.*STUFE.*calendario-unico.*\)"):
        house.reindex()
    text = (house.root / NOTE).read_text(encoding="utf-8").replace("sbagliata", "corretta")
    (house.root / NOTE).write_text(text, encoding="utf-8")
    house.embedded()
    report = house.reindex()
    assert house.found("corretta una riga") == {NOTE} and not house.found("sbagliata una riga")
    assert house.is_right() and report["status"] == "done"


def test_force_publishes_what_was_rolled_back(house: House) -> None:
    back(house)
    house.reindex(force=True)
    assert (house.is_right(), house.embedded()) == (True, 0)
    assert house.reindex()["status"] == "skipped"


def test_notes_that_were_put_back_as_they_were_are_published(house: House) -> None:
    back(house)
    text = (house.root / OTHER).read_text(encoding="utf-8").replace("\n\n## Giusto\n\ngiusta una riga\n", "")
    (house.root / OTHER).write_text(text, encoding="utf-8")
    house.reindex()
    assert house.is_right()


def test_without_the_chunks_of_either_state_the_very_same_rows_are_held_back(house: House) -> None:
    back(house)
    published = read_published(house.uri)
    assert published is not None
    shutil.rmtree(house.workspace / "store" / str(published.now.chunks_id))
    with pytest.raises(TerminalError, match="was rolled back"):
        house.reindex()
    append(house, "NORD.md", "\nUn'altra riga.\n")
    house.reindex()
    assert house.is_right()


def test_a_state_whose_chunks_are_gone_cannot_be_made_again(house: House) -> None:
    published = read_published(house.uri)
    assert published is not None
    shutil.rmtree(house.workspace / "store" / str(published.history[0].chunks_id))
    before = house.bytes_of()
    with pytest.raises(TerminalError, match="chunks of publication 1 are not in the store any more"):
        back(house, 1)
    assert house.bytes_of() == before


def test_texts_are_only_embedded_again_when_that_is_allowed(house: House) -> None:
    (house.root / NOTE).unlink()
    house.reindex()
    shutil.rmtree(house.workspace / "cache")
    before = house.bytes_of()
    with pytest.raises(TerminalError, match=r"needs \d+ texts embedded again.*--embed"):
        back(house)
    assert (house.bytes_of(), house.embedded()) == (before, 0)
    _, report = back(house, embed=True)
    assert report.embedded == house.embedded() > 0
    assert house.found("sbagliata una riga") == {NOTE}


def test_another_embedder_has_to_be_named(house: House) -> None:
    house.using(model="fake/embedding?dimensions=32")
    house.reindex()
    with pytest.raises(InputError, match=r"made with the embedder fake/embedding@1.dimensions=64.*-o index"):
        back(house)
    house.using(model=DOUBLE)
    back(house, 3)
    assert house.opened().live_digest()


def test_an_unknown_publication_is_told_with_those_that_are_there(house: House) -> None:
    with pytest.raises(InputError, match="no publication 9; the history has 1, 2, 3"):
        back(house, 9)


def test_artefacts_that_a_rollback_needs_are_named(house: House) -> None:
    needed = index.history_artefacts(house.params, workspace=house.workspace)
    assert len(needed) == 3 and all((house.workspace / "store" / name).is_dir() for name in needed)


def test_from_the_terminal(house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    call = _command(house, monkeypatch, capsys)
    code, out = call("status", "--json")
    told = json.loads(out)
    assert (code, told["faults"], told["published"]["number"], told["writer"]) == (0, [], 3, None)
    assert told["bytes"] > 0 and [entry["number"] for entry in told["history"]] == [1, 2, 3]
    code, out = call("rollback", "--json")
    assert (code, json.loads(out)["publication"], json.loads(out)["embedded"]) == (0, 2, 0)
    code, out = call("rollback", "--list")
    assert code == 0 and "rollback to 2" in out
    code, out = call("status")
    assert code == 0 and "publication 3 is held back" in out and "yes, every row was read" in out
    for file in house.uri.rglob("data/*.lance"):
        file.write_bytes(file.read_bytes()[:-200])
    code, out = call("status")
    assert code == 1 and "damaged" in out


def _command(house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    from flows import cli

    recipe = Path(__file__).parents[2] / "recipes" / "mvp.yaml"
    options = [f"workspace={house.workspace}", f"sncp.root={house.root}", f"index.embedding.model={DOUBLE}"]

    def call(command: str, *arguments: str) -> tuple[int, str]:
        overrides = [word for option in options for word in ("-o", option)]
        monkeypatch.setattr(sys, "argv", ["cervella", "index", command, str(recipe), *overrides, *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0), capsys.readouterr().out

    return call
