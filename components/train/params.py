"""Section `train` of a recipe: the base model, the adapter, how it is trained, and on which machine."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from components.params import Params, RecipePath

__all__ = [
    "BaseModelParams", "ExportParams", "HardwareName", "LoraParams", "Precision", "TrainParams", "TrainerName",
    "ValidationParams",
]  # fmt: skip

TrainerName = Literal["axolotl", "llamafactory", "unsloth"]
HardwareName = Literal["t4", "l4", "rtx3090", "rtx4090", "a100-40", "a100-80", "h100", "cpu"]
"""Machines that are known to the estimates; a test holds the list and the table of hardware together."""
Precision = Literal["fp32", "fp16", "bf16"]
LayerName = Literal["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
PACKAGED = "local/smollm2-135m-instruct"
"""The base model whose weights come in an installed package."""
TemplateOfBase = Literal["qwen3", "smollm2", "llama3", "mistral", "chatml"]


class BaseModelParams(Params):
    """The model that the adapter is trained on."""

    model: str | None = Field(
        default="Qwen/Qwen3-4B",
        description="name on the model hub, or local/smollm2-135m-instruct, whose weights come in an installed package",
    )
    folder: RecipePath | None = Field(
        default=None, description="folder of a model in Hugging Face's form, instead of `model` (then: model: null)"
    )
    revision: str | None = Field(default=None, description="commit of the model on the hub; null: the newest")
    quantization: Literal["nf4", "none"] = Field(
        default="nf4", description="nf4: 4 bit while training (QLoRA); none: LoRA on unquantized weights"
    )
    template: TemplateOfBase = Field(
        default="qwen3", description="chat template that the model is trained and asked with"
    )
    gguf: RecipePath | None = Field(
        default=None,
        description="the same model as GGUF, for llama.cpp: with it the adapter is proved",
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> BaseModelParams:
        if (self.model is None) == (self.folder is None):
            raise ValueError("name the base by exactly one of `model` and `folder` (set the other to null)")
        if str(self.model).startswith("local/") and self.model != PACKAGED:
            raise ValueError(f"{self.model!r} comes in no package; the local model is {PACKAGED}")
        if self.model == PACKAGED and self.template != "smollm2":
            raise ValueError(f"{PACKAGED} needs template: smollm2")
        return self

    @property
    def packaged(self) -> bool:
        """Whether its weights come in an installed package."""
        return self.model == PACKAGED


class LoraParams(Params):
    """The adapter."""

    r: int = Field(default=16, ge=1, le=512, description="rank")
    alpha: int = Field(default=32, ge=1, description="scale: the adapter counts alpha / r times")
    dropout: float = Field(default=0.05, ge=0, lt=1, description="share of the adapter's inputs that are left out")
    targets: Literal["all-linear"] | Annotated[list[LayerName], Field(min_length=1)] = Field(
        default="all-linear", description="layers with an adapter: all-linear, or names such as q_proj"
    )


class ValidationParams(Params):
    """What is held out decides when to stop, and which checkpoint is kept."""

    evaluations_per_epoch: int = Field(default=4, ge=1, description="evaluations, each with a checkpoint")
    patience: int | None = Field(
        default=3, ge=1, description="evaluations without a lower held-out loss before training stops; null: never"
    )
    keep_checkpoints: int = Field(default=3, ge=1, description="checkpoints on disk; the best one is always among them")


class ExportParams(Params):
    """Forms of the trained model for other programs."""

    gguf_adapter: bool = Field(default=True, description="the adapter as GGUF LoRA, for llama.cpp and Ollama")
    merged: bool = Field(
        default=False, description="base and adapter as one model (safetensors, as large as the base); for vLLM"
    )
    tolerance: float = Field(
        default=0.05, gt=0,
        description="greatest difference of log-probabilities between the exported and the trained model (nats)",
    )  # fmt: skip


class TrainParams(Params):
    """Training of an adapter; defaults are the owner's, for a T4 with 16 GB."""

    trainer: TrainerName = Field(default="axolotl", description="program that trains")
    hardware: HardwareName = Field(default="t4", description="machine that it is sized for; another one trains anew")
    base: BaseModelParams = BaseModelParams()
    lora: LoraParams = LoraParams()
    epochs: float = Field(default=3, gt=0, description="passes over the training examples")
    max_steps: int | None = Field(
        default=None, ge=1, description="optimizer steps at most; null: as many as epochs take"
    )
    batch_size: int = Field(default=1, ge=1, description="examples that go through the model at once")
    accumulation: int = Field(default=8, ge=1, description="batches of one optimizer step")
    learning_rate: float = Field(default=2e-4, gt=0, lt=1, description="at its highest")
    scheduler: Literal["cosine", "linear", "constant"] = Field(default="cosine", description="of the learning rate")
    warmup_ratio: float = Field(default=0.03, ge=0, lt=1, description="share of the steps in which the rate rises")
    weight_decay: float = Field(default=0.01, ge=0, description="of the optimizer")
    max_grad_norm: float = Field(default=1.0, gt=0, description="longer gradients are cut to this length")
    optimizer: Literal["adamw_torch", "adamw_8bit", "paged_adamw_8bit"] = Field(
        default="paged_adamw_8bit", description="8-bit ones need a GPU"
    )
    precision: Precision = Field(default="fp16", description="of the computation: bf16 from Ampere on, fp16 on a T4")
    max_tokens: int = Field(default=2048, ge=16, description="longest example (tokens); a longer one is refused")
    gradient_checkpointing: bool = Field(default=True, description="less memory for a third more time")
    packing: bool = Field(default=False, description="several examples in one sequence; not for fewer than 5,000")
    seed: int = Field(default=42, description="of the order of examples and the first weights of the adapter")
    validation: ValidationParams = ValidationParams()
    extra: dict[str, Any] = Field(
        default={},
        description="more keys of the trainer, in its own names; unknown ones are refused, and any that imports code "
        "or that this section sets",
    )
    masks_shown: int = Field(default=6, ge=1, le=200, description="training examples whose loss mask is shown")
    prices: RecipePath | None = Field(
        default=None, description="YAML with prices of hardware by the hour; null: the dated table of this version"
    )
    export: ExportParams = ExportParams()

    @model_validator(mode="after")
    def _possible(self) -> TrainParams:
        if self.hardware == "cpu":
            wrong = [
                name
                for name, bad in (
                    ("base.quantization: none (4-bit weights need a GPU)", self.base.quantization != "none"),
                    ("precision: fp32 (fp16 and bf16 need a GPU)", self.precision != "fp32"),
                    ("optimizer: adamw_torch (8-bit optimizers need a GPU)", self.optimizer != "adamw_torch"),
                )
                if bad
            ]
            if wrong:
                raise ValueError(f"hardware cpu needs {', '.join(wrong)}")
        if self.hardware == "t4" and self.precision == "bf16":
            raise ValueError("a T4 has no bf16 (it is emulated, and slow): set precision to fp16")
        return self
