"""AWS's rates and quotas as clients meet them: refused without retries, slower with them."""

import re
import time

import botocore.exceptions
import pytest

from conftest import PATIENCE, http, running

CONFIG = """
limits: {enforce: true, exempt: ['bulk*']}
streams:
""" + "".join(f"  - {{StreamName: declared-{i}, ShardCount: 1}}\n" for i in range(8))

RETRYING = {"retries": {"mode": "standard", "total_max_attempts": 12}}


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    with running(tmp_path_factory.mktemp("limited"), CONFIG) as daemon:
        yield daemon


def refused(call, code):
    """The text with which one of many calls is refused."""
    for _ in range(200):
        try:
            call()
        except botocore.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == code
            return error.response["Error"]["Message"]
    raise AssertionError("none of 200 calls was refused")


def test_declared_streams_are_made_whatever_the_rates(limited):
    client = limited.client("kinesis", **RETRYING)
    assert client.list_streams()["StreamNames"][:8] == [f"declared-{i}" for i in range(8)]


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
def test_a_client_that_retries_gets_there(limited, mode):
    client = limited.client("kinesis", retries={"mode": mode, "total_max_attempts": 12})
    for _ in range(8):
        assert client.list_streams()["StreamNames"]


def test_calls_are_refused_in_aws_words(limited):
    client = limited.client("kinesis")
    assert refused(client.describe_limits, "LimitExceededException") == "Rate exceeded for account 000000000000."
    text = refused(lambda: client.describe_stream(StreamName="declared-1"), "LimitExceededException")
    assert text == "Rate exceeded for stream declared-1 under account 000000000000."
    arguments = {"StreamName": "declared-2", "ShardId": "shardId-000000000000", "ShardIteratorType": "LATEST"}
    text = refused(lambda: client.get_shard_iterator(**arguments), "ProvisionedThroughputExceededException")
    assert text == "Rate exceeded for shard shardId-000000000000 in stream declared-2 under account 000000000000."


def test_a_producer_that_puts_again_what_failed_loses_nothing(limited):
    client = limited.client("kinesis", **RETRYING)
    waiting = [{"Data": str(i).encode(), "PartitionKey": "k"} for i in range(3000)]
    failures = 0
    deadline = time.monotonic() + PATIENCE
    while waiting:
        batch, waiting = waiting[:500], waiting[500:]
        reply = client.put_records(StreamName="declared-3", Records=batch)
        failed = [record for record, result in zip(batch, reply["Records"]) if "ErrorCode" in result]
        assert reply["FailedRecordCount"] == len(failed)
        for result in reply["Records"]:
            if "ErrorCode" in result:
                assert result == {
                    "ErrorCode": "ProvisionedThroughputExceededException",
                    "ErrorMessage": "Rate exceeded for shard shardId-000000000000 in stream declared-3 under account 000000000000.",
                }
        failures += len(failed)
        waiting = failed + waiting
        if failed:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert failures > 0

    iterator = client.get_shard_iterator(
        StreamName="declared-3", ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    seen = []
    while len(seen) < 3000:
        page = client.get_records(ShardIterator=iterator, Limit=400)  # eight calls, of which five a second are allowed
        seen += [int(record["Data"]) for record in page["Records"]]
        iterator = page["NextShardIterator"]
    assert sorted(seen) == list(range(3000))

    text = http("GET", limited.aws + "/_millrace/metrics").body.decode()
    counted = re.search(
        r'millrace_shard_write_throughput_exceeded_total\{stream="declared-3",shard="shardId-000000000000"\} (\d+)', text
    )
    assert int(counted[1]) == failures
    assert re.search(r'millrace_shard_read_throughput_exceeded_total\{stream="declared-3",shard=".*"\} [1-9]', text)


def test_an_exempt_stream_takes_whatever_comes(limited):
    client = limited.client("kinesis", **RETRYING)
    client.create_stream(StreamName="bulk-1", ShardCount=1)
    records = [{"Data": b"x" * 10_000, "PartitionKey": "k"} for _ in range(500)]
    for _ in range(4):
        assert client.put_records(StreamName="bulk-1", Records=records)["FailedRecordCount"] == 0


def test_calls_of_an_api_count_too(start):
    daemon = start(environment={"MILLRACE_LIMITS_ENFORCE": "true"})
    event = b'{"text": "' + b"x" * 400_000 + b'"}'
    statuses = []
    while 429 not in statuses and len(statuses) < 200:
        statuses.append(http("POST", daemon.gateway + "/PROD/v1", event, {"Content-Type": "application/json"}).status)
    assert set(statuses) == {200, 429}
