"""What a library can write to is put back: it is as good as new, and no less than that.

In processes of their own, since the library at hand is espeak-ng, which must not be in the server's.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from hearsay.engines.espeak import synthesizer as espeak
from hearsay.engines.tts_worker.library_image import LibraryImage, _Loaded, _parts, _ProgramHeader

PROGRAM = """
import ctypes, hashlib, sys
from hearsay.engines.tts_worker.library_image import LibraryImage

path, data = sys.argv[1:]
library = ctypes.CDLL(path)
image = LibraryImage(path)
heard = []
callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)(
    lambda samples, n, _: 0 if n <= 0 else heard.append(ctypes.string_at(samples, 2 * n)) or 0
)

def begin():
    library.espeak_Initialize(2, 500, data.encode(), 0)
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))
    library.espeak_SetSynthCallback(callback)

def spoken():
    heard.clear()
    library.espeak_SetVoiceByName(b"en-us")
    text = b"One library, two texts.\\0"
    library.espeak_Synth(text, len(text), 0, 0, 0, 1, None, None)
    return hashlib.sha256(b"".join(heard)).hexdigest()[:8]

begin()
print(spoken(), len(heard))
for restores in (False, True, True):
    library.espeak_Terminate()
    if restores:
        image.restore()
    begin()
    print(spoken(), len(heard))
"""


def test_a_library_is_as_good_as_new() -> None:
    loader = espeak._loader()
    paths = [loader.get_library_path(), loader.get_data_path()]
    told = subprocess.run([sys.executable, "-c", PROGRAM, *paths], capture_output=True, check=True, text=True)
    first, not_restored, *restored = told.stdout.splitlines()
    assert told.stderr == ""
    assert restored == [first, first]
    assert not_restored != first  # which is why


def test_what_is_not_loaded_has_no_image() -> None:
    with pytest.raises(OSError, match="not loaded"):
        LibraryImage("/nowhere/libnothing.so")


def test_only_what_stays_writable_is_part_of_it() -> None:
    def header(kind: int, flags: int, address: int, size: int) -> _ProgramHeader:
        return _ProgramHeader(type=kind, flags=flags, address=address, size=size)

    load, protected, read, write = 1, 0x6474E552, 4, 2
    headers = (_ProgramHeader * 5)(
        header(load, read, 0x0000, 0x1000),
        header(load, read | write, 0x2100, 0x2000),
        header(protected, read, 0x2100, 0x0F00),
        header(load, read | write, 0x8000, 0x0010),
        header(2, read | write, 0x2200, 0x0100),
    )
    loaded = _Loaded(base=0x7000_0000, headers=headers, n_headers=5)
    assert list(_parts(loaded)) == [(0x7000_3000, 0x1100), (0x7000_8000, 0x10)]
