"""The encoder as an ONNX graph: from embeddings of the words of one text to their mean after the last layer.

BERT (Devlin et al., arXiv:1810.04805), in the operators that onnxruntime has for it. Words are looked up outside, for
their table is 60 MB in four bits and 384 MB in floats.

- `fp32`: all weights as floats.
- `int8`: projections of attention with one scale for each column and, for what goes in, one for the whole text; the two
  of the feed-forward part, whose inputs have a few values far beyond all others, with a scale for each 128 numbers of a
  row. A text must be alone in its call: with others beside it, its vector would depend on theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from components.llm.e5.weights import Weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["build_graph"]

_BLOCK = 128
_INTEGERS = 4  # `accuracy_level` of MatMulNBits: what goes in is rounded to 8 bits too
_ATTENTION, _FEED_FORWARD = "attention", "feed-forward"


def build_graph(weights: Weights, kind: Literal["int8", "fp32"]) -> bytes:
    """The model, serialised. Input `words`: (1, tokens, hidden); output `mean`: (1, hidden), not of unit length."""
    return _Graph(weights, kind).serialised()


class _Graph:
    """Nodes and constants as they are added."""

    def __init__(self, weights: Weights, kind: str) -> None:
        self.weights, self.kind = weights, kind
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def serialised(self) -> bytes:
        from onnx import TensorProto, helper

        hidden = self.weights.hidden
        state = self.embeddings()
        for layer in range(self.weights.layers):
            state = self.layer(state, f"l{layer}.")
        self.node("ReduceMean", [state], "mean", axes=[1], keepdims=0)
        graph = helper.make_graph(
            self.nodes, "multilingual-e5-small",
            [helper.make_tensor_value_info("words", TensorProto.FLOAT, [1, "tokens", hidden])],
            [helper.make_tensor_value_info("mean", TensorProto.FLOAT, [1, hidden])],
            self.constants,
        )  # fmt: skip
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
        model: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=9).SerializeToString()
        return model

    def embeddings(self) -> str:
        """Words with their positions; all are of the first type."""
        import numpy as np

        hidden = self.weights.hidden
        places = self.weights.floats("emb.pos").reshape(-1, hidden)
        self.constant("places", places + self.weights.floats("emb.type")[:hidden])
        for name, value in (("zero", 0), ("one", 1), ("two", 2)):
            self.constant(name, np.array([value], np.int64))
        self.node("Shape", ["words"], "shape")
        self.node("Slice", ["shape", "one", "two"], "tokens")
        self.node("Slice", ["places", "zero", "tokens"], "here")
        self.node("Add", ["words", "here"], "placed")
        scale, shift = self.floats("emb.ln.w"), self.floats("emb.ln.b")
        return self.node(
            "LayerNormalization", ["placed", scale, shift], "embedded", axis=-1, epsilon=self.weights.epsilon
        )

    def layer(self, state: str, at: str) -> str:
        """One layer; `at` begins the names of its weights."""
        import numpy as np

        hidden = self.weights.hidden
        parts = ("q", "k", "v")
        self.times(state, [at + part for part in parts], at + "qkv", rows=hidden, role=_ATTENTION)
        if at == "l0.":
            self.constant("thirds", np.full(3, hidden, np.int64))
        self.node("Split", [at + "qkv", "thirds"], [at + "q", at + "k", at + "v"], axis=2)
        biases = np.concatenate([self.weights.floats(f"{at}{part}.b") for part in parts])
        inputs = [at + "q", at + "k", at + "v", self.constant(at + "qkv.b", biases)]
        self.contributed("MultiHeadAttention", inputs, at + "attended", num_heads=self.weights.heads)
        attended = self.times(at + "attended", [at + "ao"], at + "ao", rows=hidden, role=_ATTENTION)
        middle = self.joined(state, attended, at + "a", bias=at + "ao.b")
        inner = self.times(middle, [at + "fi"], at + "fi", rows=self.weights.inner, role=_FEED_FORWARD)
        self.contributed("BiasGelu", [inner, self.floats(at + "fi.b")], at + "gelu")
        outer = self.times(at + "gelu", [at + "fo"], at + "fo", rows=hidden, role=_FEED_FORWARD)
        return self.joined(middle, outer, at + "o", bias=at + "fo.b")

    def joined(self, before: str, added: str, at: str, *, bias: str) -> str:
        """What was there and what is added, normalised."""
        norm = [self.floats(f"{at}ln.w"), self.floats(f"{at}ln.b")]
        return self.contributed(
            "SkipLayerNormalization", [before, added, *norm, self.floats(bias)], at + "ln", epsilon=self.weights.epsilon
        )

    def times(self, state: str, names: list[str], out: str, *, rows: int, role: str) -> str:
        """`state` times the matrices of these names, beside each other."""
        import numpy as np

        matrix = np.concatenate([self.weights.matrix(f"{name}.w", rows=rows) for name in names])
        if self.kind == "fp32":
            return self.node("MatMul", [state, self.constant(out + ".w", matrix.T)], out)
        if role == _ATTENTION:
            whole, scales = _rounded(matrix)
            zeros = self.constant(out + ".z", np.zeros(len(matrix), np.int8))
            inputs = [state, self.constant(out + ".w", whole.T), self.constant(out + ".s", scales), zeros]
            return self.contributed("DynamicQuantizeMatMul", inputs, out)
        width = matrix.shape[1]
        whole, scales = _rounded(matrix.reshape(len(matrix), width // _BLOCK, _BLOCK))
        unsigned = (whole.astype(np.int16) + 128).astype(np.uint8)
        return self.contributed(
            "MatMulNBits", [state, self.constant(out + ".w", unsigned), self.constant(out + ".s", scales)], out,
            K=width, N=len(matrix), bits=8, block_size=_BLOCK, accuracy_level=_INTEGERS,
        )  # fmt: skip

    def floats(self, name: str) -> str:
        return self.constant(name, self.weights.floats(name))

    def constant(self, name: str, value: NDArray[Any]) -> str:
        import numpy as np
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, operator: str, inputs: list[str], out: str | list[str], domain: str = "", **settings: Any) -> str:
        from onnx import helper

        outs = [out] if isinstance(out, str) else out
        self.nodes.append(helper.make_node(operator, inputs, outs, domain=domain, **settings))
        return outs[0]

    def contributed(self, operator: str, inputs: list[str], out: str, **settings: Any) -> str:
        """A node of an operator that onnxruntime has beyond the standard."""
        return self.node(operator, inputs, out, domain="com.microsoft", **settings)


def _rounded(values: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Whole numbers from -127 to 127, and for each row (the last axis) the scale that makes floats of them."""
    import numpy as np

    scales = (np.abs(values).max(axis=-1) / 127).astype(np.float32)
    safe = np.where(scales == 0, 1, scales)
    return np.rint(values / safe[..., None]).clip(-127, 127).astype(np.int8), scales
