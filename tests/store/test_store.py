"""Identity, sealing, and what counts as a valid artefact."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.errors import TerminalError
from components.store import Artefact, StepSpec, Store, canonical_json, write_atomic, write_manifest

SPEC = StepSpec("test.write", 1, {"text": "ciao"}, {"notes": "0" * 64})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def seal(store: Store, spec: StepSpec = SPEC, **options: bool) -> Artefact:
    with store.step(spec, **options) as step:
        if not step.sealed:
            step.write_text("a.txt", "ciao à\n")
            step.write_jsonl("b.jsonl", [{"x": 1}, {"x": 2}])
            step.note(rows=2)
    return step.artefact


@given(JSON)
def test_canonical_json_reads_back_and_ignores_key_order(value: Any) -> None:
    assert json.loads(canonical_json(value).decode("utf-8", "surrogatepass")) == value
    if isinstance(value, dict):
        assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)


@pytest.mark.parametrize(
    "value", [Path("x"), b"x", {1: 2}, {1, 2}, object(), math.nan, math.inf], ids=lambda value: type(value).__name__
)
def test_what_has_no_stable_form_is_refused(value: object) -> None:
    with pytest.raises(TerminalError, match=r"value"):
        canonical_json({"a": [value]})


def test_one_and_text_one_differ() -> None:
    prints = [StepSpec("s", 1, {"x": x}).fingerprint for x in (1, "1", 1.5, True, None, [1])]
    assert len(set(prints)) == len(prints)


def test_a_fingerprint_is_the_same_in_another_process(root: Path) -> None:
    code = (
        "from components.store import StepSpec;"
        "print(StepSpec('test.write', 1, {'text': 'ciao'}, {'notes': '0' * 64}).fingerprint)"
    )
    for seed in ("0", "1"):
        told = subprocess.run(
            [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
        )  # fmt: skip
        assert told.stdout.strip() == SPEC.fingerprint


def test_a_sealed_step_is_skipped_and_reads_back(tmp_path: Path) -> None:
    first = seal(Store(tmp_path))
    with Store(tmp_path).step(SPEC) as step:
        assert step.sealed
    again = Store(tmp_path).open(first.id)
    assert again.digest == first.digest == step.artefact.digest
    assert again.read_text("a.txt") == "ciao à\n"
    assert list(again.read_jsonl("b.jsonl")) == [{"x": 1}, {"x": 2}]
    assert again.facts == {"rows": 2}


def test_facts_and_time_are_no_part_of_the_digest(tmp_path: Path) -> None:
    digests = set()
    for number in range(2):
        with Store(tmp_path / str(number)).step(SPEC) as step:
            step.write_text("a.txt", "ciao")
            step.note(seconds=number)
        digests.add(step.artefact.digest)
    assert len(digests) == 1


def test_an_error_in_the_body_seals_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), Store(tmp_path).step(SPEC) as step:
        step.write_text("a.txt", "half")
        _ = 1 / 0
    assert Store(tmp_path).look(SPEC) == (None, "not made yet")
    assert not list((tmp_path / "store" / "test.write").iterdir())


def spoil_truncate(home: Path) -> None:
    (home / "a.txt").write_text("ci")


def spoil_delete(home: Path) -> None:
    (home / "b.jsonl").unlink()


def spoil_manifest(home: Path) -> None:
    (home / "manifest.json").write_text('{"format": 1, "step"')


def spoil_empty_manifest(home: Path) -> None:
    (home / "manifest.json").write_text("")


def spoil_foreign(home: Path) -> None:
    (home / "manifest.json").write_text("[1, 2]")


def spoil_fingerprint(home: Path) -> None:
    text = (home / "manifest.json").read_text()
    (home / "manifest.json").write_text(text.replace(home.name, "f" * 64))


def spoil_facts(home: Path) -> None:
    text = (home / "manifest.json").read_text()
    (home / "manifest.json").write_text(text.replace('"rows": 2', '"rows": 3'))


def spoil_inputs(home: Path) -> None:
    manifest = json.loads((home / "manifest.json").read_text())
    manifest["inputs"]["notes"] = "1" * 64
    write_manifest(home, manifest)  # with a checksum that is right


def spoil_another(home: Path) -> None:
    """The artefact of other inputs, whole, at this place."""
    other = seal(Store(home.parent.parent.parent), StepSpec("test.write", 1, {"text": "addio"}))
    shutil.rmtree(home)
    other.path.rename(home)


def spoil_escape(home: Path) -> None:
    manifest = json.loads((home / "manifest.json").read_text())
    manifest["outputs"]["../../x"] = manifest["outputs"].pop("a.txt")
    (home / "manifest.json").write_text(json.dumps(manifest))


SPOILS = {
    spoil_truncate: "its output a.txt was changed",
    spoil_delete: "its output b.jsonl is gone",
    spoil_manifest: "its manifest cannot be read",
    spoil_empty_manifest: "its manifest cannot be read",
    spoil_foreign: "its manifest is not one of ours",
    spoil_fingerprint: "its manifest was changed",
    spoil_escape: "its manifest was changed",
    spoil_facts: "its manifest was changed",
    spoil_inputs: "its manifest was changed",
    spoil_another: "its manifest does not belong to this folder",
}


@pytest.mark.parametrize(("spoil", "reason"), SPOILS.items(), ids=[spoil.__name__ for spoil in SPOILS])
def test_a_spoilt_artefact_is_made_again(tmp_path: Path, spoil: Any, reason: str) -> None:
    store = Store(tmp_path)
    first = seal(store)
    spoil(first.path)
    found, why = store.look(SPEC)
    assert found is None and reason in why
    with pytest.raises(TerminalError, match="run the recipe again"):
        store.open(first.id)
    assert seal(store).digest == first.digest
    assert [path.name for path in first.path.parent.iterdir()] == [SPEC.fingerprint]


def test_force_does_a_sealed_step_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    seal(store)
    with store.step(SPEC, force=True) as step:
        assert not step.sealed
        step.write_text("a.txt", "anders")
    assert store.find(SPEC) is not None
    assert step.artefact.read_text("a.txt") == "anders"


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "manifest.json", ""])
def test_an_output_name_stays_in_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(TerminalError), Store(tmp_path).step(SPEC) as step:
        step.write_text(name, "x")


def test_an_atomic_write_that_fails_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "run.json"
    write_atomic(target, b"old")

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError, match="No space"):
        write_atomic(target, b"new")
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]
