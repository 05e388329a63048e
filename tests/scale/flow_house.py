"""What the tests of flows/scale.py share: models, the double of an endpoint, and what a run tells."""

from __future__ import annotations

import os
from typing import Any

from components.scale.endpoint import Endpoint
from components.scale.probation import NotTakenOverError
from components.services.process_start import started_at
from components.store import Run
from tests.scale.scale_house import ScaleHouse

CITES = "fake/chat?reply=S%C3%AC+%5B1%5D."
PLAIN = "fake/chat?reply=S%C3%AC."
FEW = "scale.questions=2"
"""Where it is not the comparison that is looked at: what was recorded makes the verdict."""


class Follows:
    """Answers as what is in service at once: the double of an endpoint, for what happens around it."""

    endpoint = Endpoint(os.getpid(), started_at(os.getpid()) or "", "http://127.0.0.1:1", "double")

    def __init__(self, house: ScaleHouse, *, seconds: float = 0.1, refuses: bool = False) -> None:
        self.house, self.seconds, self.refuses, self.waited = house, seconds, refuses, list[str]()

    def wait_for(self, release: str, *, seconds: float) -> float:
        self.waited.append(release)
        if self.refuses and len(self.waited) == 1:
            raise NotTakenOverError("the endpoint cannot open it (TerminalError; its log says more)")
        assert self.house.in_service() == release
        return 0.5

    def ask(self, questions: Any, *, release: str, progress: Any) -> Any:
        from components.scale.answers import Answered

        return [Answered(one.id, "candidate", "probation", seconds=self.seconds) for one in questions]


def told(run: Run) -> dict[str, Any]:
    scale: dict[str, Any] = run.read()["scale"]
    return scale


def steps(run: Run) -> dict[str, str]:
    return {step["name"]: step["status"] for step in run.read()["steps"]}
