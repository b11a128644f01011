"""The AWS CLI of Debian 12 (version 2), as README shows it."""

import base64
import json
import subprocess

from conftest import CLEAN_ENVIRONMENT, CREDENTIALS, PATIENCE

ROLE = "arn:aws:iam::000000000000:role/firehose"


def aws(daemon, *arguments, expect=0):
    done = subprocess.run(
        ["/usr/bin/aws", "--endpoint-url", daemon.aws, "--output", "json", *arguments],
        capture_output=True,
        text=True,
        env={**CLEAN_ENVIRONMENT, **CREDENTIALS, "AWS_MAX_ATTEMPTS": "1"},
        timeout=PATIENCE * 2,
    )
    assert done.returncode == expect, done.stderr
    return json.loads(done.stdout) if expect == 0 and done.stdout.strip() else done.stderr


def test_the_main_calls(daemon):
    aws(daemon, "kinesis", "create-stream", "--stream-name", "cli", "--shard-count", "1")
    aws(daemon, "kinesis", "wait", "stream-exists", "--stream-name", "cli")
    assert "cli" in aws(daemon, "kinesis", "list-streams")["StreamNames"]
    text = '{"event":"click"}'
    put = ("kinesis", "put-record", "--stream-name", "cli", "--partition-key", "k")
    raw = aws(daemon, *put, "--cli-binary-format", "raw-in-base64-out", "--data", text)
    assert raw["ShardId"] == "shardId-000000000000"
    aws(daemon, *put, "--data", base64.b64encode(b"second").decode())
    iterator = aws(
        daemon, "kinesis", "get-shard-iterator", "--stream-name", "cli", "--shard-id", raw["ShardId"], "--shard-iterator-type", "TRIM_HORIZON"
    )["ShardIterator"]
    records = aws(daemon, "kinesis", "get-records", "--shard-iterator", iterator)["Records"]
    assert [base64.b64decode(record["Data"]).decode() for record in records] == [text, "second"]
    assert records[0]["SequenceNumber"] == raw["SequenceNumber"]

    assert len(aws(daemon, "kinesis", "list-shards", "--stream-name", "cli")["Shards"]) == 1
    description = aws(daemon, "kinesis", "describe-stream", "--stream-name", "cli")["StreamDescription"]
    assert description["StreamStatus"] == "ACTIVE"
    refusal = aws(daemon, "kinesis", "describe-stream-summary", "--stream-name", "none", expect=254)
    assert "An error occurred (ResourceNotFoundException)" in refusal
    assert "Stream none under account 000000000000 not found." in refusal

    source = f"KinesisStreamARN={description['StreamARN']},RoleARN={ROLE}"
    destination = f"BucketARN=arn:aws:s3:::from-cli,RoleARN={ROLE},Prefix=p/"
    aws(
        daemon, "firehose", "create-delivery-stream", "--delivery-stream-name", "cli-to-s3", "--delivery-stream-type", "KinesisStreamAsSource",
        "--kinesis-stream-source-configuration", source, "--extended-s3-destination-configuration", destination,
    )  # fmt: skip
    assert "cli-to-s3" in aws(daemon, "firehose", "list-delivery-streams")["DeliveryStreamNames"]
    aws(daemon, *put, "--cli-binary-format", "raw-in-base64-out", "--data", "third")
    daemon.flush()
    assert daemon.delivered("from-cli") == b"third"
    found = aws(daemon, "firehose", "describe-delivery-stream", "--delivery-stream-name", "cli-to-s3")["DeliveryStreamDescription"]
    assert found["DeliveryStreamStatus"] == "ACTIVE"
    aws(daemon, "firehose", "delete-delivery-stream", "--delivery-stream-name", "cli-to-s3")
    aws(daemon, "kinesis", "delete-stream", "--stream-name", "cli")
    assert "cli" not in aws(daemon, "kinesis", "list-streams")["StreamNames"]


def test_a_service_that_is_not_served_answers_a_clear_error(daemon):
    refusal = aws(daemon, "sqs", "list-queues", expect=254)
    assert "An error occurred" in refusal
    assert "not" in refusal and "sqs" in refusal.lower()
    assert "An error occurred" in aws(daemon, "dynamodb", "list-tables", expect=254)
