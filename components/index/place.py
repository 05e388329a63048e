"""Where the index of a recipe is: a folder that is written here, or the copy of what another machine published."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import CervellaError, InputError
from components.index.params import IndexParams
from components.store import logger

if TYPE_CHECKING:
    from components.index.bucket.copying import CopyReport
    from components.index.bucket.mirror import Mirror

__all__ = ["check_place", "copy_facts", "copy_published", "forget_copy", "index_uri", "mirror_of", "newest_uri"]


def index_uri(params: IndexParams, *, workspace: Path) -> Path:
    """Folder of the tables on this machine. Where index.uri is a bucket: of what was brought last; nobody is asked."""
    if params.read_from:
        return mirror_of(params.read_from, workspace=workspace).uri
    return Path(params.uri or workspace / "index")


def newest_uri(params: IndexParams, *, workspace: Path) -> Path:
    """Folder of the tables, as `index_uri`; where index.uri is a bucket, what is published there is brought first.

    Raises:
        TerminalError: nothing is published in the bucket, or it refuses.
        TransientError: it cannot be reached, and nothing was ever brought.
    """
    if params.read_from:
        return mirror_of(params.read_from, workspace=workspace).newest()
    return index_uri(params, workspace=workspace)


def mirror_of(address: str, *, workspace: Path) -> Mirror:
    """The workspace's copy of what is in a bucket."""
    from components.index.bucket.mirror import Mirror  # what plans and validates needs none of it

    return Mirror(address, workspace=workspace)


def check_place(params: IndexParams, *, phase: str = "reindex") -> None:
    """Raise InputError where an index shall be written and index.uri is a bucket."""
    if params.read_from and phase != "dataset":
        raise InputError(
            f"index.uri is {params.read_from}: an index in a bucket is only read (search, ask, score, index status). "
            "It is made in a folder, on the machine that has the notes, and copied from there: leave index.uri out, "
            f"set index.copy_to: {params.read_from}, and run it there"
        )


def copy_published(
    params: IndexParams, *, workspace: Path, trusted_hosts: Collection[str], **options: Any
) -> CopyReport:
    """Let the bucket of `index.copy_to` hold what is published. See `copy_index` for options, errors and what it tells.

    Whatever fails, what is published here stays published, and the next copy brings what this one did not.
    """
    from components.index.bucket.copying import copy_index

    if params.copy_to is None:
        raise InputError("index.copy_to names no bucket; expected s3://BUCKET/PREFIX")
    uri = index_uri(params, workspace=workspace)
    return copy_index(uri, params.copy_to, trusted_hosts=trusted_hosts, **options)


def forget_copy(params: IndexParams, *, workspace: Path, trusted_hosts: Collection[str]) -> None:
    """Let the bucket of `index.copy_to` hold what is published here and nothing else, at once; nothing, if nothing is.

    Raises as `copy_index`, and says then that the bucket still holds what is forgotten here.
    """
    from components.index.bucket.copying import copy_index, withdraw
    from components.index.published import read_published

    if params.copy_to is None:
        return
    uri = index_uri(params, workspace=workspace)
    try:
        if uri.is_dir() and read_published(uri) is not None:
            old = copy_index(uri, params.copy_to, trusted_hosts=trusted_hosts, grace=timedelta(0)).old_versions
        else:
            old = withdraw(uri, params.copy_to, trusted_hosts=trusted_hosts)
    except CervellaError as error:
        raise type(error)(
            f"{error}. It is forgotten here, and {params.copy_to} may still hold it: give the same command again"
        ) from error
    if old:
        logger.warning(
            "%s keeps older versions of what is removed: remove them as well (a lifecycle rule, or the storage's "
            "console)", params.copy_to,
        )  # fmt: skip


def copy_facts(params: IndexParams, *, workspace: Path, trusted_hosts: Collection[str] = ()) -> dict[str, Any] | None:
    """How the copy in the bucket stands to what is published here, see `look_at_copy`; none: the recipe names none.

    What keeps it from being looked at is told in `fault`.
    """
    from components.index.bucket.copying import look_at_copy

    if params.copy_to is None:
        return None
    try:
        uri = index_uri(params, workspace=workspace)
        return {**look_at_copy(uri, params.copy_to, trusted_hosts=trusted_hosts), "fault": None}
    except CervellaError as error:
        return {"address": params.copy_to, "fault": str(error)}
