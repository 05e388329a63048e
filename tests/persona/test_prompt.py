from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.errors import InputError, TerminalError
from components.llm import Tokenizer
from components.persona import CONSTITUTION_SOURCE, DNA_SOURCE, Prompt, compile_prompt
from components.persona.markdown import split_sections

SMALL = """\
# Costituzione

## Da dove vengo
Una storia lunga, di quelle che si raccontano la sera.

## Chi sono
Una partner.

## Regole
### Sempre
Dire la verità.
### Esempio
Se non so, dico che non so.
"""


@pytest.fixture
def compiled(tokenizer: Tokenizer) -> Callable[..., Prompt]:
    def compile_with(constitution: str | None = SMALL, **changes: Any) -> Prompt:
        arguments: dict[str, Any] = {"name": "Cervella", "dna": None, "priorities": {}, "max_tokens": 2000, **changes}
        return compile_prompt(constitution=constitution, tokenizer=tokenizer, **arguments)

    return compile_with


def included(prompt: Prompt) -> list[str]:
    return [section.heading[-1] for section in prompt.sections if section.included]


def test_everything_in_its_order_when_it_fits(compiled: Callable[..., Prompt]) -> None:
    prompt = compiled()
    assert prompt.text.startswith("Sei Cervella, una partner")
    assert re.findall(r"^#+ (.*)$", prompt.text, re.MULTILINE) == [
        "Costituzione", "Da dove vengo", "Chi sono", "Regole", "Sempre", "Esempio",
    ]  # fmt: skip
    assert prompt.tokens == prompt.full_tokens


def test_identity_and_rules_before_stories_and_examples(compiled: Callable[..., Prompt]) -> None:
    full = compiled()
    tight = compiled(max_tokens=full.tokens - 1)
    assert "Chi sono" in included(tight) and "Sempre" in included(tight)
    tighter = compiled(max_tokens=compiled(SMALL.replace("Una storia lunga", "")).frame_tokens + 30)
    assert "Da dove vengo" not in included(tighter) and "Esempio" not in included(tighter)
    assert "## Regole\n\n### Sempre\nDire la verità." in tighter.text


@pytest.mark.parametrize(
    ("priorities", "first"),
    [
        ({"vengo": 0, "chi sono": 100}, "Da dove vengo"),
        ({"DA DOVE": 0, "regole": 60}, "Da dove vengo"),
        ({}, "Chi sono"),
    ],
    ids=["part of a heading", "capitals", "the table"],
)
def test_the_recipe_decides_before_the_table(
    compiled: Callable[..., Prompt], priorities: dict[str, int], first: str
) -> None:
    reports = compiled(priorities=priorities).sections
    ranked = sorted((r for r in reports if r.heading[-1] not in ("Costituzione", "Regole")), key=lambda r: r.priority)
    assert ranked[0].heading[-1] == first


def test_a_nested_section_follows_the_recipe_of_its_heading(compiled: Callable[..., Prompt]) -> None:
    by_heading = {r.heading[-1]: r.priority for r in compiled(priorities={"regole": 70}).sections}
    assert by_heading["Sempre"] == by_heading["Esempio"] == 70


def test_words_are_whole_words(compiled: Callable[..., Prompt]) -> None:
    by_heading = {r.heading[-1]: r.priority for r in compiled("## Email\na\n\n## Mai\nb\n").sections}
    assert by_heading == {"Email": 50, "Mai": 10}


def test_the_title_of_a_document_does_not_rank_its_sections(compiled: Callable[..., Prompt]) -> None:
    text = "# DNA di famiglia\n\n## Varie\na\n"
    assert {r.heading[-1]: r.priority for r in compiled(None, dna=text).sections}["Varie"] == 50
    text = "# Identità\n## Una cosa\na\n# Storie\n## Altra cosa\nb\n"
    by_heading = {r.heading[-1]: r.priority for r in compiled(text).sections}
    assert (by_heading["Una cosa"], by_heading["Altra cosa"]) == (0, 90)


def test_too_small_a_budget_says_what_is_needed(compiled: Callable[..., Prompt]) -> None:
    with pytest.raises(TerminalError, match=r'COSTITUZIONE\.md:6-8: the section "Chi sono"') as caught:
        compiled(max_tokens=20)
    needed = int(re.findall(r"at least (\d+)", str(caught.value))[0])
    assert "Una partner." in compiled(max_tokens=needed).text
    with pytest.raises(TerminalError):
        compiled(max_tokens=needed - 1)


def test_a_budget_under_the_frame_says_so(compiled: Callable[..., Prompt]) -> None:
    with pytest.raises(TerminalError, match="the fixed frame of the prompt alone takes"):
        compiled(None, max_tokens=5)


@pytest.mark.parametrize("priorities", [{"regole": 101}, {"regole": -1}, {" ": 3}], ids=["high", "low", "no heading"])
def test_priorities_that_are_none(compiled: Callable[..., Prompt], priorities: dict[str, int]) -> None:
    with pytest.raises(InputError, match=r"persona\.priorities"):
        compiled(priorities=priorities)


def test_no_name(compiled: Callable[..., Prompt]) -> None:
    with pytest.raises(InputError, match=r"persona\.name"):
        compiled(name="  ")


def test_notes_tell_what_a_person_should_know(compiled: Callable[..., Prompt]) -> None:
    assert compiled(None).notes == ("no COSTITUZIONE and no DNA: the prompt is the fixed frame alone",)
    assert 'persona.priorities: "esmpi" is part of no heading' in compiled(priorities={"esmpi": 90}).notes
    long_rule = SMALL + "\n## Mai\n" + "Non si inventa niente. " * 40
    notes = compiled(long_rule, max_tokens=300).notes
    assert any('"Mai" is identity or rule' in note for note in notes)


def test_retrieval_is_told_what_the_prompt_says(compiled: Callable[..., Prompt]) -> None:
    prompt = compiled(max_tokens=compiled().frame_tokens + 30)
    assert prompt.covered_ranges() == {CONSTITUTION_SOURCE: [(1, 2), (6, 11)]}
    assert prompt.in_prompt(CONSTITUTION_SOURCE, 6, 8)
    assert not prompt.in_prompt(CONSTITUTION_SOURCE, 3, 8)
    assert not prompt.in_prompt(CONSTITUTION_SOURCE, 10, 13)
    assert not prompt.in_prompt(DNA_SOURCE, 6, 8)


def test_a_prompt_survives_json(compiled: Callable[..., Prompt]) -> None:
    prompt = compiled(priorities={"esmpi": 90})
    assert Prompt.from_dict(json.loads(json.dumps(prompt.to_dict()))) == prompt


def test_the_real_persona_within_2000_tokens(compiled: Callable[..., Prompt], constitution: str, dna: str) -> None:
    prompt = compiled(constitution, dna=dna)
    assert prompt.tokens <= 2000 < prompt.full_tokens
    for mine in (
        "CHI SONO",
        "SYSTEM PROMPT (per implementazione)",
        "SEZIONE DA COPIARE IN OGNI AGENT",
        "Regola Security",
    ):
        assert mine in included(prompt)
    for left in ("La Storia", "Le Conquiste", "Test Coverage (S321)", "Come Aggiornare"):
        assert left not in included(prompt)
    assert "Una partner PROTEGGE." in prompt.text and "+====" not in prompt.text
    assert any("trigger" in note for note in prompt.notes)
    assert prompt == compiled(constitution, dna=dna)


def test_the_real_constitution_within_the_owners_1380_tokens(
    compiled: Callable[..., Prompt], constitution: str
) -> None:
    prompt = compiled(constitution, max_tokens=1380)
    assert 1200 < prompt.tokens <= 1380
    assert {"CHI SONO", "L'IMPEGNO", "LA BUSSOLA"} <= set(included(prompt))
    assert not {"La Storia", "Le Conquiste"} & set(included(prompt))


def test_the_example_persona_fits_the_default(compiled: Callable[..., Prompt], examples: Path) -> None:
    texts = [
        (examples / "persona" / name).read_text(encoding="utf-8") for name in ("COSTITUZIONE.md", "DNA_FAMIGLIA.md")
    ]
    prompt = compiled(texts[0], dna=texts[1])
    assert not [note for note in prompt.notes if "did not fit" in note]


@given(max_tokens=st.integers(180, 4600))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_budget_is_kept_and_sections_are_whole(
    compiled: Callable[..., Prompt], constitution: str, dna: str, max_tokens: int
) -> None:
    try:
        prompt = compiled(constitution, dna=dna, max_tokens=max_tokens)
    except TerminalError:
        assert max_tokens < 300
        return
    assert prompt.tokens <= max_tokens
    sections = [*split_sections(constitution, source=CONSTITUTION_SOURCE), *split_sections(dna, source=DNA_SOURCE)]
    bodies = [s for s in sections if s.body]
    reported = {(r.source, r.first_line): r.included for r in prompt.sections}
    assert [s.body in prompt.text for s in bodies] == [reported[s.source, s.first_line] for s in bodies]
    for section in bodies:
        inside = prompt.in_prompt(section.source, section.first_line, section.last_line)
        assert inside == reported[section.source, section.first_line]
        if inside:
            assert all(sections_title in prompt.text for sections_title in _titles_above(section, sections))


def _titles_above(section: Any, sections: list[Any]) -> list[str]:
    own = [s for s in sections if s.source == section.source]
    return [own[p].title for p in section.parents]
