"""Contestants: one that cannot be had is told as absent; one that is half made does not count."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import contestants
from benchmarks.contestants import MARK, AbsentError, Contestant, Environment, present

NOBODY = Contestant("nobody", ("a-package-that-nobody-has==0.0.1",))


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No network, and an empty cache: nothing can be installed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("UV_OFFLINE", "1")
    return tmp_path


def test_one_that_cannot_be_installed_is_absent_with_the_reason(
    offline: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    there, absent = present([NOBODY])
    assert not there
    assert "a-package-that-nobody-has" in absent["nobody"]
    assert "nobody is absent" in capsys.readouterr().err


def test_what_is_left_of_a_failed_installation_does_not_count(offline: Path) -> None:
    environment = Environment(NOBODY)
    with pytest.raises(AbsentError):
        environment.installed()
    assert environment.python.exists()
    assert environment.told() is None


def made(environment: Environment, packages: tuple[str, ...]) -> None:
    """A folder as an installation of these packages leaves it."""
    environment.python.parent.mkdir(parents=True)
    environment.python.touch()
    told = {"asked": list(packages), "packages": {"nobody": "0.0.1"}}
    (environment.folder / MARK).write_text(json.dumps(told), encoding="utf-8")


def test_one_that_is_there_is_used_as_it_is(offline: Path) -> None:
    environment = Environment(NOBODY)
    made(environment, NOBODY.packages)
    assert environment.installed() == {"nobody": "0.0.1"}


def test_one_of_other_packages_is_made_anew(offline: Path) -> None:
    environment = Environment(NOBODY)
    made(environment, ("a-package-that-nobody-has==0.0.0",))
    with pytest.raises(AbsentError):
        environment.installed()
    assert not (environment.folder / MARK).exists()


def test_a_cut_mark_does_not_count(offline: Path) -> None:
    environment = Environment(NOBODY)
    made(environment, NOBODY.packages)
    (environment.folder / MARK).write_text('{"asked": [', encoding="utf-8")
    assert environment.told() is None


def test_its_programs_see_none_of_our_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "not-for-them")
    assert "not-for-them" not in Environment(NOBODY).variables().values()


def test_all_packages_that_are_asked_for_are_pinned() -> None:
    named = [value for value in vars(contestants).values() if isinstance(value, Contestant)]
    assert len(named) >= 7
    assert all("==" in package for one in named for package in one.packages)
