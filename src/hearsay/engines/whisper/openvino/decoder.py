"""Whisper's text decoder on OpenVINO: compiled once, run for any number of rows.

Knows no search and no prompt: `decoding` decides which tokens are fed. Before a decoder is used, its
logits are compared with those that numpy computes: paged attention is an experiment of OpenVINO's makers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from hearsay.engines import openvino_runtime
from hearsay.engines.whisper.encoder import best_precision
from hearsay.engines.whisper.logit_rules import Ids
from hearsay.engines.whisper.openvino.decoder_graph import STEP_INPUTS, Graphs, read_shape
from hearsay.engines.whisper.openvino.decoder_reference import logits as reference
from hearsay.engines.whisper.openvino.kv_cache import CachedSequence, PagedKVCache
from hearsay.engines.whisper.openvino.topk import Logits
from hearsay.engines.whisper.weights.ctranslate2_file import Weights
from hearsay.errors import ConfigurationError, EngineFailed

_log = structlog.get_logger("hearsay.whisper")

PRECISIONS = ("auto", "bf16", "int8", "f32")

_GROUP = 128
"""Neighbouring numbers that share a scale where states are brought to 8 bits; 32, OpenVINO's choice, is a
third slower for 40 rows, and hardly more exact."""

_SAMPLE = (100, 6)
"""Positions and tokens on which a precision is tried."""

_LEAST_COSINE = 0.99
"""Between the logits of a token in a smaller precision and in float32; a sound one gives more than 0.999."""


_PLACES = 8
"""Windows for which addresses are reserved at once, so that memory is neither moved nor touched anew as they
come."""


@dataclass(frozen=True, slots=True, eq=False)
class SequenceInput:
    """Tokens that one sequence is fed in a step."""

    row: CachedSequence
    """Its place in the cache, before the step."""
    tokens: Sequence[int]
    window: int
    """Place of its window among those heard."""
    picked: Sequence[int]
    """Which of the tokens' logits are wanted."""


class WhisperDecoder:
    """Compiled graphs of one model; decodings made from it share the weights but nothing else."""

    def __init__(
        self,
        weights: Weights,
        ids: Ids,
        *,
        alignment_heads: Sequence[tuple[int, int]] = (),
        precision: str = "auto",
        n_threads: int = 0,
    ) -> None:
        """Compile a decoder from weights by CTranslate2's names.

        `alignment_heads`: layer and head of those whose attention `Session.attention_weights` returns.
        `precision` is one of `PRECISIONS`, or `auto` for `bf16` where the processor does it well, else
        `int8`. Where a smaller one strays too far from f32, the log says so and f32 is used. No threads
        given: as many as cores. Raises: `ConfigurationError` for a precision that is unknown or that the
        processor lacks, `EngineFailed` where compilation breaks, or f32 gives something else than it should.
        """
        self.precision = _chosen(precision)
        self._n_threads = n_threads
        try:
            self.shape = read_shape(weights, end_of_text=ids.end_of_text, alignment_heads=alignment_heads)
            self._open(weights, ids.never)
        except (RuntimeError, ValueError, KeyError) as error:
            raise EngineFailed(f"The decoder could not be compiled for this processor: {error}") from error

    @property
    def state_type(self) -> str:
        """The number format of caches."""
        return "bf16" if self.precision == "bf16" else "f32"

    def requests(self) -> list[Any]:
        """Return new requests for the three graphs: hearing, step and head."""
        if self._step is None:
            raise EngineFailed("The decoder was closed.")
        return [graph.create_infer_request() for graph in (self._hearing, self._step, self._head)]

    def close(self) -> None:
        """Free the weights' memory, once all sessions have gone."""
        self._hearing = self._step = self._head = None

    def _open(self, weights: Weights, never: Sequence[int]) -> None:
        graphs = Graphs(weights, self.shape, self.precision)
        self._hearing = self._compiled(graphs.cross_kv(), self.state_type)
        self._step = self._compiled(graphs.step(), self.state_type)
        self._head = self._compiled(graphs.head(never), "f32")
        cosine = self._least_cosine(weights)
        if cosine >= _LEAST_COSINE:  # Not where it is no number.
            return
        if self.precision == "f32":
            raise EngineFailed(f"OpenVINO computes this decoder wrongly here: cosine {cosine:.3f}.")
        _log.warning("decoder_precision_refused", precision=self.precision, cosine=cosine)
        self.precision = "f32"
        self._open(weights, never)

    def _least_cosine(self, weights: Weights) -> float:
        """Compare logits of a made-up text, half of it read at once, with what they should be."""
        n_positions, n_tokens = _SAMPLE
        rng = np.random.default_rng(0)
        heard = rng.normal(size=(n_positions, self.shape.width)).astype(np.float32)
        tokens = rng.integers(self.shape.n_vocab, size=n_tokens).tolist()
        session, row = Session(self, n_positions), CachedSequence()
        session.compute_cross_kv(0, heard)
        read = n_tokens // 2
        parts = [tokens[:read], *([token] for token in tokens[read:])]
        found = []
        for part in parts:
            logits = session.feed([SequenceInput(row, part, 0, range(len(part)))], slice(0, 1))
            found.append(logits.whole(self.shape.end_of_text))
        ours, theirs = np.concatenate(found), reference(weights, self.shape, heard, tokens)
        ours -= ours.mean(axis=1, keepdims=True)
        theirs -= theirs.mean(axis=1, keepdims=True)
        lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
        return float(np.min((ours * theirs).sum(axis=1) / lengths))

    def _compiled(self, graph: Any, precision: str) -> Any:
        config = {
            "INFERENCE_NUM_THREADS": self._n_threads,
            "INFERENCE_PRECISION_HINT": precision,
            "KV_CACHE_PRECISION": precision,
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": _GROUP,
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # Others compute here, too.
        }
        return openvino_runtime.core().compile_model(graph, "CPU", config)

    def session(self, n_positions: int) -> Session:
        """Return memory and requests for decoding windows of `n_positions` each together."""
        return Session(self, n_positions)


class Session:
    """Memory of windows decoded together: what was heard in each, and what their rows have said."""

    def __init__(self, decoder: WhisperDecoder, n_positions: int) -> None:
        """Reserve addresses for a few windows; their memory is taken as they come."""
        self.n_positions = n_positions
        self._shape = decoder.shape
        self._is_narrow = decoder.state_type == "bf16"
        self._dtype: Any = np.dtype(np.uint16 if self._is_narrow else np.float32)  # numpy lacks bfloat16
        self._hearing, self._step, self._head = decoder.requests()
        self._bound: tuple[Any, Any, slice] | None = None
        self.rows = PagedKVCache(self._shape, self._dtype)
        self._heard = self._places(_PLACES)
        self._n_heard = 0

    def clear(self) -> None:
        """Free the memory of more than one window, once all rows are released."""
        if self._n_heard > 1:
            self.rows = PagedKVCache(self._shape, self._dtype)
            self._heard = self._places(_PLACES)
            self._n_heard = 0

    def compute_cross_kv(
        self, place: int, encoding: NDArray[np.float32], *, known: NDArray[Any] | None = None
    ) -> None:
        """Compute keys and values of one window, `float32[n_positions, width]`, into a place.

        Where they are `known`, because another session has `cross_kv` them, they are only copied.
        """
        n_places = self._heard.shape[1]
        if place >= n_places:
            larger = self._places(max(place + 1, 2 * n_places))
            larger[:, :n_places] = self._heard
            self._heard = larger
        self._n_heard = max(self._n_heard, place + 1)
        if known is not None:
            self._heard[:, place] = known
            return
        whole = np.ascontiguousarray(encoding[np.newaxis], dtype=np.float32)
        self._hearing.set_input_tensor(0, self._tensor(whole))
        for i, layer in enumerate(self._heard):
            self._hearing.set_output_tensor(i, self._cache(layer[place : place + 1]))
        _run(self._hearing)

    def cross_kv(self, place: int) -> NDArray[Any]:
        """Show the keys and values of one window, layer by layer; they are overwritten when others come."""
        shown: NDArray[Any] = self._heard[:, place]
        return shown

    def _places(self, n: int) -> NDArray[Any]:
        """Reserve memory for what is heard; pages that are never written take none."""
        head = (self._shape.n_heads, self.n_positions, self._shape.head)
        return np.zeros((2 * self._shape.n_layers, n, *head), self._dtype)

    def move(self, source: int, target: int) -> None:
        """Put what was heard of one window into another place."""
        self._heard[:, target] = self._heard[:, source]

    def feed(self, feeds: Sequence[SequenceInput], windows: slice) -> Logits:
        """Compute one step: the logits of all tokens picked, sequence after sequence.

        `windows` are the places of all windows that are fed, without a gap. Rows grow by their tokens.
        """
        past = [feed.row.length for feed in feeds]
        for feed in feeds:
            self.rows.extend(feed.row, len(feed.tokens))
        self._bind(windows)
        for i, array in enumerate(_inputs(feeds, past, windows)):
            self._step.set_input_tensor(i, self._tensor(array))
        _run(self._step)
        self._head.set_input_tensor(0, self._step.get_output_tensor(0))
        _run(self._head)
        return Logits(*(self._head.get_output_tensor(i).data for i in range(4)))

    def attention_weights(self, window: int, tokens: slice) -> NDArray[np.float32]:
        """Score the positions of a window by the alignment_heads heads, for tokens of the last feed.

        Shape: `float32[n_watched, n_tokens, n_positions]`, before softmax. `tokens` are counted over all
        that were fed.
        """
        alignment_heads = self._shape.alignment_heads
        queries = (
            self._step.get_output_tensor(1).data[tokens].reshape(-1, len(alignment_heads), self._shape.head)
        )
        keys = np.stack([self._heard[2 * layer, window, head] for layer, head in alignment_heads])
        if self._is_narrow:
            keys = (keys.astype(np.uint32) << 16).view(np.float32)
        scores: NDArray[np.float32] = np.matmul(queries.transpose(1, 0, 2), keys.transpose(0, 2, 1))
        return scores

    def _bind(self, windows: slice) -> None:
        """Show the caches to OpenVINO, where they are not those of the step before."""
        own, heard = self.rows.arrays, self._heard
        if self._bound is not None:
            was_own, was_heard, were = self._bound
            if was_own is own and was_heard is heard and were == windows:
                return
        self._bound = (own, heard, windows)
        first = len(STEP_INPUTS)
        for i, layer in enumerate((*own, *(layer[windows] for layer in heard))):
            self._step.set_input_tensor(first + i, self._cache(layer))

    def _tensor(self, array: NDArray[Any]) -> Any:
        return openvino_runtime.module().Tensor(array)

    def _cache(self, array: NDArray[Any]) -> Any:
        """Show memory to OpenVINO as it is; whoever made it keeps it."""
        ov = openvino_runtime.module()
        if self._is_narrow:
            return ov.Tensor(array, list(array.shape), ov.Type.bf16)
        return ov.Tensor(array, shared_memory=True)


def _chosen(wish: str) -> str:
    """Choose a precision that this processor computes in: any but `bf16` every one does."""
    if wish not in PRECISIONS:
        raise ConfigurationError(f"There is no precision {wish!r}; choose of {', '.join(PRECISIONS)}.")
    has_bf16 = best_precision() == "bf16"
    if wish == "bf16" and not has_bf16:
        raise ConfigurationError(
            "This processor has no instructions for a decoder in bf16; choose auto, int8 or f32."
        )
    if wish == "auto":
        return "bf16" if has_bf16 else "int8"
    return wish


def _inputs(feeds: Sequence[SequenceInput], past: Sequence[int], windows: slice) -> list[NDArray[np.int32]]:
    """Lay out a step; see `decoder_graph.STEP_INPUTS`."""
    lengths = [len(feed.tokens) for feed in feeds]
    begins = np.concatenate([[0], np.cumsum(lengths)])
    n_tokens = int(begins[-1])
    places = np.empty(n_tokens, np.int32)
    of_window: list[list[int]] = [[] for _ in range(windows.stop - windows.start)]
    for feed, begin in zip(feeds, begins.tolist(), strict=False):
        of_window[feed.window - windows.start] += range(begin, begin + len(feed.tokens))
    n_queries = max(len(tokens) for tokens in of_window)
    grid = np.zeros((len(of_window), n_queries), np.int32)
    for i, tokens in enumerate(of_window):
        grid[i, : len(tokens)] = tokens
        places[tokens] = np.arange(i * n_queries, i * n_queries + len(tokens))
    arrays: list[Any] = [
        [token for feed in feeds for token in feed.tokens],
        [position for p, n in zip(past, lengths, strict=True) for position in range(p, p + n)],
        past,
        begins,
        [block for feed in feeds for block in feed.row.blocks],
        np.concatenate([[0], np.cumsum([len(feed.row.blocks) for feed in feeds])]),
        max(feed.row.length for feed in feeds),
        [begin + i for feed, begin in zip(feeds, begins.tolist(), strict=False) for i in feed.picked],
        grid,
        places,
    ]
    return [np.array(array, dtype=np.int32) for array in arrays]


def _run(request: Any) -> None:
    try:
        request.infer()
    except RuntimeError as error:
        raise EngineFailed(f"The Whisper decoder failed: {error}") from error
