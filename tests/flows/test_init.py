"""`cervella init`: a first recipe for all kinds of notes, valid as written; nothing that exists is touched."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from components.recipe import LoadedRecipe, load_recipe
from components.recipe.first_recipe import recipe_name
from flows import cli


@pytest.fixture
def init(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Any]:
    """`cervella init ARGUMENTS` in an empty folder; returns exit code and all that was printed."""
    home = tmp_path / "somewhere"
    home.mkdir()

    def command(*arguments: object) -> tuple[int, str]:
        monkeypatch.chdir(home)
        monkeypatch.setattr(sys, "argv", ["cervella", "init", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out + told.err

    return command


def state(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def recipe(tmp_path: Path, name: str) -> LoadedRecipe:
    return load_recipe(tmp_path / "somewhere" / f"{name}.yaml")


def collected(loaded: LoadedRecipe) -> set[str]:
    """Paths of all notes that the recipe reads."""
    from components.sncp.steps import read_notes

    documents = read_notes(loaded.recipe.sncp, persona_files=loaded.recipe.persona.files).documents
    return {path for document in documents for path in document.paths}


def test_the_example_notes(init: Any, examples: Path, tmp_path: Path) -> None:
    before = state(examples)
    code, told = init("--sncp", examples / "sncp", "--name", "mine")
    assert code == 0, told
    assert state(examples) == before
    loaded = recipe(tmp_path, "mine")
    assert (loaded.recipe.phase, loaded.recipe.name) == ("mvp", "mine")
    assert loaded.recipe.persona.constitution == examples / "persona" / "COSTITUZIONE.md"
    assert loaded.recipe.evaluate.golden == examples / "golden.jsonl"
    assert loaded.recipe.sncp.include == [".sncp/**/*.md", "docs/**/*.md"]
    assert collected(loaded) >= {
        path.relative_to(examples / "sncp").as_posix() for path in (examples / "sncp").rglob("*.md")
    }
    assert loaded.recipe.workspace == tmp_path / "somewhere" / ".cervella"  # of commands without a recipe, too
    assert "cervella plan mine.yaml" in told and "valid, phase mvp" in told
    assert [path.name for path in (tmp_path / "somewhere").iterdir()] == ["mine.yaml"]


def test_the_real_notes(init: Any, shared: Path, tmp_path: Path) -> None:
    code, told = init("--sncp", shared / "data" / "sncp", "--name", "real", "--json")
    assert code == 0, told
    about = json.loads(told)
    assert about["notes"] > 100 and about["languages"]["it"] > about["languages"]["en"]
    assert about["constitutions"][0].endswith("COSTITUZIONE_CERVELLA_AI_v2.md")
    assert about["dnas"][0].endswith("docs/DNA_FAMIGLIA.md")
    loaded = recipe(tmp_path, "real")
    notes = {path.relative_to(shared / "data/sncp").as_posix() for path in (shared / "data/sncp").rglob("*.md")}
    assert collected(loaded) >= notes - {item["what"] for item in about["left_out"]}


@pytest.mark.parametrize("out", ["recipes/mine.yaml", "a/b/c/mine.yaml", "../elsewhere/mine.yaml"])
def test_wherever_the_recipe_is_its_runs_are_where_one_stands(init: Any, tmp_path: Path, out: str) -> None:
    path = tmp_path / "somewhere" / out
    path.parent.mkdir(parents=True)
    vault = flat_vault(tmp_path)
    code, told = init("--sncp", vault, "--out", out)
    assert code == 0, told
    assert load_recipe(path).recipe.workspace == tmp_path / "somewhere" / ".cervella"
    assert init("--sncp", vault, "--out", "other.yaml")[0] == 0  # two recipes of one workspace, each with its own table
    uris = {load_recipe(one).recipe.index.uri for one in (path, tmp_path / "somewhere" / "other.yaml")}
    assert len(uris) == 2


def test_beside_the_project_s_recipes_it_extends_them(init: Any, root: Path, examples: Path, tmp_path: Path) -> None:
    recipes = tmp_path / "somewhere" / "recipes"
    shutil.copytree(root / "recipes", recipes)
    shutil.copytree(examples, tmp_path / "somewhere" / "examples")
    assert init("--sncp", examples / "sncp", "--name", "mine")[0] == 0
    loaded = load_recipe(recipes / "mine.yaml")
    text = (recipes / "mine.yaml").read_text(encoding="utf-8")
    assert "extends: _base.yaml" in text and text.startswith("# yaml-language-server")
    assert loaded.recipe.phase == "mvp" and loaded.recipe.evaluate.personality is None  # that of the examples is theirs
    assert loaded.recipe.index.uri == loaded.recipe.workspace / "index-mine"  # the demo's index is not written over
    vault = flat_vault(tmp_path)
    assert init("--sncp", vault)[0] == 0
    loaded = load_recipe(recipes / "vault.yaml")
    assert (loaded.recipe.phase, loaded.recipe.persona.files) == ("reindex", [])


def flat_vault(folder: Path) -> Path:
    """Fifty notes in one folder, as Obsidian keeps them."""
    vault = folder / "vault"
    (vault / ".obsidian").mkdir(parents=True)
    (vault / ".obsidian" / "app.json").write_text("{}", encoding="utf-8")
    (vault / ".obsidian" / "hidden.md").write_text("# not a note\n", encoding="utf-8")
    for number in range(50):
        text = f"# Note {number}\n\nThis is what we have decided about the thing.\n"
        (vault / f"Note {number}.md").write_text(text, encoding="utf-8")
    (vault / "scan.pdf").write_bytes(b"%PDF")
    return vault


def test_a_flat_folder_of_notes(init: Any, tmp_path: Path) -> None:
    code, told = init("--sncp", flat_vault(tmp_path))
    assert code == 0, told
    loaded = recipe(tmp_path, "vault")
    assert collected(loaded) == {f"Note {number}.md" for number in range(50)}
    assert loaded.recipe.phase == "reindex" and loaded.recipe.evaluate.golden is None
    assert ".json" not in told  # of .obsidian, which nothing enters
    assert "50 in English" in told and ".pdf: neither Markdown nor text" in told
    assert "No COSTITUZIONE was found" in told and "ten questions" in told


def test_the_commented_part_is_right_once_it_is_filled_in(init: Any, tmp_path: Path) -> None:
    vault = flat_vault(tmp_path)
    init("--sncp", vault, "--persona")
    path = tmp_path / "somewhere" / "vault.yaml"
    rows = path.read_text(encoding="utf-8").splitlines()
    example = next(row for row in rows if row.startswith('#   {"id"')).removeprefix("#   ")
    assert (vault / json.loads(example)["gold"][0]).is_file()
    (path.parent / "golden.jsonl").write_text(example.replace("...", "What did we decide?"), encoding="utf-8")
    start = rows.index("# evaluate:")
    filled = [row.replace("phase: reindex", "phase: mvp") for row in rows[:start]]
    path.write_text("\n".join([*filled, *(row.removeprefix("# ") for row in rows[start:])]), encoding="utf-8")
    loaded = load_recipe(path)
    assert (loaded.recipe.phase, loaded.recipe.evaluate.golden) == ("mvp", path.parent / "golden.jsonl")


def test_persona_files_are_written_only_when_asked_for(init: Any, tmp_path: Path) -> None:
    vault = flat_vault(tmp_path)
    before = state(vault)
    assert init("--sncp", vault)[0] == 0
    assert not (tmp_path / "somewhere" / "persona").exists()
    code, told = init("--sncp", vault, "--name", "other", "--persona")
    assert code == 0, told
    folder = tmp_path / "somewhere" / "persona"
    assert recipe(tmp_path, "other").recipe.persona.files == [folder / "COSTITUZIONE.md", folder / "DNA_FAMIGLIA.md"]
    assert "Who I am" in (folder / "COSTITUZIONE.md").read_text(encoding="utf-8")  # the notes are in English
    assert state(vault) == before
    mine = (folder / "COSTITUZIONE.md").write_text("mine", encoding="utf-8")
    code, told = init("--sncp", vault, "--name", "third", "--persona")
    assert code == 2 and "never overwritten" in told
    assert len((folder / "COSTITUZIONE.md").read_text(encoding="utf-8")) == mine
    assert not (tmp_path / "somewhere" / "third.yaml").exists()


def test_persona_templates_make_a_prompt(tmp_path: Path) -> None:
    from components.persona.steps import compile_texts, persona_texts
    from components.recipe.persona_template import persona_template
    from components.sncp.params import SncpParams
    from components.sncp.steps import read_notes

    for language in ("it", "en"):
        folder = tmp_path / language
        folder.mkdir()
        for name, text in persona_template(language).items():  # type: ignore[arg-type]
            (folder / name).write_text(text, encoding="utf-8")
        (folder / "NORD.md").write_text("# Nord\n", encoding="utf-8")
        from components.persona.params import PersonaParams

        params = PersonaParams(constitution=folder / "COSTITUZIONE.md", dna=folder / "DNA_FAMIGLIA.md")
        documents = read_notes(SncpParams(root=folder), persona_files=params.files).documents
        prompt, _ = compile_texts(params, persona_texts(params, root=folder, documents=documents))
        assert ("Chi sono" in prompt.text) is (language == "it")


def test_nothing_is_ever_overwritten(init: Any, tmp_path: Path) -> None:
    vault = flat_vault(tmp_path)
    path = tmp_path / "somewhere" / "vault.yaml"
    path.write_text("mine", encoding="utf-8")
    code, told = init("--sncp", vault)
    assert (code, path.read_text(encoding="utf-8")) == (2, "mine")
    assert "never overwritten" in told and "--out" in told
    dangling = tmp_path / "somewhere" / "link.yaml"
    dangling.symlink_to("nowhere.yaml")
    assert init("--sncp", vault, "--out", "link.yaml")[0] == 2
    assert not (tmp_path / "somewhere" / "nowhere.yaml").exists()


def test_of_two_at_once_one_is_refused(tmp_path: Path) -> None:
    from components.errors import InputError
    from components.recipe.first_recipe import write_new

    write_new(tmp_path / "a.yaml", "first")
    with pytest.raises(InputError, match="never overwritten"):
        write_new(tmp_path / "a.yaml", "second")
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == {"a.yaml": "first"}


def nothing(folder: Path) -> Path:
    return folder / "missing"


def empty(folder: Path) -> Path:
    (folder / "empty").mkdir()
    return folder / "empty"


def no_markdown(folder: Path) -> Path:
    (folder / "pictures").mkdir()
    (folder / "pictures" / "a.png").write_bytes(b"\x89PNG")
    return folder / "pictures"


def a_file(folder: Path) -> Path:
    (folder / "note.md").write_text("# a\n", encoding="utf-8")
    return folder / "note.md"


def only_binary(folder: Path) -> Path:
    (folder / "binary").mkdir()
    (folder / "binary" / "a.md").write_bytes(b"\0\1\2")
    return folder / "binary"


def a_reference(folder: Path) -> Path:
    (folder / "a${b}").mkdir()
    (folder / "a${b}" / "a.md").write_text("# a\n", encoding="utf-8")
    return folder / "a${b}"


def no_utf8(folder: Path) -> Path:
    name = os.fsdecode(os.fsencode(folder) + b"/caff\xe8")
    os.mkdir(name)
    (Path(name) / "a.md").write_text("# a\n", encoding="utf-8")
    return Path(name)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (nothing, "does not exist"), (empty, "nothing at all"), (no_markdown, "1 .png"), (a_file, "is a file"),
        (only_binary, "none of them could be taken"), (a_reference, "cannot name this path"),
        (no_utf8, "cannot name this path"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)  # fmt: skip
def test_notes_that_no_recipe_can_be_written_for(init: Any, tmp_path: Path, make: Any, said: str) -> None:
    code, told = init("--sncp", make(tmp_path), "--name", "x")
    assert code == 2 and said in told, told
    assert list((tmp_path / "somewhere").iterdir()) == []


def test_a_folder_that_may_not_be_read(init: Any, tmp_path: Path) -> None:
    vault = flat_vault(tmp_path)
    (vault / "closed").mkdir(mode=0)
    for path in takewhile(lambda path: path != Path(tempfile.gettempdir()), [tmp_path, *tmp_path.parents]):
        path.chmod(0o755)
    (tmp_path / "somewhere").chmod(0o777)
    rights = os.geteuid()
    if rights == 0:
        os.seteuid(65534)
    try:
        part, told = init("--sncp", vault)
        vault_itself, refused = init("--sncp", vault / "closed", "--name", "x")
    finally:
        os.seteuid(rights)
    assert part == 0 and "closed/: a folder that you may not read" in told
    assert vault_itself == 2 and "cannot be opened" in refused


def test_spaces_accents_and_odd_names(init: Any, examples: Path, tmp_path: Path) -> None:
    notes = tmp_path / "le mie note: [così] #1 è 'x'"
    shutil.copytree(examples / "sncp", notes)
    (notes / "vendor" / "x").mkdir(parents=True)
    (notes / "vendor" / "x" / "README.md").write_text("# not ours\n", encoding="utf-8")
    (notes / "idee [nuove]").mkdir()
    (notes / "idee [nuove]" / "UNA.MD").write_text("# una\n", encoding="utf-8")
    (notes / "LEGGI.txt").write_text("testo\n", encoding="utf-8")
    code, told = init("--sncp", notes)
    assert code == 0, told
    loaded = recipe(tmp_path, "le-mie-note-cosi-1-e-x")
    paths = collected(loaded)
    assert loaded.recipe.sncp.root == notes
    assert "idee [nuove]/UNA.MD" in paths and "NORD.md" in paths
    assert not any(path.startswith("vendor") for path in paths) and "LEGGI.txt" not in paths
    assert "vendor/: of tools" in told and "*.txt: plain text beside Markdown" in told


def test_golden_questions_that_do_not_fit_are_told_and_not_used(init: Any, examples: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    shutil.copytree(examples / "sncp", notes)
    question = {"id": "a", "question": "Dove?", "lang": "it", "kind": "fact", "gold": ["NORDD.md"]}
    (tmp_path / "golden.jsonl").write_text(json.dumps(question), encoding="utf-8")
    code, told = init("--sncp", notes)
    assert code == 0 and "golden questions with faults" in told
    assert recipe(tmp_path, "notes").recipe.phase == "reindex"


def test_secrets_are_counted_and_not_shown(init: Any, tmp_path: Path) -> None:
    vault = flat_vault(tmp_path)
    secret = "ghp_" + "A1b2C3d4E5f6" * 3
    (vault / "keys.md").write_text(f"# Keys\n\ntoken: {secret}\n", encoding="utf-8")
    code, told = init("--sncp", vault)
    assert code == 0 and "1 in 1 notes; masked" in told
    assert secret not in told + (tmp_path / "somewhere" / "vault.yaml").read_text(encoding="utf-8")


def test_the_best_candidate_is_named_and_the_others_are_told(init: Any, tmp_path: Path) -> None:
    vault = flat_vault(tmp_path)
    (vault / "archivio").mkdir()
    (vault / "archivio" / "COSTITUZIONE.md").write_text("# vecchia\n", encoding="utf-8")
    (vault / "2026-01_COSTITUZIONE_v1.md").write_text("# bozza\n", encoding="utf-8")
    (vault / "COSTITUZIONE.md").write_text("# questa\n", encoding="utf-8")
    (vault / "RICERCA_COSTITUZIONE.md").write_text("# ricerca\n", encoding="utf-8")
    code, told = init("--sncp", vault)
    assert code == 0 and "COSTITUZIONE.md, and 2 more candidates" in told
    assert recipe(tmp_path, "vault").recipe.persona.constitution == vault / "COSTITUZIONE.md"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--sncp"), (("--sncp", ".", "--name", "Bad Name"), "such as bad-name"),
        (("--sncp", ".", "--out", "x.txt"), "ends in .yaml"),
    ],
    ids=["no notes", "a bad name", "no yaml"],
)  # fmt: skip
def test_arguments_that_cannot_be_understood(init: Any, arguments: tuple[str, ...], said: str) -> None:
    code, told = init(*arguments)
    assert code == 2 and said in told


def test_names_that_folders_give() -> None:
    cases = {"Caffè Note": "caffe-note", "日本": "notes", "---": "notes", "a" * 99: "a" * 60, "sncp": "sncp"}
    assert {text: recipe_name(text) for text in cases} == cases


def test_far_too_many_files_are_not_walked_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from components.errors import InputError
    from components.recipe import survey

    vault = flat_vault(tmp_path)
    monkeypatch.setattr(survey, "MAX_ENTRIES", 20)
    with pytest.raises(InputError, match="more than 20 files"):
        survey.survey(vault)


@pytest.mark.slow
def test_what_init_wrote_can_be_planned(init: Any, root: Path, examples: Path, tmp_path: Path) -> None:
    assert init("--sncp", examples / "sncp", "--name", "mine")[0] == 0
    path = tmp_path / "somewhere" / "mine.yaml"
    command = [sys.executable, "-m", "flows.cli", "plan", str(path), "-o", "index.embedding.model=fake/embedding"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "sncp.collect" in done.stdout
