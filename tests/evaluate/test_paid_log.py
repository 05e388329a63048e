"""The log of paid replies: what a death, a full disk and threads leave of it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.evaluate.asking.paid import PaidLog

KEYS = ["a", "b", "perché?\n\u2028", "\ud800"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
VALUES = st.dictionaries(st.text(), JSON, max_size=4)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scratch" / "paid.jsonl"


@given(puts=st.lists(st.tuples(st.sampled_from(KEYS), VALUES), max_size=8), reopened=st.booleans())
def test_it_gives_what_was_put_last(
    tmp_path_factory: pytest.TempPathFactory, puts: list[tuple[str, dict[str, Any]]], reopened: bool
) -> None:
    path = tmp_path_factory.mktemp("log") / "paid.jsonl"
    log = PaidLog(path)
    for key, value in puts:
        log.put(key, value)
    found = PaidLog(path) if reopened else log
    assert {key: found.get(key) for key in KEYS} == {key: dict(puts).get(key) for key in KEYS}
    assert len(found) == len(dict(puts))


def test_nothing_is_made_before_the_first_reply(path: Path) -> None:
    assert PaidLog(path).get("a") is None
    assert not path.parent.exists()


@given(cut=st.integers(min_value=0))
def test_a_line_cut_anywhere_is_ignored_and_written_over(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("log") / "paid.jsonl"
    PaidLog(path).put("whole", {"text": "è"})
    size = path.stat().st_size
    PaidLog(path).put("torn", {"text": "x" * 50})
    with path.open("r+b") as file:
        file.truncate(size + cut % (path.stat().st_size - size))
    log = PaidLog(path)
    assert (log.get("whole"), log.get("torn")) == ({"text": "è"}, None)
    log.put("next", {"n": 1})
    again = PaidLog(path)
    assert (again.get("whole"), again.get("next"), len(again)) == ({"text": "è"}, {"n": 1}, 2)


@given(place=st.integers(min_value=0), bit=st.integers(min_value=0, max_value=7))
def test_a_changed_bit_costs_its_own_reply_at_most_and_never_lies(
    tmp_path_factory: pytest.TempPathFactory, place: int, bit: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "paid.jsonl"
    log = PaidLog(path)
    for number in range(3):
        log.put(f"k{number}", {"n": number})
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 1 << bit
    path.write_bytes(data)
    damaged = PaidLog(path)
    found = [damaged.get(f"k{number}") for number in range(3)]
    assert all(value in (None, {"n": number}) for number, value in enumerate(found))
    assert sum(value is None for value in found) in (0, 1, 2)  # two where the newline between them was hit
    damaged.put("k9", {"n": 9})
    assert PaidLog(path).get("k9") == {"n": 9}


def test_what_a_write_that_failed_has_left_is_written_over(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = PaidLog(path)
    log.put("a", {"n": 1})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            log.put("b", {"n": 2})
    assert log.get("b") is None
    log.put("c", {"n": 3})
    again = PaidLog(path)
    assert [again.get(key) for key in "abc"] == [{"n": 1}, None, {"n": 3}]


def test_threads_share_it(path: Path) -> None:
    log = PaidLog(path)

    def work(name: int) -> None:
        for number in range(40):
            log.put(f"{name}/{number}", {"text": f"{name}-{number}" * 50})
            assert log.get(f"{name}/{number // 2}") == {"text": f"{name}-{number // 2}" * 50}

    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    again = PaidLog(path)
    assert len(again) == 320
    assert all(again.get(f"{name}/39") == {"text": f"{name}-39" * 50} for name in range(8))


def test_a_value_that_is_no_json_is_refused_and_leaves_nothing(path: Path) -> None:
    log = PaidLog(path)
    with pytest.raises(ValueError, match="JSON compliant"):
        log.put("a", {"n": float("nan")})
    assert log.get("a") is None
