"""Phase scale: a release beside what is in service, decided on, promoted, and taken back where the endpoint suffers."""

from __future__ import annotations

from functools import partial

from components.errors import RefusedError
from components.recipe import open_run
from components.recipe.privacy import prompts_without_local
from components.scale.switch import Endpoints
from components.scale.tasks import compare, decide, find_candidate, promote, switch
from components.store import hold, logger
from flows.phase import phase
from flows.probation import endpoint_up, own_endpoint

__all__ = ["scale"]


@phase("scale")
def scale(run_dir: str) -> bool:
    """Run phase scale for the frozen recipe in `run_dir`; returns whether another release was put into service.

    Raises RefusedError when it was taken back. One at a time in a workspace: the second waits a minute.
    """
    run, recipe = open_run(run_dir)
    hosts = recipe.privacy.trusted_hosts
    endpoints = Endpoints(find=partial(endpoint_up, run, recipe), own=partial(own_endpoint, run, recipe))
    lock = run.workspace / "locks" / "scale"
    with hold(lock, what=f"run {run.id}", waiting=lambda who: logger.info("waits for %s", who)):
        candidate, standing, promoted = find_candidate(run, recipe, endpoints=endpoints, trusted_hosts=hosts)
        if standing == "in service" or (standing == "pending" and not recipe.scale.promote):
            return False
        if standing == "new":
            local = prompts_without_local(recipe)
            shadow = compare(run, recipe, candidate=candidate, leave_out_local=local, trusted_hosts=hosts)
            if not decide(run, recipe, candidate=candidate, shadow=shadow):
                return False
            promoted = promote(run, recipe, candidate=candidate)
        taken_back = switch(run, recipe, promoted=promoted, endpoints=endpoints)
        if taken_back:
            raise RefusedError(f"{taken_back}. All that was measured: cervella show {run.id}")
        return True
