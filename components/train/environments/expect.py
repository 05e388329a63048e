"""What an environment takes: disk, and time where packages come fast.

Measured on 2026-11-29, on two cores that had other work as well, with a part of the packages (1.7 GB) in uv's cache and
torch from a local file: where all has to come from far away it takes as much longer. Half of the time is the trial, in
which Python compiles what it imports for the first time. For CUDA the size is that of the CPU and what torch 2.13.0
with its libraries of CUDA 13 weighs more (measured), the time what that takes to come.
"""

from __future__ import annotations

from dataclasses import dataclass

from components.train.environments.find import BACKENDS, EnvironmentName

__all__ = ["Expected", "expected"]


@dataclass(frozen=True)
class Expected:
    """What to expect of an installation.

    Attributes:
        bytes: of the environment. On the disk of uv's cache it shares its files with it (hard links).
        seconds: from nothing to the end of its trial.
    """

    bytes: int
    seconds: float

    @property
    def time(self) -> str:
        """The time in words."""
        minutes = max(1, round(self.seconds / 60))
        return f"about {minutes} {'minute' if minutes == 1 else 'minutes'}"


_ON_CPU: dict[EnvironmentName, Expected] = {
    "axolotl": Expected(3_310_000_000, 250),
    "llamafactory": Expected(1_900_000_000, 115),
    "unsloth": Expected(2_350_000_000, 175),
    "vllm": Expected(2_900_000_000, 80),
}
_MORE_WITH_CUDA = Expected(3_950_000_000, 70)


def expected(name: EnvironmentName, *, cuda: bool) -> Expected:
    """What installing takes, for the CPU or for NVIDIA GPUs; of backends only the CPU's builds are installed."""
    alone = _ON_CPU[name]
    if not cuda or name in BACKENDS:
        return alone
    return Expected(alone.bytes + _MORE_WITH_CUDA.bytes, alone.seconds + _MORE_WITH_CUDA.seconds)
