"""Cleaning a workspace by a schedule: what `cervella gc` removes, with its defaults, when nothing is at work there."""

from __future__ import annotations

import re
from typing import Annotated, Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed, Failed
from pydantic import Field

from components.errors import CervellaError
from components.recipe import load_recipe
from components.recipe.cleaning import clean_workspace, cleaned_markdown
from components.recipe.forget import AtWorkError
from components.recipe.unused import KEEP_RUNS
from components.store import bytes_in_words, logger
from components.store.machine import machine_faults_told
from flows.logs import ready_logs
from flows.names import OURS, tag_this_run
from flows.notify import tell_uncleaned
from flows.run import RECIPES, RecipeName

__all__ = ["clean"]

_WAIT_MINUTES = 60


@flow(name="clean", flow_run_name="clean {recipe}", on_failure=[tell_uncleaned], on_crashed=[tell_uncleaned])
def clean(
    recipe: RecipeName,
    keep: Annotated[int, Field(ge=1)] = KEEP_RUNS,
    dry_run: bool = False,
    wait_minutes: Annotated[int, Field(ge=0)] = _WAIT_MINUTES,
) -> dict[str, Any] | State[Any]:
    """Remove what no kept run, no release and no published index needs, as `cervella gc` does, with nobody asked.

    So what may be the only copy of what was used and said stays, and scratch that no run tells of stays for four weeks.

    Args:
        recipe: whose workspace.
        keep: runs of each recipe whose artefacts stay.
        dry_run: only show what would be removed.
        wait_minutes: how long to wait for what is at work in the workspace (not with dry_run); then it is left for the
            next time.
    """
    ready_logs()
    try:
        loaded = load_recipe(RECIPES / f"{recipe}.yaml", overrides=()).recipe
        tag_this_run([OURS, f"recipe:{loaded.name}"])
        with machine_faults_told(loaded.workspace):
            unused = clean_workspace(loaded, keep=keep, dry_run=dry_run, wait_seconds=60 * wait_minutes)
    except AtWorkError as error:
        logger.warning("nothing was removed: %s", error)
        return Completed(name="Skipped", message=str(error))
    except CervellaError as error:  # told as in the terminal, without a traceback
        logger.error("%s", error)
        return Failed(message=str(error))
    size = sum(one.size for one in unused)
    things = f"{len(unused)} thing{'' if len(unused) == 1 else 's'}"
    told = f"{'would remove' if dry_run else 'removed'} {things}, {bytes_in_words(size)}"
    logger.info("%s", told)
    if flow_run.id:
        page = cleaned_markdown(unused, workspace=loaded.workspace, keep=keep, dry_run=dry_run)
        create_markdown_artifact(page, key=re.sub("[^a-z0-9]+", "-", f"{recipe} cleaned".lower()), description=told)
    return {"things": len(unused), "bytes": size, "dry_run": dry_run}
