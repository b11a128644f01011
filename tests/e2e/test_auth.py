"""Signatures that are verified, by clients that sign: boto3 and curl."""

import subprocess

import boto3
import botocore.config
import botocore.exceptions
import pytest
from conftest import CLEAN_ENVIRONMENT, PATIENCE, http, running

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
CONFIG = "auth: {credentials: credentials}\n"


@pytest.fixture
def daemon(tmp_path):
    credentials = tmp_path / "credentials"
    credentials.touch(0o600)
    credentials.write_text(f"[one]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
    with running(tmp_path, CONFIG) as daemon:
        yield daemon


def client(daemon, service="kinesis", key=KEY, secret=SECRET, region="us-east-1", token=None):
    return boto3.client(service, endpoint_url=daemon.aws, region_name=region, aws_access_key_id=key, aws_secret_access_key=secret,
                        aws_session_token=token, config=botocore.config.Config(retries={"max_attempts": 0}))


def refused(call, **parameters):
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**parameters)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def test_who_signs_is_served(daemon):
    kinesis = client(daemon)
    kinesis.create_stream(StreamName="s", ShardCount=1)
    put = kinesis.put_record(StreamName="s", Data=b"x", PartitionKey="k")
    kinesis.put_records(StreamName="s", Records=[{"Data": bytes(1000), "PartitionKey": "é ü"}] * 500)
    iterator = kinesis.get_shard_iterator(StreamName="s", ShardId=put["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    assert len(kinesis.get_records(ShardIterator=iterator)["Records"]) == 501
    assert client(daemon, "firehose").list_delivery_streams()["DeliveryStreamNames"] == []


def test_who_does_not_is_refused(daemon):
    assert refused(client(daemon, secret="wrong").list_streams)[0] == "InvalidSignatureException"
    assert refused(client(daemon, key="OTHER").list_streams)[0] == "UnrecognizedClientException"
    assert refused(client(daemon, token="token").list_streams)[0] == "UnrecognizedClientException"
    code, message = refused(client(daemon, region="eu-west-1").list_streams)
    assert code == "InvalidSignatureException" and "scoped to a valid region" in message
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "Kinesis_20131202.ListStreams"}
    answer = http("POST", daemon.aws + "/", b"{}", headers)
    assert answer.status == 400 and answer.json()["__type"] == "MissingAuthenticationTokenException"
    assert http("GET", daemon.aws + "/_millrace/health").status == 200, "the operator's pages are not signed"


def curl(daemon, *options):
    command = ["curl", "-sS", "-m", str(PATIENCE), "--aws-sigv4", "aws:amz:us-east-1:kinesis", "--user", f"{KEY}:{SECRET}",
               "-H", "Content-Type: application/x-amz-json-1.1", "-H", "X-Amz-Target: Kinesis_20131202.ListStreams",
               "-w", "%{http_code}", "-d", "{}", *options, daemon.aws + "/"]
    return subprocess.run(command, env=CLEAN_ENVIRONMENT, capture_output=True, text=True, timeout=2 * PATIENCE, check=True).stdout


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge"])
def test_curl_signs_on_each_wire(daemon, version):
    assert curl(daemon, version).endswith("200"), curl(daemon, version)
