"""The files of docs/deploy: whole, and as Prefect, Docker's format, systemd and our own commands take them."""

from __future__ import annotations

import configparser
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

POOLS = {"docker": "docker-pool.json", "kubernetes": "kubernetes-pool.json"}


@pytest.fixture(scope="module")
def folder(root: Path) -> Path:
    return root / "docs" / "deploy"


@pytest.fixture(params=list(POOLS))
def pool(request: pytest.FixtureRequest, folder: Path) -> tuple[str, dict[str, Any]]:
    """Type of a work pool, and its template."""
    return request.param, json.loads((folder / POOLS[request.param]).read_text())


def filled(template: dict[str, Any]) -> dict[str, Any]:
    """The job that a worker makes of a template's defaults."""
    from prefect.utilities.templating import apply_values

    variables = template["variables"]["properties"]
    defaults = {name: about["default"] for name, about in variables.items() if "default" in about}
    job: dict[str, Any] = apply_values(template["job_configuration"], defaults | {"command": "run it"})
    return job


def test_each_variable_is_used_and_each_that_is_used_is_there(pool: tuple[str, dict[str, Any]]) -> None:
    _, template = pool
    used = set(re.findall(r"\{\{ (\w+) \}\}", json.dumps(template["job_configuration"])))
    assert used == set(template["variables"]["properties"])
    assert all(about.get("description") for about in template["variables"]["properties"].values())


def test_prefect_takes_the_template(pool: tuple[str, dict[str, Any]]) -> None:
    from prefect.server.schemas.actions import WorkPoolCreate
    from prefect.utilities.schema_tools import is_valid_schema, validate

    kind, template = pool
    WorkPoolCreate(name="containers", type=kind, base_job_template=template)
    is_valid_schema(template["variables"])
    variables = template["variables"]["properties"]
    defaults = {name: about["default"] for name, about in variables.items() if "default" in about}
    assert validate(defaults, template["variables"], raise_on_error=False) == []


def test_it_sets_nothing_that_prefects_own_template_does_not_know(pool: tuple[str, dict[str, Any]]) -> None:
    import prefect.server.api

    kind, template = pool
    places = Path(prefect.server.api.__file__).parent / "collections_data/views/aggregate-worker-metadata.json"
    known = json.loads(places.read_text())[f"prefect-{kind}"][kind]["default_base_job_configuration"]
    assert set(template["job_configuration"]) <= set(known["job_configuration"])


def test_a_container_of_docker_reaches_the_server_and_no_key_is_in_it(folder: Path) -> None:
    job = filled(json.loads((folder / POOLS["docker"]).read_text()))
    assert job["network_mode"] == "host"  # the server listens on 127.0.0.1 alone
    assert job["image"] == "cervella:latest" and job["image_pull_policy"] == "Never"
    assert [volume.split(":")[1:] for volume in job["volumes"]] == [["/srv/cervella/.cervella"], ["/srv/notes", "ro"]]
    assert job["env"]["DO_NOT_TRACK"] == "1" and not [name for name in job["env"] if "KEY" in name]


def test_a_job_of_kubernetes_is_whole(folder: Path) -> None:
    job = filled(json.loads((folder / POOLS["kubernetes"]).read_text()))["job_manifest"]
    assert (job["apiVersion"], job["kind"], job["metadata"]["namespace"]) == ("batch/v1", "Job", "cervella")
    assert job["spec"]["backoffLimit"] == 0 and job["spec"]["parallelism"] == 1
    pod = job["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never" and pod["securityContext"]["runAsUser"] == 10001
    [container] = pod["containers"]
    assert container["args"] == "run it" and container["resources"]["limits"]["nvidia.com/gpu"] == 0
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}
    assert container["envFrom"] == [{"secretRef": {"name": "cervella-keys", "optional": True}}]


def test_the_image_has_what_the_templates_expect(folder: Path, root: Path) -> None:
    text = (folder / "Dockerfile").read_text()
    lines = [line for line in text.replace("\\\n", "").splitlines() if line and not line.startswith("#")]
    words = [line.split()[0] for line in lines]
    assert words[:2] == ["FROM", "ARG"] and set(words) <= {"FROM", "ARG", "RUN", "USER", "WORKDIR", "COPY", "ENV"}
    assert "ARG CHECKOUT=/srv/cervella" in lines and "--uid 10001" in text
    assert "\nsetup:" in (root / "Makefile").read_text() and "RUN make setup" in lines
    ignored = (folder / "Dockerfile.dockerignore").read_text().split("\n")
    assert {".venv", ".cervella", ".env"} <= set(ignored)


@pytest.mark.parametrize("name", ["cervella-worker.service", "cervella-tunnel.service", "cervella-serve.service"])
def test_a_unit_starts_a_command_that_is_there(folder: Path, root: Path, name: str) -> None:
    from flows.commands import serve
    from flows.commands.worker import worker_command

    unit = configparser.ConfigParser(interpolation=None, strict=True)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string((folder / name).read_text())
    assert unit.sections() == ["Unit", "Service", "Install"]
    program, *arguments = shlex.split(unit["Service"]["ExecStart"])
    if name == "cervella-tunnel.service":
        assert program == "/usr/bin/ssh" and arguments[-1] == "first-machine"
        return
    assert program.endswith("/.venv/bin/cervella")
    if name == "cervella-serve.service":
        found = serve.serve_command.make_context("serve", arguments[1:]).params
        assert arguments[0] == "serve" and (root / found["recipe"]).is_file()
        assert unit["Service"]["Restart"] == "on-failure" and unit["Service"]["KillMode"] == "mixed"
        assert int(unit["Service"]["TimeoutStopSec"]) > serve._GRACE_SECONDS + serve._SETTLE_SECONDS
        return
    assert arguments[0] == "worker"
    found = worker_command.make_context("worker", arguments[1:]).params
    assert (found["pool"], found["api_url"]) == ("training", "http://127.0.0.1:4200/api")
    assert unit["Unit"]["After"] == "cervella-tunnel.service" and int(unit["Service"]["TimeoutStopSec"]) > 12
