"""What the double `fake/chat?mode=examples` says to whoever makes examples from a note: well-formed, and dull.

It knows the shape that it is asked for by the JSON at the end of the prompt, and the note by its fence. Everything
hangs on the prompt alone, so that a run that was killed goes on with the same words.
"""

from __future__ import annotations

import hashlib
import json
import re

__all__ = ["example_reply"]

_NOTE = re.compile(r"<<<\w+ (\w+)\nFile: ([^\n]*)\n(.*?)\n\1 \w+>>>", re.DOTALL)
_WORD = re.compile(r"\w+")
_CHECKED = "Riletta: "


def example_reply(prompt: str, *, unparsable: float, seed: int) -> str:
    """Questions, an answer, a critique or a revision, as JSON; with chance `unparsable` (0..1) prose instead."""
    dice = int.from_bytes(hashlib.sha256(f"{seed}\0{prompt}".encode("utf-8", "replace")).digest()[:4], "big")
    note, shape = _NOTE.search(prompt), prompt.rstrip().rsplit("\n", 1)[-1]
    if note is None or dice / 2**32 < unparsable:
        return "Certo! Ecco quello che mi hai chiesto, spero che ti sia utile."
    path, lines = note[2], [line for line in note[3].split("\n") if len(_WORD.findall(line)) > 3]
    asked = prompt[note.end() :].removesuffix(shape)
    if '"questions"' in shape:
        count = min(shape.count('"..."'), len(lines))
        starts = [" ".join(_WORD.findall(lines[n * len(lines) // count])[:6]) for n in range(count)]
        said = {"questions": [f"Che cosa dice la nota dove comincia con «{start}»?" for start in starts]}
        return f"```json\n{json.dumps(said, ensure_ascii=False)}\n```"
    if '"faults"' in shape:
        faults = ["Manca una rilettura."] if dice % 3 == 0 and _CHECKED not in asked else []
        return json.dumps({"faults": faults, "mark": 0.5 + dice % 50 / 100}, ensure_ascii=False)
    words = set(_WORD.findall(asked.lower()))
    best = max(lines or [path], key=lambda line: len(words & set(_WORD.findall(line.lower()))))
    revised = _CHECKED if '"faults"' in asked else ""
    return json.dumps({"answer": f"{revised}{best.strip()} Lo dice `{path}`."}, ensure_ascii=False)
