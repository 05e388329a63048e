"""Time and memory stay bounded whatever is in a file, a chain of files or an override: by limits, not by luck."""

from __future__ import annotations

import os
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

import pytest

from components.recipe import RecipeError, load_recipe
from components.recipe.compose import MAX_FILES, MAX_OVERRIDE
from components.recipe.source import MAX_BYTES, MAX_FAULTS, MAX_VALUES, parse_yaml

MB = 1_000_000


def filled(piece: str, size: int = MAX_BYTES - 200) -> str:
    return (piece * (size // len(piece) + 1))[:size]


# What makes parsers slow or large. Each is as long as a recipe may be: the tests' time-out is the bound.
HOSTILE = {
    "comments": "name: soup\n" + filled("# words\n"),
    "one long plain text": "name: " + filled("x"),
    "words": "name: " + filled("word "),
    "block text": "name: |\n" + filled("  some words\n"),
    "escapes": 'name: "' + filled("\\n") + '"',
    "blank lines": filled("\n"),
    "spaces": filled(" "),
    "tabs": filled("\t"),
    "a long key": filled("k") + ": 1\n",
    "a long comment": "#" + filled("c"),
    "open brackets": "a: " + filled("["),
    "open braces": "a: " + filled("{a: "),
    "dashes": filled("- "),
    "questions": filled("? "),
    "colons": filled(": "),
    "an anchor": "a: &" + filled("a") + " 1",
    "a tag": "a: !" + filled("a") + " 1",
    "a directive": "%" + filled("a") + "\n---\na: 1",
    "many keys": "".join(f"key{n}: value\n" for n in range(13_000)),
    "unknown keys of a section": "index:\n" + "".join(f"  serch{n}: 1\n" for n in range(13_000)),
    "one key again and again": "index: 1\n" * 22_000,
    "merge keys": "<<: {a: 1}\n" * 18_000,
    "aliases": "a: &a [1, 2, 3]\nb:\n" + "  - *a\n" * 28_000,
    "tags": "a:\n" + "  - !a b\n" * 22_000,
    "octals": "a:\n" + "  - 010\n" * 24_000,
    "bases": "extends: [" + ",".join(f"b{n}.yaml" for n in range(2900)) + "]\n",
    "secrets": "name: " + filled("key="),
    "what looks like a secret": "x: " + filled("aA1"),
    "URLs": "x: " + filled("://a:"),
    "a deep path": "sncp: {root: " + filled("a/") + "}\n",
    "bad references": "sncp: {include: [" + ", ".join(['"${nam}"'] * 2900) + "]}\n",
    "good references": "name: soup\nsncp: {include: [" + ", ".join(['"${name}"'] * 2900) + "]}\n",
    "one text of references": 'name: soup\ndescription: "' + "${name}" * 28_000 + '"\n',
    "digits": "index: {search: {k: " + filled("9") + "}}\n",
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_the_longest_recipe_ends_soon(kitchen, text: str) -> None:
    assert MAX_BYTES * 0.1 < len(text.encode())
    told = str(kitchen.refused(text))
    assert len(told) < 100_000


def test_a_file_above_the_limit_is_refused_where_the_limit_is(kitchen, good: str) -> None:
    line = "# a line of thirty-two characters\n"
    told = str(kitchen.refused(good + line * (10 * MB // len(line))))
    number = 7 + MAX_BYTES // len(line)
    assert told.startswith("soup.yaml:") and abs(int(told.split(":")[1]) - number) <= 8
    assert f"is too large for a recipe\n  {told.split(':')[1]} | # a" in told
    assert f"at most {MAX_BYTES:,} bytes" in told


def test_no_more_of_a_file_is_read_than_may_be_there(kitchen, good: str) -> None:
    path = kitchen.write("soup.yaml", good)
    os.truncate(path, 10**12)  # a sparse file of a terabyte
    tracemalloc.start()
    try:
        with pytest.raises(RecipeError, match="too large|control character|UTF-16 or UTF-32"):
            load_recipe(path, cwd=kitchen.folder)
        assert tracemalloc.get_traced_memory()[1] < 20 * MB
    finally:
        tracemalloc.stop()


def test_a_recipe_just_below_the_limits_is_read(kitchen, good: str) -> None:
    globs = "".join(f"    - docs/{n}/**/*.md\n" for n in range(MAX_VALUES - 200))
    loaded = kitchen.load(good.replace("  root: notes\n", f"  root: notes\n  include:\n{globs}"))
    assert len(loaded.recipe.sncp.include) == MAX_VALUES - 200


def test_bases_and_references_count_too(kitchen, good: str) -> None:
    half = "".join(f"  a{n}: 1\n" for n in range(MAX_VALUES * 2 // 3))
    for name in ("a", "b"):
        kitchen.write(f"{name}.yaml", "persona:\n  priorities:\n" + half.replace("  a", f"    {name}"))
    assert "is too large for a recipe" in str(kitchen.refused("extends: [a.yaml, b.yaml]\n" + good))
    text = f"description: {'x' * 9000}\nanswer: {{}}\n" + good
    many = ", ".join(["'${description}'"] * 100)
    assert "references included" in str(
        kitchen.refused(text.replace("  root: notes", f"  root: notes\n  include: [{many}]"))
    )


def test_what_is_frozen_of_the_largest_recipe_is_read_back(kitchen, good: str, tmp_path: Path) -> None:
    from components.recipe import freeze, load_frozen

    globs = "".join(f'    - "{n}\\uE000{"x" * 50}"\n' for n in range(MAX_VALUES - 200))
    loaded = kitchen.load(good.replace("  root: notes\n", f"  root: notes\n  include:\n{globs}"))
    freeze(loaded, tmp_path / "run")
    assert load_frozen(tmp_path / "run") == loaded.recipe


@pytest.mark.parametrize("levels", [12, 40])
def test_alias_bombs_end_early(levels: int) -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 9) + "]" for n in range(1, levels)]
    faults: list[object] = []
    assert parse_yaml("\n".join(rows), file="bomb.yaml", folder=Path(), faults=faults) is None  # type: ignore[arg-type]
    assert "too many values" in str(faults[-1])


def test_faults_are_counted_up_to_a_point(kitchen, good: str) -> None:
    error = kitchen.refused(good + "x:\n" + "  - 010\n" * 1000)
    assert MAX_FAULTS <= len(error.faults) <= MAX_FAULTS + 1
    assert "too many faults" in error.faults[-1].message


# --- files that are no files -------------------------------------------------------------------------------------


def test_a_thousand_files_in_a_chain(kitchen, good: str) -> None:
    for number in range(1000):
        kitchen.write(f"b{number}.yaml", f"extends: b{number + 1}.yaml\n" if number < 999 else "answer: {}\n")
    error = kitchen.refused("extends: b0.yaml\n" + good)
    assert [fault.message for fault in error.faults] == ["too many files in extends"]
    assert f"b{MAX_FILES - 2}.yaml:1:10" in str(error)


def test_a_thousand_files_in_a_list(kitchen, good: str) -> None:
    for number in range(1000):
        kitchen.write(f"b{number}.yaml", "answer: {}\n")
    names = ", ".join(f"b{number}.yaml" for number in range(1000))
    assert "too many files in extends" in str(kitchen.refused(f"extends: [{names}]\n" + good))


def test_as_many_files_as_allowed(kitchen, good: str) -> None:
    last = MAX_FILES - 3
    for number in range(last + 1):
        more = f"extends: b{number + 1}.yaml\n" if number < last else ""
        kitchen.write(f"b{number}.yaml", more + f"persona: {{priorities: {{p{number}: 1}}}}\n")
    assert len(kitchen.load("extends: b0.yaml\n" + good).recipe.persona.priorities) == last + 1


ODD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pipe": (os.mkfifo, "is not an ordinary file"),
    "a folder": (os.mkdir, "is a folder"),
    "an endless device": (lambda path: path.symlink_to("/dev/zero"), "is not an ordinary file"),
    "a link to nothing": (lambda path: path.symlink_to("nowhere"), "is a link that leads nowhere\n"),
    "a link to itself": (lambda path: path.symlink_to(path.name), "cannot be read: too many levels of symbolic links"),
    "a socket's place": (lambda path: path.symlink_to("/proc/self/mem"), "cannot be read: input/output error"),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("how", ["named", "extended"])
@pytest.mark.parametrize(("make", "said"), ODD_FILES.values(), ids=ODD_FILES)
def test_files_that_are_no_files(kitchen, good: str, make: Callable[[Path], object], said: str, how: str) -> None:
    path = kitchen.folder / "odd.yaml"
    make(path)
    if how == "extended":
        assert said.strip() in (told := str(kitchen.refused("extends: odd.yaml\n" + good)))
        assert told.startswith("soup.yaml:1:10: extends: odd.yaml: ")
        return
    with pytest.raises(RecipeError) as caught:
        load_recipe("odd.yaml", cwd=kitchen.folder)
    assert str(caught.value).startswith(f"odd.yaml: {said}")


def test_a_base_by_a_link_is_one_file(kitchen, good: str) -> None:
    kitchen.write("base.yaml", "answer: {language: it}\n")
    (kitchen.folder / "link.yaml").symlink_to("base.yaml")
    assert kitchen.load("extends: [base.yaml, link.yaml]\n" + good).recipe.answer.language == "it"
    (kitchen.folder / "round.yaml").symlink_to("soup.yaml")
    assert "extends itself" in str(kitchen.refused("extends: round.yaml\n" + good))


@contextmanager
def no_rights_of_root(folder: Path) -> Iterator[None]:
    """Root may read everything: for a moment this process is nobody, who may enter the test's folders."""
    for path in takewhile(lambda path: path != Path(tempfile.gettempdir()), [folder, *folder.parents]):
        path.chmod(0o755)
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.mark.parametrize("closed", ["soup.yaml", "base.yaml", "folder"])
def test_what_may_not_be_read_is_told(kitchen, good: str, closed: str) -> None:
    kitchen.write("base.yaml", "answer: {}\n")
    kitchen.write("folder/base.yaml", "answer: {}\n")
    text = f"extends: {'folder/' if closed == 'folder' else ''}base.yaml\n" + good
    kitchen.load(text)
    (kitchen.folder / closed).chmod(0)
    with no_rights_of_root(kitchen.folder), pytest.raises(RecipeError) as caught:
        load_recipe(kitchen.folder / "soup.yaml", cwd=kitchen.folder)
    (kitchen.folder / closed).chmod(0o755)
    told = str(caught.value)
    assert "cannot be read: permission denied" in told
    assert told.startswith("soup.yaml: cannot" if closed == "soup.yaml" else "soup.yaml:1:10: extends: ")


# --- overrides ---------------------------------------------------------------------------------------------------


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["open braces", "a tag", "many keys", "aliases", "digits", "what looks like a secret"])
def test_the_longest_override_ends_soon(kitchen, good: str, name: str) -> None:
    assert len(str(kitchen.refused(good, "llm.chat.seed=" + HOSTILE[name][: MAX_OVERRIDE - 100]))) < 100_000


def test_an_override_above_the_limit_is_refused(kitchen, good: str) -> None:
    assert "is too large for an override" in str(kitchen.refused(good, "description=" + "x" * 10 * MB))


def test_a_thousand_overrides(kitchen, good: str) -> None:
    loaded = kitchen.load(good, *[f"index.search.k={n % 50 + 1}" for n in range(1000)])
    assert loaded.recipe.index.search.k == 50
