"""What an environment takes, as it was measured: disk, and time with nothing downloaded before."""

from __future__ import annotations

from dataclasses import dataclass

from components.train.params import TrainerName

__all__ = ["Expected", "expected"]


@dataclass(frozen=True)
class Expected:
    """What to expect of an installation.

    Attributes:
        bytes: of the environment.
        seconds: from nothing to the end of its trial.
        measured: whether these are measurements, or what its packages' sizes sum up to.
    """

    bytes: int
    seconds: float
    measured: bool

    @property
    def time(self) -> str:
        """The time in words."""
        minutes = max(1, round(self.seconds / 60))
        return f"about {minutes} {'minute' if minutes == 1 else 'minutes'}"


_EXPECTED: dict[tuple[TrainerName, bool], Expected] = {  # (trainer, CUDA)
    ("axolotl", False): Expected(4_300_000_000, 240, False),
    ("llamafactory", False): Expected(2_100_000_000, 120, False),
    ("unsloth", False): Expected(3_000_000_000, 120, False),
    ("axolotl", True): Expected(9_000_000_000, 600, False),
    ("llamafactory", True): Expected(7_000_000_000, 480, False),
    ("unsloth", True): Expected(7_500_000_000, 480, False),
}


def expected(name: TrainerName, *, cuda: bool) -> Expected:
    """What installing a trainer takes, for the CPU or for NVIDIA GPUs."""
    return _EXPECTED[name, cuda]
