"""An answer in OpenAI's form: whole, or as the chunks of a stream; its sources in the text, as annotations, and whole.

`cervella` beside the choices tells what OpenAI's form has no word for: who answered and why, from which release and
index, the sources, seconds, dollars.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from components.answer import render
from components.answer.answer import Answer, Source
from components.answer.guard import one_line
from components.serve.desk import Served

__all__ = ["Form", "cost_of"]

_CITATION = re.compile(r"\[(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\]")


class Form:
    """The form of one answer.

    Args:
        id: of the request.
        model: the name that the endpoint goes by.
        ignored: what of the request had no effect.
    """

    def __init__(self, *, id: str, model: str, ignored: Sequence[str]) -> None:
        self._about: dict[str, Any] = {"id": id, "created": int(time.time()), "model": model}
        self._ignored = list(ignored)
        self._begun = False

    def whole(self, served: Served, *, first_seconds: float | None) -> dict[str, Any]:
        """A chat.completion."""
        answer = served.asked.answer
        message = {
            "role": "assistant", "content": render(answer), "refusal": None, "annotations": _annotations(answer),
        }  # fmt: skip
        return self._whole(served, "chat.completion") | {
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(served)}],
            "usage": _usage(served),
            "cervella": self._own(served, first_seconds),
        }

    def piece(self, text: str) -> dict[str, Any]:
        """A chunk with a piece of the text."""
        return self._chunk({"content": text})

    def last(self, served: Served, *, first_seconds: float | None) -> list[dict[str, Any]]:
        """The chunks after the text: the sources as text, then how it ended, with everything else."""
        answer = served.asked.answer
        sources = render(answer)[len(answer.text) :]
        end = self._chunk({"annotations": _annotations(answer)}, finish=_finish(served))
        end |= {"cervella": self._own(served, first_seconds)} | self._fingerprint(served)
        return [*([self._chunk({"content": sources})] if sources else []), end]

    def usage(self, served: Served) -> dict[str, Any]:
        """The chunk with the tokens, for `stream_options.include_usage`."""
        return {**self._about, "object": "chat.completion.chunk", "choices": [], "usage": _usage(served)}

    def _chunk(self, delta: dict[str, Any], *, finish: str | None = None) -> dict[str, Any]:
        if not self._begun:
            delta, self._begun = {"role": "assistant", **delta}, True
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {**self._about, "object": "chat.completion.chunk", "choices": [choice]}

    def _whole(self, served: Served, kind: str) -> dict[str, Any]:
        return {**self._about, "object": kind, **self._fingerprint(served)}

    def _fingerprint(self, served: Served) -> dict[str, Any]:
        return {"system_fingerprint": f"{(served.release or 'recipe')[:12]}-{served.index[:12]}"}

    def _own(self, served: Served, first_seconds: float | None) -> dict[str, Any]:
        asked, reply = served.asked, served.asked.answer.reply
        return {
            "who": served.who,
            "model": reply.model if reply else None,
            "tier": served.tier,
            "because": served.because,
            "tried": [asdict(one) for one in served.tried],
            "release": served.release,
            "index": served.index,
            "side": served.side,
            "found": asked.answer.found,
            "sources": [_source(one) for one in asked.answer.sources],
            "left_out": asked.left_out,
            "confidence": served.confidence,
            "seconds": round(asked.seconds, 4),
            "search_seconds": round(asked.search_seconds, 4),
            "first_token_seconds": None if first_seconds is None else round(first_seconds, 4),
            "cost_usd": cost_of(served),
            "cached": bool(reply and reply.cached),
            "ignored": self._ignored,
        }


def cost_of(served: Served) -> float | None:
    """Of the answer and of those that were not given (US dollars); None: not known of one of them."""
    reply = served.asked.answer.reply
    costs = [one.cost_usd for one in served.tried] + [reply.cost_usd if reply else 0.0]
    return None if None in costs else sum(cost or 0.0 for cost in costs)


def _finish(served: Served) -> str:
    reply = served.asked.answer.reply
    return "length" if reply and reply.finish_reason == "length" else "stop"


def _usage(served: Served) -> dict[str, int]:
    reply = served.asked.answer.reply
    read, wrote = (reply.prompt_tokens, reply.completion_tokens) if reply else (0, 0)
    return {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}


def _url(source: Source) -> str:
    """The note as a relative reference, with its lines: there is no address where it could be fetched."""
    return f"{quote(source.path)}#L{source.first_line}-L{source.last_line}"


def _source(source: Source) -> dict[str, Any]:
    return {
        "number": source.number, "path": source.path, "first_line": source.first_line, "last_line": source.last_line,
        "heading": [one_line(part) for part in source.heading], "date": source.date, "status": source.status,
        "cited": source.cited, "score": round(source.score, 4),
    }  # fmt: skip


def _annotations(answer: Answer) -> list[dict[str, Any]]:
    """Each [n] of the text: from where to where it stands (characters), and the note that it names."""
    sources = {source.number: source for source in answer.sources}
    found = []
    for place in _CITATION.finditer(answer.text):
        for number in re.findall(r"\d+", place[1]):
            if source := sources.get(int(number)):
                title = one_line(" > ".join(source.heading) or source.path)
                found.append({
                    "type": "url_citation",
                    "url_citation": {
                        "start_index": place.start(), "end_index": place.end(), "title": title, "url": _url(source),
                    },
                })  # fmt: skip
    return found
