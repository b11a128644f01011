"""Durable mode: what was acknowledged outlives the process."""

import json
import os
import signal
import subprocess

import pytest

from conftest import BINARY, PATIENCE, http
from test_lifecycle import block_bucket, put
from test_main_job import wait_until

SYNCS = ["always", "os"]


def environment(sync="always", **more):
    return {"MILLRACE_STORAGE_MODE": "durable", "MILLRACE_STORAGE_SYNC": sync, "MILLRACE_STORAGE_FILE_SIZE": "4MiB", **more}


def again(daemon):
    """The next start over the same directory."""
    daemon.kill()
    daemon.lines = []
    return daemon.start()


def records(kinesis, stream="events"):
    found = {}
    for shard in kinesis.list_shards(StreamName=stream)["Shards"]:
        iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        while True:
            page = kinesis.get_records(ShardIterator=iterator)
            for record in page["Records"]:
                found[record["SequenceNumber"]] = record["Data"]
            if page["MillisBehindLatest"] == 0:
                break
            iterator = page["NextShardIterator"]
    return found


@pytest.mark.parametrize("sync", SYNCS)
def test_what_was_acknowledged_outlives_a_kill(start, sync):
    daemon = start(environment=environment(sync))
    acknowledged = {}
    for life in range(3):
        kinesis = daemon.client("kinesis")
        for number in range(20):
            data = b"%d-%d" % (life, number)
            reply = kinesis.put_record(StreamName="events", Data=data, PartitionKey=str(number))
            acknowledged[reply["SequenceNumber"]] = data
        again(daemon)
        assert records(daemon.client("kinesis")) == acknowledged
    daemon.flush()
    assert sorted(daemon.delivered().splitlines()) == sorted(acknowledged.values())


def test_streams_iterators_and_apis_are_as_they_were(start):
    daemon = start(environment=environment())
    kinesis = daemon.client("kinesis")
    kinesis.create_stream(StreamName="made", ShardCount=3)
    kinesis.add_tags_to_stream(StreamName="made", Tags={"team": "web"})
    kinesis.increase_stream_retention_period(StreamName="made", RetentionPeriodHours=48)
    kinesis.create_stream(StreamName="gone", ShardCount=1)
    kinesis.delete_stream(StreamName="gone")
    put(daemon, b"first")
    before = kinesis.describe_stream(StreamName="made")["StreamDescription"]
    shard = [each["ShardId"] for each in kinesis.list_shards(StreamName="events")["Shards"]]
    iterators = [kinesis.get_shard_iterator(StreamName="events", ShardId=each, ShardIteratorType="TRIM_HORIZON")["ShardIterator"] for each in shard]
    delivery = daemon.client("firehose").describe_delivery_stream(DeliveryStreamName="events-to-s3")["DeliveryStreamDescription"]
    api = daemon.api_id()

    again(daemon)
    kinesis = daemon.client("kinesis")
    assert kinesis.describe_stream(StreamName="made")["StreamDescription"] == before
    assert kinesis.list_tags_for_stream(StreamName="made")["Tags"] == [{"Key": "team", "Value": "web"}]
    assert kinesis.list_streams()["StreamNames"] == ["events", "made"]
    read = [record["Data"] for iterator in iterators for record in kinesis.get_records(ShardIterator=iterator)["Records"]]
    assert read == [b"first"]
    assert daemon.client("firehose").describe_delivery_stream(DeliveryStreamName="events-to-s3")["DeliveryStreamDescription"] == delivery
    assert daemon.api_id() == api
    assert http("POST", f"{daemon.gateway}/PROD/v1", b'{"event":"click"}').status == 200


def test_a_stop_keeps_what_is_not_delivered_and_exits_0(start):
    daemon = start(environment=environment(MILLRACE_SHUTDOWN_DEADLINE="500ms"))
    block_bucket(daemon)
    for number in range(3):
        put(daemon, b"%d" % number)
    daemon.stop(expect=0)
    again(daemon)
    daemon.stop(expect=0)
    assert [entry["undelivered_records"] for entry in daemon.log_entries() if "undelivered_records" in entry] == [3, 3]
    (daemon.data / "s3/datalake").unlink()
    again(daemon)
    daemon.flush()
    assert daemon.delivered() == b"0\n1\n2\n"
    daemon.stop()
    assert daemon.log_entries()[-1]["message"] == "stopped"


@pytest.mark.parametrize("sync", SYNCS)
def test_a_second_signal_loses_nothing_acknowledged(start, sync):
    daemon = start(environment=environment(sync, MILLRACE_SHUTDOWN_DEADLINE="60s"))
    block_bucket(daemon)
    put(daemon, b"kept")
    daemon.process.send_signal(signal.SIGINT)
    daemon.wait_for("stopping")
    daemon.process.send_signal(signal.SIGINT)
    assert daemon.wait() == 130
    (daemon.data / "s3/datalake").unlink()
    again(daemon)
    assert list(records(daemon.client("kinesis")).values()) == [b"kept"]


def test_a_second_daemon_is_refused_before_it_reads(start):
    daemon = start(environment=environment())
    put(daemon)
    files = lambda: sorted((path.name, path.stat().st_mtime_ns) for folder in ("log", "state") for path in (daemon.data / folder).iterdir())
    before = files()
    done = subprocess.run([BINARY, "serve"], capture_output=True, text=True, env=daemon.environment, timeout=PATIENCE)
    assert done.returncode == 1
    assert "is in use by another millrace" in done.stderr
    assert [name for name, _ in files()] == [name for name, _ in before]


def test_reset_is_off_unless_it_is_enabled(start):
    daemon = start(environment=environment())
    assert http("POST", daemon.aws + "/_millrace/reset").status == 403
    daemon.stop()
    daemon.environment["MILLRACE_ADMIN_RESET"] = "true"
    again(daemon)
    put(daemon)
    assert http("POST", daemon.aws + "/_millrace/reset").status == 200
    again(daemon)
    assert records(daemon.client("kinesis")) == {}


def test_damage_is_refused_with_its_place_or_served_degraded(start):
    daemon = start(environment=environment())
    for name in ("first", "second"):
        daemon.client("kinesis").create_stream(StreamName=name, ShardCount=1)
    daemon.kill()
    (file,) = [path for path in (daemon.data / "state").glob("journal-*") if b'"name":"first"' in path.read_bytes()]
    content = file.read_bytes()
    at = content.index(b'"name":"first"')
    with open(file, "r+b") as out:
        out.seek(at)
        out.write(b'"name":"wrong"')
    done = subprocess.run([BINARY, "serve"], capture_output=True, text=True, env=daemon.environment, timeout=PATIENCE)
    assert done.returncode == 1
    assert f"{file}, offset " in done.stderr and "storage.on_damage: serve" in done.stderr, done.stderr
    daemon.environment["MILLRACE_STORAGE_ON_DAMAGE"] = "serve"
    again(daemon)
    assert daemon.client("kinesis").list_streams()["StreamNames"] == ["events", "second"]
    health = http("GET", daemon.aws + "/_millrace/health").json()
    assert health["status"] == "degraded"
    assert str(file) in health["problems"][0]["reason"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_a_directory_that_cannot_be_written_is_refused(start, tmp_path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    done = subprocess.run(
        [BINARY, "serve"], capture_output=True, text=True, env={**os.environ, **environment(), "MILLRACE_DATA_DIR": str(closed)}, timeout=PATIENCE
    )
    assert done.returncode == 1
    assert "cannot be written" in done.stderr


def test_a_full_log_refuses_puts_and_recovers_when_records_go(start):
    daemon = start(environment=environment("os", MILLRACE_STORAGE_DISK_LIMIT="16MiB"))
    kinesis = daemon.client("kinesis")
    kinesis.create_stream(StreamName="big", ShardCount=1)
    data, taken = b"x" * 500_000, 0
    with pytest.raises(kinesis.exceptions.ProvisionedThroughputExceededException):
        for _ in range(60):
            kinesis.put_record(StreamName="big", Data=data, PartitionKey="k")
            taken += 1
    assert taken > 10
    assert len(records(kinesis, "big")) == taken, "what was acknowledged stays, and is read"
    health = http("GET", f"{daemon.aws}/_millrace/health").json()
    assert health["status"] == "degraded" and "disk" in json.dumps(health), health
    kinesis.add_tags_to_stream(StreamName="big", Tags={"still": "works"})
    kinesis.delete_stream(StreamName="big", EnforceConsumerDeletion=True)
    wait_until(lambda: http("GET", f"{daemon.aws}/_millrace/health").json()["status"] == "ok")
    kinesis.put_record(StreamName="events", Data=data, PartitionKey="k")
