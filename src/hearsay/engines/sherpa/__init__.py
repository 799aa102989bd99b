"""Neural voices (Kokoro, Piper) through sherpa-onnx."""
