"""From a question and retrieved chunks to an answer with its sources."""

from __future__ import annotations

from components.answer.answer import Answer, Source, answer, render, stream_answer, without_sources
from components.answer.language import Language, detect_language
from components.answer.messages import MAX_QUESTION_CHARS, NOT_IN_NOTES, Hit
from components.answer.params import AnswerParams

__all__ = [
    "MAX_QUESTION_CHARS",
    "NOT_IN_NOTES",
    "Answer",
    "AnswerParams",
    "Hit",
    "Language",
    "Source",
    "answer",
    "detect_language",
    "render",
    "stream_answer",
    "without_sources",
]
