"""The index under change, through the real steps: what is embedded, which rows change, and that none is stale.

After each change the published index is compared with one made from nothing. The cases are those on which the usual
indexing pipelines fail (a deleted twin that stays, a note that is gone after one failed call, a chunk size that is
ignored).
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from house import House  # noqa: E402

from components.errors import CervellaError, InputError, TerminalError  # noqa: E402
from components.evaluate import EvaluateParams  # noqa: E402
from components.evaluate.probe import golden_probe  # noqa: E402
from components.index.published import read_published  # noqa: E402
from components.llm.fake import FakeEmbedder  # noqa: E402

IDEAS = ".sncp/idee/"
TWIN = ".sncp/idee/da_rivedere/IDEA_VOCE_ERSILIA.md"
NOTE = ".sncp/idee/20260402_STUFE_E_SENSORI.md"


@pytest.fixture
def house(tmp_path: Path, examples: Path) -> House:
    """A published index of the example notes."""
    made = House(tmp_path, examples / "sncp")
    first = made.reindex()
    assert (made.embedded(), first["removed"], first["updated"]) == (first["added"], 0, 0)
    assert made.is_right()
    return made


def rows(report: dict[str, Any]) -> tuple[int, int, int]:
    return report["added"], report["updated"], report["removed"]


def append(house: House, path: str, text: str) -> None:
    with (house.root / path).open("a", encoding="utf-8") as file:
        file.write(text)


def test_nothing_changed_is_skipped_without_a_byte(house: House) -> None:
    before = house.bytes_of()
    assert house.reindex()["status"] == "skipped"
    assert (house.bytes_of(), house.embedded()) == (before, 0)


def test_one_line_in_ten_notes_is_ten_texts(house: House) -> None:
    notes = sorted(path for path in house.root.rglob("*.md") if "ERSILIA" not in path.name)[:10]
    for number, path in enumerate(notes):
        append(house, str(path.relative_to(house.root)), f"\n\n## Aggiunta\n\nparola{number} nuova di zecca\n")
    report = house.reindex()
    assert (rows(report), house.embedded()) == ((10, 0, 0), 10)
    assert all(len(house.found(f"parola{number}")) == 1 for number in range(10))
    assert house.is_right()


def test_a_deleted_note_is_gone(house: House) -> None:
    (house.root / NOTE).unlink()
    report = house.reindex()
    assert (report["added"], report["embedded"], house.embedded()) == (0, 0, 0)
    assert NOTE not in house.paths() and house.is_right()


def test_of_two_twins_one_is_deleted_and_the_text_stays(house: House) -> None:
    other = ".sncp/idee/IDEA_VOCE_ERSILIA.md"
    assert {TWIN, other} <= house.paths()
    for gone, left in ((other, TWIN),):
        words = " ".join((house.root / left).read_text(encoding="utf-8").split()[-6:-3])
        (house.root / gone).unlink()
        house.reindex()
        assert house.embedded() == 0
        assert gone not in house.paths() and left in house.found(words)
    assert house.is_right()


def test_a_renamed_note_is_not_embedded_again(house: House) -> None:
    (house.root / NOTE).rename(house.root / IDEAS / "20260402_CALDO.md")
    report = house.reindex()
    assert (report["added"], report["embedded"], house.embedded()) == (report["removed"], 0, 0)
    assert NOTE not in house.paths() and house.is_right()


def test_a_note_that_moves_to_another_kind_is_not_embedded_again(house: House) -> None:
    moved = ".sncp/memoria/decisioni/20260402_STUFE_E_SENSORI.md"
    (house.root / NOTE).rename(house.root / moved)
    house.reindex()
    kinds = {hit.kind for hit in house.opened().search("stufe sensori", k=50) if hit.path == moved}
    assert (kinds, house.embedded()) == ({"decision"}, 0)
    assert house.is_right()


def test_a_call_that_fails_once_leaves_the_old_version_and_what_was_paid_for(house: House) -> None:
    for number in range(70):  # three batches
        append(house, NOTE, f"\n\n## Parte {number}\n\ntesto{number} " + "parola " * 150)
    before, published = house.bytes_of(), read_published(house.uri)
    house.using(model="fake/embedding?fail_prob=0.5&seed=15")
    with pytest.raises(CervellaError, match="failed at its call"):
        house.reindex()
    paid = house.embedded()
    house.using(model="fake/embedding")
    assert 0 < paid < 70
    assert house.bytes_of() == before and read_published(house.uri) == published
    assert house.found("testo3") == set() and house.found("stufe") != set()
    assert house.reindex()["embedded"] == house.embedded() == 70 - paid
    assert house.is_right()


def test_another_chunk_size_replaces_every_row(house: House) -> None:
    house.using(max_tokens=60)
    report = house.reindex()
    assert report["embedded"] == house.embedded() <= report["added"]
    assert house.is_right()
    house.using(max_tokens=200)
    assert house.reindex()["embedded"] == house.embedded() == 0
    assert house.is_right()


def test_another_embedder_is_another_generation_that_readers_see_when_it_is_complete(house: House) -> None:
    total = len(house.opened().paths()) and house.wanted()[2]
    old = house.opened()
    house.using(model="fake/embedding?dimensions=32&fail_prob=0.5&seed=15")
    with pytest.raises(CervellaError, match="failed at its call"):  # in the middle of the new generation
        house.reindex()
    paid = house.embedded()
    assert 0 < paid < total
    assert old.search("caparra", k=3) and old.live_digest()
    house.using(model="fake/embedding?dimensions=32")
    assert house.reindex()["embedded"] == house.embedded() == total - paid
    assert house.is_right()
    with pytest.raises(TerminalError, match="built with the embedder fake/embedding@1.dimensions=32"):
        old.search("caparra")
    assert house.reindex()["status"] == "skipped"
    house.using(model="fake/embedding")
    report = house.reindex()
    assert (rows(report), house.embedded()) == ((0, 0, 0), 0)
    assert house.is_right()


def test_a_lost_cache_costs_nothing_for_what_the_table_holds(house: House) -> None:
    shutil.rmtree(house.workspace / "cache")
    append(house, NOTE, "\n\n## Aggiunta\n\nuna riga nuova\n")
    (house.root / TWIN).rename(house.root / IDEAS / "IDEA_RINOMINATA.md")
    assert house.reindex()["embedded"] == house.embedded() == 1


def golden(house: House, *rows: tuple[str, str, str]) -> None:
    """Golden questions (id, question, path), asked of every new index."""
    file = house.root.parent / "golden.jsonl"
    lines = [
        json.dumps({"id": key, "question": question, "lang": "it", "kind": "fact", "gold": [path]})
        for key, question, path in rows
    ]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    house.probe = golden_probe(EvaluateParams(golden=file), house.params.search, must_be_good=True)


def spoil(house: House) -> None:
    """Ten notes that drown the note that answers."""
    golden(house, ("q1", "stufe sensori caldo", NOTE), ("q2", "caparra", ".sncp/memoria/decisioni/calendario-unico.md"))
    house.reindex(force=True)
    (house.root / NOTE).write_text("# Altro\n\nUna nota che parla di tutt'altro.\n", encoding="utf-8")
    for number in range(10):
        text = f"# Stufe sensori caldo {number}\n\nstufe sensori caldo numero {number}\n"
        (house.root / IDEAS / f"rumore{number}.md").write_text(text, encoding="utf-8")


def test_a_fall_in_recall_is_not_published_and_says_what_is_lost(house: House) -> None:
    spoil(house)
    before = house.opened().live_digest()
    with pytest.raises(TerminalError) as refused:
        house.reindex()
    told = str(refused.value)
    assert 'q1 "stufe sensori caldo"' in told and "-o index.max_recall_drop=1" in told
    assert "from 0.500 to 0.000" in told or "from 1.000 to 0.500" in told
    index = house.opened()
    assert index.live_digest() == before and NOTE in house.found("stufe")
    table = index._live(index.uri, strict=True)
    table.checkout_latest()
    assert table.version == int(table.tags.list()["live"]["version"])  # the head is the good rows again
    house.embedded()
    house.using(max_recall_drop=1.0)
    report = house.reindex()
    assert (house.embedded(), report["questions"]) == (0, 2)
    assert house.is_right()


def test_faulty_golden_questions_are_told_before_anything_is_embedded(house: House) -> None:
    append(house, NOTE, "\n\n## Aggiunta\n\nuna riga nuova\n")
    golden(house, ("q1", "stufe", "non/c'è.md"))
    with pytest.raises(InputError, match=r"golden.jsonl:1: .*non/c'è.md"):
        house.reindex()
    assert house.embedded() == 0
    house.probe.must_be_good = False
    assert house.reindex()["embedded"] == 1


def test_other_settings_may_find_less_where_a_scorecard_follows(house: House) -> None:
    spoil(house)
    house.using(max_tokens=100)
    with pytest.raises(TerminalError, match="recall of the golden questions would fall"):
        house.reindex()
    house.reindex(judged=True)
    assert house.is_right()


def test_nothing_changed_asks_no_golden_question(house: House) -> None:
    golden(house, ("q1", "stufe sensori caldo", NOTE))
    house.probe = _Never()
    assert house.reindex()["status"] == "skipped"


class _Never:
    def prepare(self, paths: object) -> bool:
        raise AssertionError("asked")

    def __call__(self, index: object) -> object:
        raise AssertionError("asked")


def test_a_note_that_vanishes_while_the_index_is_built_stops_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    append(house, NOTE, "\n\n## Aggiunta\n\nuna riga nuova\n")
    cut = house.chunks

    def then_gone(run: Any) -> Any:
        made = cut(run)
        (house.root / TWIN).unlink()
        return made

    monkeypatch.setattr(house, "chunks", then_gone)
    before = house.opened().live_digest()
    with pytest.raises(TerminalError, match=r"1 notes are not in .* any more .*IDEA_VOCE_ERSILIA"):
        house.reindex()
    assert house.opened().live_digest() == before
    monkeypatch.undo()
    house.reindex()
    assert house.is_right()


@pytest.mark.slow
def test_real_notes_through_every_change(tmp_path: Path, shared: Path) -> None:
    """The nine steps on about 850 real notes: texts given to the model, and no row too many or missing."""
    house = House(tmp_path, shared / "data" / "sncp", max_removed_share=1.0)
    first = house.reindex()
    assert house.embedded() <= first["added"]
    assert house.reindex()["status"] == "skipped"
    notes = sorted(path for path in house.root.rglob("*.md") if path.stat().st_size > 2000)
    texts: dict[bytes, list[Path]] = {}
    for path in notes:
        texts.setdefault(path.read_bytes(), []).append(path)
    alone = [paths[0] for paths in texts.values() if len(paths) == 1]
    for number, path in enumerate(alone[:10]):
        append(house, str(path.relative_to(house.root)), f"\n\n# Aggiunta {number}\n\nunicorno{number} nuova\n")
    house.reindex()
    assert house.embedded() == 10
    gone = alone[10:15]
    for path in gone:
        path.unlink()
    twins = [paths[0] for paths in texts.values() if len(paths) > 1]
    for path in twins:
        path.unlink()
    assert twins
    house.reindex()
    assert house.embedded() == 0
    assert not {str(path.relative_to(house.root)) for path in [*gone, *twins]} & house.paths()
    for number, path in enumerate(alone[15:20]):
        path.rename(path.with_name(f"rinominata{number}{path.name}"))
    house.reindex()
    assert house.embedded() == 0
    assert house.is_right()
    house.using(max_tokens=120)
    report = house.reindex()
    assert house.embedded() <= report["added"]
    assert house.is_right()
    assert house.reindex()["status"] == "skipped"
    assert house.embedded() == 0


def test_an_embedder_that_an_upgrade_made_another_embeds_everything_anew_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = FakeEmbedder.__init__

    def newer(self: FakeEmbedder, *args: Any, **options: Any) -> None:
        made(self, *args, **options)
        self.id += "+newer"

    monkeypatch.setattr(FakeEmbedder, "__init__", newer)
    report = house.reindex()
    assert (report["status"], house.embedded()) == ("done", report["added"])
    assert report["added"] > 100 and house.is_right()
    assert house.reindex()["status"] == "skipped"
