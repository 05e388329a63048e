"""prefect.yaml, read strictly: every fault of the file at once, at its place, before a server is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.errors import InputError
from components.services.deployments.reading import read_prefect_file

pytestmark = pytest.mark.timeout(120)

FLOW = """
from typing import Literal
from prefect import flow

@flow
def run_recipe(recipe: Literal["mvp", "reindex"], overrides: list[str] | None = None, dry_run: bool = False):
    "Run."

@flow
def one_recipe(recipe: Literal["mvp"] = "mvp"):
    "Run."
"""
BROKEN = """\
name: house
defintions: {}
definitions:
  work_pools:
    cervella: {type: proces}
    training: {type: process, concurrency_limit: 0}
  entrypoint: &entrypoint flows/run.py:run_recipe
deployments:
  - name: nightly
    entrypoint: *entrypoint
    work_pool: {name: cervela, job_variables: {env: {PORT: 4200}, enviroment: {}}}
    parameters: {recipe: reindexx, dry_run: "yes", overide: []}
    concurency_limit: 1
    schedules:
      - {slug: night, cron: "0 25 * * *", timezone: Europe/Roma, parameters: {recipe: mpv}}
      - {slug: night, cron: "0 3 * * *", timezone: Europe/Rome, active: sometimes}
  - name: nightly
    entrypoint: flows/other.py:run_recipe
    work_pool: {name: training}
    concurrency_limit: {limit: 1, collision_strategy: CANCEL}
  - name: weekly
    entrypoint: flows/run.py:run_recipes
    work_pool: {name: training}
    schedules: []
  - description: ""
    entrypoint: flows/run.py:run_recipe
    work_pool: {name: training}
    schedules:
      - {slug: hourly, cron: "0 * * * *", timezone: UTC}
"""
TOLD = [
    "prefect.yaml: 23 faults in the file of deployments",
    "prefect.yaml:2:1: prefect.yaml: unknown key 'defintions'; did you mean 'definitions'?",
    "prefect.yaml:5:22: work pool 'cervella': type: no 'proces'; did you mean 'process'?",
    "prefect.yaml:6:50: work pool 'training': concurrency_limit: expected a whole number, 1 or more",
    "prefect.yaml:11:23: nightly: the work pool 'cervela' is not in definitions.work_pools; did you mean 'cervella'?",
    "prefect.yaml:11:60: nightly: env.PORT: expected a text; put it in quotes",
    "prefect.yaml:11:67: nightly: job_variables: unknown key 'enviroment'; expected env, working_dir, stream_output",
    "prefect.yaml:12:26: nightly: parameters.recipe: there is no 'reindexx'; did you mean 'reindex'?",
    "prefect.yaml:12:45: nightly: parameters.dry_run: 'yes' does not fit; expected boolean",
    "prefect.yaml:12:52: nightly: parameters: the flow 'run-recipe' has no parameter 'overide'; did you mean 'overrides'?",  # noqa: E501
    "prefect.yaml:13:5: deployment: unknown key 'concurency_limit'; did you mean 'concurrency_limit'?",
    "prefect.yaml:15:29: nightly: schedule 'night': cron: '0 25 * * *' is no time; expected minute, hour, day, month and weekday, such as '0 3 * * *' (every day at 3)",  # noqa: E501
    "prefect.yaml:15:53: nightly: schedule 'night': timezone: there is no 'Europe/Roma'; did you mean 'Europe/Rome'?",
    "prefect.yaml:15:87: nightly: schedule 'night': parameters.recipe: there is no 'mpv'; did you mean 'mvp'?",
    "prefect.yaml:16:16: nightly: schedule 'night' is taken by line 15; expected ids that differ",
    "prefect.yaml:16:73: nightly: schedule 'night': active: expected true or false",
    "prefect.yaml:17:11: deployment 'nightly' is taken by line 9; expected ids that differ",
    "prefect.yaml:18:17: nightly: the flow 'flows/other.py:run_recipe' cannot be imported: there is no file 'flows/other.py'; expected file:function, the file relative to the folder of prefect.yaml",  # noqa: E501
    "prefect.yaml:20:55: nightly: concurrency_limit.collision_strategy: no 'CANCEL'; expected ENQUEUE, CANCEL_NEW",
    "prefect.yaml:22:17: weekly: the flow 'flows/run.py:run_recipes' cannot be imported: flows/run.py has no flow 'run_recipes'",  # noqa: E501
    "prefect.yaml:24:16: schedules: expected a list that is not empty",
    "prefect.yaml:25:5: deployment: 'name' is missing",
    "prefect.yaml:25:18: deployment without a name: description: expected a text that is not empty",
    "prefect.yaml:29:9: deployment without a name: schedule 'hourly': the flow 'run-recipe' needs 'recipe'; give it in parameters",  # noqa: E501
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "run.py").write_text(FLOW)
    monkeypatch.chdir(tmp_path)
    return Path("prefect.yaml")


def read(project: Path, text: str) -> str:
    project.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as raised:
        read_prefect_file(project)
    assert raised.value.exit_code == 2
    return str(raised.value)


def test_all_faults_are_told_at_once_at_their_places(project: Path) -> None:
    assert read(project, BROKEN).splitlines() == TOLD


def test_the_projects_own_file_is_without_fault(root: Path) -> None:
    file = read_prefect_file(root / "prefect.yaml")
    assert [pool.name for pool in file.work_pools] == ["cervella", "training"]
    assert [one.full_name for one in file.deployments] == [
        "run-recipe/run-recipe", "run-recipe/train-recipe", "run-recipe/reindex-nightly", "run-recipe/evaluate-weekly",
        "clean/clean-weekly",
    ]  # fmt: skip
    recipes = tuple(sorted(path.stem for path in (root / "recipes").glob("[!_]*.yaml")))
    assert all(one.form.choices["recipe"] == recipes for one in file.deployments)
    assert all(one.job_variables["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "120" for one in file.deployments)


GOOD = """\
name: house
definitions: {work_pools: {cervella: {type: process}}}
deployments:
  - {name: one, entrypoint: "flows/run.py:one_recipe", work_pool: {name: cervella}}
"""


def test_a_folder_with_one_recipe_still_makes_a_dropdown(project: Path) -> None:
    project.write_text(GOOD, encoding="utf-8")
    [one] = read_prefect_file(project).deployments
    assert one.form.schema["properties"]["recipe"]["enum"] == ["mvp"]


@pytest.mark.parametrize(
    ("flow", "told"),
    [
        ("import not_there", "ModuleNotFoundError: No module named 'not_there'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("one_recipe = 1", "has no flow 'one_recipe'"),
        ("def broken(:", "SyntaxError: invalid syntax"),
    ],
    ids=["missing module", "exits", "no flow", "syntax"],
)
def test_a_flow_that_cannot_be_imported_is_a_fault_and_not_guessed(project: Path, flow: str, told: str) -> None:
    Path("flows/run.py").write_text(flow)
    said = read(project, GOOD)
    assert "prefect.yaml:4:29: one: the flow 'flows/run.py:one_recipe' cannot be imported" in said
    assert told in said


def test_what_a_flow_prints_while_it_is_imported_does_not_disturb(project: Path) -> None:
    Path("flows/run.py").write_text(FLOW + "\nprint('hello', end='')\n")
    project.write_text(GOOD, encoding="utf-8")
    assert len(read_prefect_file(project).deployments) == 1


def test_recipes_are_those_of_the_named_folder(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text("")
    (tmp_path / "reindex.yaml").write_text("")
    (tmp_path / "_base.yaml").write_text("")
    monkeypatch.setenv("CERVELLA_RECIPES", str(tmp_path))
    with pytest.raises(InputError, match=r"there is no 'mvp'; expected mine, reindex") as raised:
        read_prefect_file(root / "prefect.yaml")
    assert "2 faults" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "expected keys and values"),
        ("name: [", "not valid YAML"),
        ("- a\n- b\n", "prefect.yaml:1:1: prefect.yaml: expected keys and values"),
        ("name: x\nname: y\n", "the key 'name' is there twice"),
        (GOOD.replace("{name: cervella}}", "{name: cervella, <<: {}}}"), "unknown key '<<'"),
        (GOOD.replace("deployments:", "pull: []\ndeployments:"), "unknown key 'pull'"),
    ],
    ids=["empty", "no yaml", "a list", "twice", "merged", "pull"],
)
def test_what_is_no_such_file_is_told(project: Path, text: str, told: str) -> None:
    assert told in read(project, text)


def test_a_file_that_is_not_there(project: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_prefect_file(project)
