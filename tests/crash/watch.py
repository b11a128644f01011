"""Waits for files that come and go in a directory: inotify, because a kill that is aimed must not come late."""

import ctypes
import os
import pathlib
import select
import struct
import time

CREATED, RENAMED_FROM, RENAMED_TO, REMOVED = 0x100, 0x40, 0x80, 0x200
_NONBLOCK = os.O_NONBLOCK
_libc = ctypes.CDLL(None, use_errno=True)


def _watch(directory, events):
    descriptor = _libc.inotify_init1(_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1")
    if _libc.inotify_add_watch(descriptor, os.fsencode(directory), events) < 0:
        os.close(descriptor)
        raise OSError(ctypes.get_errno(), f"inotify_add_watch {directory}")
    return descriptor


def wait_for(directory, events, seconds, wanted=lambda name: True):
    """The name of the file that the first of `events` was about; nothing when none came in time."""
    end = time.monotonic() + seconds
    while not pathlib.Path(directory).is_dir():
        if time.monotonic() > end:
            return None
        time.sleep(0.002)
    descriptor = _watch(directory, events)
    try:
        while (left := end - time.monotonic()) > 0:
            if not select.select([descriptor], [], [], left)[0]:
                break
            buffer = os.read(descriptor, 1 << 16)
            at = 0
            while at < len(buffer):
                _, _, _, length = struct.unpack_from("iIII", buffer, at)
                name = os.fsdecode(buffer[at + 16 : at + 16 + length].rstrip(b"\0"))
                if wanted(name):
                    return name
                at += 16 + length
        return None
    finally:
        os.close(descriptor)
