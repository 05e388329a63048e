"""What was asked, answered and spent: one row a query, months as sums, no texts."""

from components.usage.log import UsageLog, usage_file
from components.usage.periods import Period, Use

__all__ = ["Period", "UsageLog", "Use", "usage_file"]
