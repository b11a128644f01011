"""The order of system calls, as strace saw it: what was on disk when a reply went out."""

import codecs
import dataclasses
import os
import pathlib
import re
import time

CALLS = "openat,open,creat,rename,renameat,renameat2,mkdir,mkdirat,write,writev,pwrite64,pwritev,pwritev2,fsync,fdatasync," \
        "sendmsg,sendto,read,readv,recvmsg,recvfrom"
STRING_BYTES_MAX = 1 << 20
WRITES = {"write", "writev", "pwrite64", "pwritev", "pwritev2"}
SYNCS = {"fsync", "fdatasync"}
SENDS = {"sendmsg", "sendto", "write", "writev"}
RECEIVES = {"recvmsg", "recvfrom", "read", "readv"}
RENAMES = {"rename", "renameat", "renameat2"}
MAKES = {"openat", "open", "creat", "mkdir", "mkdirat"}

_LINE = re.compile(r"^(?:\[pid +)?(\d+)\]? +(.*)$")
_BEGUN = re.compile(r"^(\w+)\((.*) <unfinished \.\.\.>$", re.S)
_RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>(.*)$", re.S)
_WHOLE = re.compile(r"^(\w+)\((.*)\) += (-?\d+|\?)(.*)$", re.S)
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"(\.\.\.)?')
_DESCRIPTOR = re.compile(r"^(-?\d+)<([^>]*(?:->[^>]*)*)>")
_OPENED = re.compile(r"^<(.*)>")


@dataclasses.dataclass
class Call:
    """`begin` and `end` are places in the trace: when one ends before another begins, so it was on the machine."""

    process: int
    name: str
    begin: int
    end: int
    arguments: str
    result: int
    path: str = ""  # of the descriptor that it is about; of what was opened
    data: bytes = b""  # all strings of its arguments, joined

    @property
    def strings(self):
        return [unescaped(found.group(1)).decode("utf-8", "replace") for found in _STRING.finditer(self.arguments)]


def command(trace):
    """To be put before the daemon's: the daemon stays the child, strace becomes its grandchild."""
    return ["strace", "-D", "-f", "-y", "-s", str(STRING_BYTES_MAX), "-e", "signal=none", "-e", f"trace={CALLS}", "-o", str(trace)]


def wait_for_end(trace, process, patience=60):
    """strace writes on for a moment after the process has ended."""
    end = time.monotonic() + patience
    mark = re.compile(rb"^(\[pid +)?%d\]? +\+\+\+ (exited|killed)" % process, re.M)
    while time.monotonic() < end:
        with open(trace, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            if mark.search(file.read()):
                return
        time.sleep(0.02)
    raise AssertionError(f"strace does not end {trace}")


def unescaped(text):
    return codecs.escape_decode(text.encode("latin-1"))[0]


def _call(process, begin, end, text):
    found = _WHOLE.match(text)
    if not found:
        return None
    name, arguments, result, rest = found.groups()
    call = Call(process, name, begin, end, arguments, -1 if result == "?" else int(result))
    descriptor = _DESCRIPTOR.match(arguments)
    opened = _OPENED.match(rest.strip())
    if name in MAKES and opened:
        call.path = opened.group(1)
    elif descriptor and name not in MAKES | RENAMES:
        call.path = descriptor.group(2)
    pieces = []
    for found in _STRING.finditer(arguments):
        if found.group(2):
            raise AssertionError(f"line {begin + 1}: a string was cut, {name} of {call.path}")
        pieces.append(unescaped(found.group(1)))
    call.data = b"".join(pieces)
    return call


def parse(lines):
    """Calls in the order of their ends."""
    calls, open_calls = [], {}
    for place, line in enumerate(lines):
        found = _LINE.match(line.rstrip("\n"))
        if not found:
            continue
        process, text = int(found.group(1)), found.group(2)
        if begun := _BEGUN.match(text):
            open_calls[process] = (place, f"{begun.group(1)}({begun.group(2)}")
            continue
        begin = place
        if resumed := _RESUMED.match(text):
            if process not in open_calls:
                continue
            begin, first = open_calls.pop(process)
            text = first + resumed.group(2)
        if call := _call(process, begin, place, text):
            calls.append(call)
    return calls


def inside(path, directory):
    return path.startswith(str(directory).rstrip("/") + "/")


def first_send(calls, text):
    return next((call for call in calls if call.name in SENDS and call.path.startswith("socket:") and text in call.data), None)


def reply_to(calls, *words):
    """The first send on the connection on which a request with these words came in."""
    request = next((call for call in calls if call.name in RECEIVES and call.path.startswith("socket:")
                    and all(word in call.data for word in words)), None)
    if request is None:
        return None
    return next((call for call in calls if call.name in SENDS and call.path == request.path and call.begin > request.end), None)


def _covering_sync(calls, write, before):
    return next((call for call in calls if call.name in SYNCS and call.path == write.path and call.result == 0
                 and call.begin > write.end and call.end < before), None)


def writes_before(calls, directory, marker, reply):
    """Those of the bytes with `marker` below `directory` that were whole before `reply` was begun; and whether there were
    any at all."""
    writes = [call for call in calls if call.name in WRITES and inside(call.path, directory) and marker in call.data]
    whole = [call for call in writes if call.result >= call.data.index(marker) + len(marker) and call.end < reply.begin]
    return whole, bool(writes)


def why_not_written(calls, directory, marker, reply):
    """Nothing when the bytes with `marker` were written below `directory` before `reply` was begun."""
    whole, any_at_all = writes_before(calls, directory, marker, reply)
    if whole:
        return None
    return f"{marker!r}: " + ("written only after the reply began" if any_at_all else f"never written below {directory}")


def why_not_on_disk(calls, directory, marker, reply):
    """Nothing when they were synced too; else what is missing. A write that is followed by a sync of another file, or by
    one that failed, does not count."""
    if why := why_not_written(calls, directory, marker, reply):
        return why
    whole, _ = writes_before(calls, directory, marker, reply)
    if not any(_covering_sync(calls, write, reply.begin) for write in whole):
        return f"{marker!r}: no sync of {whole[0].path} that began after its write (line {whole[0].end + 1}) has ended before " \
               f"the reply (line {reply.begin + 1})"
    return why_has_no_name(calls, whole[0].path, reply)


def why_has_no_name(calls, path, reply):
    """Nothing when a sync of its directory followed the making or renaming that gave the file this name, and that before
    `reply` was begun."""
    parent = str(pathlib.PurePath(path).parent)
    named = [call for call in calls if call.end < reply.begin and call.result >= 0 and
             (call.name in MAKES and call.path == path and "O_CREAT" in call.arguments
              or call.name in RENAMES and call.strings[-1] == path)]
    if not named:
        return f"{path}: the trace does not show where it got its name"
    for call in named:
        if any(sync.name in SYNCS and sync.path == parent and sync.result == 0 and sync.begin > call.end and sync.end < reply.begin
               for sync in calls):
            return None
    return f"{path}: its directory was not synced between line {named[-1].end + 1} and the reply (line {reply.begin + 1})"


def unsynced_directories(calls, root, reply):
    """Directories, `root` and below it, that were made and whose parent was not synced between that and `reply`."""
    made = [call for call in calls if call.name in ("mkdir", "mkdirat") and call.result == 0 and call.end < reply.begin
            and (inside(call.strings[-1], root) or call.strings[-1] == root)]
    return [call.strings[-1] for call in made if not any(
        sync.name in SYNCS and sync.path == str(pathlib.PurePath(call.strings[-1]).parent) and sync.result == 0
        and sync.begin > call.end and sync.end < reply.begin for sync in calls)]


def why_object_not_on_disk(calls, rename):
    """Nothing when a file was synced before `rename` made it an object, and the object's directory after that."""
    source, target = rename.strings[0], rename.strings[-1]
    if not any(call.name in SYNCS and call.path == source and call.result == 0 and call.end < rename.begin for call in calls):
        return f"{target}: {source} was not synced before it got this name (line {rename.begin + 1})"
    last_write = max((call.end for call in calls if call.name in WRITES and call.path == source and call.end < rename.begin), default=-1)
    if not any(call.name in SYNCS and call.path == source and call.begin > last_write and call.end < rename.begin for call in calls):
        return f"{target}: written to (line {last_write + 1}) after it was synced"
    parent = str(pathlib.PurePath(target).parent)
    if not any(call.name in SYNCS and call.path == parent and call.result == 0 and call.begin > rename.end for call in calls):
        return f"{target}: {parent} was not synced after the rename (line {rename.end + 1})"
    return None
