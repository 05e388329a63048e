"""What answers are held against: personality prompts, the COSTITUZIONE checklist, tasks; and what code decides."""

from __future__ import annotations

from components.evaluate.suite.checklist import load_checklist
from components.evaluate.suite.code_rules import decide_by_code
from components.evaluate.suite.model import Checklist, CodeRule, JudgeQuestion, Rule, Task, TaskRule, TaskSuite, Wording
from components.evaluate.suite.prompts import choose_items, load_prompts
from components.evaluate.suite.result import SuiteVerdict, suite_result
from components.evaluate.suite.task_suite import load_task_suite
from components.evaluate.suite.verdicts import code_verdicts, judge_questions, wordings_asked

__all__ = [
    "Checklist",
    "CodeRule",
    "JudgeQuestion",
    "Rule",
    "SuiteVerdict",
    "Task",
    "TaskRule",
    "TaskSuite",
    "Wording",
    "choose_items",
    "code_verdicts",
    "decide_by_code",
    "judge_questions",
    "load_checklist",
    "load_prompts",
    "load_task_suite",
    "suite_result",
    "wordings_asked",
]
