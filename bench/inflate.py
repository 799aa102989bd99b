"""The fixture's Whisper at the size of a real one: `python -m bench.inflate SHAPE FOLDER [--format ct2|hf]`.

Knows no server. The result says what the fixture says, word for word (`--check` compares), at the cost of a
published model, so that speed can be measured without downloaded weights. Writes a CTranslate2 folder, or one
in Hugging Face's format for other runtimes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench import answers, hf
from bench.recordings import FIXTURE, clips
from bench.shapes import SHAPES, Floats, Shape, inflated, repeated_heads, shape_of
from hearsay.engines.whisper.weights.ctranslate2_file import Weights

_COPIED = ("tokenizer.json", "preprocessor_config.json")


def main() -> int:
    """Write the model; with --check, compare its text."""
    options = _options()
    shape = SHAPES[options.shape]
    inflate(options.source, shape, options.folder, layout=options.format, precision=options.quantization)
    if options.check and options.format == "ct2":
        return int(not _same(options.source, options.folder))
    return 0


def inflate(
    source: Path, shape: Shape, folder: Path, *, layout: str = "ct2", precision: str | None = None
) -> None:
    """Write the model of a CTranslate2 folder in another shape.

    Precision: any that CTranslate2 stores, for its format; float32 or float16 for Hugging Face's.
    Raises: `ValueError` where the shape cannot be reached by repeating channels and adding layers.
    """
    weights = Weights(source / "model.bin")
    config = json.loads((source / "config.json").read_text("utf-8"))
    config["alignment_heads"] = repeated_heads(config["alignment_heads"], shape_of(weights), shape)
    larger = inflated(weights, shape)
    folder.mkdir(parents=True, exist_ok=True)
    for name in _COPIED:
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    if layout == "hf":
        hf.write(larger, shape, config, folder, precision or "float32")
    else:
        vocabulary = json.loads((source / "vocabulary.json").read_text("utf-8"))
        write_ct2(larger, shape, config | {"vocabulary": vocabulary}, folder, precision or "int8")


def write_ct2(
    weights: Mapping[str, Floats], shape: Shape, config: dict[str, Any], folder: Path, precision: str
) -> None:
    """Write `model.bin`, `config.json` and `vocabulary.json`."""
    from ctranslate2.specs import WhisperSpec, model_spec

    heads = shape.n_heads
    spec = WhisperSpec(shape.encoder_layers, heads, shape.decoder_layers, heads)
    for name, values in weights.items():
        scope, attribute = name.rsplit("/", 1)
        setattr(model_spec.index_spec(spec, scope), attribute, np.ascontiguousarray(values))
    spec.register_vocabulary(config["vocabulary"])
    for name in ("suppress_ids", "suppress_ids_begin", "lang_ids", "alignment_heads"):
        setattr(spec.config, name, config[name])
    spec.validate()
    spec.optimize(quantization=precision)
    spec.save(str(folder))


def _same(source: Path, folder: Path) -> bool:
    """Compare the texts of two models and print the result."""
    files = clips()
    pairs = list(zip(answers.of(source, files), answers.of(folder, files), strict=True))
    n_equal = sum(left == right for left, right in pairs)
    print(f"{folder}: the same text as {source.name} for {n_equal} of {len(files)} recordings")
    return n_equal == len(files)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("folder", type=Path, help="where to write")
    parser.add_argument("--format", choices=("ct2", "hf"), default="ct2")
    parser.add_argument("--quantization", help="int8 (default), float16, … (hf: float32, float16)")
    parser.add_argument("--source", type=Path, default=FIXTURE, help="the small model (CTranslate2)")
    parser.add_argument("--check", action="store_true", help="compare the text of the tests' recordings")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
