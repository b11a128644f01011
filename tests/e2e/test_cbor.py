"""Kinesis in CBOR, as the Java SDKs speak it: application/x-amz-cbor-1.1 with another implementation of CBOR."""

import datetime

import cbor2
import pytest

from conftest import http

CBOR = "application/x-amz-cbor-1.1"
AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=00"
EPOCH_TAG = 1


def decoded(data):
    """Tag 1 stands before milliseconds here, not before RFC 8949's seconds: it is kept as it is."""
    return cbor2.loads(data, semantic_decoders={EPOCH_TAG: lambda value, _: cbor2.CBORTag(EPOCH_TAG, value)})


class Client:
    def __init__(self, daemon):
        self.daemon = daemon

    def send(self, operation, body):
        headers = {
            "Content-Type": CBOR,
            "X-Amz-Target": "Kinesis_20131202." + operation,
            "X-Amz-Date": "20260101T000000Z",
            "Authorization": AUTHORIZATION,
        }
        return http("POST", self.daemon.aws, body, headers)

    def __call__(self, operation, **members):
        answer = self.send(operation, cbor2.dumps(members))
        assert answer.status == 200, decoded(answer.body)
        assert answer.headers["Content-Type"] == CBOR
        return decoded(answer.body) if answer.body else None

    def refused(self, operation, **members):
        answer = self.send(operation, cbor2.dumps(members))
        assert answer.status == 400
        assert answer.headers["Content-Type"] == CBOR
        return decoded(answer.body)


@pytest.fixture
def cbor(daemon):
    return Client(daemon)


def test_records_go_in_and_come_out_as_bytes(cbor, kinesis, stream):
    data = [bytes([n % 256]) * n for n in (0, 1, 23, 24, 255, 256, 70_000)]
    for batch in (data[:3], data[3:]):
        reply = cbor("PutRecords", StreamName=stream, Records=[{"Data": one, "PartitionKey": "ключ"} for one in batch])
        assert reply["FailedRecordCount"] == 0
        assert [record["ShardId"] for record in reply["Records"]] == [reply["Records"][0]["ShardId"]] * len(batch)
    last = cbor("PutRecord", StreamName=stream, Data=b"last", PartitionKey="ключ")
    iterator = cbor("GetShardIterator", StreamName=stream, ShardId=last["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    page = cbor("GetRecords", ShardIterator=iterator)
    assert [record["Data"] for record in page["Records"]] == [*data, b"last"]
    assert {record["PartitionKey"] for record in page["Records"]} == {"ключ"}
    assert page["Records"][-1]["SequenceNumber"] == last["SequenceNumber"]
    assert page["MillisBehindLatest"] == 0
    arrival = page["Records"][-1]["ApproximateArrivalTimestamp"]
    assert (arrival.tag, type(arrival.value)) == (EPOCH_TAG, int)
    # The other wire sees the same.
    there = kinesis.get_records(ShardIterator=iterator)["Records"]
    assert [record["Data"] for record in there] == [*data, b"last"]
    assert there[-1]["ApproximateArrivalTimestamp"] == datetime.datetime.fromtimestamp(
        arrival.value / 1000, there[-1]["ApproximateArrivalTimestamp"].tzinfo
    )


def test_a_timestamp_is_tag_1_before_milliseconds(cbor, stream):
    first = cbor("PutRecord", StreamName=stream, Data=b"1", PartitionKey="k")
    iterator = cbor("GetShardIterator", StreamName=stream, ShardId=first["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    arrival = cbor("GetRecords", ShardIterator=iterator)["Records"][0]["ApproximateArrivalTimestamp"].value
    for given, records in ((arrival, 1), (arrival - 1000, 1)):
        at = cbor(
            "GetShardIterator",
            StreamName=stream,
            ShardId=first["ShardId"],
            ShardIteratorType="AT_TIMESTAMP",
            Timestamp=cbor2.CBORTag(EPOCH_TAG, given),
        )["ShardIterator"]
        assert len(cbor("GetRecords", ShardIterator=at)["Records"]) == records
    description = cbor("DescribeStream", StreamName=stream)["StreamDescription"]
    assert type(description["StreamCreationTimestamp"].value) is int


def test_a_large_page_comes_in_pieces(cbor, stream):
    records = [{"Data": bytes([n]) * 100_000, "PartitionKey": "k"} for n in range(30)]
    cbor("PutRecords", StreamName=stream, Records=records)
    shard = cbor("PutRecord", StreamName=stream, Data=b"", PartitionKey="k")["ShardId"]
    iterator = cbor("GetShardIterator", StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    page = cbor("GetRecords", ShardIterator=iterator)
    assert [record["Data"] for record in page["Records"]] == [record["Data"] for record in records] + [b""]


def test_jacksons_indefinite_lengths_are_read(cbor, stream):
    body = b"\xbf" + cbor2.dumps("StreamName") + cbor2.dumps(stream) + cbor2.dumps("Records") + b"\x9f"
    body += b"\xbf" + cbor2.dumps("Data") + b"\x5f\x42ab\x41c\xff"
    body += cbor2.dumps("PartitionKey") + b"\x7f\x61k\x61k\xff\xff\xff\xff"
    answer = cbor.send("PutRecords", body)
    assert answer.status == 200
    shard = decoded(answer.body)["Records"][0]["ShardId"]
    iterator = cbor("GetShardIterator", StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    (record,) = cbor("GetRecords", ShardIterator=iterator)["Records"]
    assert (record["Data"], record["PartitionKey"]) == (b"abc", "kk")


def test_errors_come_in_cbor(cbor, name):
    assert cbor.refused("DescribeStream", StreamName=name) == {
        "__type": "ResourceNotFoundException",
        "message": f"Stream {name} under account 000000000000 not found.",
    }
    assert cbor.refused("PutRecord", StreamName=name, Data=b"", PartitionKey=7) == {
        "__type": "SerializationException",
        "Message": "class com.amazon.coral.value.json.numbers.TruncatingBigNumber can not be converted to an String",
    }
    for malformed in (b"\xa1", b"\x80", b"\xbf\x61a", b"\xa0\x00", b"{}"):
        answer = cbor.send("ListStreams", malformed)
        assert (answer.status, decoded(answer.body)) == (400, {"__type": "SerializationException"})


def test_firehose_has_no_cbor(daemon):
    headers = {"Content-Type": CBOR, "X-Amz-Target": "Firehose_20150804.ListDeliveryStreams"}
    answer = http("POST", daemon.aws, b"\xa0", headers)
    assert (answer.status, answer.body) == (404, b"<UnknownOperationException/>\n")
