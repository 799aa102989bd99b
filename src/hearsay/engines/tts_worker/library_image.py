"""The writable memory of a shared library as the loader left it, to be put back as often as need be.

Knows no library. Putting it back makes a library forget all that it keeps in variables of its own, as loading
it afresh does, in a twentieth of the time. What it has allocated and not freed is lost either way, so let it
tidy up first. Code that runs when a library is loaded does not run again, and need not: what it left behind
is part of what is put back.

Source: dl_iterate_phdr(3) and elf(5), for 64-bit systems; `LibraryImage` says where there is none.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator

_PT_LOAD = 1
"""A part of the file that is in memory."""
_PT_GNU_RELRO = 0x6474E552
"""A part that the loader writes and then makes read-only."""
_PF_W = 2


class _ProgramHeader(ctypes.Structure):
    """`Elf64_Phdr`."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("offset", ctypes.c_uint64),
        ("address", ctypes.c_uint64),
        ("physical_address", ctypes.c_uint64),
        ("file_size", ctypes.c_uint64),
        ("size", ctypes.c_uint64),
        ("alignment", ctypes.c_uint64),
    )


class _Loaded(ctypes.Structure):
    """The head of `dl_phdr_info`."""

    _fields_ = (
        ("base", ctypes.c_uint64),
        ("name", ctypes.c_char_p),
        ("headers", ctypes.POINTER(_ProgramHeader)),
        ("n_headers", ctypes.c_uint16),
    )


_Visit = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Loaded), ctypes.c_size_t, ctypes.c_void_p)


class LibraryImage:
    """A copy of what a library can write to."""

    def __init__(self, path: str) -> None:
        """Copy it, of a library that was loaded from `path` and has not been used yet.

        Raises `OSError` where the system does not tell where that memory is.
        """
        if ctypes.sizeof(ctypes.c_void_p) != 8:
            raise OSError("only 64-bit programs can be read")
        self._parts = [(start, ctypes.string_at(start, size)) for start, size in _writable(path)]
        if not self._parts:
            raise OSError(f"{path} is not loaded, or has nothing to write to")

    def restore(self) -> None:
        """Put it back; no function of the library may be under way."""
        for start, content in self._parts:
            ctypes.memmove(start, content, len(content))


def _writable(path: str) -> list[tuple[int, int]]:
    """Find address and size of each part of a library that stays writable. Raises `OSError`."""
    try:
        visit_all = ctypes.CDLL(None).dl_iterate_phdr
    except (AttributeError, TypeError) as error:  # other systems than Unix know no library without a name
        raise OSError("this system has no dl_iterate_phdr") from error
    found: list[tuple[int, int]] = []

    def visit(loaded: ctypes._Pointer[_Loaded], size: int, _: object) -> int:
        if loaded.contents.name == os.fsencode(path):
            found.extend(_parts(loaded.contents))
        return 0

    visit_all(_Visit(visit), None)
    return found


def _parts(loaded: _Loaded) -> Iterator[tuple[int, int]]:
    headers = [loaded.headers[number] for number in range(loaded.n_headers)]
    protected = [each for each in headers if each.type == _PT_GNU_RELRO]
    for part in headers:
        if part.type != _PT_LOAD or not part.flags & _PF_W:
            continue
        start, end = part.address, part.address + part.size
        for each in protected:  # which the linker puts at the head of what is writable
            if each.address <= start < each.address + each.size:
                start = each.address + each.size
        if start < end:
            yield loaded.base + start, end - start
