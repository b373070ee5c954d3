"""How this process gets its memory from the system; called by commands, never by the library."""

import ctypes


def keep_freed_memory() -> None:
    """Tells glibc to keep freed memory in one heap; does nothing with another C library.

    On CPUs the temporaries of a compiled program are large enough that glibc maps each one anew and gives it back, and
    every page is faulted in again at each call: a third of the time of programs that are called often.
    """
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        return
    for parameter, value in ((-8, 1), (-4, 0), (-1, 2**31 - 1)):  # M_ARENA_MAX, M_MMAP_MAX, M_TRIM_THRESHOLD
        libc.mallopt(parameter, value)


__all__ = ["keep_freed_memory"]
