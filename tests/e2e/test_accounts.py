"""Several accounts and regions: each has its own, and policies let others in. By boto3, through restarts."""

import json
import uuid

import boto3
import botocore.config
import botocore.exceptions
import pytest
from conftest import running

A, B = "111122223333", "444455556666"
KEYS = {A: "AKIATEAMA00000000001", B: B}


def client(daemon, account, service="kinesis", region="us-east-1", secret=None):
    return boto3.client(service, endpoint_url=daemon.aws, region_name=region, aws_access_key_id=KEYS.get(account, account),
                        aws_secret_access_key=secret or "secret of " + account,
                        config=botocore.config.Config(retries={"max_attempts": 0}))


def refused(call, **parameters):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**parameters)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def arn(account, stream="s", region="us-east-1"):
    return f"arn:aws:kinesis:{region}:{account}:stream/{stream}"


def data_of(kinesis, stream):
    iterator = kinesis.get_shard_iterator(StreamARN=stream, ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON")
    return [r["Data"] for r in kinesis.get_records(StreamARN=stream, ShardIterator=iterator["ShardIterator"])["Records"]]


@pytest.fixture
def daemon(tmp_path):
    credentials = tmp_path / "credentials"
    credentials.touch(0o600)
    credentials.write_text(f"[a]\naws_access_key_id = {KEYS[A]}\naws_secret_access_key = secret of {A}\naws_account_id = {A}\n"
                           f"[b]\naws_access_key_id = {KEYS[B]}\naws_secret_access_key = secret of {B}\n")
    config = ("multi_account: true\nauth: {credentials: credentials}\nstorage: {mode: durable}\n"
              "streams:\n  - {StreamName: s, ShardCount: 1}\n")
    with running(tmp_path, config) as daemon:
        yield daemon


def test_nothing_mixes_also_after_a_restart(daemon):
    places = [(A, "us-east-1"), (A, "eu-west-1"), (B, "us-east-1")]
    for account, region in places:
        kinesis = client(daemon, account, region=region)
        assert kinesis.list_streams()["StreamNames"] == [], "the declared one is the configured account's"
        kinesis.create_stream(StreamName="s", ShardCount=1)
        kinesis.put_record(StreamName="s", Data=f"{account} {region}".encode(), PartitionKey="k")
        assert client(daemon, account, "sts", region).get_caller_identity()["Account"] == account
    client(daemon, B).create_stream(StreamName="only-b", ShardCount=1)
    client(daemon, B, "firehose").create_delivery_stream(
        DeliveryStreamName="d", DeliveryStreamType="KinesisStreamAsSource",
        KinesisStreamSourceConfiguration={"KinesisStreamARN": arn(B), "RoleARN": f"arn:aws:iam::{B}:role/r"},
        ExtendedS3DestinationConfiguration={"BucketARN": "arn:aws:s3:::bucket", "RoleARN": f"arn:aws:iam::{B}:role/r"})
    for restarted in (False, True):
        if restarted:
            daemon.stop()
            daemon.start()
        for account, region in places:
            kinesis = client(daemon, account, region=region)
            assert kinesis.list_streams()["StreamNames"] == (["only-b", "s"] if account == B else ["s"])
            described = kinesis.describe_stream_summary(StreamName="s")["StreamDescriptionSummary"]
            assert described["StreamARN"] == arn(account, region=region)
            assert data_of(kinesis, described["StreamARN"]) == [f"{account} {region}".encode()]
        assert refused(client(daemon, A).describe_stream, StreamName="only-b")[0] == "ResourceNotFoundException"
        assert client(daemon, A, "firehose").list_delivery_streams()["DeliveryStreamNames"] == []
        assert client(daemon, B, "firehose").list_delivery_streams()["DeliveryStreamNames"] == ["d"]
    assert refused(client(daemon, A, secret="other").list_streams)[0] == "InvalidSignatureException"


def test_a_policy_lets_another_account_in(daemon):
    owner, other = client(daemon, A), client(daemon, B)
    owner.create_stream(StreamName="s", ShardCount=1)
    owner.put_record(StreamName="s", Data=b"mine", PartitionKey="k")
    code, message = refused(other.put_record, StreamARN=arn(A), Data=b"x", PartitionKey="k")
    assert code == "AccessDeniedException" and f"kinesis:PutRecord on resource: {arn(A)}" in message
    reads = {"Effect": "Allow", "Principal": {"AWS": B}, "Action": ["kinesis:Get*", "kinesis:ListShards"], "Resource": arn(A)}
    owner.put_resource_policy(ResourceARN=arn(A), Policy=json.dumps({"Version": "2012-10-17", "Statement": [reads]}))
    assert data_of(other, arn(A)) == [b"mine"]
    assert refused(other.put_record, StreamARN=arn(A), Data=b"x", PartitionKey="k")[0] == "AccessDeniedException"
    assert refused(other.delete_stream, StreamARN=arn(A))[0] == "AccessDeniedException"
    denies = {**reads, "Effect": "Deny", "Action": "kinesis:GetRecords"}
    owner.put_resource_policy(ResourceARN=arn(A), Policy=json.dumps({"Version": "2012-10-17", "Statement": [reads, denies]}))
    code, message = refused(data_of, kinesis=other, stream=arn(A))
    assert code == "AccessDeniedException" and "explicit deny" in message
    owner.delete_resource_policy(ResourceARN=arn(A))
    assert refused(data_of, kinesis=other, stream=arn(A))[0] == "AccessDeniedException"


def test_twelve_digits_are_an_account_where_nothing_is_verified(start):
    daemon = start(config=None, environment={"MILLRACE_MULTI_ACCOUNT": "true"})
    name = uuid.uuid4().hex
    for account in (A, B):
        kinesis = boto3.client("kinesis", endpoint_url=daemon.aws, region_name="us-east-1", aws_access_key_id=account,
                               aws_secret_access_key="any")
        assert kinesis.list_streams()["StreamNames"] == []
        kinesis.create_stream(StreamName=name, ShardCount=1)
    plain = boto3.client("kinesis", endpoint_url=daemon.aws, region_name="us-east-1", aws_access_key_id="test",
                         aws_secret_access_key="test")
    assert plain.list_streams()["StreamNames"] == [], "of the configured account"
