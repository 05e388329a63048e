"""The step that reports a run: `registry.report` seals `report.html`, and the run's folder has a link to it.

The page tells nothing that is not in its inputs, above all not when it was made: the same scores give the same bytes.
State after a hard crash: the page is sealed or it is not; the link is there or it is not (`.report.html.<random>`, a
link too, may be left beside it). It is symbolic, so that `forget` and `gc` take the page with its artefact and leave
the record of the run; what is left then points nowhere.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from components.registry.report.beside import Beside, scored_by
from components.registry.report.facts import gather
from components.registry.report.page import page
from components.store import Artefact, Run, StepSpec, recorded_step

__all__ = ["PAGE", "PAGE_VERSION", "report_spec", "write_report"]

PAGE = "report.html"
PAGE_VERSION = 1
"""Of what the page says and how it looks: another one makes all pages anew."""


def report_spec(
    *, recipe: str, scorecard: str, gate: str, release: str | None = None, training: str | None = None,
    champion: Beside | None = None, previous: Beside | None = None,
) -> StepSpec:  # fmt: skip
    """Identity of the page. `recipe`: its name; `scorecard`, `gate`, `release`, `training`: digests of artefacts."""
    inputs = {"scorecard": scorecard, "gate": gate}
    inputs |= {name: given for name, given in (("release", release), ("training", training)) if given is not None}
    values = {
        "recipe": recipe, "champion": champion.identity() if champion else None,
        "previous": previous.identity() if previous else None,
    }  # fmt: skip
    return StepSpec("registry.report", PAGE_VERSION, values, inputs)


def write_report(
    run: Run, *, scorecard: Artefact, gate: Artefact, release: Artefact | None = None, training: Artefact | None = None,
    champion: Beside | None = None, previous: Beside | None = None,
) -> Artefact:  # fmt: skip
    """Seal `report.html`, and link it into the folder of the run.

    Args:
        run: at work.
        scorecard: the sealed `evaluate.score`.
        gate: the sealed `registry.gate`.
        release: the sealed `registry.release`.
        training: the sealed `train.run` of phase optimize.
        champion: from `components.registry.report.beside.beside_champion`.
        previous: from `components.registry.report.beside.previous_run`.
    """
    recipe = run.read()["recipe"]
    spec = report_spec(
        recipe=recipe, scorecard=scorecard.digest, gate=gate.digest, release=release.digest if release else None,
        training=training.digest if training else None, champion=champion, previous=previous,
    )  # fmt: skip
    with recorded_step(run, spec) as step:
        if not step.sealed:
            report = gather(
                recipe=recipe, run=scored_by(run.workspace, scorecard.id), scorecard=scorecard, gate=gate,
                release=release, training=training, champion=champion, previous=previous,
            )  # fmt: skip
            step.write_text(PAGE, page(report))
            step.note(bytes=step.path(PAGE).stat().st_size)
    _link(run.folder, step.artefact.file(PAGE))
    return step.artefact


def _link(folder: Path, page: Path) -> None:
    """Make `report.html` in the folder of a run a relative link to the sealed page, whatever was there."""
    beside = folder / f".{PAGE}.{secrets.token_hex(4)}"
    beside.symlink_to(os.path.relpath(page, folder))
    os.replace(beside, folder / PAGE)
