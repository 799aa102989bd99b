"""Neural voices (Kokoro, Piper): ONNX models that get their phonemes from espeak-ng."""
