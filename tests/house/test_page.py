"""What all pages share: escaping, hidden characters, the policy by hashes."""

from __future__ import annotations

import base64
import hashlib
import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from markupsafe import Markup

from components.page import STYLE, coded, fragment, marked, render_page, visible

ANY = st.text(st.characters())  # lone surrogates too


def test_what_a_template_writes_is_escaped_and_hidden_characters_are_written_out() -> None:
    text = render_page("<p>{{ a }}{{ b }}</p>", title="<t>\u202e", style="", a="<b>\u200b\ud800", b=Markup("<i>x</i>"))
    assert "<p>&lt;b&gt;⟨U+200B⟩⟨U+D800⟩<i>x</i></p>" in text
    assert "<title>&lt;t&gt;⟨U+202E⟩</title>" in text


@given(text=ANY)
def test_any_text_can_be_stored_and_is_no_markup(text: str) -> None:
    for made in (fragment("{{ one }}", one=text), marked(text), coded(text)):
        made.encode()
        assert set(re.findall("<[^>]*>", made)) <= {"<mark>", "</mark>", "<code>", "</code>"}


@given(text=ANY)
def test_code_keeps_every_character(text: str) -> None:
    plain = html.unescape(re.sub("</?code>", "`", coded(text)))
    assert plain == html.unescape(str(Markup.escape(visible(text))))


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("run `cervella label`.", "run <code>cervella label</code>."), ("`a` and `b", "<code>a</code> and `b"),
        ("`<b>`", "<code>&lt;b&gt;</code>"), ("plain", "plain"), ("`", "`"), ("", ""),
    ],
    ids=["pair", "odd", "escaped", "plain", "alone", "empty"],
)  # fmt: skip
def test_code_stands_between_two_marks(text: str, made: str) -> None:
    assert coded(text) == made


@pytest.mark.parametrize("script", ["", "var a = 1 < 2 && 3;"], ids=["without", "with"])
def test_the_policy_allows_its_own_style_and_script_and_nothing_else(script: str) -> None:
    text = render_page("<p>x</p>", title="t", style=STYLE, script=script)
    policy = html.unescape(re.findall(r'Content-Security-Policy" content="([^"]*)"', text)[0])
    for element, own in (("style", STYLE), ("script", script)):
        found = re.findall(f"<{element}>(.*?)</{element}>", text, re.DOTALL)
        assert found == ([own] if own else [])
        digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
        assert (f"{element}-src 'sha256-{digest}'" in policy) == bool(own)
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert "http" not in policy


def test_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        render_page("{{ nowhere }}", title="t", style="")
