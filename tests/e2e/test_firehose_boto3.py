"""Firehose through boto3."""

import re
import time

import pytest
from botocore.exceptions import ClientError

from conftest import PATIENCE

ROLE = "arn:aws:iam::123456789012:role/any-role"


def members(name, stream, bucket="bucket-of-tests", **s3):
    return {
        "DeliveryStreamName": name,
        "DeliveryStreamType": "KinesisStreamAsSource",
        "KinesisStreamSourceConfiguration": {
            "KinesisStreamARN": f"arn:aws:kinesis:us-east-1:000000000000:stream/{stream}",
            "RoleARN": ROLE,
        },
        "ExtendedS3DestinationConfiguration": {"BucketARN": f"arn:aws:s3:::{bucket}", "RoleARN": ROLE, **s3},
    }


def newline():
    return {"ProcessingConfiguration": {"Enabled": True, "Processors": [{"Type": "AppendDelimiterToRecord", "Parameters": []}]}}


def refused(call, **arguments):
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def test_a_delivery_stream_from_creation_to_deletion(daemon, kinesis, firehose, stream):
    hints = {"SizeInMBs": 3, "IntervalInSeconds": 60}
    arn = firehose.create_delivery_stream(**members("life", stream, Prefix="in/", BufferingHints=hints, **newline()))["DeliveryStreamARN"]
    assert arn == "arn:aws:firehose:us-east-1:000000000000:deliverystream/life"
    description = firehose.describe_delivery_stream(DeliveryStreamName="life")["DeliveryStreamDescription"]
    assert description["DeliveryStreamStatus"] == "ACTIVE"
    assert description["DeliveryStreamType"] == "KinesisStreamAsSource"
    assert description["DeliveryStreamARN"] == arn
    assert description["VersionId"] == "1"
    assert description["HasMoreDestinations"] is False
    source = description["Source"]["KinesisStreamSourceDescription"]
    assert source["KinesisStreamARN"].endswith(f"stream/{stream}")
    assert source["RoleARN"] == ROLE
    (destination,) = description["Destinations"]
    assert destination["DestinationId"] == "destinationId-000000000001"
    s3 = destination["ExtendedS3DestinationDescription"]
    assert (s3["BucketARN"], s3["Prefix"], s3["BufferingHints"]) == ("arn:aws:s3:::bucket-of-tests", "in/", hints)
    assert s3["CompressionFormat"] == "UNCOMPRESSED"
    assert s3["ProcessingConfiguration"]["Processors"][0]["Type"] == "AppendDelimiterToRecord"

    kinesis.put_record(StreamName=stream, Data=b"one", PartitionKey="k")
    kinesis.put_record(StreamName=stream, Data=b"two", PartitionKey="k")
    daemon.flush()
    (path,) = [p for p in daemon.objects("bucket-of-tests") if str(p).startswith("in/")]
    assert re.fullmatch(r"in/\d{4}/\d\d/\d\d/\d\d/life-1-\d{4}(-\d\d){5}-[0-9a-f-]{36}", str(path))
    assert (daemon.data / "s3/bucket-of-tests" / path).read_bytes() == b"one\ntwo\n"

    assert refused(firehose.create_delivery_stream, **members("life", stream)) == (
        "ResourceInUseException",
        "Firehose life under accountId 000000000000 already exists",
    )
    firehose.delete_delivery_stream(DeliveryStreamName="life")
    assert refused(firehose.describe_delivery_stream, DeliveryStreamName="life") == (
        "ResourceNotFoundException",
        "Firehose life under account 000000000000 not found.",
    )


def test_names_are_listed_in_pages(firehose, stream):
    for name in ("page-a", "page-b", "page-c"):
        firehose.create_delivery_stream(**members(name, stream))
    page = firehose.list_delivery_streams(Limit=2, ExclusiveStartDeliveryStreamName="page-")
    assert (page["DeliveryStreamNames"], page["HasMoreDeliveryStreams"]) == (["page-a", "page-b"], True)
    page = firehose.list_delivery_streams(Limit=2, ExclusiveStartDeliveryStreamName="page-b")
    assert (page["DeliveryStreamNames"], page["HasMoreDeliveryStreams"]) == (["page-c"], False)
    assert firehose.list_delivery_streams(DeliveryStreamType="DirectPut")["DeliveryStreamNames"] == []


@pytest.mark.parametrize(
    "change",
    [
        {"CompressionFormat": "GZIP"},
        {"Prefix": "!{timestamp:yyyy}/", "ErrorOutputPrefix": "e/"},
        {"DynamicPartitioningConfiguration": {"Enabled": True}},
        {"DataFormatConversionConfiguration": {"Enabled": True}},
        {"ProcessingConfiguration": {"Enabled": True, "Processors": [{"Type": "Lambda"}]}},
        {"S3BackupMode": "Enabled"},
        {"EncryptionConfiguration": {"KMSEncryptionConfig": {"AWSKMSKeyARN": "arn:aws:kms:us-east-1:000000000000:key/x"}}},
        {"CustomTimeZone": "Europe/Berlin"},
        {"FileExtension": ".log"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_not_built_yet_is_refused(firehose, stream, change):
    code, message = refused(firehose.create_delivery_stream, **members("refused", stream, **change))
    assert code == "InvalidArgumentException", message
    assert "refused" not in firehose.list_delivery_streams(Limit=100)["DeliveryStreamNames"]


def test_direct_put_is_refused(firehose):
    s3 = {"BucketARN": "arn:aws:s3:::b", "RoleARN": ROLE}
    code, _ = refused(firehose.create_delivery_stream, DeliveryStreamName="direct", ExtendedS3DestinationConfiguration=s3)
    assert code == "InvalidArgumentException"


def test_a_source_that_is_not_there_is_refused(firehose):
    code, _ = refused(firehose.create_delivery_stream, **members("no-source", "nowhere"))
    assert code in ("ResourceNotFoundException", "InvalidArgumentException")


def test_only_what_comes_after_creation_is_delivered_and_by_interval(daemon, kinesis, firehose, stream):
    kinesis.put_record(StreamName=stream, Data=b"before", PartitionKey="k")
    firehose.create_delivery_stream(
        **members("interval", stream, bucket="by-interval", BufferingHints={"SizeInMBs": 100, "IntervalInSeconds": 1}, **newline())
    )
    kinesis.put_record(StreamName=stream, Data=b"after", PartitionKey="k")
    deadline = time.monotonic() + PATIENCE
    while not daemon.objects("by-interval"):
        assert time.monotonic() < deadline, "the interval passed and nothing was delivered"
        time.sleep(0.02)
    assert daemon.delivered("by-interval") == b"after\n"


def test_prefix_without_a_slash_gets_the_date_at_once(daemon, kinesis, firehose, stream):
    firehose.create_delivery_stream(**members("plain", stream, bucket="plain-prefix", Prefix="legacy"))
    kinesis.put_record(StreamName=stream, Data=b"x", PartitionKey="k")
    kinesis.put_record(StreamName=stream, Data=b"y", PartitionKey="k")
    daemon.flush()
    (path,) = daemon.objects("plain-prefix")
    assert re.match(r"legacy\d{4}/\d\d/\d\d/\d\d/plain-1-", str(path))
    assert daemon.delivered("plain-prefix") == b"xy"
