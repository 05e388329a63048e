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

from components.scale.endpoint import read_endpoint, remove_endpoint, write_endpoint
from components.serve.http.keys import Keys, first_key
from components.services.process_start import started_at

URL = "http://127.0.0.1:8421"


def file_of(workspace: Path) -> Path:
    return workspace / "serve" / "endpoint.json"


def test_what_is_told_is_read_by_its_user_alone_and_taken_back(tmp_path: Path) -> None:
    write_endpoint(tmp_path, url=URL, recipe="mvp")
    found = read_endpoint(tmp_path)
    assert found and (found.pid, found.url, found.recipe) == (os.getpid(), URL, "mvp") and found.is_up()
    assert stat.S_IMODE(file_of(tmp_path).stat().st_mode) == 0o600
    remove_endpoint(tmp_path)
    assert read_endpoint(tmp_path) is None and not file_of(tmp_path).exists()
    remove_endpoint(tmp_path)


def test_a_stale_one_is_none_and_another_ones_stays(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        told = {"pid": other.pid, "started_at": started_at(other.pid), "url": URL, "recipe": "mvp"}
        file_of(tmp_path).parent.mkdir()
        file_of(tmp_path).write_text(json.dumps(told))
        remove_endpoint(tmp_path)
        assert read_endpoint(tmp_path)
        file_of(tmp_path).write_text(json.dumps({**told, "started_at": "1"}))  # its number was used again
        assert read_endpoint(tmp_path) is None
        file_of(tmp_path).write_text(json.dumps(told))
        other.communicate(b"\n")
    assert read_endpoint(tmp_path) is None


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"pid": "x"}', "[" * 5000], ids=["empty", "none", "list", "pid", "deep"]
)
def test_what_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    file_of(tmp_path).parent.mkdir()
    file_of(tmp_path).write_text(text)
    assert read_endpoint(tmp_path) is None


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
