"""Is the published index that of the recipe, and whole?"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from components.errors import TerminalError
from components.index.params import IndexParams
from components.index.published import read_published
from components.index.steps import index_uri, open_embedder
from components.index.table import NO_EMBEDDER
from components.services.doctor import Check

__all__ = ["check_index", "check_keys"]


def check_index(params: IndexParams, *, workspace: Path, root: Path, recipe: str) -> Iterator[Check]:
    """What `live.json` says against the recipe's embedder and notes, then all rows against what was published.

    Imports LanceDB only where something is published.
    """
    uri, again = index_uri(params, workspace=workspace), f"cervella reindex {recipe}"
    try:
        published = read_published(uri)
    except TerminalError as error:
        yield Check("index", "problem", str(error).partition(". `")[0], again)
        return
    if published is None:
        yield Check("index", "ok", f"nothing is published yet; {again}")
        return
    embedder = open_embedder(params, workspace=workspace)
    ours = NO_EMBEDDER if embedder is None else embedder.id
    if published.now.embedder != ours:
        told = f"it was built with the embedder {published.now.embedder}, and the recipe names {ours}"
        yield Check("index", "problem", f"{told}: search will refuse", again)
    if published.root is not None and os.path.realpath(published.root) != os.path.realpath(root):
        yield Check("index", "warning", f"it holds the notes of {published.root}, and the recipe names {root}", again)
    from components.index.status import index_status

    try:
        faults = index_status(uri)["faults"]
    except (OSError, ValueError, RuntimeError, TerminalError) as error:  # LanceDB has no errors of its own
        faults = [f"{uri} cannot be read ({error})"]
    for fault in faults:
        yield Check("index", "problem", fault.partition(". `")[0], again)
    if not faults:
        yield Check("index", "ok", f"{published.now.chunks} chunks of {published.now.notes} notes, whole")


def check_keys(names: Mapping[str, str | None], environment: Mapping[str, str] = os.environ) -> Iterator[Check]:
    """Keys that the recipe names (dotted key -> NAME) and that are not set. Values are never looked at."""
    wanted = {key: name for key, name in names.items() if name}
    unset = {key: name for key, name in wanted.items() if not environment.get(name, "").strip()}
    for key, name in unset.items():
        yield Check("keys", "problem", f"{key} names {name}, which is not set", f"export {name}=...")
    if not unset:
        yield Check("keys", "ok", f"{', '.join(wanted.values())} set" if wanted else "none needed")
