"""The report of a run as one page: scorecard, gate, curves, worst answers, what changed."""

from components.registry.report.beside import Beside, beside_champion, changed_settings, previous_run
from components.registry.report.markdown import report_markdown
from components.registry.report.steps import PAGE, PAGE_VERSION, report_spec, write_report

__all__ = [
    "PAGE", "PAGE_VERSION", "Beside", "beside_champion", "changed_settings", "previous_run", "report_markdown",
    "report_spec", "write_report",
]  # fmt: skip
