"""Encryption at rest: what is in the files, what a start needs, how keys are changed."""

import base64
import json
import os
import subprocess

import pytest

from conftest import BINARY, CLEAN_ENVIRONMENT, PATIENCE, http
from test_durable import again, environment, records
from test_log import exported, log

MARKER = b"Marker-that-nobody-may-find-in-a-file"
TEXT = "MILLRACE_STORAGE_ENCRYPTION_KEYS_TEXT"


def key():
    return base64.b64encode(os.urandom(32)).decode()


def key_file(directory, **keys):
    """`key_file(path, _1=...)`: a file with the keys by their ids."""
    path = directory / "keys"
    path.touch(mode=0o600)
    path.write_text("".join(f"{name[1:]} {value}\n" for name, value in keys.items()))
    return path


def encrypted(path, **more):
    return {"MILLRACE_STORAGE_ENCRYPTION": "all", "MILLRACE_STORAGE_ENCRYPTION_KEYS": str(path), **more}


def forms(marker=MARKER):
    """The marker as it is, and in base64 wherever it may begin."""
    found = [marker]
    for before in range(3):
        whole = base64.b64encode(bytes(before) + marker)
        found.append(whole[(before * 4 + 2) // 3 : len(whole) - 4])
    return found


def files_with_marker(daemon, *folders):
    files = [path for folder in folders for path in (daemon.data / folder).rglob("*") if path.is_file()]
    assert files, folders
    return {path.relative_to(daemon.data).parts[0] for path in files if any(form in path.read_bytes() for form in forms())}


def refused(daemon):
    done = subprocess.run([BINARY, "serve"], capture_output=True, text=True, env=daemon.environment, timeout=PATIENCE)
    assert done.returncode == 1
    return done.stderr


def test_the_marker_would_be_found():
    for before in range(6):
        hidden = base64.b64encode(os.urandom(before) + MARKER + os.urandom(7))
        assert any(form in hidden for form in forms()), before


@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "sealed"])
def test_nothing_that_users_gave_is_in_durable_files(start, tmp_path, sealed):
    keys = key_file(tmp_path, _1=key())
    daemon = start(environment=environment(**(encrypted(keys) if sealed else {})), config=None)
    text = MARKER.decode()
    acknowledged = {}
    for life in range(2):
        kinesis = daemon.client("kinesis")
        if life == 0:
            kinesis.create_stream(StreamName=text, ShardCount=1)
            kinesis.add_tags_to_stream(StreamName=text, Tags={text: text})
        for size in (0, 1, 2, 100_000):
            data = MARKER + bytes(size)
            acknowledged[kinesis.put_record(StreamName=text, PartitionKey=text, Data=data)["SequenceNumber"]] = data
        for _ in range(8):  # so that files are filled
            for record in kinesis.put_records(StreamName=text, Records=[{"PartitionKey": text, "Data": MARKER * 15_000}])["Records"]:
                acknowledged[record["SequenceNumber"]] = MARKER * 15_000
        assert records(kinesis, text) == acknowledged
        assert files_with_marker(daemon, "log", "state") == (set() if sealed else {"log", "state"})
        again(daemon)
    assert records(daemon.client("kinesis"), text) == acknowledged
    assert daemon.client("kinesis").list_tags_for_stream(StreamName=text)["Tags"] == [{"Key": text, "Value": text}]
    assert ("encrypted with key 1" in "".join(daemon.lines)) == sealed
    daemon.stop()
    assert files_with_marker(daemon, "log", "state") == (set() if sealed else {"log", "state"})


@pytest.mark.parametrize("sealed", [False, True], ids=["plain", "sealed"])
def test_nothing_is_in_what_memory_mode_spills(start, tmp_path, sealed):
    keys = key_file(tmp_path, _1=key())
    more = {"MILLRACE_STORAGE_MEMORY_LIMIT": "16MiB", "MILLRACE_STORAGE_FILE_SIZE": "4MiB", **(encrypted(keys) if sealed else {})}
    daemon = start(environment=more, config=None)
    kinesis = daemon.client("kinesis")
    kinesis.create_stream(StreamName="spilled", ShardCount=1)
    data = MARKER * 20_000
    for _ in range(48):
        kinesis.put_record(StreamName="spilled", PartitionKey=MARKER.decode(), Data=data)
    assert set(records(kinesis, "spilled").values()) == {data}
    assert files_with_marker(daemon, "spill") == (set() if sealed else {"spill"})
    metrics = http("GET", daemon.aws + "/_millrace/metrics").body.decode().splitlines()
    values = dict(line.rsplit(" ", 1) for line in metrics if line.startswith("millrace_storage_"))
    assert all(float(values[f"millrace_storage_{name}"]) > 0 for name in ("file_bytes", "evicted_chunks_total", "file_reads_total"))
    daemon.stop()


def test_keys_are_changed_by_a_line_and_a_start(start, tmp_path):
    first, second = key(), key()
    keys = key_file(tmp_path, _1=first)
    daemon = start(environment=environment(**encrypted(keys)))
    kept = {}
    for life, lines in enumerate([{"_1": first}, {"_1": first, "_2": second}]):
        key_file(tmp_path, **lines)
        again(daemon)
        kinesis = daemon.client("kinesis")
        for number in range(10):
            data = b"%d-%d" % (life, number)
            kept[kinesis.put_record(StreamName="events", PartitionKey=str(number), Data=data)["SequenceNumber"]] = data
    assert "encrypted with key 2" in "".join(daemon.lines)
    again(daemon)
    assert records(daemon.client("kinesis")) == kept
    daemon.kill()

    key_file(tmp_path, _2=second)
    said = refused(daemon)
    assert f"{daemon.data}/log/journal-" in said and "sealed by key 1, which is not given" in said, said
    key_file(tmp_path, _1=second, _2=first)
    assert "another one than is given" in refused(daemon)
    del daemon.environment["MILLRACE_STORAGE_ENCRYPTION_KEYS"]
    daemon.environment["MILLRACE_STORAGE_ENCRYPTION"] = "none"
    assert "which is not given" in refused(daemon)
    daemon.environment["MILLRACE_STORAGE_ON_DAMAGE"] = "serve"
    assert "which is not given" in refused(daemon)

    # Turned off, with keys for what is there; they come in the environment now.
    daemon.environment[TEXT] = f"1 {first},2 {second}"
    again(daemon)
    assert records(daemon.client("kinesis")) == kept
    assert "encrypted" not in "".join(daemon.lines)
    with open(f"/proc/{daemon.process.pid}/environ", "rb") as seen:
        assert first.encode() not in seen.read()
    for secret in (first, second):
        assert secret not in daemon.log() and secret not in "".join(daemon.lines)


def test_the_log_is_read_with_keys_only(start, tmp_path):
    keys = key_file(tmp_path, _1=key())
    daemon = start(environment=environment(**encrypted(keys)))
    daemon.client("kinesis").put_record(StreamName="events", PartitionKey="k", Data=b"a record")
    kept = records(daemon.client("kinesis"))
    for life in ("running", "killed"):
        given = {"env": {**CLEAN_ENVIRONMENT, TEXT: keys.read_text()}}
        for options in (("--keys", str(keys)), ()):
            more = {} if options else given
            assert log(daemon, "verify", *options, **more).returncode == 0, life
            assert "Stream events" in log(daemon, "inspect", *options, **more).stdout
            done = log(daemon, "export", *options, **more)
            assert done.returncode == 0, done.stderr
            assert [base64.b64decode(json.loads(line)["data"]) for line in done.stdout.splitlines()] == list(kept.values())
        assert exported(daemon, "--keys", str(keys))[0]["partitionKey"] == "k"
        seen = log(daemon, "inspect")
        assert seen.returncode == 2
        assert "key 1 is needed: give it with --keys" in seen.stdout and "events" not in seen.stdout, seen.stdout
        verified = log(daemon, "verify")
        assert verified.returncode == 2 and "key 1 is needed" in verified.stdout, verified.stdout
        done = log(daemon, "export")
        assert (done.returncode, done.stdout) == (2, "") and "sealed by key 1" in done.stderr, done.stderr
        wrong = log(daemon, "export", "--keys", str(key_file(tmp_path / "..", _1=key())))
        assert wrong.returncode == 2 and "another one" in wrong.stderr, wrong.stderr
        daemon.kill()


def test_damage_of_the_log_that_is_served_is_told_by_health(start):
    daemon = start(environment=environment())
    kinesis = daemon.client("kinesis")
    for data in (b"the first of all", b"the second"):
        kinesis.put_record(StreamName="events", PartitionKey="a", Data=data)
    daemon.kill()
    (file,) = [path for path in (daemon.data / "log").glob("journal-*") if b"the first of all" in path.read_bytes()]
    with open(file, "r+b") as out:
        out.seek(file.read_bytes().index(b"the first of all"))
        out.write(b"T")
    assert f"{file}: " in refused(daemon)
    daemon.environment["MILLRACE_STORAGE_ON_DAMAGE"] = "serve"
    again(daemon)
    assert list(records(daemon.client("kinesis")).values()) == [b"the second"]
    health = http("GET", daemon.aws + "/_millrace/health").json()
    assert health["status"] == "degraded"
    reason = health["problems"][0]["reason"]
    assert f"found at the start: {file}: " in reason and "are damaged and hide records 0 to 0 of log " in reason
    assert "millrace_storage_damage_found 1\n" in http("GET", daemon.aws + "/_millrace/metrics").body.decode()


def test_records_of_an_encrypted_stream_are_exported(start):
    """Running, and from files that are whole; with the key that the daemon has made itself."""
    daemon = start(environment=environment(), config=None)
    kinesis = daemon.client("kinesis")
    kinesis.create_stream(StreamName="s", ShardCount=1)
    put = []
    for encrypted_now in (False, True, False):
        if encrypted_now:
            kinesis.start_stream_encryption(StreamName="s", EncryptionType="KMS", KeyId="alias/aws/kinesis")
        elif put:
            kinesis.stop_stream_encryption(StreamName="s", EncryptionType="KMS", KeyId="alias/aws/kinesis")
        for _ in range(5):
            put.append(kinesis.put_record(StreamName="s", Data=MARKER, PartitionKey="k")["SequenceNumber"])
    assert [line["sequenceNumber"] for line in exported(daemon)] == put
    daemon.stop()
    assert [line["sequenceNumber"] for line in exported(daemon)] == put
    assert "sound" in log(daemon, "verify").stdout
