"""The keeper of a workspace: Prefect, MLflow and workers in the background, on loopback, kept alive until `down`.

One process for each workspace, which `up` starts. It uses the Prefect server that runs of this workspace use, starts
MLflow and two workers, and starts again what dies or freezes. Whether there is a keeper is asked of its lock, never of
a pid. What the keeper starts carries a mark in its environment, and nothing without that mark is ever ended.
"""

from components.services.supervisor.control import Down, Up, bring_down, bring_up

__all__ = ["Down", "Up", "bring_down", "bring_up"]
