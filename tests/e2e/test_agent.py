"""millrace agent: lines of files that grow and rotate, sent to a running daemon."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys

import boto3
import pytest

from conftest import BINARY, CLEAN_ENVIRONMENT, PATIENCE, http, wait_until

FAST = {"minTimeBetweenFilePollsMillis": 10, "maxBufferAgeMillis": 1000, "maxBufferSizeRecords": 1, "initialPosition": "START_OF_FILE"}


class Agent:
    """One agent.json, run as often as a test wants."""

    def __init__(self, folder, daemon, flows, **members):
        self.folder, self.daemon = folder, daemon
        self.file = folder / "agent.json"
        self.file.write_text(json.dumps({"kinesis.endpoint": daemon.aws, "firehose.endpoint": daemon.aws, "cloudwatch.endpoint": daemon.aws,
                                         "flows": [{**FAST, **flow} for flow in flows], **members}))
        self.process = None

    def start(self):
        log = open(self.folder / "agent.log", "ab")
        self.process = subprocess.Popen([BINARY, "agent", str(self.file)], env=CLEAN_ENVIRONMENT, stderr=log)

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        code = self.process.wait(PATIENCE)
        assert code == (0 if how == signal.SIGTERM else -how), (self.folder / "agent.log").read_text()


@pytest.fixture
def run(tmp_path, daemon):
    made = []

    def make(*flows, **members):
        made.append(Agent(tmp_path, daemon, flows, **members))
        return made[-1]

    yield make
    for agent in made:
        if agent.process and agent.process.poll() is None:
            agent.process.kill()
            agent.process.wait()


@pytest.fixture
def stream(kinesis, name):
    kinesis.create_stream(StreamName=name, ShardCount=1)
    yield name
    kinesis.delete_stream(StreamName=name)


def sent(kinesis, stream):
    iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    records = []
    while True:
        page = kinesis.get_records(ShardIterator=iterator)
        if not page["Records"]:
            return [r["Data"] for r in records]
        records += page["Records"]
        iterator = page["NextShardIterator"]


def write(path, *lines):
    with open(path, "ab") as file:
        for line in lines:
            file.write(line + b"\n")


def numbered(first, last):
    return [b"line %d" % i for i in range(first, last)]


def test_each_line_arrives_once_through_rotations_and_restarts(run, tmp_path, kinesis, stream):
    log = tmp_path / "app.log"
    agent = run({"filePattern": f"{tmp_path}/app.log*", "kinesisStream": stream, "partitionKeyOption": "DETERMINISTIC"})
    write(log, *numbered(0, 10))
    agent.start()
    wait_until(lambda: len(sent(kinesis, stream)) == 10)
    write(log, *numbered(10, 15))
    log.rename(tmp_path / "app.log.1")  # while it may not all be read
    write(log, *numbered(15, 20))
    wait_until(lambda: len(sent(kinesis, stream)) == 20)
    agent.end()

    write(log, *numbered(20, 25))
    os.replace(tmp_path / "app.log.1", tmp_path / "app.log.2")
    os.replace(log, tmp_path / "app.log.1")
    write(log, *numbered(25, 30))
    agent.start()
    wait_until(lambda: len(sent(kinesis, stream)) == 30)
    shutil.copyfile(log, tmp_path / "app.log.0")  # then what logrotate calls copytruncate
    os.truncate(log, 0)
    write(log, *numbered(30, 35))
    wait_until(lambda: len(sent(kinesis, stream)) == 35)
    agent.end()
    assert sent(kinesis, stream) == [line + b"\n" for line in numbered(0, 35)]


def test_a_kill_loses_nothing_and_one_that_waits_is_sent_later(run, tmp_path, start, kinesis):
    daemon = start()
    client = daemon.client("kinesis")
    client.create_stream(StreamName="s", ShardCount=1)
    log = tmp_path / "app.log"
    agent = run({"filePattern": str(log), "kinesisStream": "s"}, **{"kinesis.endpoint": daemon.aws})
    write(log, *numbered(0, 500))
    agent.start()
    wait_until(lambda: len(sent(client, "s")) > 100)
    agent.end(signal.SIGKILL)
    write(log, *numbered(500, 600))
    agent.start()
    wait_until(lambda: sent(client, "s")[-1:] == [b"line 599\n"])
    agent.end()
    arrived = sent(client, "s")
    assert list(dict.fromkeys(arrived)) == [line + b"\n" for line in numbered(0, 600)]
    client.delete_stream(StreamName="s")
    write(log, *numbered(600, 610))
    agent.start()
    wait_until(lambda: "ResourceNotFoundException" in (tmp_path / "agent.log").read_text())
    client.create_stream(StreamName="s", ShardCount=1)
    wait_until(lambda: sent(client, "s") == [line + b"\n" for line in numbered(600, 610)])
    agent.end()


def test_records_are_put_together_and_converted(run, tmp_path, kinesis, daemon, stream, name):
    apache = '64.242.88.10 - - [07/Mar/2004:16:10:02 -0800] "GET /list HTTP/1.1" 200 6291'
    others = [name + suffix for suffix in ("-csv", "-apache")]
    for other in others:
        kinesis.create_stream(StreamName=other, ShardCount=1)
    agent = run({"filePattern": f"{tmp_path}/java.log", "kinesisStream": stream, "multiLineStartPattern": r"\d{4}-",
                 "dataProcessingOptions": [{"optionName": "SINGLELINE"}]},
                {"filePattern": f"{tmp_path}/a.csv", "kinesisStream": others[0], "skipHeaderLines": 1,
                 "dataProcessingOptions": [{"optionName": "CSVTOJSON", "customFieldNames": ["a", "b", "c"], "delimiter": ";"}]},
                {"filePattern": f"{tmp_path}/access.log", "kinesisStream": others[1],
                 "dataProcessingOptions": [{"optionName": "LOGTOJSON", "logFormat": "COMMONAPACHELOG"}]})
    write(tmp_path / "java.log", b"2026-01-01 failed", b"  at a", b"  at b", b"2026-01-02 fine", b"2026-01-03")
    write(tmp_path / "a.csv", b"header", b'1;"x";\xc3\xa9', b"2")
    write(tmp_path / "access.log", apache.encode(), b"no such line")
    agent.start()
    wait_until(lambda: len(sent(kinesis, stream)) == 3 and len(sent(kinesis, others[0])) == 2 and sent(kinesis, others[1]))
    agent.end()
    assert sent(kinesis, stream) == [b"2026-01-01 failedat aat b\n", b"2026-01-02 fine\n", b"2026-01-03\n"]
    assert [json.loads(r) for r in sent(kinesis, others[0])] == [{"a": "1", "b": '"x"', "c": "é"}, {"a": "2", "b": None, "c": None}]
    assert [json.loads(r) for r in sent(kinesis, others[1])] == [
        {"host": "64.242.88.10", "ident": None, "authuser": None, "datetime": "07/Mar/2004:16:10:02 -0800",
         "request": "GET /list HTTP/1.1", "response": "200", "bytes": "6291"}]
    assert b"RecordSendAttempts" in http("GET", daemon.aws + "/_millrace/metrics").body
    for other in others:
        kinesis.delete_stream(StreamName=other)


@pytest.fixture
def firehose(tmp_path):
    """Not ours, which takes no records of clients: moto's stands in for AWS's, and its S3."""
    server = subprocess.Popen([sys.executable, "-c", "import moto.server as s; s.main(['-H', '127.0.0.1', '-p', '0'])"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**CLEAN_ENVIRONMENT, "PYTHONUNBUFFERED": "1"})
    address = next(found.group(1) for found in (re.search(r"Running on (http://127.0.0.1:[0-9]+)", line) for line in server.stdout) if found)
    yield address
    server.kill()
    server.wait()
    server.stdout.close()


def test_firehose_gets_lines_too(run, tmp_path, firehose):
    def client(service):
        return boto3.client(service, endpoint_url=firehose, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")

    client("s3").create_bucket(Bucket="bucket")
    client("firehose").create_delivery_stream(DeliveryStreamName="d", ExtendedS3DestinationConfiguration={
        "BucketARN": "arn:aws:s3:::bucket", "RoleARN": "arn:aws:iam::123456789012:role/r"})
    agent = run({"filePattern": f"{tmp_path}/app.log", "deliveryStream": "d", "maxBufferSizeRecords": 500}, **{"firehose.endpoint": firehose})
    write(tmp_path / "app.log", *numbered(0, 700))
    agent.start()
    checkpoints, size = tmp_path / "millrace-agent.checkpoints", (tmp_path / "app.log").stat().st_size
    wait_until(lambda: checkpoints.exists() and f'"offset": {size}' in checkpoints.read_text())
    agent.end()
    objects = client("s3").list_objects_v2(Bucket="bucket")["Contents"]
    bodies = [client("s3").get_object(Bucket="bucket", Key=one["Key"])["Body"].read() for one in sorted(objects, key=lambda o: o["LastModified"])]
    assert sorted(b"".join(bodies).splitlines()) == sorted(numbered(0, 700))


def test_what_is_wrong_is_named(tmp_path):
    file = tmp_path / "agent.json"
    file.write_text(json.dumps({"assumeRoleARN": "arn", "flows": [{"filePatern": "x", "kinesisStream": "a", "deliveryStream": "b"}]}))
    done = subprocess.run([BINARY, "agent", str(file), "--check"], capture_output=True, text=True, timeout=PATIENCE, env=CLEAN_ENVIRONMENT)
    assert done.returncode == 2
    assert "assumeRoleARN is not available here" in done.stderr and "did you mean 'filePattern'?" in done.stderr
    assert "flows[0].kinesisStream or deliveryStream must be there, and not both" in done.stderr
