"""What a check finds: the rule, how bad, where, in words for a person, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

__all__ = ["SEVERITIES", "Finding", "Hit", "Severity"]

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "error")
"""From the least to the worst."""


class Hit(NamedTuple):
    """What a rule says of one conversation; `components.dataset.check` knows the file, the line and the severity.

    No secret and no personal data may stand in `message`: show four characters at most.
    """

    rule: str
    message: str
    turn: int | None = None
    """Position in `Conversation.turns`; None: the conversation as a whole."""
    fix: str | None = None
    """How to mend this one; None: as the rule says."""
    severity: Severity | None = None
    """Where it is less than the rule says; None: as the rule says."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A hit in its place. `conversation` and `turn` are counted from 0, `line` from 1; None: the file as a whole."""

    rule: str
    severity: Severity
    file: str
    line: int | None
    conversation: int | None
    turn: int | None
    message: str
    fix: str

    def to_dict(self) -> dict[str, Any]:
        """JSON values only, in the order in which people read."""
        return {
            "rule": self.rule, "severity": self.severity, "file": self.file, "line": self.line,
            "conversation": self.conversation, "turn": self.turn, "message": self.message, "fix": self.fix,
        }  # fmt: skip
