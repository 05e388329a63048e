"""The step `scale.switch`: a promotion on probation at the endpoint, and taken back where it fails.

State after a hard crash: before the rollback, the release is in service and pending, and the next run puts it on
probation again; after it, the one before is in service, and the endpoint follows by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from components.errors import CervellaError, TerminalError
from components.registry.champion import Champion, Changed, read_champion, rollback
from components.registry.champion.change import OvertakenError
from components.registry.params import RegistryParams
from components.scale.answers import Answered, numbers_of
from components.scale.candidate import promoter, switch_spec
from components.scale.params import ScaleParams
from components.scale.probation import Asker, NotTakenOverError, faults_of
from components.scale.questions import Question
from components.scale.steps import tell
from components.store import Artefact, Run, logger, progress_of, recorded_step

__all__ = ["Endpoints", "switch"]


@dataclass(frozen=True)
class Endpoints:
    """Where a release can be asked over HTTP.

    Attributes:
        find: the endpoint that is up and follows what is in service; None: there is none. May raise TerminalError.
        own: starts one for the length of the block. Raises NotTakenOverError where it does not come up.
    """

    find: Callable[[], Asker | None]
    own: Callable[[], AbstractContextManager[Asker]]


@dataclass
class _Found:
    """What came of a probation. `asker`: who was asked last; None: no endpoint came up."""

    asker: Asker | None
    own: bool
    waited: float | None
    answers: list[Answered]
    faults: list[str]


def switch(
    run: Run, params: ScaleParams, registry: RegistryParams, *, promotion: Champion, questions: list[Question],
    endpoints: Endpoints, changed: Callable[[Changed], object] = lambda done: None,
) -> Artefact:  # fmt: skip
    """Wait until the endpoint answers as the release, ask it there, and go back to the one before where it fails.

    Seals `switch.json`: whether it stays in service, what was measured, and why not.

    Args:
        run: at work.
        params: section `scale`.
        registry: section `registry`.
        promotion: what was put into service; nothing is done where something else is there by now.
        questions: on probation.
        endpoints: to be asked.
        changed: called after a rollback.

    Raises:
        TerminalError: the endpoint does not let this run in; the release stays in service, its probation pending.
    """
    spec = switch_spec(promotion)
    try:
        with recorded_step(run, spec) as step:
            if not step.sealed:
                told = _probation_and_back(run, params, registry, promotion, questions, endpoints, changed)
                step.write_json("switch.json", told)
                step.note(**_facts(told))
    except BaseException:
        with suppress(TerminalError):  # a record that is damaged is told by whoever reads it next
            logger.warning("%s", _interrupted(run, registry, promotion))
        raise
    told = step.artefact.read_json("switch.json")
    numbers = (run.read().get("scale") or {}).get("numbers") or {}
    tell(run, numbers={**numbers, "probation": told["numbers"]}, switched=told["switched"], said=told["said"],
         promoted_at=promotion.at)  # fmt: skip
    return step.artefact


def _probation_and_back(
    run: Run, params: ScaleParams, registry: RegistryParams, promotion: Champion, questions: list[Question],
    endpoints: Endpoints, changed: Callable[[Changed], object],
) -> dict[str, Any]:  # fmt: skip
    if other := _other_in_service(run, registry, promotion):
        return _overtaken(promotion, _Found(None, False, None, [], []), other)
    with ExitStack() as held:
        found = _probation(params, promotion, questions, held, endpoints, use=endpoints.find())
        if found.faults and found.asker and not found.own and not found.asker.endpoint.is_up():
            logger.warning("the endpoint was ended meanwhile: another one is started for the probation")
            found = _probation(params, promotion, questions, held, endpoints, use=None)
        if other := _other_in_service(run, registry, promotion):
            return _overtaken(promotion, found, other)
        back = _take_back(run, params, registry, promotion, found, held, endpoints, changed) if found.faults else None
    where = (
        "an endpoint of its own" if found.own else f"the endpoint at {found.asker.endpoint.url}" if found.asker else ""
    )
    took = "" if found.waited is None else f" {where} answered as it after {found.waited:.1f} s"
    return _told(
        promotion, found, said=back or f"in service since {promotion.at[:19]}:{took}, and passed its probation"
    )


def _interrupted(run: Run, registry: RegistryParams, promotion: Champion) -> str:
    """How an interrupted probation leaves the service, in words, so that nobody rolls back twice."""
    digest = promotion.digest[:12]
    now = read_champion(run.workspace, registry.model_name)
    if now is not None and now.at == promotion.at:
        return (
            f"release {digest} is in service, and its probation has not ended: the same run again goes on with it, "
            "`cervella rollback` takes it back"
        )
    if now is not None and (now.what, now.by) == ("rollback", promoter(run.id)):
        return (
            f"release {digest} has failed its probation and was rolled back to release {now.digest[:12]}, which is in "
            f"service; it was not waited until the endpoint answers as that. {now.reason}"
        )
    return f"the probation of release {digest} has not ended: {_other_in_service(run, registry, promotion)}"


def _told(promotion: Champion, found: _Found, *, said: str) -> dict[str, Any]:
    """`switch.json`."""
    numbers = numbers_of(found.answers)
    return {
        "release": promotion.digest, "promoted_at": promotion.at, "switched": not found.faults, "own": found.own,
        "waited_seconds": found.waited, "numbers": numbers.to_dict() if numbers.asked else None,
        "answers": [answer.to_dict() for answer in found.answers], "faults": found.faults, "said": said,
    }  # fmt: skip


def _other_in_service(run: Run, registry: RegistryParams, promotion: Champion) -> str | None:
    """What is in service in place of the promotion, and by whom, in words; None: it is still what was promoted."""
    now = read_champion(run.workspace, registry.model_name)
    if now is None:
        return "nothing is in service any more: the record of it was removed"
    if now.at == promotion.at:
        return None
    return f"release {now.digest[:12]} was put into service by {now.by} at {now.at[:19]}"


def _overtaken(promotion: Champion, found: _Found, other: str) -> dict[str, Any]:
    found.faults = [f"{other}, before its probation had ended"]
    return _told(
        promotion, found, said=f"release {promotion.digest[:12]} is not on probation any more: {other}, and stays there"
    )


def _probation(
    params: ScaleParams, promotion: Champion, questions: list[Question], held: ExitStack, endpoints: Endpoints,
    *, use: Asker | None,
) -> _Found:  # fmt: skip
    """`use`: an endpoint that is up; None: one is started, and ended with `held`."""
    found = _Found(use, use is None, None, [], [])
    try:
        asker = found.asker = use or held.enter_context(endpoints.own())
        found.waited = asker.wait_for(promotion.digest, seconds=params.wait_seconds)
    except NotTakenOverError as error:
        found.faults = [str(error)]
        return found
    found.answers = asker.ask(
        questions[: params.probation_questions], release=promotion.digest, progress=progress_of("scale.switch")
    )
    found.faults = faults_of(params, numbers_of(found.answers))
    return found


def _take_back(
    run: Run, params: ScaleParams, registry: RegistryParams, promotion: Champion, found: _Found, held: ExitStack,
    endpoints: Endpoints, changed: Callable[[Changed], object],
) -> str:  # fmt: skip
    """Go back to the release before, and see that the endpoint does; what became of it, in words."""
    why = "; ".join(found.faults)
    failed = f"release {promotion.digest[:12]} failed its probation: {why}."
    try:
        done = rollback(
            workspace=run.workspace, registry=registry, by=promoter(run.id), expected=promotion.at,
            reason=f"failed its probation: {why}"[:900],
        )  # fmt: skip
    except OvertakenError as error:
        return f"{failed} It was not taken back: {error}"
    except TerminalError as error:
        return f"{failed} It stays in service, because it cannot be taken back: {error}"
    changed(done)
    assert done.champion is not None  # noqa: S101 - a rollback goes back to one
    gone = f"{failed} Rolled back to release {done.champion.digest[:12]}, version {done.champion.version}"
    try:
        asker = found.asker or held.enter_context(endpoints.own())
        waited = asker.wait_for(done.champion.digest, seconds=params.wait_seconds)
    except CervellaError as error:
        return f"{gone}, which is in service, but is not seen there: {error}"
    return f"{gone}; the endpoint answers as that again after {waited:.1f} s"


def _facts(told: dict[str, Any]) -> dict[str, Any]:
    return {"questions": len(told["answers"]), "switched": "stays in service" if told["switched"] else "taken back"}
