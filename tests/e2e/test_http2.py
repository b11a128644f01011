"""HTTP/2 with prior knowledge: clients that users have, against both listeners, beside HTTP/1.1 on the same ports."""

import asyncio
import base64
import json
import subprocess

import httpx

from conftest import CLEAN_ENVIRONMENT, PATIENCE, http

AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=00"
KINESIS = {
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Date": "20260101T000000Z",
    "Authorization": AUTHORIZATION,
}


def target(operation):
    return {**KINESIS, "X-Amz-Target": "Kinesis_20131202." + operation}


def record(index):
    return {
        "StreamName": "events",
        "PartitionKey": f"key-{index}",
        "Data": base64.b64encode(b"record %d" % index).decode(),
    }


def curl(url, headers, body):
    """Status, HTTP version and body as curl sees them."""
    command = ["curl", "--silent", "--show-error", "--http2-prior-knowledge", "--max-time", str(PATIENCE)]
    command += ["--write-out", "\n%{http_code} %{http_version}", "--data-binary", "@-", url]
    for name, value in headers.items():
        command += ["--header", f"{name}: {value}"]
    done = subprocess.run(command, input=body, capture_output=True, env=CLEAN_ENVIRONMENT, timeout=2 * PATIENCE, check=True)
    text, _, last = done.stdout.rpartition(b"\n")
    status, version = last.decode().split()
    return int(status), version, text


def test_curl_puts_records_and_events(start):
    daemon = start()
    status, version, body = curl(daemon.aws + "/", target("PutRecord"), json.dumps(record(0)).encode())
    assert (status, version) == (200, "2")
    assert json.loads(body)["ShardId"].startswith("shardId-")
    event = b'{"a":1}'
    status, version, body = curl(daemon.gateway + "/PROD/v1", {"Content-Type": "application/json"}, event)
    assert (status, version) == (200, "2")
    assert json.loads(body)["SequenceNumber"]
    # The same port speaks HTTP/1.1 to who asks for it.
    reply = http("POST", daemon.gateway + "/PROD/v1", event, {"Content-Type": "application/json"})
    assert reply.status == 200
    daemon.stop()


def test_curl_sends_a_body_that_must_wait_for_its_window(start):
    daemon = start()
    records = [{"PartitionKey": "k", "Data": base64.b64encode(b"x" * 10_000).decode()} for _ in range(400)]
    body = json.dumps({"StreamName": "events", "Records": records}).encode()
    status, _, reply = curl(daemon.aws + "/", target("PutRecords"), body)
    assert status == 200
    assert json.loads(reply)["FailedRecordCount"] == 0
    status, _, reply = curl(daemon.aws + "/", target("PutRecords"), b"x" * 30_000_000)
    assert status == 413
    assert b"RequestEntityTooLarge" in reply
    daemon.stop()


def test_64_requests_at_a_time_over_one_connection(start):
    daemon = start()
    count = 640

    async def load():
        limits = httpx.Limits(max_connections=1)
        async with httpx.AsyncClient(http1=False, http2=True, limits=limits, timeout=PATIENCE, trust_env=False) as client:
            places = asyncio.Semaphore(64)

            async def put(index):
                async with places:
                    reply = await client.post(daemon.aws + "/", headers=target("PutRecord"), json=record(index))
                    assert reply.http_version == "HTTP/2"
                    assert reply.status_code == 200, reply.text
                    return reply.json()["SequenceNumber"]

            return await asyncio.gather(*map(put, range(count)))

    numbers = asyncio.run(load())
    assert len(set(numbers)) == count
    kinesis = daemon.client("kinesis")
    found = set()
    for shard in kinesis.list_shards(StreamName="events")["Shards"]:
        iterator = kinesis.get_shard_iterator(
            StreamName="events", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        while records := kinesis.get_records(ShardIterator=iterator):
            if not records["Records"]:
                break
            found.update(one["SequenceNumber"] for one in records["Records"])
            iterator = records["NextShardIterator"]
    assert found == set(numbers)
    daemon.stop()


def test_a_large_reply_comes_whole(start):
    daemon = start()
    kinesis = daemon.client("kinesis")
    kinesis.create_stream(StreamName="large", ShardCount=1)
    data = [bytes([65 + i]) * 1_000_000 for i in range(8)]
    for one in data:
        kinesis.put_record(StreamName="large", PartitionKey="k", Data=one)
    iterator = kinesis.get_shard_iterator(
        StreamName="large", ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    status, _, body = curl(daemon.aws + "/", target("GetRecords"), json.dumps({"ShardIterator": iterator}).encode())
    assert status == 200
    assert [base64.b64decode(one["Data"]) for one in json.loads(body)["Records"]] == data
    daemon.stop()
