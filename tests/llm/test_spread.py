"""Workers of a Ray cluster before there is one: what is told, what is refused, what they are copied as."""

from __future__ import annotations

import importlib.util
import pickle
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from components.errors import TerminalError
from components.llm import load_chat, load_embedder
from components.llm.machine import usable_cpus
from components.llm.spread import Workers
from components.llm.spread.cluster import Cluster, address_leaves_to
from components.llm.spread.inside import Inside
from components.llm.spread.lending import lend_workers, workers_of
from components.store import Run

CHAT: dict[str, Any] = {
    "temperature": 0, "max_tokens": 8, "context_tokens": 512, "timeout_seconds": 5, "retries": 0, "seed": 1,
}  # fmt: skip


@pytest.mark.parametrize(
    "address", [None, "auto", "ray://127.0.0.1:10001", "127.0.0.1:6379", "localhost:6379", "ray://box:10001"]
)
def test_a_cluster_here_or_on_a_trusted_host_keeps_texts_here(address: str | None) -> None:
    assert address_leaves_to(address, trusted_hosts=("box",)) is None


@pytest.mark.parametrize("address", ["ray://box:10001", "192.0.2.7:6379", "ray://user@127.0.0.1:10001"])
def test_any_other_cluster_is_elsewhere(address: str) -> None:
    assert "Ray cluster at" in str(address_leaves_to(address))


@pytest.mark.parametrize("address", ["ray://192.0.2.7:10001", "192.0.2.7:6379"])
def test_a_note_that_must_stay_here_is_given_to_no_cluster_elsewhere(address: str) -> None:
    workers = Workers(address=address)
    chat = load_chat(model="fake/chat", workers=workers, **CHAT)
    with pytest.raises(TerminalError, match=r"diario.md must not leave it .*Nothing was sent"):
        chat.chat([{"role": "user", "content": "ciao"}], local_notes=["diario.md"])


def test_where_ray_is_not_installed_the_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ray" else found(name))
    with pytest.raises(TerminalError, match="make setup-ray"), Workers():
        pass


@pytest.mark.parametrize("address", ["ray://127.0.0.1:{port}", "127.0.0.1:{port}", "nonsense"])
def test_a_cluster_that_does_not_answer_is_told_at_once(address: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(TerminalError, match="no Ray cluster answers at"):
        Cluster(address=address.format(port=port), most=None).open()


def test_nothing_is_started_for_what_is_not_used() -> None:
    workers = Workers(most=2)
    load_embedder(model="fake/embedding", workers=workers)
    load_chat(model="fake/chat", workers=workers, **CHAT)
    assert workers._cluster is None and workers.told() == {}


def test_a_few_texts_are_embedded_here() -> None:
    embedder = load_embedder(model="fake/embedding", batch_size=8, workers=Workers(most=2))
    assert embedder is not None
    assert embedder.embed_passages([f"nota {number}" for number in range(8)], local_notes=()).shape == (8, 64)
    assert embedder.embed_queries([f"domanda {number}" for number in range(30)]).shape == (30, 64)


def test_a_model_of_a_provider_is_not_spread() -> None:
    workers = Workers(most=2)
    embedder = load_embedder(model="openai/e", dimensions=3, workers=workers)
    assert embedder is not None and embedder.spread is None
    assert load_chat(model="openai/m", workers=workers, **CHAT).workers is None


def test_a_copy_has_the_settings_and_no_connection() -> None:
    workers = Workers(address="ray://box:10001", most=3, trusted_hosts=["box"])
    copy = pickle.loads(pickle.dumps(workers))
    assert copy._settings == workers._settings and copy._cluster is None


def test_a_run_has_the_workers_that_it_was_lent_and_only_so_long(tmp_path: Path) -> None:
    one, other = (Run.create(tmp_path, recipe=name, phase="mvp") for name in ("one", "other"))
    workers = Workers()
    with lend_workers(one, workers), lend_workers(other, None):
        assert workers_of(Run(one.folder)) is workers and workers_of(other) is None
    assert workers_of(one) is None


def test_an_error_raised_on_purpose_is_given_back_and_a_bug_is_not() -> None:
    inside = Inside()
    refused = inside.embed(["ciao"], model="fake/embedding?dimensions=1", dimensions=None)
    assert isinstance(refused, TerminalError) and "dimensions" in str(refused)
    with pytest.raises(AttributeError):
        inside.embed([None], model="fake/embedding", dimensions=None)  # type: ignore[list-item]


def test_a_worker_loads_a_model_once() -> None:
    inside = Inside()
    for _ in range(3):
        inside.embed(["ciao"], model="fake/embedding", dimensions=8)
    assert len(inside._embedders) == 1


def test_a_worker_of_one_processor_uses_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as Ray sets it
    assert usable_cpus() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "nonsense")
    assert usable_cpus() >= 1


def test_the_lock_is_of_the_version_that_is_asked_for_and_of_the_versions_of_the_other_lock(root: Path) -> None:
    asked = re.search(r'"ray\[client\]==([0-9.]+)"', (root / "pyproject.toml").read_text(encoding="utf-8"))
    ours, theirs = (
        dict(re.findall(r"^([a-z0-9._-]+)(?:\[[a-z]+\])?==(\S+)", (root / name).read_text(encoding="utf-8"), re.M))
        for name in ("requirements-ray.lock", "requirements.lock")
    )
    assert asked is not None and ours["ray"] == asked[1]
    assert {name: ours[name] for name in ours.keys() & theirs.keys()} == {
        name: theirs[name] for name in ours.keys() & theirs.keys()
    }
