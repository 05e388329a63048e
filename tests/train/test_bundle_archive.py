"""Results from elsewhere, whoever wrote them: taken whole, or refused with nothing written."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.errors import InputError
from components.train.bundle.archive import read_manifest, unpack_files

FILES = {
    "effective.json": b"{}",
    "out/adapter_config.json": b'{"r": 4}',
    "out/adapter_model.safetensors": bytes(range(256)) * 20,
    "progress.jsonl": b'{"event": "begin"}\n',
}
Members = list[tuple[tarfile.TarInfo, bytes]]


def manifest_of(contents: dict[str, bytes], **changes: Any) -> dict[str, Any]:
    return {
        "format": 1, "kind": "cervella.train.result", "cervella": "0.1.0", "recipe": "r", "fingerprint": "f" * 64,
        "spec": {"step": "train.run"}, "asked": {}, "job": {"job/job.json": "0" * 64},
        "files": {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "modified": 1_000_000.0}
            for name, data in contents.items()
        },
        **changes,
    }  # fmt: skip


def member(
    name: str, data: bytes = b"", *, kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.size = kind, link, len(data)
    return entry, data


def members_of(contents: dict[str, bytes], **changes: Any) -> Members:
    manifest = json.dumps(manifest_of(contents, **changes)).encode()
    return [member("manifest.json", manifest), *(member(name, data) for name, data in contents.items())]


def archive_of(members: Members, *, form: int = tarfile.USTAR_FORMAT, after: bytes = b"") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for entry, data in members:
            archive.addfile(entry, io.BytesIO(data))
    return gzip.compress(out.getvalue() + after, mtime=0)


def refused(tmp_path: Path, data: bytes, words: str) -> None:
    """It is refused in these words, and nothing is left of it anywhere."""
    file = tmp_path / "result.tar.gz"
    file.write_bytes(data)
    with pytest.raises(InputError, match=words):
        unpack_files(file, tmp_path / "home" / "here")
    left = sorted(path.name for path in tmp_path.rglob("*"))
    assert left in (["home", "result.tar.gz"], ["result.tar.gz"])


def test_a_good_one_is_unpacked_with_its_times(tmp_path: Path) -> None:
    file = tmp_path / "result.tar.gz"
    file.write_bytes(archive_of(members_of(FILES)))
    manifest = unpack_files(file, tmp_path / "here")
    assert manifest == read_manifest(file)
    found = {
        str(path.relative_to(tmp_path / "here")): path for path in (tmp_path / "here").rglob("*") if path.is_file()
    }
    assert {name: path.read_bytes() for name, path in found.items()} == FILES
    assert {path.stat().st_mtime for path in found.values()} == {1_000_000.0}


WITH = FILES | {"out/tokenizer.json": b"{}"}
HARM: dict[str, tuple[Callable[[], bytes], str]] = {
    "a path from the root": (lambda: archive_of([*members_of(FILES), member("/tmp/pwned", b"x")]), "not named"),
    "a path upwards": (lambda: archive_of([*members_of(FILES), member("../pwned", b"x")]), "not named"),
    "a path upwards that the manifest names": (
        lambda: archive_of(members_of(FILES | {"../pwned": b"x"})), "which no result has"),
    "a path upwards behind a good name": (
        lambda: archive_of(members_of(FILES | {"out/../../pwned": b"x"})), "which no result has"),
    "a symbolic link": (
        lambda: archive_of([members_of(FILES)[0], member("out", kind=tarfile.SYMTYPE, link="/tmp")]), "no plain file"),
    "a hard link": (
        lambda: archive_of([members_of(FILES)[0], member("effective.json", kind=tarfile.LNKTYPE, link="/etc/passwd")]),
        "no plain file"),
    "a device": (
        lambda: archive_of([members_of(FILES)[0], member("effective.json", kind=tarfile.CHRTYPE)]), "no plain file"),
    "a pipe": (
        lambda: archive_of([members_of(FILES)[0], member("effective.json", kind=tarfile.FIFOTYPE)]), "no plain file"),
    "a folder": (lambda: archive_of([members_of(FILES)[0], member("out", kind=tarfile.DIRTYPE)]), "no plain file"),
    "a long name by GNU's header": (
        lambda: archive_of([member("x" * 300, b"x"), *members_of(FILES)], form=tarfile.GNU_FORMAT), "no plain file"),
    "a header of pax": (
        lambda: archive_of([member("x" * 300, b"x"), *members_of(FILES)], form=tarfile.PAX_FORMAT), "no plain file"),
    "a pickle": (lambda: archive_of(members_of(FILES | {"out/optimizer.pt": b"x"})), "which no result has"),
    "a program": (lambda: archive_of(members_of(FILES | {"inside/child.py": b"x"})), "which no result has"),
    "a file that is too large": (
        lambda: archive_of([member("manifest.json", json.dumps(manifest_of({}, files={
            "effective.json": {"sha256": "0" * 64, "bytes": 10**12, "modified": 0}})).encode())]), "at most"),
    "a file larger than the manifest says": (
        lambda: archive_of([members_of(FILES)[0], member("effective.json", b"{}" + bytes(1 << 20))]), "manifest says"),
    "other bytes than the manifest says": (
        lambda: archive_of([members_of(FILES)[0], member("effective.json", b"[]")]), "SHA-256 differs"),
    "a file twice": (lambda: archive_of([*members_of(FILES), member("effective.json", b"{}")]), "in it twice"),
    "a file too few": (lambda: archive_of(members_of(WITH)[:-1]), "cut short: out/tokenizer.json"),
    "no manifest": (lambda: archive_of(members_of(FILES)[1:]), "does not begin with the manifest"),
    "a manifest that is too large": (
        lambda: archive_of([member("manifest.json", bytes(5 << 20))]), "does not begin with the manifest"),
    "a manifest that is no JSON": (lambda: archive_of([member("manifest.json", b"{")]), "cannot be understood"),
    "a manifest without an end": (
        lambda: archive_of([member("manifest.json", b"[" * 200_000)]), "cannot be understood"),
    "a manifest that is a list": (lambda: archive_of([member("manifest.json", b"[]")]), "cannot be understood"),
    "of another format": (lambda: archive_of(members_of(FILES, format=2)), "of format 2"),
    "of another kind": (lambda: archive_of(members_of(FILES, kind="x")), "it is 'x'"),
    "digests that are none": (
        lambda: archive_of(members_of({}, files={"effective.json": {"sha256": "x", "bytes": 1, "modified": 0}})),
        "cannot be understood"),
    "a negative size": (
        lambda: archive_of(members_of({}, files={"effective.json": {"sha256": "0" * 64, "bytes": -1, "modified": 0}})),
        "cannot be understood"),
    "many zeros behind it": (lambda: archive_of(members_of(FILES), after=bytes(64 << 20)), "follows its end"),
    "another archive behind it": (
        lambda: archive_of(members_of(FILES)) + archive_of(members_of(FILES)), "follows its end"),
    "ten thousand empty files": (
        lambda: archive_of([members_of(FILES)[0], *[member("effective.json", b"{}")] * 10_000]), "twice|more than"),
    "nothing": (lambda: b"", "no .tar.gz"),
    "nothing, zipped": (lambda: gzip.compress(b""), "cut short"),
    "a bundle": (lambda: b"PK\x03\x04", "perhaps the bundle itself"),
    "a text": (lambda: b"hello", "no .tar.gz"),
    "a text, zipped": (lambda: gzip.compress(b"hello" * 1000), "no tar archive"),
}  # fmt: skip


@pytest.mark.parametrize("made", HARM.values(), ids=HARM)
def test_what_is_no_result_is_refused_and_leaves_nothing(made: tuple[Callable[[], bytes], str], tmp_path: Path) -> None:
    data, words = made
    refused(tmp_path, data(), words)


@pytest.mark.parametrize("tenth", range(10))
def test_a_result_that_was_cut_is_refused(tenth: int, tmp_path: Path) -> None:
    whole = archive_of(members_of(FILES))
    refused(tmp_path, whole[: max(20, len(whole) * tenth // 10)], "damaged|cut short")


def test_a_result_without_its_checksum_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, archive_of(members_of(FILES))[:-4], "damaged or cut short")


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_manifest(tmp_path / "none.tar.gz")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_change_of_a_byte_of_the_archive_is_seen(data: st.DataObject, tmp_path: Path) -> None:
    plain = bytearray(gzip.decompress(archive_of(members_of(FILES))))
    place = data.draw(st.integers(0, 8 * 512))
    plain[place] ^= data.draw(st.integers(1, 255))
    file, here = tmp_path / "result.tar.gz", tmp_path / "here"
    file.write_bytes(gzip.compress(bytes(plain)))
    try:
        manifest = unpack_files(file, here)
    except InputError:
        assert not here.exists()
        return
    found = {str(path.relative_to(here)): path.read_bytes() for path in here.rglob("*") if path.is_file()}
    shutil.rmtree(here)
    assert {name: hashlib.sha256(one).hexdigest() for name, one in found.items()} == {
        name: entry.sha256 for name, entry in manifest.files.items()
    }


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=2000), zipped=st.booleans())
def test_any_bytes_are_refused_in_words(body: bytes, zipped: bool, tmp_path: Path) -> None:
    file = tmp_path / "any.tar.gz"
    file.write_bytes(gzip.compress(body) if zipped else body)
    with pytest.raises(InputError):
        unpack_files(file, tmp_path / "here")
    assert not (tmp_path / "here").exists()
