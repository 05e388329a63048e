"""A storage, an address of a bucket in it, and an index to be copied there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from components.index import Index
from components.index.bucket import mirror as mirrors
from tests.bucket import Storage, running_storage
from tests.index.bucket_house import notes
from tests.index.support import Embedder


@pytest.fixture(scope="module")
def storage() -> Iterator[Storage]:
    with running_storage() as made:
        yield made


@pytest.fixture
def address(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A prefix of a bucket of its own, and the environment that reaches it; each question asks it anew."""
    monkeypatch.setattr(mirrors, "FRESH_SECONDS", 0.0)
    for name, value in storage.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    storage.calm()
    yield f"s3://{storage.new_bucket()}/anna/notes"
    storage.calm()


@pytest.fixture
def writer(tmp_path: Path) -> Index:
    index = Index.open(tmp_path / "writer", Embedder())
    index.sync(notes())
    return index
