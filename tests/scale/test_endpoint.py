"""Where an endpoint says that it is up: one's own is taken back, another's stays, a stale one is seen."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from components.scale.endpoint import read_endpoints, remove_endpoint, write_endpoint
from components.serve.http.keys import Keys, first_key
from components.services.process_start import started_at

URL = "http://127.0.0.1:8421"


def folder_of(workspace: Path) -> Path:
    return workspace / "serve" / "endpoints"


def test_what_is_told_is_read_by_its_user_alone_and_taken_back(tmp_path: Path) -> None:
    write_endpoint(tmp_path, url=URL, recipe="mvp")
    [found] = read_endpoints(tmp_path)
    assert (found.pid, found.url, found.recipe) == (os.getpid(), URL, "mvp") and found.is_up()
    [file] = folder_of(tmp_path).iterdir()
    assert file.name == f"{os.getpid()}.json" and stat.S_IMODE(file.stat().st_mode) == 0o600
    remove_endpoint(tmp_path)
    assert read_endpoints(tmp_path) == [] and not file.exists()
    remove_endpoint(tmp_path)


def test_each_tells_of_itself_and_one_that_is_gone_is_none(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        told = {"pid": other.pid, "started_at": started_at(other.pid), "url": URL, "recipe": "other"}
        file = folder_of(tmp_path) / f"{other.pid}.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(told))
        os.utime(file, (1, 1))
        write_endpoint(tmp_path, url=URL, recipe="mvp")
        assert [one.recipe for one in read_endpoints(tmp_path)] == ["mvp", "other"]
        remove_endpoint(tmp_path)
        assert [one.recipe for one in read_endpoints(tmp_path)] == ["other"]
        file.write_text(json.dumps({**told, "started_at": "1"}))  # its number was used again
        assert read_endpoints(tmp_path) == []
        file.write_text(json.dumps(told))
        other.communicate(b"\n")
    assert read_endpoints(tmp_path) == []
    write_endpoint(tmp_path, url=URL, recipe="mvp")
    assert not file.exists()


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"pid": "x"}', "[" * 5000], ids=["empty", "none", "list", "pid", "deep"]
)
def test_what_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    folder_of(tmp_path).mkdir(parents=True)
    (folder_of(tmp_path) / "1.json").write_text(text)
    assert read_endpoints(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "key"),
    [("anna:" + "k" * 16, "k" * 16), ("k" * 16, "k" * 16), (" ,anna: " + "k" * 16 + ",b", "k" * 16), ("", None),
     ("a/b:" + "k" * 16, "a/b:" + "k" * 16)],
    ids=["named", "alone", "blanks", "none", "colon in a key"],
)  # fmt: skip
def test_the_first_key_is_one_that_is_let_in(text: str, key: Any) -> None:
    assert first_key(text) == key
    if key and not text.endswith(",b"):
        assert Keys.read(text, what="it").name_of(f"Bearer {key}")
