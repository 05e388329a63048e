"""Deployments: what prefect.yaml says, held against a Prefect server, and brought there."""

from __future__ import annotations

from components.services.deployments.changes import Change
from components.services.deployments.deploy import Deployed, Plan, apply_plan, deploy_all, plan_deploy

__all__ = ["Change", "Deployed", "Plan", "apply_plan", "deploy_all", "plan_deploy"]
