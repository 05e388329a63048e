"""Is the published index that of the recipe, and whole?"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from components.errors import TerminalError, TransientError
from components.index.params import IndexParams
from components.index.place import copy_facts, newest_uri
from components.index.published import read_published
from components.index.steps import open_embedder
from components.index.table import NO_EMBEDDER
from components.services.doctor import Check

__all__ = ["check_index", "check_keys"]


def check_index(
    params: IndexParams, *, workspace: Path, root: Path, recipe: str, trusted_hosts: Collection[str] = ()
) -> Iterator[Check]:
    """What `live.json` says against the recipe's embedder and notes, then all rows against what was published.

    An index in a bucket is brought first; a copy in a bucket is compared with what is published here. Imports LanceDB
    only where something is published, boto3 only where a bucket is named.
    """
    again = f"cervella reindex {recipe}"
    if params.read_from:
        again = f"on the machine that writes {params.read_from}: cervella reindex RECIPE"
    try:
        uri = newest_uri(params, workspace=workspace)
        published = read_published(uri)
    except TransientError as error:
        yield Check("index", "problem", str(error), "mend the network, or AWS_ENDPOINT_URL")
        return
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
    elsewhere = params.read_from is not None  # and so are its notes
    if not elsewhere and published.root is not None and os.path.realpath(published.root) != os.path.realpath(root):
        told = f"it holds the notes of {published.root}, and the recipe names {root}"
        yield Check("index", "warning", told, f"{again} --force index.build")  # chunks may be the same ones
    from components.index.status import index_status

    try:
        faults = index_status(uri)["faults"]
    except (OSError, ValueError, RuntimeError, TerminalError) as error:  # LanceDB has no errors of its own
        faults = [f"{uri} cannot be read ({error})"]
    mend = f"remove {uri.parent}: the next question brings it anew" if elsewhere else again
    for fault in faults:
        yield Check("index", "problem", fault.partition(". `")[0], mend)
    if not faults:
        yield Check("index", "ok", f"{published.now.chunks} chunks of {published.now.notes} notes, whole")
    copy = copy_facts(params, workspace=workspace, trusted_hosts=trusted_hosts)
    yield from _check_copy(copy, recipe=recipe, number=published.now.number)


def _check_copy(copy: Mapping[str, Any] | None, *, recipe: str, number: int) -> Iterator[Check]:
    again = f"cervella index copy {recipe}"
    if copy is None:
        return
    if copy["fault"]:
        yield Check("index copy", "problem", str(copy["fault"]), "mend this, or leave index.copy_to out")
    elif copy["publication"] is None:
        yield Check("index copy", "warning", f"nothing is in {copy['address']} yet", again)
    elif not copy["ours"]:
        told = f"{copy['address']} has an index of {copy['writer']}: runs here will end with exit 3"
        yield Check("index copy", "problem", told, f"another address, or {again} --anew, which takes it over")
    elif copy["missing"]:
        told = f"{copy['missing']} objects of {copy['address']} are gone: readers cannot bring it"
        yield Check("index copy", "problem", told, f"{again} --anew")
    elif not copy["is_newest"]:
        told = f"{copy['address']} has publication {copy['publication']}, and {number} is published here"
        yield Check("index copy", "warning", told, again)
    else:
        yield Check("index copy", "ok", f"{copy['address']} has publication {number}, which is the newest")


def check_keys(names: Mapping[str, str | None], environment: Mapping[str, str] = os.environ) -> Iterator[Check]:
    """Keys that the recipe names (dotted key -> NAME) and that are not set. Values are never looked at."""
    wanted = {key: name for key, name in names.items() if name}
    by_name: dict[str, list[str]] = {}
    for key, name in wanted.items():
        by_name.setdefault(name, []).append(key)
    unset = [name for name in by_name if not environment.get(name, "").strip()]
    for name in unset:
        verb = "name" if len(by_name[name]) > 1 else "names"
        told = f"{' and '.join(by_name[name])} {verb} {name}, which is not set"
        yield Check("keys", "problem", told, f"export {name}=...")
    if not unset:
        yield Check("keys", "ok", f"{', '.join(by_name)} set" if by_name else "none needed")
