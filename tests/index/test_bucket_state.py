"""The state of an index in a bucket: what is believed of it, and what is done when it is damaged or replaced."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import TerminalError
from components.index import Index, chunks_digest
from components.index.bucket.copying import copy_index, look_at_copy
from components.index.bucket.state import State, StoredFile
from components.index.status import index_status
from tests.bucket import Storage
from tests.index.bucket_house import bucket_of, notes, reader
from tests.index.support import Embedder


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
