"""What must not leave this machine is in no file that goes to a bucket elsewhere, and which bucket is here."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from components.errors import TerminalError, TransientError
from components.index import Chunk, Index, cleanup
from components.index.bucket import objects as objects_of_a_bucket
from components.index.bucket.copying import copy_index
from components.index.bucket.objects import Bucket
from components.index.params import IndexParams
from components.index.place import copy_facts, copy_published, forget_copy
from components.index.published import read_published
from components.index.purge import indexed
from components.index.status import index_status
from components.llm.places import is_here
from tests.bucket import Storage
from tests.index.bucket_house import bucket_of, needed, notes, reader
from tests.index.support import Embedder, cut, note

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


def test_a_trusted_host_is_asked_without_a_proxy_also_when_its_copy_is_looked_at_and_taken_away(
    tmp_path: Path, elsewhere: str, writer: Index, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # where nobody listens
    trusted = {"workspace": tmp_path, "trusted_hosts": ["0.0.0.0"]}  # noqa: S104
    copy_published(IndexParams(uri=writer.uri, copy_to=elsewhere), **trusted)
    facts = copy_facts(IndexParams(uri=writer.uri, copy_to=elsewhere), **trusted)
    assert facts is not None and (facts["fault"], facts["is_newest"]) == (None, True)
    (writer.uri / "live.json").unlink()  # nothing is published here any more
    forget_copy(IndexParams(uri=writer.uri, copy_to=elsewhere), **trusted)
    assert storage.keys(bucket_of(elsewhere)) == {}


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
    assert after.now.version == writer.published_rows().version and index_status(writer.uri)["faults"] == []
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
