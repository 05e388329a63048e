"""The index in a bucket: what is told when it cannot be reached or nothing is there, and who answers meanwhile."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from components.errors import TerminalError, TransientError
from components.index import Index
from components.index.bucket.copying import copy_index
from components.index.bucket.mirror import Mirror
from tests.bucket import Storage
from tests.index.bucket_house import bucket_of, notes, reader


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
