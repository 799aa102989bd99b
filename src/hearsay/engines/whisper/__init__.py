"""Whisper: every size and family, from a local folder, on CPU or GPU.

Knows no catalogue and no hub: a folder in, a recogniser out. The weights are those of openai/whisper,
converted for CTranslate2 or as Hugging Face publishes them.
"""

from hearsay.engines.whisper.loading import MOST_THREADS, load
from hearsay.engines.whisper.recognizer import WhisperRecognizer
from hearsay.engines.whisper.weights.conversion import convert
from hearsay.engines.whisper.weights.folder import check

__all__ = ["MOST_THREADS", "WhisperRecognizer", "check", "convert", "load"]
