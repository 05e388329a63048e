"""Promote and roll back: lock, read, decide, write the file, then let MLflow follow.

Two at once: the second waits, and decides on what the first has left. A rollback touches neither notes nor index.

State after a hard crash: see `components.registry.champion.record`. The same command again completes it.
Not covered: two workspaces that share one MLflow server each have a champion of their own, and its alias tells the one
that changed last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from components.errors import InputError, TerminalError
from components.registry.champion.candidate import Proposed, open_release, proposed
from components.registry.champion.follow import follow
from components.registry.champion.record import Champion, is_open, line_of, locked, read_history, write_history
from components.registry.gate import GateReport
from components.registry.params import RegistryParams
from components.store import logger

__all__ = ["Changed", "OvertakenError", "promote", "rollback"]

_SHORTEST, _LONGEST = 10, 1000  # characters of a reason
_DIGEST = 7  # of its hex digits, to name a release by them


class OvertakenError(TerminalError):
    """Something else was put into service than the change was decided on; nothing was changed."""


@dataclass(frozen=True)
class Changed:
    """What became of a promotion or a rollback.

    Attributes:
        champion: in service now; None: nothing is.
        before: in service before, where that is another one.
        changed: whether anything was.
        refused: the gate that said no; None: it did not.
        fault: why MLflow does not agree yet, in words; None: it does, or was not asked.
    """

    champion: Champion | None
    before: Champion | None = None
    changed: bool = False
    refused: GateReport | None = None
    fault: str | None = None


def promote(
    *, workspace: Path, registry: RegistryParams, recipe: str, by: str, run: str | None = None,
    reason: str | None = None, expected: str | None = None, at: Callable[[str], None] = lambda point: None,
) -> Changed:  # fmt: skip
    """Put the release of a run into service.

    Args:
        workspace: of the recipe.
        registry: section `registry` of the recipe.
        recipe: its name.
        by: who does it.
        run: id of the run, or its beginning; None: the newest that registered a release.
        reason: why, in words; with one the gate need not be GO.
        expected: `Champion.at` of what has to be in service still, "" for nothing; None: whatever is.
        at: called with the name of each point that a crash could hit (for tests).

    Raises:
        InputError: no such run, or a reason that says nothing.
        OvertakenError: what is in service is not what was `expected`.
        TerminalError: nothing was registered, what was is gone or damaged, or another one holds the lock for 300 s.
    """
    reason = _checked(reason, at_least=_SHORTEST)
    with locked(workspace, "promote"):
        at("locked")
        history = read_history(workspace, registry.model_name)
        now = history[-1] if history else None
        _check_expected(now, expected)
        offer = proposed(workspace, recipe=recipe, model_name=registry.model_name, run=run)
        at("decided")
        if now is not None and now.digest == offer.digest and (now.release == offer.release or _opens(workspace, now)):
            return Changed(now, fault=follow(history, workspace=workspace, registry=registry, at=at))
        if offer.gate.verdict != "GO" and reason is None:
            return Changed(now, refused=offer.gate)
        new = _promoted(offer, by=by, reason=reason, before=now)
        return _take(workspace, registry, history, new, at)


def rollback(
    *, workspace: Path, registry: RegistryParams, by: str, to: str | None = None, reason: str | None = None,
    expected: str | None = None, at: Callable[[str], None] = lambda point: None,
) -> Changed:  # fmt: skip
    """Go back to the champion before, or to one that is named; a rollback that was killed half-way is completed.

    Args:
        workspace: of the recipe.
        registry: section `registry` of the recipe.
        by: who does it.
        to: version in MLflow, or the first hex digits (7 or more) of a release's digest; None: the one before, along
            `components.registry.champion.record.line_of`.
        reason: why, in words.
        expected: see `promote`.
        at: called with the name of each point that a crash could hit (for tests).

    Raises:
        InputError: `to` names none that ever was in service, or several.
        OvertakenError: what is in service is not what was `expected`.
        TerminalError: there is nothing to go back to, or its release is gone or damaged.
    """
    reason = _checked(reason, at_least=1)
    with locked(workspace, "rollback"):
        at("locked")
        history = read_history(workspace, registry.model_name)
        if not history:
            raise TerminalError(f"nothing is in service as {registry.model_name}: cervella promote RECIPE first")
        now = history[-1]
        _check_expected(now, expected)
        if to is None and now.what == "rollback" and is_open(workspace, registry.model_name):
            logger.info("the rollback that %s began at %s was interrupted; it is completed", now.by, now.at)
            fault = follow(history, workspace=workspace, registry=registry, at=at)
            return Changed(now, history[-2], changed=True, fault=fault)
        wanted = _wanted(history, to, model_name=registry.model_name)
        at("decided")
        if wanted.digest == now.digest:
            return Changed(now, fault=follow(history, workspace=workspace, registry=registry, at=at))
        _check_whole(workspace, wanted, history)
        new = replace(wanted, what="rollback", at=_now(), by=by, reason=reason, before=now.digest)
        return _take(workspace, registry, history, new, at)


def _check_expected(now: Champion | None, expected: str | None) -> None:
    if expected is not None and (now.at if now else "") != expected:
        said = f"{_name(now)} was put into service by {now.by} at {now.at[:19]}" if now else "nothing is in service now"
        raise OvertakenError(f"{said}, which this was not decided on: nothing was changed")


def _take(
    workspace: Path, registry: RegistryParams, history: Sequence[Champion], new: Champion, at: Callable[[str], None]
) -> Changed:
    history = [*history, new]
    write_history(workspace, registry.model_name, history)
    at("written")
    fault = follow(history, workspace=workspace, registry=registry, at=at)
    return Changed(new, history[-2] if len(history) > 1 else None, changed=True, fault=fault)


def _promoted(offer: Proposed, *, by: str, reason: str | None, before: Champion | None) -> Champion:
    return Champion(
        what="promote", at=_now(), by=by, reason=reason, verdict=offer.gate.verdict, digest=offer.digest,
        before=before.digest if before else None, release=offer.release, scorecard=offer.scorecard,
        gate=offer.gate_artefact, run=offer.run, recipe=offer.recipe, phase=offer.phase, version=offer.version,
    )  # fmt: skip


def _wanted(history: Sequence[Champion], to: str | None, *, model_name: str) -> Champion:
    if to is None:
        line = line_of(history)
        if len(line) < 2:
            others = _named(one for one in history if one.digest != history[-1].digest)
            more = f"; by name there is --to {others}" if others else ""
            raise TerminalError(
                f"nothing was in service as {model_name} before {_name(history[-1])}: there is nothing to go back "
                f"to{more}"
            )
        return line[-2]
    found = {
        one.digest: one for one in history
        if str(one.version) == to or (len(to) >= _DIGEST and one.digest.startswith(to.lower()))
    }  # fmt: skip
    if len(found) != 1:
        which = "never was in service" if not found else "names several releases"
        raise InputError(
            f"--to: {to!r} {which} as {model_name}; expected a version or {_DIGEST} or more digits of a release's "
            f"digest, of these: {_named(history)}"
        )
    return next(iter(found.values()))


def _check_whole(workspace: Path, wanted: Champion, history: Sequence[Champion]) -> None:
    try:
        open_release(workspace, wanted.release)
    except TerminalError as error:
        others = _named(
            one for one in history if one.digest not in (wanted.digest, history[-1].digest) and _opens(workspace, one)
        )
        recipe = workspace / "runs" / wanted.run / "recipe.yaml"
        again = f"`cervella run {recipe}` makes it again from the notes as they are, then promote. " * recipe.is_file()
        whole = f"Whole are, for --to: {others}" if others else "No other one that was in service is whole"
        raise TerminalError(f"cannot go back to {_name(wanted)}: {error}. {again}{whole}") from error


def _opens(workspace: Path, one: Champion) -> bool:
    try:
        open_release(workspace, one.release)
    except TerminalError:
        return False
    return True


def _name(one: Champion) -> str:
    return f"version {one.version} (release {one.digest[:12]})"


def _named(found: Iterable[Champion]) -> str:
    ones = {one.digest: one for one in found}
    return ", ".join(f"{one.version} or {one.digest[:12]}" for one in ones.values())


def _checked(reason: str | None, *, at_least: int) -> str | None:
    if reason is None:
        return None
    from components.sncp.redact import mask_secrets

    told = " ".join(reason.split())
    if not at_least <= len(told) <= _LONGEST:
        raise InputError(
            f"--reason has {len(told)} characters; expected {at_least} to {_LONGEST} that tell somebody else why"
        )
    return mask_secrets(told)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
