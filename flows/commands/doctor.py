"""What is wrong with this installation, and how to mend it: doctor."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from components.errors import InputError
from flows.commands.options import json_option, load

if TYPE_CHECKING:
    from components.recipe import LoadedRecipe
    from components.services.doctor import Check

SIGNS = {"ok": "✓", "warning": "!", "problem": "✗"}


@click.command("doctor")
@click.argument("recipe", required=False)
@click.option("-o", "--override", "overrides", multiple=True, metavar="KEY=VALUE", help="as for run")
@click.option("-w", "--workspace", type=click.Path(path_type=Path), help="folder to look at, without a recipe")
@click.option("--deep", is_flag=True, help="also read every byte of artefacts and models")
@json_option
def doctor_command(
    recipe: str | None, overrides: tuple[str, ...], workspace: Path | None, deep: bool, as_json: bool
) -> int:
    """Look at the installation, the machine, the workspace and what is up; with RECIPE also at its keys and its index.

    Nothing is changed. Exit 1 when there is a problem.
    """
    from components.services.doctor import Check, looked

    found: list[Check] = []
    loaded: LoadedRecipe | None = None
    if recipe is not None:
        try:
            loaded = load(recipe, overrides)
            found.append(Check("recipe", "ok", f"{os.path.relpath(loaded.path)} is valid"))
        except InputError as error:
            first = str(error).splitlines()[0]
            found.append(Check("recipe", "problem", first, f"cervella validate {shlex.quote(recipe)} tells all"))
    place = Path(os.path.abspath(loaded.recipe.workspace if loaded else workspace or ".cervella"))
    for name, look in _looks(place, loaded, recipe or "RECIPE", deep=deep):
        found += looked(name, look)
    problems = sum(check.level == "problem" for check in found)
    if as_json:
        about = {"good": not problems, "workspace": str(place), "checks": [check.to_dict() for check in found]}
        click.echo(json.dumps(about, indent=1, ensure_ascii=False))
        return 1 if problems else 0
    for check in found:
        click.secho(f"{SIGNS[check.level]} {check.name:<14} {check.says}", bold=check.level != "ok")
        if check.mend:
            click.echo(f"  {'':<14} -> {check.mend}")
    warnings = sum(check.level == "warning" for check in found)
    click.echo(f"\n{problems} problems, {warnings} warnings" if problems or warnings else "\nnothing is wrong")
    return 1 if problems else 0


def _looks(
    workspace: Path, loaded: LoadedRecipe | None, recipe: str, *, deep: bool
) -> Iterable[tuple[str, Callable[[], Iterable[Check]]]]:
    from components.services import doctor_installation as installation
    from components.services import doctor_machine as machine
    from components.services import doctor_workspace as here
    from components.services.doctor_champion import check_champions
    from components.services.doctor_schemas import check_mlflow_places, check_schemas
    from components.services.doctor_services import check_deployments, check_services
    from components.services.doctor_trainers import check_backends, check_trainers

    root = Path(__file__).resolve().parents[2]
    folders = installation.site_folders()
    yield "python", installation.check_python
    yield "packages", lambda: installation.check_packages(root, folders=folders)
    yield "startup files", lambda: installation.check_startup_files(folders)
    yield "models", lambda: installation.check_models(folders, deep=deep)
    yield "embedder", installation.check_embedder
    yield "telemetry", installation.check_telemetry
    yield "memory", machine.check_memory
    yield "open files", machine.check_open_files
    yield "text", machine.check_text
    yield "threads", machine.check_threads
    yield "loopback", machine.check_loopback
    yield "prefect", machine.check_prefect_url
    yield "services", lambda: check_services(workspace, near=Path(".cervella") if loaded else None)
    yield "deployments", lambda: check_deployments(workspace, prefect_file=root / "prefect.yaml")
    trains = loaded is not None and loaded.recipe.phase == "optimize"
    yield "trainers", lambda: check_trainers(loaded.recipe.train.trainer if loaded and trains else None)
    yield "backends", lambda: check_backends(loaded.recipe.serve.backend if loaded else None)
    index = None
    if loaded is not None:
        from components.index.steps import index_uri

        index = index_uri(loaded.recipe.index, workspace=workspace)
    yield "disk", lambda: here.check_disk(workspace)
    yield "rights", lambda: here.check_rights(workspace)
    yield "clock", lambda: here.check_clock(workspace)
    yield "locks", lambda: here.check_locks(workspace, index=index)
    yield "runs", lambda: here.check_runs(workspace)
    yield "leftovers", lambda: here.check_leftovers(workspace, index=index)
    yield "databases", lambda: here.check_databases(workspace)
    yield "schemas", lambda: check_schemas(workspace)
    yield "mlflow", lambda: check_mlflow_places(workspace)
    yield "champion", lambda: check_champions(workspace, recipe=shlex.quote(recipe))
    if deep:
        yield "artefacts", lambda: here.check_artefacts(workspace)
    if loaded is not None:
        from components.services.doctor_index import check_index, check_keys
        from components.services.doctor_notify import check_notify

        params = loaded.recipe
        names = {
            "index.embedding.api_key_env": params.index.embedding.api_key_env,
            "llm.chat.api_key_env": params.llm.chat.api_key_env,
            "llm.judge.api_key_env": params.llm.judge.api_key_env if params.llm.judge else None,
            "serve.router.helper.api_key_env": params.serve.router.helper.api_key_env if params.serve.router else None,
            "serve.router.classifier.api_key_env": (
                params.serve.router.classifier.api_key_env
                if params.serve.router and params.serve.router.classifier
                else None
            ),
        }
        yield "keys", lambda: check_keys(names)
        yield "notify", lambda: check_notify(params.execution.notify, workspace=workspace)
        yield (
            "index",
            lambda: check_index(
                params.index,
                workspace=workspace,
                root=params.sncp.root,
                recipe=shlex.quote(recipe),
                trusted_hosts=params.privacy.trusted_hosts,
            ),
        )
