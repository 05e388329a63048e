"""The index in a bucket: what readers elsewhere see, what is uploaded and brought, what is told when it fails."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from support import Embedder, cut, note  # noqa: E402

from components.errors import InputError, TerminalError, TransientError  # noqa: E402
from components.index import (  # noqa: E402
    Chunk,
    Index,
    IndexParams,
    chunks_digest,
    cleanup,  # noqa: E402
)
from components.index.bucket import mirror as mirrors  # noqa: E402
from components.index.bucket import objects as objects_of_a_bucket  # noqa: E402
from components.index.bucket.copying import CopyReport, copy_index, look_at_copy, withdraw  # noqa: E402
from components.index.bucket.mirror import Mirror  # noqa: E402
from components.index.bucket.objects import Bucket  # noqa: E402
from components.index.bucket.state import State, StoredFile  # noqa: E402
from components.index.place import check_place, copy_facts, copy_published, index_uri  # noqa: E402
from components.index.published import read_published  # noqa: E402
from components.index.purge import indexed  # noqa: E402
from components.index.status import index_status  # noqa: E402
from components.llm.places import is_here  # noqa: E402
from tests.bucket import Storage, running_storage  # noqa: E402


@pytest.fixture(scope="module")
def storage() -> Iterator[Storage]:
    with running_storage() as made:
        yield made


@pytest.fixture
def address(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A prefix of a bucket of its own, and the environment that reaches it."""
    for name, value in storage.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    storage.calm()
    yield f"s3://{storage.new_bucket()}/anna/notes"
    storage.calm()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each question asks the bucket anew."""
    monkeypatch.setattr(mirrors, "FRESH_SECONDS", 0.0)


def bucket_of(address: str) -> str:
    return address.removeprefix("s3://").partition("/")[0]


def notes(count: int = 12, *, more: str = "") -> list[Chunk]:
    return cut(*(note(f"n{number}.md", f"# Nota {number}\n\nforno pane {number}{more}\n") for number in range(count)))


@pytest.fixture
def writer(tmp_path: Path) -> Index:
    index = Index.open(tmp_path / "writer", Embedder())
    index.sync(notes())
    return index


def reader(tmp_path: Path, address: str) -> Index:
    newest = Mirror(address, workspace=tmp_path / "reader").newest
    return Index.open(newest(), Embedder(), newest=newest)


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


def state_of(storage: Storage, address: str) -> State:
    return State.parse(storage.keys(bucket_of(address))["anna/notes/published.json"], where=address)


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


def needed(storage: Storage, address: str) -> set[str]:
    return set(state_of(storage, address).digests)


def objects(storage: Storage, address: str) -> set[str]:
    keys = storage.keys(bucket_of(address))
    return {key.rpartition("/")[2] for key in keys if "/objects/" in key}


@pytest.mark.parametrize(
    "asked", ["PUT of an object", "PUT of the state", "GET of the state", "GET of the list"],
)  # fmt: skip
def test_an_upload_that_fails_is_told_and_the_next_one_brings_it(
    tmp_path: Path, address: str, writer: Index, storage: Storage, asked: str
) -> None:
    copy_index(writer.uri, address)
    there, digest = reader(tmp_path, address), writer.live_digest()
    writer.sync(notes(more=" vino"))
    method, _, what = asked.partition(" of ")
    part = {"an object": "objects/", "the state": "published.json", "the list": "-"}[what]

    def refuse(asked_method: str, path: str) -> int | None:
        lists = path.strip("/") == bucket_of(address)
        return 503 if asked_method == method and (lists if part == "-" else part in path) else None

    storage.refuse = refuse
    with pytest.raises(TransientError, match=f"{address}.*503"):
        copy_index(writer.uri, address)
    storage.calm()
    assert there.live_digest() == digest != writer.live_digest()  # here the new one is published, there the old one is
    copy_index(writer.uri, address)
    assert there.live_digest() == writer.live_digest()


def test_a_bucket_that_cannot_be_reached_is_told_once_and_the_copy_answers(
    tmp_path: Path, address: str, writer: Index, storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    copy_index(writer.uri, address)
    there = reader(tmp_path, address)
    storage.refuse = lambda method, path: 503
    with caplog.at_level(logging.WARNING, logger="cervella"):
        assert there.search("pane") and there.search("forno")
    assert caplog.text.count("publication 1 of") == 1 and address in caplog.text
    with pytest.raises(TransientError, match="503"):
        Mirror(address, workspace=tmp_path / "third").newest()


def test_nothing_answers_at_the_endpoint(address: str, writer: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    with pytest.raises(TransientError, match=r"cannot be reached at http://127.0.0.1:9"):
        copy_index(writer.uri, address)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"AWS_ENDPOINT_URL_S3": "nonsense"}, "Expected in AWS_ENDPOINT_URL"),
        ({"AWS_PROFILE": "nobody"}, "settings of AWS cannot be used"),
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "there are no credentials"),
    ],
    ids=["endpoint", "profile", "keys"],
)
def test_settings_that_cannot_work_are_told_with_the_way_out(
    tmp_path: Path,
    address: str,
    writer: Index,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, str | None],
    told: str,
) -> None:
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    for name, value in change.items():
        monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    with pytest.raises(TerminalError, match=told):
        copy_index(writer.uri, address)


def test_a_refusal_names_the_rights_and_no_key(address: str, writer: Index, storage: Storage) -> None:
    storage.refuse = lambda method, path: 403
    with pytest.raises(TerminalError, match="s3:PutObject") as caught:
        copy_index(writer.uri, address)
    assert "not-a-secret-key" not in str(caught.value)


def test_a_bucket_that_is_not_there(writer: Index, address: str) -> None:
    with pytest.raises(TerminalError, match="there is no bucket nobody-made-this"):
        copy_index(writer.uri, "s3://nobody-made-this/x")


def test_nothing_is_published_there_yet(tmp_path: Path, address: str) -> None:
    with pytest.raises(TerminalError, match="nothing is published in s3://.*copy_to"):
        reader(tmp_path, address)


def test_nothing_is_published_here_yet(tmp_path: Path, address: str) -> None:
    with pytest.raises(TerminalError, match="nothing is published in"):
        copy_index(tmp_path / "empty", address)


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


def test_an_object_that_is_damaged_or_gone_is_told_and_uploaded_anew(
    tmp_path: Path, address: str, writer: Index, storage: Storage
) -> None:
    copy_index(writer.uri, address)
    client, bucket = storage.client, bucket_of(address)
    key = next(key for key in storage.keys(bucket) if "/objects/" in key)
    client.put_object(Bucket=bucket, Key=key, Body=b"something else")
    with pytest.raises(TerminalError, match=r"is damaged.*--anew"):
        reader(tmp_path, address)
    client.delete_object(Bucket=bucket, Key=key)
    with pytest.raises(TerminalError, match=r"there is no object .*--anew"):
        reader(tmp_path, address)
    assert look_at_copy(writer.uri, address)["missing"] == 1
    copy_index(writer.uri, address, anew=True)
    assert look_at_copy(writer.uri, address)["missing"] == 0
    assert reader(tmp_path, address).live_digest() == writer.live_digest()


def test_a_state_that_is_replaced_while_it_is_brought_is_left_for_the_newer_one(
    tmp_path: Path, address: str, writer: Index, storage: Storage
) -> None:
    copy_index(writer.uri, address)

    def meanwhile(method: str, path: str) -> None:
        if method == "GET" and "/objects/" in path:
            storage.calm()
            writer.sync(notes(more=" vino"))
            copy_index(writer.uri, address, grace=timedelta(0))  # what only the old state needed is gone at once

    storage.after = meanwhile
    assert (
        reader(tmp_path, address).live_digest()
        == writer.live_digest()
        == chunks_digest(notes(more=" vino"), Embedder().id)
    )


@pytest.mark.parametrize("damage", ["cut short", "removed", "folder removed", "known.json torn"])
def test_a_copy_that_was_damaged_here_is_brought_anew(tmp_path: Path, address: str, writer: Index, damage: str) -> None:
    copy_index(writer.uri, address)
    there = reader(tmp_path, address)
    data = next(there.uri.rglob("data/*.lance"))
    if damage == "cut short":
        copy = data.read_bytes()[:-10]
        data.write_bytes(copy)
    elif damage == "removed":
        data.unlink()
    elif damage == "folder removed":
        shutil.rmtree(there.uri)
    else:
        (there.uri.parents[1] / "known.json").write_text("{")
    assert there.search("pane") == writer.search("pane")
    assert index_status(there.uri)["faults"] == []


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


@pytest.fixture(scope="module")
def told_of_a_state() -> bytes:
    files = {
        "live.json": StoredFile("1" * 64, 5),
        "chunks-0123456789abcdef.lance/data/x.lance": StoredFile("2" * 64, 9),
    }
    return State(files, "host:/index", "2026-05-01T03:00:00+00:00", {"number": 1}, {"3" * 64: "2026-05-01"}).to_bytes()


FILE = "chunks-0123456789abcdef.lance/data/x.lance"
CHANGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "newer format": lambda told: told.update(format=2),
    "no live.json": lambda told: told["files"].pop("live.json"),
    "a file more": lambda told: told["files"].update({FILE + "x": ["4" * 64, 1]}),
    "other bytes": lambda told: told["files"].update({FILE: ["4" * 64, 9]}),
    "out of the folder": lambda told: told["files"].update({"../../escape": ["0" * 64, 1]}),
    "out of the table": lambda told: told["files"].update({"chunks-0123456789abcdef.lance/../../x": ["0" * 64, 1]}),
    "absolute": lambda told: told["files"].update({"/etc/passwd": ["0" * 64, 1]}),
    "no digest": lambda told: told["files"].update({FILE: ["../x", 9]}),
    "no size": lambda told: told["files"].update({FILE: ["2" * 64, None]}),
    "list": lambda told: told.update(files=[]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_state_that_does_not_hold_together_is_not_believed(told_of_a_state: bytes, name: str) -> None:
    assert State.parse(told_of_a_state, where="s3://x").to_bytes() == told_of_a_state
    told = json.loads(told_of_a_state)
    CHANGES[name](told)
    with pytest.raises(TerminalError, match=r"s3://x/published.json does not say what is published.*--anew"):
        State.parse(json.dumps(told).encode(), where="s3://x")


@given(st.dictionaries(st.text(max_size=40), st.tuples(st.text(max_size=70), st.integers())), st.booleans())
def test_no_name_of_a_state_leads_out_of_its_folder(names: dict[str, tuple[str, int]], table: bool) -> None:
    prefix = "chunks-0123456789abcdef.lance/" if table else ""
    files = {"live.json": StoredFile("1" * 64, 5)}
    files |= {prefix + name: StoredFile("2" * 64, abs(size)) for name, (_, size) in names.items()}
    state = State(files, "host:/index", "2026-05-01", {})
    try:
        parsed = State.parse(state.to_bytes(), where="s3://x")
    except TerminalError:
        return
    for name in parsed.files:
        assert os.path.normpath(f"/states/one/{name}") == f"/states/one/{name}"


def test_a_pointer_that_is_damaged_is_told_and_written_anew(
    tmp_path: Path, address: str, writer: Index, storage: Storage
) -> None:
    copy_index(writer.uri, address)
    storage.client.put_object(Bucket=bucket_of(address), Key="anna/notes/published.json", Body=b"{")
    with pytest.raises(TerminalError, match="does not say what is published"):
        reader(tmp_path, address)
    with pytest.raises(TerminalError, match="does not say what is published"):
        copy_index(writer.uri, address)
    copy_index(writer.uri, address, anew=True)
    assert reader(tmp_path, address).live_digest() == writer.live_digest()


def test_withdrawn_it_leaves_nothing(address: str, writer: Index, storage: Storage) -> None:
    copy_index(writer.uri, address)
    assert withdraw(writer.uri, address) is False
    assert storage.keys(bucket_of(address)) == {}


def test_forgetting_tells_that_a_bucket_keeps_older_versions(address: str, writer: Index, storage: Storage) -> None:
    storage.client.put_bucket_versioning(Bucket=bucket_of(address), VersioningConfiguration={"Status": "Enabled"})
    copy_index(writer.uri, address)
    assert copy_index(writer.uri, address, grace=timedelta(0)).old_versions


SECRET = "la scatola azzurra dietro il forno"


@pytest.fixture
def elsewhere(address: str, monkeypatch: pytest.MonkeyPatch, storage: Storage) -> str:
    """The address, at an endpoint that is written as none of this machine."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", storage.url.replace("127.0.0.1", "0.0.0.0"))  # noqa: S104
    return address


def with_a_local_one() -> list[Chunk]:
    return [*notes(), *cut(note("diario.md", f"# Diario\n\n{SECRET}\n", local=True))]


def leaked(storage: Storage, address: str) -> list[str]:
    return [key for key, body in storage.keys(bucket_of(address)).items() if b"azzurr" in body]


def test_rows_that_must_stay_here_are_copied_to_storage_here_alone(
    elsewhere: str, writer: Index, storage: Storage
) -> None:
    writer.sync(with_a_local_one())
    with pytest.raises(
        TerminalError, match=r"diario\.md must not leave it .* in the published index\. Nothing was sent"
    ):
        copy_index(writer.uri, elsewhere)
    assert storage.keys(bucket_of(elsewhere)) == {}
    copy_index(writer.uri, elsewhere, trusted_hosts=["0.0.0.0"])  # noqa: S104
    assert leaked(storage, elsewhere)  # so the words can be seen in the files


@pytest.mark.parametrize("since", ["a moment", "weeks"])
def test_rows_that_were_taken_out_are_in_no_file_that_goes_elsewhere(
    tmp_path: Path, elsewhere: str, storage: Storage, since: str
) -> None:
    writer = Index.open(tmp_path / "another", Embedder())
    writer.sync(with_a_local_one())
    with pytest.MonkeyPatch.context() as patch:
        if since == "weeks":  # no version that is kept has the row; its file has, since few of its rows are deleted
            patch.setattr(cleanup, "KEEP", timedelta(0))
            patch.setattr(cleanup, "_PRUNE", 0)
            patch.setattr(cleanup, "MARGIN", 0.0)
        writer.sync(notes())
    before = read_published(writer.uri)
    assert any(b"azzurr" in path.read_bytes() for path in writer.uri.rglob("*") if path.is_file())
    assert ("diario.md" in {row["path"] for row in indexed(writer.uri)}) == (since == "a moment")
    copy_index(writer.uri, elsewhere)
    assert leaked(storage, elsewhere) == []
    there, after = reader(tmp_path, elsewhere), read_published(writer.uri)
    assert there.search("forno") == writer.search("forno") and there.search("forno")
    assert before is not None and after is not None
    assert [(one.number, one.digest) for one in after.history] == [(one.number, one.digest) for one in before.history]
    assert after.now.version == writer.live_version() and index_status(writer.uri)["faults"] == []
    sent = needed(storage, elsewhere)
    writer.sync(notes(more=" vino"))
    copy_index(writer.uri, elsewhere)
    assert len(sent & needed(storage, elsewhere)) > 5  # the table was not written anew once more
    writer.sync(with_a_local_one())
    with pytest.raises(TerminalError, match="Nothing was sent"):
        copy_index(writer.uri, elsewhere)


def test_rows_that_were_never_published_are_in_no_file_that_goes_elsewhere(
    elsewhere: str, writer: Index, storage: Storage
) -> None:
    def broken(_: Index) -> Any:
        raise TerminalError("no answers")

    with pytest.raises(TerminalError, match="no answers"):
        writer.sync(with_a_local_one(), probe=broken)
    copy_index(writer.uri, elsewhere)
    assert leaked(storage, elsewhere) == []


def test_storage_on_this_machine_is_asked_by_no_proxy(
    address: str, writer: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nothing answers there
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    objects_of_a_bucket._client.cache_clear()  # clients of other tests were made without a proxy
    assert Bucket(address).is_here
    copy_index(writer.uri, address)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", os.environ["AWS_ENDPOINT_URL_S3"].replace("127.0.0.1", "0.0.0.0"))  # noqa: S104
    with pytest.raises(TransientError, match="proxy"):
        copy_index(writer.uri, address)
    copy_index(writer.uri, address, trusted_hosts=["0.0.0.0"])  # noqa: S104
    objects_of_a_bucket._client.cache_clear()


@pytest.mark.parametrize("ignored", ["true", "false"])
def test_what_is_told_to_be_the_endpoint_is_the_one(
    address: str, monkeypatch: pytest.MonkeyPatch, ignored: str
) -> None:
    monkeypatch.setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", ignored)
    bucket = Bucket(address)
    asked = bucket._client.meta.endpoint_url
    assert bucket.is_here == is_here(asked) == (ignored == "false")


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
