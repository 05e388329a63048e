"""The index in a bucket: what readers elsewhere see, what is uploaded and brought, and who may write."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from components.errors import InputError, TerminalError, TransientError
from components.index import Index, IndexParams, chunks_digest
from components.index.bucket import mirror as mirrors
from components.index.bucket.copying import CopyReport, copy_index, look_at_copy, withdraw
from components.index.place import check_place, copy_facts, copy_published, index_uri
from components.index.status import index_status
from tests.bucket import Storage
from tests.index.bucket_house import bucket_of, needed, notes, objects, reader, state_of
from tests.index.support import Embedder, cut, note


def test_a_reader_elsewhere_finds_what_the_writer_finds(tmp_path: Path, address: str, writer: Index) -> None:
    copy_index(writer.uri, address)
    there = reader(tmp_path, address)
    for question in ("forno pane", "nota 7", "vino"):
        assert there.search(question) == writer.search(question)
    assert there.live_digest() == writer.live_digest() == chunks_digest(notes(), Embedder().id)
    assert index_status(there.uri)["faults"] == []


def test_an_open_reader_sees_the_next_publication(tmp_path: Path, address: str, writer: Index) -> None:
    copy_index(writer.uri, address)
    there = reader(tmp_path, address)
    assert not {"new.md"} & set(there.paths())
    writer.sync([*notes(), *cut(note("new.md", "# Nuova\n\nprimavera\n"))])
    assert not {"new.md"} & set(there.paths())  # published there, not yet copied
    copy_index(writer.uri, address)
    assert {"new.md"} <= set(there.paths())
    assert {hit.path for hit in there.search("primavera", k=1)} == {"new.md"}


def test_what_did_not_change_is_neither_uploaded_nor_brought_again(
    tmp_path: Path, address: str, writer: Index, storage: Storage
) -> None:
    first = copy_index(writer.uri, address)
    assert first.uploaded > 5
    there = reader(tmp_path, address)
    storage.calm()
    assert copy_index(writer.uri, address) == CopyReport(1, 12, 0, 0, 0)
    assert [method for method, _ in storage.asked] == ["GET"]
    storage.calm()
    there.search("pane")
    assert {method for method, _ in storage.asked} == {"GET"} and not any(
        "objects" in path for _, path in storage.asked
    )
    before = {file.sha256 for file in state_of(storage, address).files.values()}
    writer.sync(notes(more=" vino"))
    second = copy_index(writer.uri, address)
    storage.calm()
    there.search("vino")
    brought = {path.rpartition("/")[2] for _, path in storage.asked if "/objects/" in path}
    after = {file.sha256 for file in state_of(storage, address).files.values()}
    assert brought == after - before and len(brought) == second.uploaded < first.uploaded + 10


def test_old_objects_go_after_the_time_of_grace_and_needed_ones_never(
    address: str, writer: Index, storage: Storage
) -> None:
    now = datetime(2026, 5, 1, 3, tzinfo=UTC)
    copy_index(writer.uri, address, clock=lambda: now)
    writer.sync(notes(more=" vino"))
    shutil.rmtree(next(writer.uri.glob("chunks-*.lance")) / "_transactions")  # files of a state may also vanish
    writer.sync(notes(more=" olio"))
    copy_index(writer.uri, address, clock=lambda: now + timedelta(minutes=10))
    unneeded = state_of(storage, address).unneeded
    assert unneeded and needed(storage, address) | set(unneeded) == objects(storage, address)
    report = copy_index(writer.uri, address, clock=lambda: now + timedelta(minutes=69))
    assert report.removed == 0 and objects(storage, address) >= set(unneeded)
    report = copy_index(writer.uri, address, clock=lambda: now + timedelta(minutes=70))
    assert report.removed == len(unneeded) and objects(storage, address) == needed(storage, address)
    storage.calm()
    copy_index(writer.uri, address, clock=lambda: now + timedelta(days=1))
    assert len(storage.asked) == 1  # nothing is left to be removed


def test_an_address_has_one_writer_until_another_takes_it_over(tmp_path: Path, address: str, writer: Index) -> None:
    copy_index(writer.uri, address)
    other = Index.open(tmp_path / "other", Embedder())
    other.sync(notes(more=" vino"))
    with pytest.raises(TerminalError, match=r"is a copy of the index .*writer.*--anew"):
        copy_index(other.uri, address)
    assert not look_at_copy(other.uri, address)["ours"]
    copy_index(other.uri, address, anew=True)
    assert reader(tmp_path, address).live_digest() == other.live_digest()
    with pytest.raises(TerminalError, match="is a copy of the index"):
        copy_index(writer.uri, address)


def test_a_writer_that_was_asleep_does_not_write_over_what_came_meanwhile(
    tmp_path: Path, address: str, writer: Index, storage: Storage
) -> None:
    copy_index(writer.uri, address)
    writer.sync(notes(more=" vino"))
    other = Index.open(tmp_path / "other", Embedder())
    other.sync(notes(5))

    def meanwhile(method: str, path: str) -> None:
        if method == "PUT" and "/objects/" in path:
            storage.calm()
            copy_index(other.uri, address, anew=True)

    storage.after = meanwhile
    with pytest.raises(TransientError, match="written by somebody else"):
        copy_index(writer.uri, address)
    assert reader(tmp_path, address).live_digest() == other.live_digest()


def test_storage_without_conditional_writes_gets_plain_ones(
    tmp_path: Path, address: str, writer: Index, storage: Storage
) -> None:
    seen: list[str] = []

    def refuse(method: str, path: str) -> int | None:
        if method == "PUT" and path.endswith("published.json"):
            seen.append(path)
            return 501 if len(seen) == 1 else None
        return None

    storage.refuse = refuse
    copy_index(writer.uri, address)
    assert len(seen) == 2 and reader(tmp_path, address).live_digest() == writer.live_digest()


def test_states_that_nobody_reads_any_more_go_and_share_their_files(
    tmp_path: Path, address: str, writer: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_index(writer.uri, address)
    there = reader(tmp_path, address)
    first = there.uri
    writer.sync(notes(more=" vino"))
    copy_index(writer.uri, address)
    there.search("vino")
    second = there.uri
    assert first.is_dir() and first != second
    shared = {path.stat().st_ino for path in first.rglob("*.lance")} & {
        path.stat().st_ino for path in second.rglob("*.lance")
    }
    assert shared
    monkeypatch.setattr(mirrors, "KEEP", timedelta(0))
    writer.sync(notes(more=" olio"))
    copy_index(writer.uri, address)
    there.search("olio")
    assert [path.name for path in first.parent.iterdir()] == [there.uri.name]


def test_withdrawn_it_leaves_nothing(address: str, writer: Index, storage: Storage) -> None:
    copy_index(writer.uri, address)
    assert withdraw(writer.uri, address) is False
    assert storage.keys(bucket_of(address)) == {}


def test_forgetting_tells_that_a_bucket_keeps_older_versions(address: str, writer: Index, storage: Storage) -> None:
    storage.client.put_bucket_versioning(Bucket=bucket_of(address), VersioningConfiguration={"Status": "Enabled"})
    copy_index(writer.uri, address)
    assert copy_index(writer.uri, address, grace=timedelta(0)).old_versions


def test_an_index_in_a_bucket_is_not_written(address: str) -> None:
    with pytest.raises(InputError, match="only read.*index.copy_to"):
        check_place(IndexParams(uri=address))
    check_place(IndexParams(uri=address), phase="dataset")
    with pytest.raises(InputError, match="names no bucket"):
        copy_published(IndexParams(), workspace=Path("nowhere"), trusted_hosts=())


def test_asking_nobody_an_index_in_a_bucket_is_what_was_brought_last(
    tmp_path: Path, address: str, writer: Index, storage: Storage
) -> None:
    params = IndexParams(uri=address)
    assert not index_uri(params, workspace=tmp_path / "reader").exists()
    copy_index(writer.uri, address)
    there = reader(tmp_path, address)
    storage.calm()
    assert index_uri(params, workspace=tmp_path / "reader") == there.uri
    assert storage.asked == []


def test_facts_of_a_copy_tell_how_far_it_is(tmp_path: Path, address: str, writer: Index, storage: Storage) -> None:
    params = IndexParams(uri=writer.uri, copy_to=address)
    facts = lambda: copy_facts(params, workspace=tmp_path)  # noqa: E731
    assert copy_facts(IndexParams(uri=writer.uri), workspace=tmp_path) is None
    assert facts()["publication"] is None
    copy_index(writer.uri, address)
    assert (facts()["publication"], facts()["is_newest"], facts()["fault"]) == (1, True, None)
    writer.sync(notes(more=" vino"))
    assert (facts()["publication"], facts()["is_newest"]) == (1, False)
    storage.refuse = lambda method, path: 403
    assert "refuses" in facts()["fault"]
