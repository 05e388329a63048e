"""What was asked, answered and spent: one row a query, months as sums; of texts feedback, and what a recipe keeps."""

from components.usage.log import UsageLog, usage_file
from components.usage.periods import Part, Period, Use

__all__ = ["Part", "Period", "UsageLog", "Use", "usage_file"]
