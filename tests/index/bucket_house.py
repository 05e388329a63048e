"""What the tests of an index in a bucket share: notes, a reader elsewhere, and what lies under an address."""

from __future__ import annotations

from pathlib import Path

from components.index import Chunk, Index
from components.index.bucket.mirror import Mirror
from components.index.bucket.state import State
from tests.bucket import Storage
from tests.index.support import Embedder, cut, note


def bucket_of(address: str) -> str:
    return address.removeprefix("s3://").partition("/")[0]


def notes(count: int = 12, *, more: str = "") -> list[Chunk]:
    return cut(*(note(f"n{number}.md", f"# Nota {number}\n\nforno pane {number}{more}\n") for number in range(count)))


def reader(tmp_path: Path, address: str) -> Index:
    newest = Mirror(address, workspace=tmp_path / "reader").newest
    return Index.open(newest(), Embedder(), newest=newest)


def state_of(storage: Storage, address: str) -> State:
    return State.parse(storage.keys(bucket_of(address))["anna/notes/published.json"], where=address)


def needed(storage: Storage, address: str) -> set[str]:
    return set(state_of(storage, address).digests)


def objects(storage: Storage, address: str) -> set[str]:
    keys = storage.keys(bucket_of(address))
    return {key.rpartition("/")[2] for key in keys if "/objects/" in key}
