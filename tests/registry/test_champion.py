"""Who is champion: promote obeys the gate, rollback goes back along a line, the file is whole, MLflow follows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.errors import InputError, TerminalError
from components.persona.steps import read_persona
from components.registry.champion import read_champion, sync_champion
from components.registry.champion.record import Champion, champion_file, line_of, read_champions
from components.registry.champion.told import differences, render_changed
from tests.registry.shelf import ADAPTER, SESSION, Shelf


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "work space è")


@pytest.fixture
def real(tmp_path: Path, empty_database: Path) -> Shelf:
    """With a real MLflow."""
    return Shelf(tmp_path / "work space è", empty_database)


class TestRelease:
    """The sealed release."""

    def test_the_persona_is_read_from_it_as_from_the_step_that_compiled_it(self, shelf: Shelf) -> None:
        prompt, session = read_persona(shelf.run("Sei Cervella.").release)
        assert (prompt.text, prompt.tokens, session) == ("Sei Cervella.", 13, SESSION)
        assert read_persona(shelf.run("Altro.", session=False).release)[1] is None

    def test_the_adapter_takes_no_room(self, shelf: Shelf) -> None:
        file = shelf.run("Uno.", adapter=ADAPTER).release.file("adapter.gguf")
        assert file.read_bytes() == ADAPTER and file.stat().st_nlink == 2
        assert "adapter.gguf" not in shelf.run("Due.").release.manifest["outputs"]

    def test_the_text_of_the_session_is_no_part_of_the_release_but_of_the_artefact(self, shelf: Shelf) -> None:
        release = shelf.run("Uno.").release
        assert "cucina" in release.read_text("session.json") and "cucina" not in release.read_text("release.json")
        assert release.read_json("release.json")["persona"]["session"] == {"max_tokens": 400}

    def test_the_same_again_is_the_same_artefact(self, shelf: Shelf) -> None:
        assert shelf.run("Uno.").release.id == shelf.run("Uno.").release.id
        assert len({shelf.run("Uno.", k=k).release.id for k in (8, 9)}) == 2


class TestPromote:
    """What the gate says counts, unless a person says why not."""

    def test_the_newest_run_that_registered_a_release_is_promoted(self, shelf: Shelf) -> None:
        shelf.run("Uno.")
        two = shelf.run("Due.")
        shelf.run("Tre.", register=False)
        shelf.run("Quattro.", recipe="other")
        done = shelf.promote()
        assert (done.changed, done.before, done.refused) == (True, None, None)
        assert done.champion == read_champion(shelf.workspace, "cervella") == shelf.history()[-1]
        champion = done.champion
        assert (champion.digest, champion.release, champion.run) == (two.digest, two.release.id, two.run.id)
        assert (champion.what, champion.by, champion.verdict, champion.version) == ("promote", "Anna", "GO", 2)
        assert str(champion.scorecard).startswith("evaluate.score/") and champion.gate.startswith("registry.gate/")

    @pytest.mark.parametrize("verdict", ["NO-GO", "INCONCLUSIVE"])
    def test_what_is_not_go_is_refused_and_nothing_is_written(self, shelf: Shelf, verdict: Any) -> None:
        shelf.run("Uno.", verdict=verdict)
        done = shelf.promote()
        assert (done.champion, done.changed, done.refused.verdict) == (None, False, verdict)
        assert done.refused.criteria[0].reason == "as Uno. is"
        assert not champion_file(shelf.workspace).exists()

    def test_a_reason_is_recorded_with_the_name_and_the_verdict(self, shelf: Shelf) -> None:
        shelf.run("Uno.", verdict="NO-GO")
        champion = shelf.promote(reason="  misurata a mano\n con Bruno ").champion
        assert (champion.reason, champion.by, champion.verdict) == ("misurata a mano con Bruno", "Anna", "NO-GO")

    @pytest.mark.parametrize("reason", ["", "perché sì", "x" * 1001], ids=["empty", "short", "long"])
    def test_a_reason_that_says_nothing_is_no_reason(self, shelf: Shelf, reason: str) -> None:
        shelf.run("Uno.", verdict="NO-GO")
        with pytest.raises(InputError, match="--reason has"):
            shelf.promote(reason=reason)
        assert shelf.history() == []

    def test_a_secret_in_a_reason_is_masked(self, shelf: Shelf) -> None:
        shelf.run("Uno.")
        secret = "ghp_" + "Wk3vN8qZr5TyU2pLx9Gd7HsJ4mBc6FaQe1Rt"
        shelf.promote(reason=f"con la chiave {secret}")
        assert secret.encode() not in champion_file(shelf.workspace).read_bytes()

    def test_what_is_champion_already_changes_nothing(self, shelf: Shelf) -> None:
        shelf.run("Uno.")
        shelf.promote()
        before = champion_file(shelf.workspace).read_bytes()
        shelf.run("Uno.", verdict="NO-GO")  # the same release, scored again
        done = shelf.promote(by="Carla")
        assert (done.changed, done.refused, done.champion.by) == (False, None, "Anna")
        assert champion_file(shelf.workspace).read_bytes() == before

    def test_a_run_is_named_by_the_beginning_of_its_id(self, shelf: Shelf) -> None:
        one = shelf.run("Uno.")
        shelf.run("Due.")
        assert shelf.promote(run=one.run.id[:-1]).champion.digest == one.digest
        other = shelf.run("Tre.", recipe="other")
        half = shelf.run("Tre.", register=False)
        for run, error, words in (
            ("1999", InputError, "no run"), ("2", InputError, "runs in"), (other.run.id, InputError, "a run of other"),
            (half.run.id, TerminalError, "has not registered"),
        ):  # fmt: skip
            with pytest.raises(error, match=words):
                shelf.promote(run=run)

    def test_without_a_release_it_says_what_to_do_first(self, shelf: Shelf) -> None:
        with pytest.raises(TerminalError, match="run it first"):
            shelf.promote()

    @pytest.mark.parametrize("what", ["release", "gate"])
    def test_what_is_damaged_is_refused_and_a_run_mends_it(self, shelf: Shelf, what: str) -> None:
        made = shelf.run("Uno.")
        files = {"release": made.release.path / "prompt.md",
                 "gate": next((shelf.workspace / "store" / "registry.gate").glob("*/gate.json"))}  # fmt: skip
        files[what].write_text("{}")
        with pytest.raises(TerminalError, match=f"run {made.run.id} cannot be taken into service.*was changed"):
            shelf.promote(reason="whatever it is, now")
        shelf.run("Uno.")
        assert shelf.promote().champion.digest == made.digest

    def test_of_a_matrix_the_best_combination_counts(self, shelf: Shelf) -> None:
        from components.store import Run

        parts = [shelf.run(name, register=False) for name in ("Uno.", "Due.")]
        matrix = Run.create(shelf.workspace, recipe="test", phase="matrix")
        told = [{"name": name, "run": one.run.id} for name, one in zip("ab", parts, strict=True)]
        matrix.update(combinations=told, best="a", mlflow={"run": "r", "model": "cervella", "version": 7})
        champion = shelf.promote().champion
        assert (champion.digest, champion.version, champion.run) == (parts[0].digest, 7, parts[0].run.id)

    def test_a_champion_that_is_gone_is_taken_anew_from_another_run_of_it(self, shelf: Shelf) -> None:
        one, two = shelf.run("Uno."), shelf.run("Due.")
        shelf.promote(run=one.run.id)
        shelf.promote(run=two.run.id)
        shutil.rmtree(two.release.path)
        three = shelf.run("Due.", tokens=99)  # another artefact of the same release
        done = shelf.promote()
        assert (done.changed, done.champion.digest, done.champion.release) == (True, two.digest, three.release.id)
        assert done.champion.release != two.release.id
        assert shelf.rollback().champion.digest == one.digest  # it is no step of the line


class TestRollback:
    """Back along the line of what was promoted, and never forth by itself."""

    def test_back_and_back_and_no_further(self, shelf: Shelf) -> None:
        one, two, three = (shelf.run(name) for name in ("Uno.", "Due.", "Tre."))
        for made in (one, two, three):
            shelf.promote(run=made.run.id)
        assert shelf.rollback().champion.digest == two.digest
        done = shelf.rollback(reason="peggio")
        assert (done.champion.digest, done.before.digest) == (one.digest, two.digest)
        assert (done.champion.what, done.champion.by, done.champion.reason) == ("rollback", "Bruno", "peggio")
        with pytest.raises(TerminalError, match="nothing to go back to; by name there is --to .*2 or"):
            shelf.rollback()
        assert [change.what for change in shelf.history()] == ["promote"] * 3 + ["rollback"] * 2
        assert done.champion.run == one.run.id and done.champion.scorecard == shelf.history()[0].scorecard

    def test_ping_pong(self, shelf: Shelf) -> None:
        one, two = shelf.run("Uno."), shelf.run("Due.")
        shelf.promote(run=one.run.id)
        for _ in range(3):
            assert shelf.promote(run=two.run.id).champion.before == one.digest
            assert shelf.rollback().champion.digest == one.digest
        with pytest.raises(TerminalError, match="nothing to go back to"):
            shelf.rollback()
        assert shelf.rollback(to="2").champion.digest == two.digest  # forth, by name
        assert shelf.rollback().champion.digest == one.digest

    def test_to_a_version_or_a_digest(self, shelf: Shelf) -> None:
        one, two, three = (shelf.run(name) for name in ("Uno.", "Due.", "Tre."))
        for made in (one, two, three):
            shelf.promote(run=made.run.id)
        assert shelf.rollback(to=one.digest[:12].upper()).champion.digest == one.digest
        assert shelf.rollback(to="3").champion.version == 3
        assert shelf.rollback(to="3").changed is False
        for to in ("4", one.digest[:6], "nothing"):
            with pytest.raises(InputError, match=f"never was in service.*1 or {one.digest[:12]}"):
                shelf.rollback(to=to)

    def test_one_that_was_interrupted_is_completed_and_goes_back_no_further(self, shelf: Shelf) -> None:
        made = [shelf.run(name) for name in ("Uno.", "Due.", "Tre.")]
        for one in made:
            shelf.promote(run=one.run.id)

        def end(point: str) -> None:
            if point == "written":
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            shelf.rollback(at=end)
        done = shelf.rollback(by="Carla")
        assert (done.champion.digest, done.champion.by, done.changed) == (made[1].digest, "Bruno", True)
        assert len(shelf.history()) == 4
        assert shelf.rollback().champion.digest == made[0].digest

    def test_nothing_in_service(self, shelf: Shelf) -> None:
        shelf.run("Uno.")
        with pytest.raises(TerminalError, match="nothing is in service as cervella"):
            shelf.rollback()

    def test_what_is_gone_is_refused_and_the_whole_ones_are_named(self, shelf: Shelf) -> None:
        one, two, three = (shelf.run(name) for name in ("Uno.", "Due.", "Tre."))
        for made in (one, two, three):
            shelf.promote(run=made.run.id)
        shutil.rmtree(two.release.path)
        with pytest.raises(
            TerminalError, match=rf"cannot go back to version 2.*Whole are, for --to: 1 or {one.digest[:12]}$"
        ):
            shelf.rollback()
        assert shelf.history()[-1].digest == three.digest
        assert shelf.rollback(to="1").champion.digest == one.digest

    def test_notes_and_index_are_not_touched(self, shelf: Shelf) -> None:
        for name in ("Uno.", "Due."):
            shelf.run(name)
            shelf.promote()
        index = shelf.workspace / "index" / "live.json"
        index.parent.mkdir()
        index.write_text("{}")
        before = {path: path.stat().st_mtime_ns for path in shelf.workspace.rglob("*") if path.is_file()}
        shelf.rollback()
        changed = {path.name for path, at in before.items() if path.stat().st_mtime_ns != at}
        assert changed == {"champion.json", "registry.champion"}  # and the lock


@given(st.lists(st.tuples(st.sampled_from(["promote", "rollback"]), st.sampled_from("ABCD")), max_size=30))
@settings(max_examples=200, deadline=None)
def test_the_line_back_ends_with_what_is_in_service_and_never_repeats_a_neighbour(changes: list[Any]) -> None:
    history = []
    for what, digest in changes:
        before = history[-1].digest if history else None
        if what == "rollback" and (digest == before or digest not in {one.digest for one in history}):
            continue  # neither is ever done
        history.append(Champion(what, "t", "a", None, "GO", digest, before, "r", None, "g", "run", "rec", "mvp", 1))
    line = [one.digest for one in line_of(history)]
    assert line[-1:] == [one.digest for one in history[-1:]]
    assert all(one != other for one, other in zip(line, line[1:], strict=False))


class TestFile:
    """`champion.json`."""

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda data: data.replace(b"Anna", b"Eva"), lambda data: data[: len(data) // 2], lambda data: b"[]",
            lambda data: b"", lambda data: b'{"format": 1, "models": {"cervella": [{}]}, "open": [], "sum": ""}',
        ],
        ids=["changed", "cut", "list", "empty", "foreign"],
    )  # fmt: skip
    def test_what_is_damaged_is_told_and_left_alone(self, shelf: Shelf, spoil: Callable[[bytes], bytes]) -> None:
        shelf.run("Uno.")
        shelf.promote()
        file = champion_file(shelf.workspace)
        data = spoil(file.read_bytes())
        file.write_bytes(data)
        for deed in (shelf.promote, shelf.rollback, lambda: read_champion(shelf.workspace, "cervella")):
            with pytest.raises(TerminalError, match="champion.json .*bring it back from a copy|Bring it back"):
                deed()
        assert file.read_bytes() == data

    def test_each_registered_model_has_its_own_champion(self, shelf: Shelf) -> None:
        one = shelf.run("Uno.")
        shelf.promote()
        shelf.registry = shelf.registry.model_copy(update={"model_name": "altra"})
        two = shelf.run("Due.")
        shelf.promote()
        found = {name: history[-1].digest for name, history in read_champions(shelf.workspace).items()}
        assert found == {"cervella": one.digest, "altra": two.digest}
        assert read_champion(shelf.workspace, "nessuna") is None

    def test_it_can_be_read_by_people(self, shelf: Shelf) -> None:
        shelf.run("Uno.")
        shelf.promote(reason="perché è più calda")
        told = json.loads(champion_file(shelf.workspace).read_text(encoding="utf-8"))["models"]["cervella"][0]
        assert (told["from"], told["to"], told["reason"]) == (None, shelf.made[0].digest, "perché è più calda")
        assert "perché" in champion_file(shelf.workspace).read_text(encoding="utf-8")


class TestMlflow:
    """The alias follows the file."""

    def test_alias_tags_and_description(self, real: Shelf) -> None:
        one, two = real.run("Uno."), real.run("Due.")
        assert real.alias() is None  # a new release is a candidate
        real.promote(run=one.run.id)
        done = real.promote(run=two.run.id, reason="è più calda di prima")
        assert (done.fault, real.alias()) == (None, two.digest)
        client = real.client()
        first, second = (client.get_model_version("cervella", str(number)).tags for number in (1, 2))
        history = real.history()
        assert first["cervella.champion_since"] == history[0].at
        assert first["cervella.champion_until"] == second["cervella.champion_since"] == history[1].at
        assert (second["cervella.champion_by"], second["cervella.champion_reason"]) == ("Anna", "è più calda di prima")
        text = client.get_registered_model("cervella").description
        assert "In service: version 2 since" in text and text.endswith("promoted by Anna: è più calda di prima")
        real.rollback()
        tags = client.get_model_version("cervella", "1").tags
        assert (real.alias(), "cervella.champion_until" in tags) == (one.digest, False)
        assert client.get_model_version_by_alias("cervella", "candidate").version == 2

    def test_what_mlflow_was_not_told_is_told_by_the_next_promote_and_by_the_next_run(self, real: Shelf) -> None:
        one, two = real.run("Uno."), real.run("Due.")
        real.promote(run=one.run.id)
        hidden = real.workspace / "mlflow"
        hidden.rename(real.workspace / "away")
        done = real.promote(run=two.run.id)
        assert done.changed and "no database" in done.fault
        assert not hidden.exists()  # nothing is made
        (real.workspace / "away").rename(hidden)
        assert real.alias() == one.digest
        assert real.promote(run=two.run.id).fault is None
        assert real.alias() == two.digest
        real.client().set_registered_model_alias("cervella", "champion", "1")
        real.run("Tre.")
        assert real.alias() == two.digest

    def test_an_mlflow_that_was_begun_anew_is_told_nothing_wrong(self, real: Shelf, empty_database: Path) -> None:
        real.run("Uno.")
        real.promote()
        shutil.copy(empty_database, real.workspace / "mlflow" / "mlflow.db")
        fault = sync_champion(workspace=real.workspace, registry=real.registry)
        assert fault is not None and "no version of cervella" in fault
        two = real.run("Due.")  # is version 1 now
        assert real.alias() is None
        real.run("Uno.")
        assert real.alias() == real.made[0].digest != two.digest

    def test_a_broken_database_is_told_and_the_change_stands(self, real: Shelf) -> None:
        real.run("Uno.")
        (real.workspace / "mlflow" / "mlflow.db").write_bytes(b"no database at all" * 100)
        done = real.promote()
        assert done.changed and "not a database" in done.fault
        assert len(real.history()) == 1


def test_what_changed_is_told_in_words(shelf: Shelf) -> None:
    shelf.run("Sei Cervella.\nUno.", k=8)
    shelf.promote()
    shelf.run("Sei Cervella.\nDue e tre.", k=5, adapter=ADAPTER)
    done = shelf.promote(reason="più breve e più calda")
    found = {what: (old, new) for what, old, new in differences(shelf.workspace, done.before, done.champion)}
    assert found == {
        "prompt_tokens": (18, 24), "prompt_lines": (1, 1), "index.search.k": (8, 5), "adapter": (None, "ad" * 32),
    }  # fmt: skip
    text = render_changed(done, workspace=shelf.workspace, model_name="cervella")
    assert text.startswith("in service: cervella version 2, release ")
    for words in ("promoted by Anna", "reason: più breve", "24 tokens; model: fake/good; adapter: adadadadadad",
                  "index.search.k  8 -> 5", "1 gone, 1 new"):  # fmt: skip
        assert words in text, text
    shutil.rmtree(shelf.made[0].release.path)
    assert "what changed cannot be told" in render_changed(done, workspace=shelf.workspace, model_name="cervella")
