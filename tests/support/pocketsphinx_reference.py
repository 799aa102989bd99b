"""What PocketSphinx hears in a recording when it is called directly, as its documentation shows it.

Knows nothing of Hearsay, not even how it decodes files.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import av
import numpy as np
import pocketsphinx


@cache
def hear(path: Path) -> str:
    """Recognise a recording in one utterance."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=16_000)
    with av.open(str(path)) as container:
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
        frames += resampler.resample(None)
    pcm = np.concatenate([frame.to_ndarray().ravel() for frame in frames])
    decoder = pocketsphinx.Decoder(loglevel="FATAL")
    decoder.start_utt()
    decoder.process_raw(pcm.astype("<i2").tobytes(), full_utt=True)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    return hypothesis.hypstr if hypothesis else ""
