"""How sure an answer is: cosine of the best note that it cites.

**Not covered**: whether the answer says what the note says; a wrong sentence with a good note beside it is sure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from components.answer import Answer

__all__ = ["UNSURE", "confidence_of"]

UNSURE = "it is not sure enough"
"""Why the next model is asked although there is an answer; how sure follows."""


def confidence_of(answer: Answer) -> float | None:
    """0 to 1; 0 when it is not in the notes or nothing is cited; None: not known, the search has no vectors."""
    cited = [source.cosine for source in answer.sources if source.cited]
    if not answer.found or not cited:
        return 0.0
    known = [cosine for cosine in cited if cosine is not None]
    return min(1.0, max(0.0, *known)) if known else None
