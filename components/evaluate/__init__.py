"""Scores of a candidate: retrieval against golden questions, answers against checks by code, time and money."""

from __future__ import annotations

from components.evaluate.checks import CHECKS, Check, guess_language, persona_checks
from components.evaluate.golden import Question, choose_questions, load_golden
from components.evaluate.intervals import Measure, bootstrap_interval, wilson_interval
from components.evaluate.params import EvaluateParams
from components.evaluate.records import AnswerRecord
from components.evaluate.render import render_scorecard, scorecard_markdown
from components.evaluate.retrieval import DEPTH, QuestionScore, RankedFile, RetrievalScore, rank_files, score_retrieval
from components.evaluate.scorecard import build_scorecard
from components.evaluate.training import TrainingScores, training_scores

__all__ = [
    "CHECKS",
    "DEPTH",
    "AnswerRecord",
    "Check",
    "EvaluateParams",
    "Measure",
    "Question",
    "QuestionScore",
    "RankedFile",
    "RetrievalScore",
    "TrainingScores",
    "bootstrap_interval",
    "build_scorecard",
    "choose_questions",
    "guess_language",
    "load_golden",
    "persona_checks",
    "rank_files",
    "render_scorecard",
    "score_retrieval",
    "scorecard_markdown",
    "training_scores",
    "wilson_interval",
]
