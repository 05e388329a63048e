"""What a training will take: memory, hours, dollars."""

from components.train.estimate.architecture import architecture_of, base_parameters, lora_parameters
from components.train.estimate.estimate import Cost, Estimate, estimate
from components.train.estimate.models import KNOWN_MODELS, Architecture, known_model
from components.train.estimate.speeds import Speed, measured_speed, remember_speed, speeds_file

__all__ = [
    "KNOWN_MODELS", "Architecture", "Cost", "Estimate", "Speed", "architecture_of", "base_parameters", "estimate",
    "known_model", "lora_parameters", "measured_speed", "remember_speed", "speeds_file",
]  # fmt: skip
