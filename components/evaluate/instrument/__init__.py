"""The judge as an instrument: verdicts of people, how far it agrees with them, rates corrected for its errors."""

from __future__ import annotations

from components.evaluate.instrument.correct import correct_rate
from components.evaluate.instrument.counts import Counts, cohen_kappa, kappa_measure

__all__ = ["Counts", "cohen_kappa", "correct_rate", "kappa_measure"]
