"""espeak-ng called directly, without a server: one process, one text after the other.

Knows nothing of ours. Reads a text a line on standard input, as JSON; for each it says the whole of it in one
call, puts a WAV header before the samples, and answers with a line of JSON: seconds until the first samples,
seconds in all, bytes. GPL code stays in this process.
"""

from __future__ import annotations

import ctypes
import json
import struct
import sys
import time

import espeakng_loader

SYNCHRONOUS = 2
UTF8 = 1
CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def main() -> None:
    """Answer requests until standard input ends."""
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = library.espeak_Initialize(SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0)
    if rate <= 0 or library.espeak_SetVoiceByName(sys.argv[1].encode()) != 0:
        raise SystemExit("espeak-ng could not be started")
    blocks: list[bytes] = []
    first = 0.0

    def heard(samples: ctypes._Pointer[ctypes.c_short], n_samples: int, _: object) -> int:
        nonlocal first
        if n_samples > 0:
            first = first or time.perf_counter()
            blocks.append(ctypes.string_at(samples, 2 * n_samples))
        return 0

    callback = CALLBACK(heard)
    library.espeak_SetSynthCallback(callback)
    print(json.dumps({"rate": rate}), flush=True)
    for line in sys.stdin:
        text = json.loads(line).encode()
        blocks.clear()
        first, begin = 0.0, time.perf_counter()
        library.espeak_Synth(text, len(text) + 1, 0, 0, 0, UTF8, None, None)
        data = b"".join(blocks)
        file = b"RIFF%bWAVEfmt %b" % (
            struct.pack("<I", 36 + len(data)),
            struct.pack("<IHHIIHH4sI", 16, 1, 1, rate, 2 * rate, 2, 16, b"data", len(data)) + data,
        )
        seconds = time.perf_counter() - begin
        print(json.dumps({"first": first - begin, "all": seconds, "bytes": len(file)}), flush=True)


if __name__ == "__main__":
    main()
