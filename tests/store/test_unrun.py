"""A module that is left unrun is registered, and is whole for whoever asks it for anything."""

from __future__ import annotations

import contextlib
import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components.store import leave_unrun


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    monkeypatch.syspath_prepend(str(tmp_path))
    finders = list(sys.meta_path)

    def write(**modules: str) -> None:
        (tmp_path / "waits").mkdir()
        for name, text in modules.items():
            (tmp_path / "waits" / f"{name}.py").write_text(text, encoding="utf-8")

    yield write
    sys.meta_path[:] = finders
    for name in [name for name in sys.modules if name.partition(".")[0] == "waits"]:
        del sys.modules[name]


def test_it_is_run_when_it_is_asked_for_something_and_not_by_being_imported(package: Callable[..., None]) -> None:
    package(__init__="", one="import waits.two\nimport waits.two as two", two="VALUE = []")
    leave_unrun("waits.two")
    one = importlib.import_module("waits.one")
    assert "VALUE" not in vars(one.two)
    assert one.two is sys.modules["waits.two"]
    first = one.two.VALUE
    assert first is one.two.VALUE
    assert "__getattr__" not in vars(one.two)
    with pytest.raises(AttributeError, match="no attribute 'OTHER'"):
        _ = one.two.OTHER


def test_submodules_of_a_package_that_waits_can_be_imported(package: Callable[..., None]) -> None:
    package(__init__="from waits.two import VALUE\nraise RuntimeError('run')", two="VALUE = 2")
    leave_unrun("waits")
    assert importlib.import_module("waits.two").VALUE == 2
    with pytest.raises(RuntimeError, match="run"):
        _ = sys.modules["waits"].VALUE


def test_only_asked_whether_something_special_is_there_it_waits_on(package: Callable[..., None]) -> None:
    package(__init__="raise RuntimeError('run')")
    leave_unrun("waits")
    assert not hasattr(importlib.import_module("waits"), "__wrapped__")


def test_what_was_imported_before_and_what_is_not_there_is_as_it_is(package: Callable[..., None]) -> None:
    package(__init__="VALUE = 1")
    module = importlib.import_module("waits")
    leave_unrun("waits", "not_installed_anywhere")
    assert vars(importlib.import_module("waits"))["VALUE"] == 1
    assert importlib.import_module("waits") is module
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("not_installed_anywhere")


def test_two_threads_that_ask_at_once_both_get_it(package: Callable[..., None]) -> None:
    package(__init__="import time\nEARLY = 1\ntime.sleep(0.3)\nLATE = 2\n")
    leave_unrun("waits")
    module = importlib.import_module("waits")
    found: list[int] = []
    asking = [threading.Thread(target=lambda: found.append(module.LATE)) for _ in range(4)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert found == [2, 2, 2, 2]


def test_a_fault_while_it_runs_is_told_each_time(package: Callable[..., None]) -> None:
    package(__init__="import nothing_of_this_name")
    leave_unrun("waits")
    module = importlib.import_module("waits")
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="nothing_of_this_name"):
            _ = module.VALUE


@pytest.mark.timeout(60)
def test_one_that_asks_and_one_that_imports_a_submodule_do_not_wait_for_each_other(
    package: Callable[..., None],
) -> None:
    slow = "import time\ntime.sleep(0.3)\n"
    package(__init__=slow + "from waits.two import TWO\nONE = 1", two=slow + "TWO = 2\nimport waits\nwaits.ONE")
    leave_unrun("waits")
    module = importlib.import_module("waits")
    ended: list[str] = []

    def work(name: str, deed: Callable[[], object]) -> None:
        with contextlib.suppress(ImportError, AttributeError):  # as of any two modules that import each other
            deed()
        ended.append(name)

    working = [
        threading.Thread(target=work, args=("asks", lambda: module.ONE), daemon=True),
        threading.Thread(target=work, args=("imports", lambda: importlib.import_module("waits.two")), daemon=True),
    ]
    for thread in working:
        thread.start()
    for thread in working:
        thread.join(20)
    assert sorted(ended) == ["asks", "imports"]
