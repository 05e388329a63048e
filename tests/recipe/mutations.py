"""Recipes as they look after an accident: bytes and words cut, doubled, swapped and put in, by a seed."""

from __future__ import annotations

import random
import re
import shutil
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from components.recipe import RecipeError, load_recipe

SECONDS = 10  # one recipe takes some ten milliseconds; this only ends what would never end

PUT_IN = [
    b"\x00", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\t", b"\r", b"\r\n", b"\n", b"\x85", "\u2028".encode(),
    b"\xed\xa0\x80", b"\x1b[31m", b"\x7f", "\U0001f30a".encode(), b"caff\xe8", "name: x\n".encode("utf-16"),
    b"010", b"1e-5", b"no", b"on", b"yes", b"12:30", b"2026-01-01", b".inf", b".nan", b"~", b"null", b"Null", b"true",
    b"0x1F", b"1_000", b"9" * 40, b"-", b"1e999", b"''",
    b"<<: *a", b"<<: {a: 1}\n", b"&a ", b"*a", b"!!python/object:os.system ", b"!include x", b"!!str ", b"---\n",
    b"...\n", b"? ", b"- ", b": ", b":", b"{", b"}", b"[", b"]", b",", b'"', b"'", b"|", b"|\n", b">-\n",
    b"%YAML 1.1\n",
    b"%TAG ! x\n", b"#", b" #", b"@", b"`", b"\\", b"\\u0000", b"\\ud800",
    b"${", b"${name}", b"${sncp}", b"${index.search.k}", b"${oc.env:HOME}", b"${a.b}", b"$${name}", b"\\${name}",
    b" " * 50, b"\n  ", b"\n    ", b"\n" * 30, b"x" * 3000, b"[" * 60, b"- " * 60, b"a: {" * 40,
    b"extends: _base.yaml\n", b"extends: mvp.yaml\n", b"extends: [a, b]\n", b"../..", b"/dev/zero", b"~/x",
    b"/proc/self",
]  # fmt: skip
_WORDS = re.compile(rb"(\s+|[:{}\[\],#])")


def mutated(rng: random.Random, data: bytes) -> bytes:
    """`data` after one to nine accidents."""
    for _ in range(rng.choice([1, 1, 1, 2, 3, 5, 9])):
        data = rng.choice([_bytes, _bytes, _words, _lines])(rng, data)
    return data


def _bytes(rng: random.Random, data: bytes) -> bytes:
    start = rng.randrange(len(data) + 1)
    end = min(len(data), start + rng.choice([0, 0, 1, 2, 5, 20, 100]))
    other = rng.randrange(len(data) + 1)
    new = rng.choice(
        [b"", bytes([rng.randrange(256)]), rng.choice(PUT_IN), data[other : other + rng.choice([3, 10, 40])]]
    )
    return data[:start] + new + data[end:]


def _words(rng: random.Random, data: bytes) -> bytes:
    words = _WORDS.split(data)
    one, two = rng.randrange(len(words)), rng.randrange(len(words))
    words[one], words[two] = rng.choice(
        [(words[two], words[one]), (words[two], words[two]), (rng.choice(PUT_IN), words[two])]
    )
    return b"".join(words)


def _lines(rng: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    one, two = rng.randrange(len(lines)), rng.randrange(len(lines))
    if rng.random() < 0.1:
        rng.shuffle(lines)
    elif rng.random() < 0.5:
        lines.insert(one, lines[two])
    else:
        lines[one] = rng.choice([b" ", b"  ", b"\t", b"    "]) + lines[one].lstrip()
    return b"\n".join(lines)


def copy_project(root: Path, folder: Path) -> dict[str, bytes]:
    """The shipped recipes with what they name, as in the checkout `root`; returns the recipes."""
    shutil.copytree(root / "examples", folder / "examples")
    (folder / "recipes").mkdir()
    recipes = {path.name: path.read_bytes() for path in sorted((root / "recipes").glob("*.yaml"))}
    for name, data in recipes.items():
        (folder / "recipes" / name).write_bytes(data)
    return recipes


def complaint(recipe: Path, *, cwd: Path, overrides: tuple[str, ...] = ()) -> str | None:
    """What is wrong with how a recipe was read: neither a recipe nor faults that say where. None: nothing is."""
    try:
        with _not_for_ever():
            loaded = load_recipe(recipe, cwd=cwd, overrides=overrides)
            loaded.to_yaml()
    except RecipeError as error:
        if not error.faults or len(str(error)) > 100_000:
            return f"{len(error.faults)} faults in {len(str(error))} characters"
        for fault in error.faults:
            nowhere = not fault.place.file or (fault.place.line is not None and not fault.place.col)
            if nowhere or not fault.message or not str(fault).isprintable() and "\x1b" in str(fault):
                return f"a fault without a place or words: {fault!r}"
    except Exception:
        return traceback.format_exc()
    return None


@contextmanager
def _not_for_ever() -> Iterator[None]:
    def late(*_: object) -> None:
        raise TimeoutError(f"not done after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def try_many(root: str, folder: str, seed: int, count: int) -> list[str]:
    """Mutate shipped recipes `count` times; what went wrong, with the seed's number of the recipe."""
    place = Path(folder)
    recipes = copy_project(Path(root), place)
    rng = random.Random(seed)
    found = []
    for number in range(count):
        name = rng.choice(list(recipes))
        (place / "recipes" / name).write_bytes(data := mutated(rng, recipes[name]))
        # A base is read through a recipe that extends it: its faults must be told in the base.
        wrong = complaint(place / "recipes" / ("reindex.yaml" if name == "_base.yaml" else name), cwd=place)
        if wrong:
            found.append(f"seed {seed}, number {number}, {name}: {data[:300]!r}\n{wrong}")
        (place / "recipes" / name).write_bytes(recipes[name])
    return found
