"""Whisper's text decoder on OpenVINO: compiled once, run for any number of sequences.

Knows no search and no prompt: `continuous_batch` decides which tokens are fed. Before a decoder is used, its
logits are compared with those that numpy computes: paged attention is experimental in OpenVINO.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import structlog
from numpy.typing import NDArray

from hearsay.engines import hardware, openvino_runtime
from hearsay.engines.openvino_runtime import best_precision
from hearsay.engines.whisper.openvino.decoder_graph import STEP_INPUTS, DecoderGraphs
from hearsay.engines.whisper.openvino.decoder_network import read_shape, reference_logits
from hearsay.engines.whisper.openvino.kv_cache import CachedSequence, PagedKVCache, SequenceInput
from hearsay.engines.whisper.openvino.topk import SplitLogits
from hearsay.errors import ConfigurationError, EngineFailed

if TYPE_CHECKING:
    from hearsay.engines.whisper.logit_rules import TokenIds
    from hearsay.engines.whisper.weights.ctranslate2_file import Weights

_log = structlog.get_logger("hearsay.whisper")

PRECISIONS = ("auto", "bf16", "int8", "f32")

_GROUP = 128
"""Neighbouring numbers that share a scale where states are quantized to 8 bits; 32, OpenVINO's default, is a
third slower for 40 sequences, and hardly more exact. Where 8-bit products saturate, states stay in float32
and only weights have 8 bits: Whisper base repeated itself without end on a conversation (AVX2, no VNNI)."""

_SAMPLE = (100, 6)
"""Positions and tokens of the text on which a precision is checked."""

_MIN_COSINE = 0.99
"""Between the logits of a token in a smaller precision and in float32; a sound one gives more than 0.999."""

_INITIAL_SLOTS = 8
"""Windows for which addresses are reserved at once, so that memory is neither moved nor touched anew as they
come."""


class WhisperDecoder:
    """Compiled graphs of one model; its sessions share the weights but nothing else."""

    def __init__(
        self,
        weights: Weights,
        ids: TokenIds,
        *,
        alignment_heads: Sequence[tuple[int, int]] = (),
        precision: str = "auto",
        n_threads: int = 0,
    ) -> None:
        """Compile a decoder from weights by CTranslate2's names.

        `alignment_heads`: layer and head of those whose attention `Session.attention_scores` returns.
        `precision` is one of `PRECISIONS`, or `auto` for `bf16` where the processor does it well, else
        `int8`. Where a smaller one strays too far from f32, the log says so and f32 is used. `n_threads` of
        0: as many as cores. Raises: `ConfigurationError` for a precision that is unknown or that the
        processor lacks, `EngineFailed` where compilation breaks, or f32 gives something else than it should.
        """
        self.precision = _choose_precision(precision)
        self._n_threads = n_threads
        self._graphs: list[Any] = []
        try:
            self.shape = read_shape(weights, end_of_text=ids.end_of_text, alignment_heads=alignment_heads)
            self._compile(weights, ids.suppressed)
        except (RuntimeError, ValueError, KeyError) as error:
            raise EngineFailed(f"The decoder could not be compiled for this processor: {error}") from error

    @property
    def state_type(self) -> str:
        """The number format of caches."""
        return "bf16" if self.precision == "bf16" else "f32"

    def requests(self) -> list[Any]:
        """Return new inference requests for the three graphs: cross_kv, step and lm_head."""
        if not self._graphs:
            raise EngineFailed("The decoder was closed.")
        return [graph.create_infer_request() for graph in self._graphs]

    def session(self, n_positions: int) -> Session:
        """Return memory and requests for decoding windows of `n_positions` each together."""
        return Session(self, n_positions)

    def close(self) -> None:
        """Free the weights' memory, once all sessions have gone."""
        self._graphs = []

    def _compile(self, weights: Weights, suppressed: Sequence[int]) -> None:
        """Compile the graphs in the precision, and again in f32 where that one computes something else."""
        graphs = DecoderGraphs(weights, self.shape, self.precision)
        self._graphs = [
            self._compiled(graphs.cross_kv(), self.state_type),
            self._compiled(graphs.step(), self.state_type),
            self._compiled(graphs.lm_head(suppressed), "f32"),
        ]
        cosine = self._min_cosine(weights)
        if cosine >= _MIN_COSINE:  # False for NaN.
            return
        if self.precision == "f32":
            raise EngineFailed(f"OpenVINO computes this decoder wrongly here: cosine {cosine:.3f}.")
        _log.warning("decoder_precision_refused", precision=self.precision, cosine=cosine)
        self.precision = "f32"
        self._compile(weights, suppressed)

    def _min_cosine(self, weights: Weights) -> float:
        """Compare the logits of random tokens, half of them fed at once, with those of the reference."""
        n_positions, n_tokens = _SAMPLE
        rng = np.random.default_rng(0)
        encoding = rng.normal(size=(n_positions, self.shape.width)).astype(np.float32)
        tokens = rng.integers(self.shape.n_vocab, size=n_tokens).tolist()
        session, sequence = self.session(n_positions), CachedSequence()
        session.compute_cross_kv(0, encoding)
        n_prompt = n_tokens // 2
        computed = []
        for part in (tokens[:n_prompt], *([token] for token in tokens[n_prompt:])):
            logits = session.feed([SequenceInput(sequence, part, 0, range(len(part)))], slice(0, 1))
            computed.append(logits.full(self.shape.end_of_text))
        actual, expected = np.concatenate(computed), reference_logits(weights, self.shape, encoding, tokens)
        actual -= actual.mean(axis=1, keepdims=True)
        expected -= expected.mean(axis=1, keepdims=True)
        norms = np.linalg.norm(actual, axis=1) * np.linalg.norm(expected, axis=1)
        return float(np.min((actual * expected).sum(axis=1) / norms))

    def _compiled(self, graph: Any, precision: str) -> Any:
        config = {
            "INFERENCE_NUM_THREADS": self._n_threads,
            "INFERENCE_PRECISION_HINT": precision,
            "KV_CACHE_PRECISION": precision,
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": _GROUP if hardware.multiplies_bytes_exactly() else 0,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # Other threads compute on these cores, too.
        }
        return openvino_runtime.core().compile_model(graph, "CPU", config)


class Session:
    """Caches of windows decoded together: cross-attention of each window, self-attention of each sequence."""

    def __init__(self, decoder: WhisperDecoder, n_positions: int) -> None:
        """Reserve addresses for a few windows; memory pages that are never written take none."""
        self.n_positions = n_positions
        self._shape = decoder.shape
        self._is_bf16 = decoder.state_type == "bf16"
        self._dtype: Any = np.dtype(np.uint16 if self._is_bf16 else np.float32)  # numpy lacks bfloat16
        self._cross_kv_request, self._step, self._lm_head = decoder.requests()
        self._bound: tuple[Any, Any, slice] | None = None
        self._allocate()

    def _allocate(self) -> None:
        self.kv_cache = PagedKVCache(self._shape, self._dtype)
        self._cross_kv: NDArray[Any] = self._slots(_INITIAL_SLOTS)
        self._n_used = 0

    def clear(self) -> None:
        """Free the memory of more than one window, once all sequences are released."""
        if self._n_used > 1:
            self._allocate()

    def compute_cross_kv(
        self, slot: int, encoding: NDArray[np.float32], *, known: NDArray[Any] | None = None
    ) -> None:
        """Compute the cross-attention keys and values of a window, `float32[n_positions, width]`.

        Where they are `known`, because another session has computed them, they are only copied.
        """
        n_slots = self._cross_kv.shape[1]
        if slot >= n_slots:
            larger = self._slots(max(slot + 1, 2 * n_slots))
            larger[:, :n_slots] = self._cross_kv
            self._cross_kv = larger
        self._n_used = max(self._n_used, slot + 1)
        if known is not None:
            self._cross_kv[:, slot] = known
            return
        batch = np.ascontiguousarray(encoding[np.newaxis], dtype=np.float32)
        self._cross_kv_request.set_input_tensor(0, openvino_runtime.module().Tensor(batch))
        for i, layer in enumerate(self._cross_kv):
            self._cross_kv_request.set_output_tensor(i, self._shared_tensor(layer[slot : slot + 1]))
        _infer(self._cross_kv_request)

    def cross_kv(self, slot: int) -> NDArray[Any]:
        """Return a view of a window's keys and values, layer by layer; other windows may overwrite it."""
        view: NDArray[Any] = self._cross_kv[:, slot]
        return view

    def move(self, source: int, target: int) -> None:
        """Copy the cross-attention keys and values of a window to another slot."""
        self._cross_kv[:, target] = self._cross_kv[:, source]

    def feed(self, inputs: Sequence[SequenceInput], slots: slice) -> SplitLogits:
        """Compute one step: logits of all output tokens, sequence after sequence.

        `slots` are those of all windows that are fed, without a gap. Sequences grow by their tokens.
        """
        past_lens = [each.sequence.length for each in inputs]
        for each in inputs:
            self.kv_cache.extend(each.sequence, len(each.tokens))
        self._bind_caches(slots)
        for i, array in enumerate(_step_inputs(inputs, past_lens, slots)):
            self._step.set_input_tensor(i, openvino_runtime.module().Tensor(array))
        _infer(self._step)
        self._lm_head.set_input_tensor(0, self._step.get_output_tensor(0))
        _infer(self._lm_head)
        return SplitLogits(*(self._lm_head.get_output_tensor(i).data for i in range(4)))

    def attention_scores(self, slot: int, tokens: slice) -> NDArray[np.float32]:
        """Compute the alignment heads' scores of a window's positions, for tokens of the last feed.

        Shape: `float32[n_alignment_heads, n_tokens, n_positions]`, before softmax. `tokens` are counted over
        all that were fed.
        """
        heads = self._shape.alignment_heads
        queries = self._step.get_output_tensor(1).data[tokens].reshape(-1, len(heads), self._shape.head)
        keys = np.stack([self._cross_kv[2 * layer, slot, head] for layer, head in heads])
        if self._is_bf16:
            keys = (keys.astype(np.uint32) << 16).view(np.float32)
        scores: NDArray[np.float32] = np.matmul(queries.transpose(1, 0, 2), keys.transpose(0, 2, 1))
        return scores

    def _slots(self, n: int) -> NDArray[Any]:
        """Return memory for the keys and values of `n` windows."""
        dims = (2 * self._shape.n_layers, n, self._shape.n_heads, self.n_positions, self._shape.head)
        return np.zeros(dims, self._dtype)

    def _bind_caches(self, slots: slice) -> None:
        """Pass the caches to OpenVINO, where they are not those of the step before."""
        self_kv, cross_kv = self.kv_cache.arrays, self._cross_kv
        if self._bound is not None:
            bound_self, bound_cross, bound_slots = self._bound
            if bound_self is self_kv and bound_cross is cross_kv and bound_slots == slots:
                return
        self._bound = (self_kv, cross_kv, slots)
        for i, layer in enumerate((*self_kv, *(layer[slots] for layer in cross_kv)), len(STEP_INPUTS)):
            self._step.set_input_tensor(i, self._shared_tensor(layer))

    def _shared_tensor(self, array: NDArray[Any]) -> Any:
        """Return a tensor in the array's own memory, which must outlive it."""
        ov = openvino_runtime.module()
        if self._is_bf16:
            return ov.Tensor(array, list(array.shape), ov.Type.bf16)
        return ov.Tensor(array, shared_memory=True)


def _choose_precision(precision: str) -> str:
    """Return a precision that this processor computes in: every one does all but `bf16`."""
    if precision not in PRECISIONS:
        raise ConfigurationError(f"There is no precision {precision!r}; choose of {', '.join(PRECISIONS)}.")
    has_bf16 = best_precision() == "bf16"
    if precision == "bf16" and not has_bf16:
        raise ConfigurationError(
            "This processor has no instructions for a decoder in bf16; choose auto, int8 or f32."
        )
    if precision == "auto":
        return "bf16" if has_bf16 else "int8"
    return precision


def _step_inputs(
    inputs: Sequence[SequenceInput], past_lens: Sequence[int], slots: slice
) -> list[NDArray[np.int32]]:
    """Lay out a step; see `decoder_graph.STEP_INPUTS`."""
    lengths = [len(each.tokens) for each in inputs]
    begins = np.cumsum([0, *lengths]).tolist()
    by_window: list[list[int]] = [[] for _ in range(slots.stop - slots.start)]
    for each, begin in zip(inputs, begins, strict=False):
        by_window[each.slot - slots.start] += range(begin, begin + len(each.tokens))
    n_queries = max(len(tokens) for tokens in by_window)
    window_tokens = np.zeros((len(by_window), n_queries), np.int32)
    grid_positions = np.empty(begins[-1], np.int32)
    for i, tokens in enumerate(by_window):
        window_tokens[i, : len(tokens)] = tokens
        grid_positions[tokens] = np.arange(i * n_queries, i * n_queries + len(tokens))
    arrays: list[Any] = [
        [token for each in inputs for token in each.tokens],
        [position for past, n in zip(past_lens, lengths, strict=True) for position in range(past, past + n)],
        past_lens,
        begins,
        [block for each in inputs for block in each.sequence.blocks],
        np.cumsum([0, *(len(each.sequence.blocks) for each in inputs)]),
        max(each.sequence.length for each in inputs),
        [begin + i for each, begin in zip(inputs, begins, strict=False) for i in each.outputs],
        window_tokens,
        grid_positions,
    ]
    return [np.array(array, dtype=np.int32) for array in arrays]


def _infer(request: Any) -> None:
    try:
        request.infer()
    except RuntimeError as error:
        raise EngineFailed(f"The Whisper decoder failed: {error}") from error
