"""`millrace log` beside a daemon in durable mode, and on what it leaves."""

import base64
import json
import os
import subprocess
import threading

import pytest

from conftest import BINARY, CLEAN_ENVIRONMENT, PATIENCE
from test_durable import SYNCS, environment, records


def log(daemon, *words, **options):
    command = [BINARY, "log", *words, "--data-dir", str(daemon.data)]
    settings = {"capture_output": True, "text": True, "timeout": PATIENCE, "env": CLEAN_ENVIRONMENT, **options}
    return subprocess.run(command, **settings)


def exported(daemon, *words, expect=0):
    done = log(daemon, "export", *words)
    assert done.returncode == expect, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def fill(kinesis, stream="events", batches=10):
    for _ in range(batches):
        kinesis.put_records(StreamName=stream, Records=[{"PartitionKey": str(each), "Data": os.urandom(2_000)} for each in range(100)])


@pytest.mark.parametrize("sync", SYNCS)
def test_what_is_exported_is_what_getrecords_gives(start, sync):
    daemon = start(environment=environment(sync))
    kinesis = daemon.client("kinesis")
    fill(kinesis)
    kept = records(kinesis)
    for life in ("running", "killed"):
        assert {line["sequenceNumber"]: base64.b64decode(line["data"]) for line in exported(daemon)} == kept, life
        verified = log(daemon, "verify")
        assert verified.returncode == 0, verified.stdout
        assert ("a daemon is running" in verified.stdout) == (life == "running")
        seen = json.loads(log(daemon, "inspect", "--json").stdout)
        assert seen["running"] == (life == "running")
        assert sum(shard["records"] for shard in seen["streams"][0]["shards"]) == len(kept)
        daemon.kill()
    numbers = [line["sequenceNumber"] for line in exported(daemon, "--shard", "shardId-000000000001")]
    assert numbers == sorted(numbers) and 0 < len(numbers) < len(kept)


def test_a_daemon_at_work_is_never_called_damaged(start):
    """Files are filled, dropped and used again while they are read."""
    daemon = start(environment=environment("always", MILLRACE_STORAGE_FILE_SIZE="1MiB"))
    stop = threading.Event()
    failed = []

    def work():
        try:
            kinesis = daemon.client("kinesis")
            number = 0
            while not stop.is_set():
                number += 1
                kinesis.create_stream(StreamName=f"short-{number}", ShardCount=2)
                fill(kinesis, f"short-{number}", batches=10)
                kinesis.delete_stream(StreamName=f"short-{number}")
        except Exception as error:  # noqa: BLE001
            failed.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        for _ in range(15):
            verified = log(daemon, "verify")
            assert verified.returncode == 0, verified.stdout + verified.stderr
            assert log(daemon, "inspect").returncode == 0
            done = log(daemon, "export", "--orphans")
            assert done.returncode == 0, done.stderr
    finally:
        stop.set()
        worker.join(PATIENCE)
    assert not failed


def test_damage_is_told_by_name(start):
    daemon = start(environment=environment())
    kinesis = daemon.client("kinesis")
    kinesis.put_record(StreamName="events", PartitionKey="a", Data=b"the first of all")
    fill(kinesis)
    daemon.kill()
    (file,) = [path for path in (daemon.data / "log").glob("journal-*") if b"the first of all" in path.read_bytes()]
    with open(file, "r+b") as out:
        out.seek(file.read_bytes().index(b"the first of all"))
        out.write(b"T")
    done = log(daemon, "verify")
    assert done.returncode == 1
    assert f"{file}: offset " in done.stdout
    assert "damaged, hides record 0 of events shardId-00000000000" in done.stdout
    assert len(exported(daemon, expect=1)) == 1000


def test_an_output_that_ends_early(start):
    daemon = start(environment=environment())
    fill(daemon.client("kinesis"))
    with open("/dev/full", "w") as full:
        done = log(daemon, "export", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr == "millrace: the output cannot be written: No space left on device\n"
    reader = subprocess.run(
        ["bash", "-c", f'set -o pipefail; "{BINARY}" log export --data-dir "{daemon.data}" | head -n 1'],
        capture_output=True, text=True, timeout=PATIENCE, env=CLEAN_ENVIRONMENT,
    )  # fmt: skip
    assert (reader.returncode, reader.stderr) == (0, "")
    assert json.loads(reader.stdout)["stream"] == "events"


def test_the_directory_comes_from_the_config_and_mistakes_are_exit_2(start, tmp_path):
    daemon = start(environment=environment())
    done = subprocess.run([BINARY, "log", "verify"], capture_output=True, text=True, env=daemon.environment, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    done = subprocess.run([BINARY, "log", "verify", "--config", "nowhere.yaml"], capture_output=True, text=True, env=CLEAN_ENVIRONMENT, timeout=PATIENCE)
    assert done.returncode == 2 and "nowhere.yaml" in done.stderr
    done = subprocess.run([BINARY, "log", "verify", "--data-dir", str(tmp_path)], capture_output=True, text=True, env=CLEAN_ENVIRONMENT, timeout=PATIENCE)
    assert done.returncode == 2 and "holds no log" in done.stderr
