"""Each reply of a daemon that syncs comes after the sync that covers it: the system calls, as strace saw them."""

import base64
import shutil
import subprocess
import threading

import pytest

import strace
import wire
from daemon import Daemon

DATA = "/d/data"
LOG, JOURNAL = "/d/data/log", "/d/data/log/journal-00000001"
MADE = [
    f'9 openat(AT_FDCWD</>, "{JOURNAL}.new", O_RDWR|O_CREAT|O_CLOEXEC, 0666) = 7<{JOURNAL}.new>',
    f'9 rename("{JOURNAL}.new", "{JOURNAL}") = 0',
    f"9 fsync(8<{LOG}>) = 0",
]
WRITE = rf'9 pwritev(7<{JOURNAL}>, [{{iov_base="\1C\0head", iov_len=7}}, {{iov_base="..marker-1..", iov_len=12}}], 2, 4096) = 19'
SYNC = f"9 fdatasync(7<{JOURNAL}>) = 0"
SEND = r'10 sendmsg(12<socket:[77]>, {msg_iov=[{iov_base="HTTP/1.1 200 OK\r\n\r\n{\"SequenceNumber\":\"4711\"}", iov_len=40}]}, 0) = 40'


def why_not(*lines):
    calls = strace.parse(lines)
    return strace.why_not_on_disk(calls, LOG, b"marker-1", strace.first_send(calls, b"4711"))


def test_a_reply_after_its_sync_is_well():
    assert why_not(*MADE, WRITE, SYNC, SEND) is None


def test_a_reply_without_a_sync():
    assert "no sync" in why_not(*MADE, WRITE, SEND)


def test_a_reply_before_the_sync():
    assert "no sync" in why_not(*MADE, WRITE, SEND, SYNC)


def test_a_sync_before_the_write():
    assert "no sync" in why_not(*MADE, SYNC, WRITE, SEND)


def test_a_sync_that_failed():
    assert "no sync" in why_not(*MADE, WRITE, SYNC.replace("= 0", "= -1 EIO (Input/output error)"), SEND)


def test_a_sync_of_another_file():
    assert "no sync" in why_not(*MADE, WRITE, SYNC.replace("journal-00000001", "journal-00000002"), SEND)


def test_a_write_after_the_reply():
    assert "after the reply" in why_not(*MADE, SEND, WRITE, SYNC)


def test_a_write_before_the_reply_is_enough_where_nothing_is_synced():
    calls = strace.parse([*MADE, WRITE, SEND])
    assert strace.why_not_written(calls, LOG, b"marker-1", strace.first_send(calls, b"4711")) is None
    calls = strace.parse([*MADE, SEND, WRITE])
    assert "after the reply" in strace.why_not_written(calls, LOG, b"marker-1", strace.first_send(calls, b"4711"))


def test_no_write():
    assert "never written" in why_not(*MADE, SYNC, SEND)


def test_a_write_that_stopped_short_of_the_record():
    assert "after the reply" in why_not(*MADE, WRITE.replace("= 19", "= 9"), SYNC, SEND)


def test_a_sync_that_has_begun_before_the_write_has_ended():
    begun, ended = "11 fdatasync(7<%s> <unfinished ...>" % JOURNAL, "11 <... fdatasync resumed>) = 0"
    assert "no sync" in why_not(*MADE, begun, WRITE, ended, SEND)
    assert why_not(*MADE, WRITE, begun, ended, SEND) is None


def test_a_reply_that_begins_before_the_sync_has_ended():
    begun, ended = SEND.replace("}, 0) = 40", "}, 0 <unfinished ...>"), "10 <... sendmsg resumed>) = 40"
    assert "no sync" in why_not(*MADE, WRITE, begun, SYNC, ended)
    assert why_not(*MADE, WRITE, SYNC, begun, ended) is None


def test_a_file_whose_directory_was_not_synced():
    assert "directory was not synced" in why_not(*MADE[:2], WRITE, SYNC, SEND)
    assert "directory was not synced" in why_not(MADE[0], MADE[2], MADE[1], WRITE, SYNC, SEND)
    assert "directory was not synced" in why_not(*MADE[:2], WRITE, SYNC, SEND, MADE[2])
    assert "got its name" in why_not(WRITE, SYNC, SEND)


def test_a_directory_that_nobody_synced():
    made = f'9 mkdir("{LOG}", 0777) = 0'
    calls = strace.parse([made, f"9 fsync(5<{DATA}>) = 0", SEND])
    assert strace.unsynced_directories(calls, DATA, strace.first_send(calls, b"4711")) == []
    calls = strace.parse([f"9 fsync(5<{DATA}>) = 0", made, SEND])
    assert strace.unsynced_directories(calls, DATA, strace.first_send(calls, b"4711")) == [LOG]


OBJECT, UPLOAD = DATA + "/s3/lake/object", DATA + "/tmp/upload-1"
OBJECT_CALLS = [
    f'9 writev(7<{UPLOAD}>, [{{iov_base="line\\n", iov_len=5}}], 1) = 5',
    f"9 fsync(7<{UPLOAD}>) = 0",
    f'9 rename("{UPLOAD}", "{OBJECT}") = 0',
    f"9 fsync(8<{DATA}/s3/lake>) = 0",
]


def object_trouble(*order):
    calls = strace.parse([OBJECT_CALLS[i] for i in order])
    return strace.why_object_not_on_disk(calls, next(call for call in calls if call.name == "rename"))


def test_an_object_is_synced_then_named_then_its_directory_is_synced():
    assert object_trouble(0, 1, 2, 3) is None
    assert "was not synced before" in object_trouble(0, 2, 3)
    assert "written to" in object_trouble(1, 0, 2, 3)
    assert "after the rename" in object_trouble(0, 1, 2)
    assert "after the rename" in object_trouble(0, 1, 3, 2)


def test_a_request_is_found_with_its_reply():
    asked = r'10 recvmsg(12<socket:[77]>, {msg_iov=[{iov_base="POST / HTTP/1.1\r\nCreateStream {name-1}", iov_len=99}]}, 0) = 40'
    other = SEND.replace("[77]", "[78]")
    calls = strace.parse([SEND, asked, other, SEND])
    assert strace.reply_to(calls, b"CreateStream", b"name-1").begin == 3
    assert strace.reply_to(calls, b"CreateStream", b"name-2") is None


def test_a_string_that_strace_cut_is_told():
    with pytest.raises(AssertionError, match="was cut"):
        strace.parse([WRITE.replace('marker-1.."', 'marker-1.."...')])


def test_bytes_come_out_as_they_went_in():
    (call,) = strace.parse([r'9 pwrite64(7</f>, "\0\1\33[7m\177\"\\\n\t\3770", 11, 0) = 11'])
    assert call.data == b"\0\1\x1b[7m\x7f\"\\\n\t\xff0"
    assert (call.path, call.result) == ("/f", 11)


# ---- the daemon

needs_strace = pytest.mark.skipif(
    not shutil.which("strace") or subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode != 0,
    reason="strace is not installed, or may not trace here",
)


def config(directory, storage):
    """The data directory is absolute, as the names of descriptors are."""
    return f"""
listen: {{aws: "127.0.0.1:0", gateway: "127.0.0.1:0"}}
data_dir: {directory / "data"}
storage: {{{storage}, memory_limit: 64MiB}}
"""


class Traced:
    """A short run: puts of every kind over four connections, more than a file holds, and changes of state."""

    def __init__(self, directory, storage, monkeypatch):
        monkeypatch.setenv("ASAN_OPTIONS", "detect_leaks=0")  # which does not work under ptrace
        trace = directory / "trace"
        daemon = Daemon(directory, config(directory, storage), prefix=strace.command(trace))
        daemon.launch()
        try:
            self.work(daemon.wait_until_ready())
            daemon.terminate()
            assert daemon.wait() == 0, daemon.log_tail()
        finally:
            daemon.kill()
        strace.wait_for_end(trace, daemon.process.pid)
        with open(trace, encoding="latin-1") as lines:
            self.calls = strace.parse(lines)
        self.data = str(daemon.data)

    def work(self, address):
        self.acknowledged, self.changes = [], []  # marker and sequence number; operation and marker
        client = wire.Client(address)
        for name in ("stream-marker-a", "stream-marker-b"):
            client.kinesis("CreateStream", StreamName=name, ShardCount=2)
            self.changes.append((b"CreateStream", name.encode()))
        client.firehose("CreateDeliveryStream", **wire.delivery_members("delivery-marker", "stream-marker-a", "lake", "", 1, 60))
        self.changes.append((b"CreateDeliveryStream", b"delivery-marker"))
        threads = [threading.Thread(target=self.put, args=(address, number)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        client.kinesis("AddTagsToStream", StreamName="stream-marker-a", Tags={"tag-marker": "x"})
        self.changes.append((b"AddTagsToStream", b"tag-marker"))
        client.page("POST", "/_millrace/flush")
        client.kinesis("DeleteStream", StreamName="stream-marker-b")
        client.close()

    def put(self, address, number):
        client = wire.Client(address)
        for i in range(30):
            marker = f"put-{number}-{i:03d}-marker"
            fill = "x" * (20_000 if i % 10 == 0 else 100)
            reply = client.kinesis("PutRecord", StreamName="stream-marker-a", PartitionKey=marker, Data=encoded(marker + fill))
            self.acknowledged.append((marker.encode(), reply["SequenceNumber"].encode()))
        for i in range(8):
            markers = [f"batch-{number}-{i:03d}-{k:03d}-marker" for k in range(4)]
            records = [{"PartitionKey": marker, "Data": encoded(marker + "y" * 12_000)} for marker in markers]
            reply = client.kinesis("PutRecords", StreamName="stream-marker-b", Records=records)
            for marker, record in zip(markers, reply["Records"], strict=True):
                self.acknowledged.append((marker.encode(), record["SequenceNumber"].encode()))
        client.close()

    def troubles(self, of_records=strace.why_not_on_disk):
        found = []
        for marker, number in self.acknowledged:
            reply = strace.reply_to(self.calls, marker)
            assert reply and number in reply.data, f"no reply to {marker} with {number}"
            found.append(of_records(self.calls, self.data + "/log", marker, reply))
        for operation, marker in self.changes:
            reply = strace.reply_to(self.calls, operation, marker)
            assert reply, f"no reply to {operation} {marker}"
            found.append(strace.why_not_on_disk(self.calls, self.data + "/state", marker, reply))
        found += strace.unsynced_directories(self.calls, self.data, strace.reply_to(self.calls, self.acknowledged[0][0]))
        return [trouble for trouble in found if trouble]

    def log_files(self):
        """Those that records were written to."""
        return {call.path for call in self.calls if call.name in strace.WRITES and strace.inside(call.path, self.data + "/log")
                and b"-marker" in call.data}

    def object_renames(self):
        return [call for call in self.calls if call.name in strace.RENAMES and strace.inside(call.strings[-1], self.data + "/s3")]


def encoded(text):
    return base64.b64encode(text.encode()).decode()


@needs_strace
def test_memory_mode_is_found_to_sync_nothing(tmp_path, monkeypatch):
    run = Traced(tmp_path, "mode: memory", monkeypatch)
    assert len(run.acknowledged) == 4 * (30 + 8 * 4)
    assert len(run.troubles()) >= len(run.acknowledged) + len(run.changes)
    assert run.object_renames() and all(strace.why_object_not_on_disk(run.calls, rename) for rename in run.object_renames())


@needs_strace
def test_always_answers_when_all_is_on_disk(tmp_path, monkeypatch):
    run = Traced(tmp_path, "mode: durable, sync: always, file_size: 1MiB", monkeypatch)
    assert run.troubles() == []
    assert len(run.log_files()) > 1, "no file was filled: the run is too small to show what happens then"
    assert run.object_renames()
    assert [strace.why_object_not_on_disk(run.calls, rename) for rename in run.object_renames()] == [None] * len(run.object_renames())


@needs_strace
def test_os_answers_when_records_are_written_and_state_is_on_disk(tmp_path, monkeypatch):
    run = Traced(tmp_path, "mode: durable, sync: os, file_size: 1MiB", monkeypatch)
    assert run.troubles(strace.why_not_written) == []
