"""Files as disks hold them: what is read, what is passed over and told, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from components.errors import InputError
from components.sncp import Collection
from components.sncp.globs import Glob

Notes = Callable[..., Path]
Read = Callable[..., Collection]


def _reasons(collection: Collection) -> dict[str, str]:
    return {item.path: item.reason for item in collection.skipped}


@pytest.mark.parametrize(
    ("glob", "path", "matches"),
    [
        ("**/*.md", ".sncp/idee/a.md", True),
        ("**/*.md", "a.md", True),
        ("*.md", ".nascosto.md", True),
        ("*.md", "x/a.md", False),
        (".sncp/progetti/*/PROMPT_RIPRESA*.md", ".sncp/progetti/p/PROMPT_RIPRESA_p.md", True),
        (".sncp/progetti/*/PROMPT_RIPRESA*.md", ".sncp/progetti/p/q/PROMPT_RIPRESA_p.md", False),
        ("a/**/b/**/c.md", "a/b/c.md", True),
        ("a/**/b/**/c.md", "a/x/y/b/z/c.md", True),
        ("docs/", "docs/x/y.md", True),
        ("./x.md", "x.md", True),
        ("[ab].md", "b.md", True),
        ("A.md", "a.md", False),
    ],
)
def test_globs(glob: str, path: str, matches: bool) -> None:
    assert Glob.parse(glob).matches(path) is matches


@pytest.mark.parametrize("glob", ["/etc/*.md", "../x.md", "a/../../b.md", "", "  ", "~/x.md", "a//b.md"])
def test_globs_that_leave_the_root_are_refused(glob: str, notes: Notes, read: Read) -> None:
    with pytest.raises(InputError, match="Glob"):
        read(notes({"a.md": "x"}), include=[glob])


def test_kind_is_of_the_first_source_that_matches(notes: Notes, read: Read) -> None:
    root = notes({"d/a.md": "uno", "d/b.md": "due", "lezioni/c.md": "tre"})
    collection = read(root, sources={"idea": ["d/a.md"], "decision": ["d/*.md"]})
    assert {document.path: document.kind for document in collection.documents} == {
        "d/a.md": "idea", "d/b.md": "decision", "lezioni/c.md": "lesson"
    }  # fmt: skip


def test_excluded_notes_are_not_read_nor_told(notes: Notes, read: Read) -> None:
    root = notes({"a.md": "uno", "x/b.md": b"\0", "x/y/c.md": "tre", "z/b.md": "due"})
    collection = read(root, exclude=["x/**"])
    assert [document.path for document in collection.documents] == ["a.md", "z/b.md"]
    assert collection.skipped == ()


def test_bad_files_are_told_and_the_rest_is_read(notes: Notes, read: Read) -> None:
    root = notes({
        "buono.md": "# Buono\n", "binario.md": b"a\0b", "latino.md": "citt\xe0".encode("latin-1"),
        "grande.md": "x" * 2000, "vuoto.md": " \n\n", "largo.md": "# Ciao\nè".encode("utf-16"),
        "fatto.json": "{}", "elenco.txt": "riga\n", "carta.markdown": "# C\n",
    })  # fmt: skip
    os.mkfifo(root / "tubo.md")
    collection = read(root, include=["**/*"], max_bytes=1000)
    assert [document.path for document in collection.documents] == [
        "buono.md",
        "carta.markdown",
        "elenco.txt",
        "largo.md",
    ]
    assert _reasons(collection) == {
        "binario.md": "binary: a NUL byte at byte 2",
        "grande.md": "too large: 2,000 bytes or more, at most 1,000 are read (`sncp.max_bytes`)",
        "latino.md": "not UTF-8: byte 5, line 1; save it as UTF-8",
        "tubo.md": "not a plain file (a pipe, socket or device)",
        "vuoto.md": "empty: no text in it",
    }


def test_links_never_lead_out(notes: Notes, read: Read, tmp_path: Path) -> None:
    root = notes({"a.md": "# A\n", "sotto/b.md": "# B\n"})
    outside = tmp_path / "notes2"  # begins like the root: a comparison of strings would let it pass
    outside.mkdir()
    (outside / "segreto.md").write_text("fuori")
    (root / "file.md").symlink_to(outside / "segreto.md")
    (root / "cartella").symlink_to(outside)
    (root / "sotto" / "giro").symlink_to(root)
    (root / "rotto.md").symlink_to(root / "mai.md")
    (root / "se.md").symlink_to(root / "se.md")
    (root / "oggi.md").symlink_to(root / "sotto" / "b.md")
    (root / "nota.md").mkdir()
    collection = read(root)
    assert [document.paths for document in collection.documents] == [("a.md",), ("oggi.md", "sotto/b.md")]
    assert _reasons(collection) == {
        "cartella": "link that leads out of the root: not followed",
        "file.md": "link that leads out of the root: not followed",
        "rotto.md": "link that leads nowhere, or in a circle",
        "se.md": "link that leads nowhere, or in a circle",
        "sotto/giro": "link to the folder .: not followed",
    }


def test_folders_of_programs_are_entered_only_by_name(notes: Notes, read: Read) -> None:
    root = notes({"a.md": "uno", ".git/x.md": "due", "node_modules/p/README.md": "tre", ".obsidian/o.md": "quattro"})
    assert len(read(root).documents) == 1
    assert len(read(root, include=["*.md", ".obsidian/*.md"]).documents) == 2


def test_names_with_separate_accents_are_one_path(notes: Notes, read: Read) -> None:
    apart = unicodedata.normalize("NFD", "città.md")
    root = notes({f"perché/{apart}": "# Città\n"})
    (document,) = read(root, include=["perché/*.md"]).documents
    assert document.path == "perché/città.md" and unicodedata.is_normalized("NFC", document.path)


def test_names_that_cannot_be_shown_are_told(notes: Notes, read: Read) -> None:
    root = notes({"a.md": "uno", "due\nrighe.md": "x"})
    try:
        (root / os.fsdecode(b"r\xe9.md")).write_text("x")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    reasons = _reasons(read(root))
    assert reasons == {
        "due\\nrighe.md": "the path holds control or invisible characters: rename it",
        "r\\udce9.md": "the file name is not UTF-8: rename it",
    }


_WITHOUT_RIGHTS = """
import json, os, sys
from pathlib import Path
from components.sncp import collect
def read():
    return collect(root=Path(sys.argv[1]), sources={}, include=["**/*.md"], exclude=[], max_bytes=100, redact="redact")
if os.geteuid() == 0:
    read()  # imports all that is needed, while the interpreter's own folders can still be read
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
print(json.dumps(read().to_dict()))
"""


def test_unreadable_files_and_folders_are_told(root: Path) -> None:
    """In a child without the rights of root, in a folder that everyone may reach."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        home.chmod(0o755)
        (home / "a.md").write_text("---\ntitle: è\n---\nperché\n")
        (home / "chiuso.md").write_text("x")
        (home / "cassetto").mkdir()
        (home / "cassetto" / "b.md").write_text("y")
        (home / "chiuso.md").chmod(0)
        (home / "cassetto").chmod(0)
        try:
            done = subprocess.run(  # noqa: S603
                [sys.executable, "-c", _WITHOUT_RIGHTS, folder], cwd=root, capture_output=True, text=True, timeout=60
            )
        finally:
            (home / "cassetto").chmod(0o755)
    assert done.returncode == 0, done.stderr
    collection = Collection.from_dict(json.loads(done.stdout))
    assert [document.path for document in collection.documents] == ["a.md"]
    assert _reasons(collection) == {
        "cassetto": "folder cannot be opened: Permission denied",
        "chiuso.md": "cannot be opened: Permission denied",
    }


def test_missing_root_says_how_far_the_path_is_good(tmp_path: Path, read: Read) -> None:
    with pytest.raises(InputError, match="does not exist.*good as far as") as error:
        read(tmp_path / "mai" / "stato")
    assert str(tmp_path) in str(error.value)


def test_root_that_is_a_file_is_refused(notes: Notes, read: Read) -> None:
    with pytest.raises(InputError, match="is a file, a folder is expected"):
        read(notes({"a.md": "x"}) / "a.md")


def test_root_without_notes_says_what_was_sought_and_what_is_there(notes: Notes, read: Read) -> None:
    root = notes({"documenti/x.pdf": "x", "leggimi.rst": "y"})
    with pytest.raises(InputError) as error:
        read(root, include=[])
    for part in (str(root), ".sncp/idee/**/*.md", "NORD.md", "documenti/", "leggimi.rst", "sncp.include"):
        assert part in str(error.value)


def test_root_whose_notes_are_all_unreadable_says_why(notes: Notes, read: Read) -> None:
    with pytest.raises(InputError, match="1 notes match .*none of them could be taken:\n  a.md: binary"):
        read(notes({"a.md": b"\0"}))


def test_persona_files_are_read_from_inside_and_outside(notes: Notes, read: Read, tmp_path: Path) -> None:
    root = notes({"idee/COSTITUZIONE.md": "# Costituzione\n", "copia.md": "# Costituzione\n", "a.md": "# A\n"})
    outside = tmp_path / "DNA.md"
    outside.write_text("# DNA\n")
    collection = read(root, include=["*.md"], persona_files=[root / "idee" / "COSTITUZIONE.md", outside])
    assert {document.paths: document.kind for document in collection.documents} == {
        ("@persona/DNA.md",): "persona",
        ("a.md",): "note",
        ("idee/COSTITUZIONE.md", "copia.md"): "persona",
    }


@pytest.mark.parametrize("content", [None, b"\0"], ids=["missing", "binary"])
def test_persona_file_that_cannot_be_read_is_refused(
    content: bytes | None, notes: Notes, read: Read, tmp_path: Path
) -> None:
    file = tmp_path / "DNA.md"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match="persona file .*DNA.md"):
        read(notes({"a.md": "x"}), persona_files=[file])


def test_identity_comes_from_the_bytes_and_the_day_only_where_it_is_used(notes: Notes, read: Read) -> None:
    root = notes({"datata.md": "# D\nData: 2026-01-14\n", "senza.md": "# S\n", "rotta.md": b"\0"})
    before = read(root).fingerprint_inputs()
    assert set(before) == {"datata.md", "senza.md", "rotta.md"}
    assert all(len(digest) == 64 for digest in before.values())
    for name in ("datata.md", "senza.md", "rotta.md"):
        os.utime(root / name, (86_400 * 365, 86_400 * 365))
    touched = read(root).fingerprint_inputs()
    assert {name for name in before if before[name] != touched[name]} == {"senza.md"}
    (root / "rotta.md").write_text("# Riparata\n")
    (root / "datata.md").write_bytes(b"# D\r\nData: 2026-01-14\r\n")
    mended = read(root).fingerprint_inputs()
    assert {name for name in before if touched[name] != mended[name]} == {"datata.md", "rotta.md"}


def test_order_and_content_do_not_depend_on_the_disk(notes: Notes, read: Read) -> None:
    root = notes({f"{name}.md": f"# {name}\nData: 2026-01-01\n" for name in "zaqxm"})
    first = read(root)
    for file in sorted(root.iterdir()):
        content = file.read_bytes()
        file.unlink()
        file.write_bytes(content)
    assert read(root) == first
    assert [document.path for document in first.documents] == ["a.md", "m.md", "q.md", "x.md", "z.md"]


def test_mended_things_are_told_with_their_line(notes: Notes, read: Read) -> None:
    root = notes({"a.md": "---\nx: [\n---\n# A\nprima â†’ poi\nze\u200bro\n<!-- via -->\n"})
    collection = read(root)
    assert [(item.line, item.message.split(":")[0]) for item in collection.notices] == [
        (1, "front matter not read"),
        (5, "garbled characters repaired in 1 lines"),
        (6, "1 invisible characters removed"),
        (7, "HTML comments blanked out in 1 lines"),
    ]
    assert collection.documents[0].text == "---\nx: [\n---\n# A\nprima → poi\nzero\n\n"


def test_progress_ends_at_all(notes: Notes, read: Read) -> None:
    seen: list[tuple[int, int]] = []
    read(notes({"a.md": "a", "b.md": "b"}), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 2), (1, 2), (2, 2)]


def test_importing_the_room_stays_light(root: Path) -> None:
    code = (
        "import sys, components.sncp, components.sncp.params\n"
        "print(sorted({'ftfy', 'detect_secrets', 'ruamel', 'requests', 'numpy', 'prefect'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "[]"
