"""A self-contained HTML page: its head, its policy, its looks, and foreign text made harmless in it.

Everything that a template writes is escaped, and characters that are not to be seen are written out. The policy in the
page lets a browser run nothing but the page's own script and ask nobody for anything.
Not covered: what a text says (secrets and personal data are masked elsewhere), and `Markup` that a caller makes of
foreign text.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from jinja2 import Environment, Template

__all__ = [
    "STYLE", "coded", "fragment", "markdown_cell", "marked", "one_line", "render_page", "segments", "visible",
]  # fmt: skip

_HIDDEN = re.compile(
    "([\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200c\u200e-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\ue000-\uf8ff\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
    "|\r(?!\n)|(?<![\u2190-\u2bff\ufe0f\U0001f000-\U0001faff])\u200d)"  # a joiner within an emoji is part of it
)

STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #5a636e; --line: #d8dde3; --page: #fbfbfa; --card: #fff;
  --bar: #4a6fa5; --error: #b3261e; --warning: #8a5a00; --info: #2f5f9e; --good: #1f6f43; --mark: #fff0b8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8ea; --soft: #a4adb7; --line: #363c43; --page: #15181b;
  --card: #1d2125; --bar: #7fa3d8; --error: #ff8a80; --warning: #f0bd5f; --info: #8fbaf3; --good: #7fd1a3;
  --mark: #5c4a10; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
.skip { position: absolute; left: -9999px; }
.skip:focus { left: 8px; top: 8px; background: var(--card); padding: 8px; z-index: 1; }
header, main, footer { max-width: 1040px; margin: 0 auto; padding: 0 16px; overflow-wrap: anywhere; }
header { padding-top: 28px; }
h1 { font-size: 30px; line-height: 1.15; margin: 2px 0 8px; letter-spacing: -0.01em; }
.bad { color: var(--error); font-weight: 600; }
h1.bad { color: var(--error); } h1.good { color: var(--good); }
h2 { font-size: 21px; margin: 40px 0 12px; }
h3 { font-size: 16px; margin: 0; }
p { margin: 0 0 10px; }
a { color: var(--info); }
nav a { display: inline-block; padding: 6px 14px 6px 0; }
.soft, .facts dt, .about dt { color: var(--soft); }
small, .soft, .facts dt, .about dt, .about dd, table, figcaption { font-size: 14px; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(152px, 1fr)); gap: 10px; margin: 18px 0; }
.facts div, .rule, .example, figure, .files { background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; }
.facts div { padding: 8px 12px; }
.facts dd { margin: 0; font-size: 20px; font-variant-numeric: tabular-nums; }
.facts dd small { font-size: 14px; color: var(--soft); display: block; }
:focus-visible { outline: 3px solid var(--info); outline-offset: 2px; }
.rule, .example { margin-bottom: 10px; border-left: 4px solid var(--line); }
.error { border-left-color: var(--error); } .warning { border-left-color: var(--warning); }
.info { border-left-color: var(--info); }
summary { padding: 10px 14px; cursor: pointer; }
summary b { margin: 0 6px; } summary .soft { white-space: nowrap; }
.badge { font-size: 13px; font-weight: 600; }
.badge.error { color: var(--error); } .badge.warning { color: var(--warning); } .badge.info { color: var(--info); }
.inside { padding: 0 14px 12px; }
.about { display: grid; grid-template-columns: fit-content(40%) minmax(0, 1fr); gap: 2px 14px; margin: 0 0 8px; }
.about dd { margin: 0; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 5px 12px 5px 0; border-top: 1px solid var(--line); }
th { color: var(--soft); font-weight: 400; border-top: 0; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
code { overflow-wrap: anywhere; } code, .text { font-family: ui-monospace, monospace; font-size: 13px; }
figure { margin: 0; padding: 12px 14px; }
figcaption { margin-bottom: 6px; } figcaption b { display: block; font-size: 16px; }
svg { display: block; width: 100%; height: auto; }
.drawing { overflow: hidden; } .drawing .narrow { display: none; } .drawing + p { margin-top: 8px; }
.example { padding: 12px 14px; }
.example summary { padding: 8px 0 0; font-size: 14px; color: var(--soft); }
.turns { list-style: none; margin: 10px 0 0; padding: 0; }
.turns > li { border-top: 1px solid var(--line); padding: 8px 0; }
.role { font-weight: 600; font-size: 14px; }
.text { white-space: pre-wrap; margin: 4px 0; overflow: hidden; }
mark { background: var(--mark); color: inherit; border-radius: 2px; padding: 0 1px; }
.files { overflow-x: auto; padding: 4px 14px; } .files + p, .files + .files { margin-top: 8px; }
.files th, .files td { white-space: nowrap; } .files td:first-child { white-space: normal; min-width: 12em; }
main ul { padding-left: 20px; }
footer { padding-top: 28px; padding-bottom: 40px; }
@media (max-width: 560px) { h1 { font-size: 26px; } .about { grid-template-columns: minmax(0, 1fr); }
  .drawing .wide { display: none; } .drawing .narrow { display: block; }
  .stack, .stack tbody, .stack tr, .stack td { display: block; width: auto; }
  .stack thead { position: absolute; left: -9999px; }
  .stack tr { border-top: 1px solid var(--line); padding: 6px 0; }
  .stack td { border: 0; padding: 0; white-space: normal; }
  .stack td[data-is]::before { content: attr(data-is) " "; color: var(--soft); } }
@media print { nav { display: none; } .rule, .example, figure { break-inside: avoid; } }
"""
"""What all pages share: colours in light and dark, cards, tables that stack on a phone. A page adds its own."""

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{ policy }}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{{ title }}</title>
<link rel="icon" href="data:,">
<style>{{ style }}</style>
</head>
<body>
{{ body }}
{% if script %}<script>{{ script }}</script>
{% endif %}</body>
</html>
"""


def render_page(body: str, *, title: str, style: str, script: str = "", asks: bool = False, **values: Any) -> str:
    """A whole page as HTML; the same for the same arguments.

    Args:
        body: our own template of what stands in `<body>`.
        title: of the window; may be foreign text.
        style: the page's whole style, ours.
        script: its only script, ours; empty: it runs none.
        asks: whether the script may ask the server that the page is from, and nobody else.
        values: what the template writes.

    Raises:
        jinja2.UndefinedError: the template names a value that is not there.
    """
    return _template(_PAGE).render(
        policy=_policy(style, script, asks=asks), title=title, body=fragment(body, **values),
        style=Markup(style), script=Markup(script),  # noqa: S704 - ours
    )  # fmt: skip


def fragment(template: str, **values: Any) -> Markup:
    """A part of a page of our own template, for use in another one."""
    return Markup(_template(template).render(**values))  # noqa: S704 - rendered with autoescape


@cache
def _template(text: str) -> Template:
    return _environment().from_string(text)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, StrictUndefined

    return Environment(autoescape=True, undefined=StrictUndefined, finalize=_finalized)


def _finalized(value: Any) -> Any:
    """All that a template writes: text without hidden characters, some of which cannot even be stored."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _policy(style: str, script: str, *, asks: bool) -> str:
    scripts = f"script-src '{_hash(script)}'; " if script else ""
    asked = "connect-src 'self'; " if asks else ""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; {scripts}{asked}img-src data:; base-uri 'none'; "
        "form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def segments(text: str) -> Iterator[tuple[str, bool]]:
    """The text in pieces, and whether a piece stands for a character that is not to be seen, as `⟨U+200B⟩`."""
    for number, piece in enumerate(_HIDDEN.split(text)):
        if number % 2:
            yield f"⟨U+{ord(piece):04X}⟩", True
        elif piece:
            yield piece.replace("\r\n", "\n"), False


def visible(text: str) -> str:
    """The text with what is not to be seen written out. It does nothing to a terminal, and can be stored as UTF-8."""
    return "".join(piece for piece, _ in segments(text))


def marked(text: str) -> Markup:
    """The text escaped, with what is hidden in it written out and marked."""
    pieces = (Markup("<mark>{}</mark>").format(piece) if odd else escape(piece) for piece, odd in segments(text))
    return Markup("").join(pieces)


def coded(text: str) -> Markup:
    """The text escaped, what stands between two `` ` `` as code, as in Markdown."""
    pieces = visible(text).split("`")
    even = len(pieces) % 2 == 0  # the last mark has no second one
    whole = [*pieces[:-2], f"{pieces[-2]}`{pieces[-1]}"] if even else pieces
    return Markup("").join(
        Markup("<code>{}</code>").format(piece) if place % 2 else escape(piece) for place, piece in enumerate(whole)
    )


def one_line(text: str, *, longest: int = 200) -> str:
    """The text on one line with hidden characters written out, cut where it is long."""
    shown = visible(" ".join(text[: 4 * longest].split()))
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def markdown_cell(text: str, *, longest: int = 300) -> str:
    """Foreign text in a cell of a table: it cannot leave the cell, and no mark-up in it holds."""
    shown = one_line(text, longest=longest)
    return "".join("\\" + char if char in "\\|`*_<>[]#&" else char for char in shown)
