"""How a note says that it must stay on this machine."""

from __future__ import annotations

import pytest

from components.sncp.metadata import find_local, front_matter


@pytest.mark.parametrize(
    ("head", "local", "odd"),
    [
        ("privacy: local", True, False),
        ("Privacy: LOCAL", True, False),
        ("privacy: privato", True, False),
        ("privato: true", True, False),
        ("privato: sì", True, False),
        ("private: yes", True, False),
        ("privacy: public", False, False),
        ("private: false", False, False),
        ("privato: no", False, False),
        ("title: privacy", False, False),
        ("tags: [privato]", False, False),
        ("privacy: lokal", True, True),
        ("privacy:", True, True),
        ("privacy: true", True, True),
        ("privacy: {level: local}", True, True),
        ("privacy: [local]", True, True),
        ("privato: forse", True, True),
        ("privacy: public\nprivato: true", True, False),
        ("title: [a\nprivacy: local", True, True),  # no YAML
        ("a: &x 1\nprivacy: public", True, True),  # anchors are not read
        ("title: [a", False, False),
    ],
)
def test_front_matter(head: str, local: bool, odd: bool) -> None:
    text = f"---\n{head}\n---\n# Titolo\n\nprivacy: local\n"
    matter, _, _ = front_matter(text)
    found, told = find_local(text, matter=matter)
    assert (found, told is not None) == (local, odd), told


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("---\nprivacy: local\n# never closed\n", True),
        ('+++\nprivacy = "local"\n+++\n# TOML\n', True),
        ("# Titolo\n\nprivacy: local\n", False),
        ("\n---\nprivacy: local\n---\n", False),
        ("---\n\n# A rule\n\n---\nprivacy: local\n", False),
        ("", False),
    ],
)
def test_beside_front_matter(text: str, local: bool) -> None:
    matter, _, _ = front_matter(text)
    assert find_local(text, matter=matter)[0] is local
