"""Snapshots by the operator's pages, and going back to one while running."""

import json
import shutil
import subprocess
import time

import pytest

from conftest import BINARY, PATIENCE, http
from test_durable import SYNCS, environment, records
from test_encryption import MARKER, encrypted, files_with_marker, key, key_file
from test_lifecycle import put


def page(daemon, method, path="", expect=200, **more):
    answer = http(method, daemon.aws + "/_millrace/snapshots" + path, **more)
    assert answer.status == expect, (answer.status, answer.body)
    return answer.json()


def names(daemon):
    return [snapshot["name"] for snapshot in page(daemon, "GET")["snapshots"]]


def wait_until_ready(daemon):
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if http("GET", daemon.aws + "/_millrace/ready").status == 200:
                return
        except OSError:
            pass  # between two lives nobody listens
        assert time.monotonic() < deadline, daemon.log()
        time.sleep(0.01)


def restore(daemon, name):
    """Gives the name of the snapshot that holds what there was."""
    prepared = page(daemon, "POST", f"/{name}/restore", expect=202)
    assert prepared["restoring"] == name
    wait_until_ready(daemon)
    assert page(daemon, "GET")["last_restore"]["snapshot"] == name
    return prepared["kept_as"]


@pytest.mark.parametrize("sync", SYNCS)
def test_back_and_forth_while_running(start, sync):
    daemon = start(environment=environment(sync))
    kinesis = daemon.client("kinesis", retries={"total_max_attempts": 5})
    kinesis.create_stream(StreamName="made", ShardCount=3)
    kinesis.add_tags_to_stream(StreamName="made", Tags={"team": "web"})
    for number in range(30):
        kinesis.put_record(StreamName="made", Data=b"then-%d" % number, PartitionKey=str(number))
    put(daemon, b"then")
    then, events_then = records(kinesis, "made"), records(kinesis)
    described = kinesis.describe_stream(StreamName="made")["StreamDescription"]
    made = page(daemon, "POST", "?name=then")
    assert made["name"] == "then" and made["files"] > 1 and made["bytes"] > 0
    assert page(daemon, "GET", "/then") == made

    for number in range(30):
        kinesis.put_record(StreamName="made", Data=b"now-%d" % number, PartitionKey=str(number))
    kinesis.add_tags_to_stream(StreamName="made", Tags={"team": "data"})
    kinesis.create_stream(StreamName="newer", ShardCount=1)
    put(daemon, b"now")
    now, events_now = records(kinesis, "made"), records(kinesis)

    kept_as = restore(daemon, "then")
    assert records(kinesis, "made") == then
    assert records(kinesis) == events_then
    assert kinesis.list_streams()["StreamNames"] == ["events", "made"]
    assert kinesis.list_tags_for_stream(StreamName="made")["Tags"] == [{"Key": "team", "Value": "web"}]
    assert kinesis.describe_stream(StreamName="made")["StreamDescription"] == described
    number = kinesis.put_record(StreamName="made", Data=b"after", PartitionKey="0")["SequenceNumber"]
    assert number not in now and int(number) > max(map(int, now)), "no number names two records"
    daemon.flush()
    assert sorted(daemon.delivered().splitlines()) == [b"then"]
    assert names(daemon) == [kept_as, "then"]

    restore(daemon, kept_as)
    assert records(kinesis, "made") == now
    assert records(kinesis) == events_now
    assert kinesis.list_streams()["StreamNames"] == ["events", "made", "newer"]
    assert daemon.client("firehose").list_delivery_streams()["DeliveryStreamNames"] == ["events-to-s3"]
    for name in names(daemon):
        subprocess.run([BINARY, "log", "verify", "--data-dir", daemon.data / "snapshots" / name], check=True, timeout=PATIENCE)
        page(daemon, "DELETE", "/" + name)
    assert list((daemon.data / "snapshots").iterdir()) == []
    daemon.stop()
    daemon.start()
    assert records(daemon.client("kinesis"), "made") == now


def test_objects_stay_and_what_was_delivered_later_comes_again(start):
    daemon = start(environment=environment())
    put(daemon, b"delivered before")
    daemon.flush()
    put(daemon, b"delivered after")
    page(daemon, "POST", "?name=s")
    daemon.flush()
    assert sorted(daemon.delivered().splitlines()) == [b"delivered after", b"delivered before"]
    restore(daemon, "s")
    daemon.flush()
    assert set(daemon.delivered().splitlines()) == {b"delivered after", b"delivered before"}


def test_a_snapshot_is_a_data_directory(start, tmp_path):
    daemon = start(environment=environment())
    put(daemon, b"one")
    had = records(daemon.client("kinesis"))
    page(daemon, "POST", "?name=s")
    put(daemon, b"two")
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "data").mkdir(parents=True)
    for part in ("log", "state"):
        shutil.copytree(daemon.data / "snapshots/s" / part, elsewhere / "data" / part)
    assert records(start(environment=environment(), directory=elsewhere).client("kinesis")) == had


def test_sealed_ones_need_their_keys(start, tmp_path):
    keys = key_file(tmp_path, _1=key())
    daemon = start(environment=environment(**encrypted(keys)))
    kinesis = daemon.client("kinesis", retries={"total_max_attempts": 5})
    kinesis.put_record(StreamName="events", Data=MARKER, PartitionKey="k")
    had = records(kinesis)
    page(daemon, "POST", "?name=s")
    kinesis.put_record(StreamName="events", Data=MARKER, PartitionKey="k")
    kept_as = restore(daemon, "s")
    assert records(kinesis) == had
    assert files_with_marker(daemon, "log", "state", "snapshots") == set()
    daemon.stop()
    daemon.environment = {**daemon.environment, "MILLRACE_STORAGE_ENCRYPTION": "none", "MILLRACE_STORAGE_ENCRYPTION_KEYS": ""}
    for part in ("log", "state"):
        shutil.rmtree(daemon.data / part)
    daemon.start()
    answer = page(daemon, "POST", f"/{kept_as}/restore", expect=409)
    assert "key" in answer["error"]
    assert names(daemon) == [kept_as, "s"]


def test_what_does_not_start_is_undone(start):
    daemon = start(environment=environment())
    put(daemon, b"one")
    page(daemon, "POST", "?name=s")
    put(daemon, b"two")
    had = records(daemon.client("kinesis"))
    daemon.stop()
    # As a restore leaves it that was ended before its first step, but for heads that went bad since.
    restoring = daemon.data / "restoring"
    for part in ("log", "state"):
        shutil.copytree(daemon.data / "snapshots/s" / part, restoring / part)
    for path in (restoring / "log").iterdir():
        path.write_bytes(b"bad" + path.read_bytes()[3:])
    asked = {"format": 1, "snapshot": "s", "asked_ms": 1796072000000, "kept_as": "replaced-x", "because": ""}
    (restoring / "restore.json").write_text(json.dumps(asked))
    daemon.start()
    assert records(daemon.client("kinesis")) == had
    last = page(daemon, "GET")["last_restore"]
    assert last["snapshot"] == "replaced-x"
    assert last["because"].startswith("s did not start: ")
    assert set(names(daemon)) == {"replaced-x", last["kept_as"], "s"}
    assert not restoring.exists()


def test_what_is_refused(start):
    daemon = start(environment=environment())
    origin = {"Origin": "http://evil.example"}
    page(daemon, "POST", "?name=s", expect=403, headers=origin)
    page(daemon, "POST", "?name=../s", expect=400)
    page(daemon, "POST", "?named=s", expect=400)
    page(daemon, "POST", "?name=s")
    page(daemon, "POST", "?name=s", expect=409)
    page(daemon, "GET", "/other", expect=404)
    page(daemon, "DELETE", "/other", expect=404)
    page(daemon, "POST", "/other/restore", expect=404)
    page(daemon, "POST", "/s/restore", expect=403, headers=origin)
    page(daemon, "DELETE", "/s", expect=403, headers=origin)
    page(daemon, "PUT", "", expect=405)
    page(daemon, "GET", "/s/restore", expect=405)
    assert names(daemon) == ["s"]

    memory = start()
    assert "storage.mode is memory" in page(memory, "POST", "", expect=409)["error"]
