"""extends, overrides, references and paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.recipe import RecipeError, load_recipe


def test_maps_merge_and_lists_are_replaced_over_levels(kitchen, good: str) -> None:
    kitchen.write("_low.yaml", "sncp: {include: [a, b], exclude: [x]}\nindex: {search: {k: 3, candidates: 20}}\n")
    kitchen.write("_mid.yaml", "extends: _low.yaml\nsncp: {include: [c]}\nindex: {search: {k: 4}}\n")
    recipe = kitchen.load("extends: _mid.yaml\n" + good).recipe
    assert recipe.sncp.include == ["c"]
    assert recipe.sncp.exclude == ["x"]
    assert (recipe.index.search.k, recipe.index.search.candidates) == (4, 20)
    assert recipe.extends is None


def test_of_several_bases_the_last_wins(kitchen, good: str) -> None:
    kitchen.write("a.yaml", "answer: {language: it, min_score: 0.1}\n")
    kitchen.write("b.yaml", "answer: {language: en}\n")
    answer = kitchen.load("extends: [a.yaml, b.yaml]\n" + good).recipe.answer
    assert (answer.language, answer.min_score) == ("en", 0.1)


def test_null_takes_a_section_of_the_base_away(kitchen, good: str, edited) -> None:
    kitchen.write("_base.yaml", "persona: {session: {max_tokens: 100}}\n")
    assert kitchen.load("extends: _base.yaml\n" + good).recipe.persona.session is not None
    recipe = kitchen.load("extends: _base.yaml\n" + edited("  constitution", "  session: null\n  constitution")).recipe
    assert recipe.persona.session is None


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.yaml": "extends: b.yaml\n", "b.yaml": "extends: a.yaml\n"}, "a.yaml -> b.yaml -> a.yaml"),
        ({"a.yaml": "extends: a.yaml\n"}, "a.yaml:1:10: extends: extends itself: a.yaml -> a.yaml"),
        ({"a.yaml": "extends: bas.yaml\n", "base.yaml": ""}, "a.yaml:1:10: extends: bas.yaml: no such file"),
        ({"a.yaml": "extends: 3\n"}, "a.yaml:1:10: extends: does not name a file"),
        ({"a.yaml": "extends: ['${name}']\n"}, "a.yaml:1:11: extends: does not name a file"),
        ({"a.yaml": "extends: notes\n"}, "a.yaml:1:10: extends: notes: is a folder"),
        ({"a.yaml": "extends: b.yaml\n", "b.yaml": "- x\n"}, "b.yaml:1:1: is not a recipe"),
    ],
    ids=["circle", "itself", "missing", "number", "reference", "folder", "list"],
)
def test_extends_that_cannot_be_followed(kitchen, files: dict[str, str], said: str) -> None:
    for name, text in files.items():
        kitchen.write(name, text)
    with pytest.raises(RecipeError) as caught:
        load_recipe("a.yaml", cwd=kitchen.folder)
    assert said in str(caught.value)


def test_diamonds_are_read_once(kitchen, good: str) -> None:
    kitchen.write("f0.yaml", "answer: {language: it}\n")
    for level in range(1, 25):
        kitchen.write(f"f{level}.yaml", f"extends: [f{level - 1}.yaml, f{level - 1}.yaml]\n")
    assert kitchen.load("extends: f24.yaml\n" + good).recipe.answer.language == "it"


def test_faults_of_a_base_are_told_in_the_base(kitchen, good: str) -> None:
    kitchen.write("_base.yaml", "index:\n  chunk: {max_token: 3}\n")
    assert str(kitchen.refused("extends: _base.yaml\n" + good)).startswith(
        "_base.yaml:2:11: index.chunk.max_token: unknown"
    )


def test_paths_start_from_the_file_that_names_them(kitchen) -> None:
    kitchen.write("bases/_base.yaml", "sncp: {root: ../notes}\npersona: {constitution: ../COSTITUZIONE.md}\n")
    kitchen.write("recipes/soup.yaml", "extends: ../bases/_base.yaml\nname: soup\nphase: reindex\n")
    recipe = load_recipe("recipes/soup.yaml", cwd=kitchen.folder).recipe
    assert recipe.sncp.root == kitchen.folder / "notes"
    assert recipe.persona.constitution == kitchen.folder / "COSTITUZIONE.md"
    assert recipe.workspace == kitchen.folder / "recipes" / ".cervella"


def test_paths_in_overrides_start_from_where_a_person_stands(kitchen, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    (other / "diary").mkdir(parents=True)
    (other / "diary" / "a.md").touch()
    path = kitchen.write("soup.yaml", "name: soup\nphase: reindex\n")
    loaded = load_recipe(path, overrides=["sncp.root=diary", "workspace=w"], cwd=other)
    assert loaded.recipe.sncp.root == other / "diary"
    assert loaded.recipe.workspace == other / "w"


def test_home_is_understood(kitchen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(kitchen.folder))
    assert kitchen.load(overrides_home := "name: soup\nphase: reindex\nsncp: {root: ~/notes}\n").recipe.sncp.root == (
        kitchen.folder / "notes"
    )
    assert "~" in overrides_home


def test_overrides_are_yaml_and_the_last_wins(kitchen, good: str) -> None:
    loaded = kitchen.load(
        good, "index.search.k=5", "index.search.k=6", "sncp.include=['**/*.md', a]", "persona.session={max_tokens: 9}",
        "llm.chat.temperature=1e-1", "description=a = b", "persona.priorities.Valori=1",
    )  # fmt: skip
    recipe = loaded.recipe
    assert recipe.index.search.k == 6
    assert recipe.sncp.include == ["**/*.md", "a"]
    assert recipe.persona.session is not None
    assert recipe.persona.session.max_tokens == 9
    assert recipe.llm.chat.temperature == 0.1
    assert recipe.description == "a = b"
    assert recipe.persona.priorities == {"Valori": 1}


def test_an_override_mends_what_the_file_gets_wrong(kitchen, edited) -> None:
    assert kitchen.load(edited("root: notes", "root: nowhere"), "sncp.root=notes").recipe.sncp.root.name == "notes"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("", "is not an override"),
        ("index.search.k", "is not an override"),
        ("=3", "is not an override"),
        (".a=3", "is not an override"),
        ("a..b=3", "is not an override"),
        ("a b=3", "is not an override"),
        (".".join("a" * 40) + "=1", "nested too deeply"),
        ("extends=x.yaml", "cannot be overridden"),
        ("name.x=3", "name: a section, where text is expected"),
        ("index.search.k=", "index.search.k: nothing, where a whole number is expected"),
        ("index.search.kk=1", "did you mean 'k'?"),
        ("sncp.include=**/*.md", "put in quotes"),
        ("answer={min_score: 0.1, min_score: 0.2}", "the key is there twice"),
    ],
)
def test_overrides_that_are_refused(kitchen, good: str, override: str, said: str) -> None:
    error = kitchen.refused(good, override)
    assert said in str(error)
    assert error.faults[0].place.file == f"-o {override}"
    assert error.faults[0].place.line is None


def test_references_keep_types_and_follow_paths(kitchen, good: str) -> None:
    recipe = kitchen.load(
        good + "workspace: out\nindex: {uri: '${workspace}/index', search: {k: 7, candidates: '${index.search.k}'}}\n"
        "answer: {max_context_tokens: '${persona.max_tokens}'}\n"
        "description: '${name} of ${phase}, ${index.search.candidates} of ${llm.chat.temperature}'\n"
    ).recipe
    assert recipe.index.uri == kitchen.folder / "out" / "index"
    assert recipe.index.search.candidates == 7
    assert recipe.answer.max_context_tokens == 2000, "a default that is written nowhere"
    assert recipe.description == "soup of mvp, 7 of 0.0"


def test_a_reference_to_a_default_path_is_absolute(kitchen, good: str) -> None:
    assert kitchen.load(good + "index: {uri: '${workspace}/i'}\n").recipe.index.uri == kitchen.folder / ".cervella/i"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("${oc.env:HOME}", "reads no environment"),
        ("${oc.env:HOME,${name}}", "reads no environment"),
        ("${oc.create:{}}", "reads no environment"),
        ("${env:HOME}", "reads no environment"),
        ("a ${", "not a reference"),
        ("${}", "not a reference"),
        ("${.name}", "not a reference"),
        ("${sncp[root]}", "not a reference"),
        ("${a.${name}}", "not a reference"),
        ("\\\\${name}", "not a reference"),
        ("${nowhere}", "names nothing"),
        ("${sncp.rot}", "did you mean '${sncp.root}'?"),
        ("${sncp}", "is a section, not one value"),
        ("${index}", "is a section, not one value"),
        ("${sncp.include}", "is a list, not one value"),
        ("x${persona.session}", "is empty"),
        ("x${llm.cache}", "true or false"),
        ("${description}", "refers to itself"),
    ],
)
def test_references_that_are_refused(kitchen, good: str, value: str, said: str) -> None:
    error = kitchen.refused(good + f'description: "{value}"\n')
    assert said in str(error)
    assert [fault.key for fault in error.faults] == ["description"]


def test_no_reference_appears_out_of_two_harmless_texts(kitchen, good: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUP_SECRET", "hunter2")
    text = good + "registry: {experiment: $, model_name: '${registry.experiment}{oc.env:SOUP_SECRET}'}\n"
    error = kitchen.refused(text + "description: '${registry.model_name}'\n")
    assert "hunter2" not in str(error)
    assert "again a reference" in str(error)


def test_doubling_references_end(kitchen, good: str) -> None:
    rows = ["  a0: " + "x" * 100] + [
        f"  a{n}: '${{persona.priorities.a{n - 1}}}${{persona.priorities.a{n - 1}}}'" for n in range(1, 40)
    ]
    text = good.replace(
        "  constitution", "  priorities:\n" + "\n".join("  " + row for row in rows) + "\n  constitution"
    )
    assert "too long" in str(kitchen.refused(text))


def test_question_marks_are_text(kitchen, edited) -> None:
    recipe = kitchen.load(edited("root: notes", "root: notes\n  exclude: ['???']") + "description: '${name}'\n").recipe
    assert recipe.sncp.exclude == ["???"]
