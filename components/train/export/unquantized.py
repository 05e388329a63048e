"""A copy of a GGUF model whose matrices are float32: it says what the weights mean, without llama.cpp's short cuts.

On quantized weights llama.cpp rounds what goes into each matrix too, which moves log-probabilities by tenths of a nat.
Against a copy without that, an adapter is proved to thousandths.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["is_quantized", "unquantized_copy"]

_LEFT_OUT = ("GGUF.", "general.architecture", "general.file_type", "general.quantization_version")
_WHOLE = {"F64", "F32", "F16", "BF16"}


def is_quantized(gguf: Path) -> bool:
    """Whether any tensor of the file has less than 16 bit a weight."""
    from gguf import GGUFReader

    return any(tensor.tensor_type.name not in _WHOLE for tensor in GGUFReader(gguf).tensors)


def unquantized_copy(gguf: Path, out: Path) -> Path:
    """Write the model in `gguf` with float32 weights to `out`, four bytes a weight; returns `out`."""
    import numpy
    from gguf import GGUFReader, GGUFWriter, LlamaFileType, dequantize

    reader = GGUFReader(gguf)
    writer = GGUFWriter(path=None, arch=_value(reader.fields["general.architecture"]))
    for name, field in reader.fields.items():
        if not name.startswith(_LEFT_OUT):
            kind = field.types[0]
            writer.add_key_value(name, _value(field), kind, field.types[-1] if len(field.types) > 1 else None)
    writer.add_file_type(LlamaFileType.ALL_F32)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32))
    writer.write_header_to_file(path=out)
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return out


def _value(field: Any) -> Any:
    return field.contents()
