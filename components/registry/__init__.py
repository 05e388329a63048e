"""From a scorecard to a verdict, and the record of both: gate, release, MLflow."""

from __future__ import annotations

from components.registry.gate import CRITERIA, Criterion, GateReport, Verdict, decide
from components.registry.mlflow_log import Registered, register
from components.registry.params import GateParams, RegistryParams
from components.registry.release import build_release, release_digest
from components.registry.render import gate_markdown, render_gate
from components.store.mlflow_door import sqlite_uri

__all__ = [
    "CRITERIA",
    "Criterion",
    "GateParams",
    "GateReport",
    "Registered",
    "RegistryParams",
    "Verdict",
    "build_release",
    "decide",
    "gate_markdown",
    "register",
    "release_digest",
    "render_gate",
    "sqlite_uri",
]
