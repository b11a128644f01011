"""Consumers, tags, policies, settings and encryption of Kinesis streams through boto3; and that they outlive a start."""

import json
import stat

import pytest

from test_durable import again, environment
from test_encryption import MARKER, files_with_marker, key, key_file
from test_kinesis_boto3 import error, put, read_all

ACCOUNT = "000000000000"
KEY = "alias/aws/kinesis"


def arn_of(stream):
    return f"arn:aws:kinesis:us-east-1:{ACCOUNT}:stream/{stream}"


def summary(kinesis, stream):
    return kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]


def policy_for(arn):
    statement = {"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": ["kinesis:GetRecords"], "Resource": arn}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def test_a_consumer_from_registration_to_deregistration(kinesis, stream):
    arn = arn_of(stream)
    made = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="reader", Tags={"team": "web"})["Consumer"]
    assert made["ConsumerName"] == "reader"
    assert made["ConsumerStatus"] == "ACTIVE"
    created = int(made["ConsumerCreationTimestamp"].timestamp())
    assert made["ConsumerARN"] == f"{arn}/consumer/reader:{created}"
    for selector in ({"ConsumerARN": made["ConsumerARN"]}, {"StreamARN": arn, "ConsumerName": "reader"}):
        found = kinesis.describe_stream_consumer(**selector)["ConsumerDescription"]
        assert found == {**made, "StreamARN": arn}
    assert summary(kinesis, stream)["ConsumerCount"] == 1
    with pytest.raises(kinesis.exceptions.ResourceInUseException):
        kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="reader")
    with pytest.raises(kinesis.exceptions.ResourceInUseException):
        kinesis.delete_stream(StreamName=stream)
    kinesis.deregister_stream_consumer(ConsumerARN=made["ConsumerARN"])
    with pytest.raises(kinesis.exceptions.ResourceNotFoundException):
        kinesis.describe_stream_consumer(ConsumerARN=made["ConsumerARN"])


def test_consumers_are_paged(kinesis, stream):
    arn = arn_of(stream)
    names = [f"c{i:02}" for i in range(20)]
    for consumer in reversed(names):
        kinesis.register_stream_consumer(StreamARN=arn, ConsumerName=consumer)
    with pytest.raises(kinesis.exceptions.LimitExceededException):
        kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="more")
    pages = kinesis.get_paginator("list_stream_consumers").paginate(StreamARN=arn, PaginationConfig={"PageSize": 7})
    assert [consumer["ConsumerName"] for page in pages for consumer in page["Consumers"]] == names
    kinesis.delete_stream(StreamName=stream, EnforceConsumerDeletion=True)


def test_tags_and_policies_of_streams_and_consumers(kinesis, stream):
    arn = arn_of(stream)
    consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="reader")["Consumer"]["ConsumerARN"]
    for resource in (arn, consumer):
        kinesis.tag_resource(ResourceARN=resource, Tags={"b": "2", "a": "1"})
        kinesis.untag_resource(ResourceARN=resource, TagKeys=["b", "none"])
        assert kinesis.list_tags_for_resource(ResourceARN=resource)["Tags"] == [{"Key": "a", "Value": "1"}]

        assert kinesis.get_resource_policy(ResourceARN=resource)["Policy"] == "{}"
        with pytest.raises(kinesis.exceptions.ResourceNotFoundException):
            kinesis.delete_resource_policy(ResourceARN=resource)
        policy = policy_for(resource)
        kinesis.put_resource_policy(ResourceARN=resource, Policy=policy)
        assert kinesis.get_resource_policy(ResourceARN=resource)["Policy"] == policy
        with pytest.raises(kinesis.exceptions.InvalidArgumentException):
            kinesis.put_resource_policy(ResourceARN=resource, Policy="{}")
        kinesis.delete_resource_policy(ResourceARN=resource)
        assert kinesis.get_resource_policy(ResourceARN=resource)["Policy"] == "{}"
    assert kinesis.list_tags_for_stream(StreamName=stream)["Tags"] == [{"Key": "a", "Value": "1"}]


def test_enhanced_monitoring(kinesis, stream):
    on = kinesis.enable_enhanced_monitoring(StreamName=stream, ShardLevelMetrics=["OutgoingBytes", "IncomingBytes"])
    assert (on["CurrentShardLevelMetrics"], on["DesiredShardLevelMetrics"]) == ([], ["IncomingBytes", "OutgoingBytes"])
    assert summary(kinesis, stream)["EnhancedMonitoring"] == [{"ShardLevelMetrics": ["IncomingBytes", "OutgoingBytes"]}]
    off = kinesis.disable_enhanced_monitoring(StreamARN=arn_of(stream), ShardLevelMetrics=["ALL"])
    assert (off["DesiredShardLevelMetrics"], off["StreamARN"]) == ([], arn_of(stream))


def test_modes_sizes_and_the_account(start, tmp_path):
    kinesis = start(config=None).client("kinesis")
    kinesis.create_stream(StreamName="waves", StreamModeDetails={"StreamMode": "ON_DEMAND"})
    assert (summary(kinesis, "waves")["StreamModeDetails"], summary(kinesis, "waves")["OpenShardCount"]) == ({"StreamMode": "ON_DEMAND"}, 4)
    limits = kinesis.describe_limits()
    assert (limits["OpenShardCount"], limits["OnDemandStreamCount"], limits["OnDemandStreamCountLimit"]) == (4, 1, 50)

    assert kinesis.describe_account_settings()["MinimumThroughputBillingCommitment"] == {"Status": "DISABLED"}
    with pytest.raises(kinesis.exceptions.ValidationException):
        kinesis.update_stream_warm_throughput(StreamName="waves", WarmThroughputMiBps=10)
    settings = kinesis.update_account_settings(MinimumThroughputBillingCommitment={"Status": "ENABLED"})["MinimumThroughputBillingCommitment"]
    assert settings["Status"] == "ENABLED"
    assert (settings["EarliestAllowedEndAt"] - settings["StartedAt"]).total_seconds() == 86400
    warm = kinesis.update_stream_warm_throughput(StreamName="waves", WarmThroughputMiBps=10)
    assert warm["WarmThroughput"] == summary(kinesis, "waves")["WarmThroughput"] == {"TargetMiBps": 10, "CurrentMiBps": 10}

    kinesis.update_stream_mode(StreamARN=arn_of("waves"), StreamModeDetails={"StreamMode": "PROVISIONED"})
    assert "WarmThroughput" not in summary(kinesis, "waves")
    assert kinesis.describe_limits()["OnDemandStreamCount"] == 0


def test_a_record_of_ten_mib(kinesis, stream):
    data = b"\xfe" * (10 * 1024 * 1024 - 1)
    code, _ = error(put, kinesis=kinesis, stream=stream, data=data)
    assert code == "ValidationException"
    kinesis.update_max_record_size(StreamARN=arn_of(stream), MaxRecordSizeInKiB=10240)
    assert summary(kinesis, stream)["MaxRecordSizeInKiB"] == 10240
    put(kinesis, stream, data)
    kinesis.put_records(StreamName=stream, Records=[{"Data": data, "PartitionKey": "k", "ExplicitHashKey": "0"}])
    assert [record["Data"] for record in read_all(kinesis, stream, "shardId-000000000000")] == [data, data]
    with pytest.raises(kinesis.exceptions.ClientError):
        put(kinesis, stream, data + b"x")


def test_an_encrypted_stream_says_so(kinesis, stream):
    assert "EncryptionType" not in put(kinesis, stream, b"plain")
    kinesis.start_stream_encryption(StreamName=stream, EncryptionType="KMS", KeyId=KEY)
    assert (summary(kinesis, stream)["EncryptionType"], summary(kinesis, stream)["KeyId"]) == ("KMS", KEY)
    assert put(kinesis, stream, b"sealed")["EncryptionType"] == "KMS"
    assert kinesis.put_records(StreamName=stream, Records=[{"Data": b"too", "PartitionKey": "k", "ExplicitHashKey": "0"}])["EncryptionType"] == "KMS"
    kinesis.stop_stream_encryption(StreamName=stream, EncryptionType="KMS", KeyId=KEY)
    assert "EncryptionType" not in put(kinesis, stream, b"plain again")
    records = read_all(kinesis, stream, "shardId-000000000000")
    assert [(record["Data"], record.get("EncryptionType")) for record in records] == [
        (b"plain", None), (b"sealed", "KMS"), (b"too", "KMS"), (b"plain again", None)
    ]
    with pytest.raises(kinesis.exceptions.KMSNotFoundException):
        kinesis.start_stream_encryption(StreamName=stream, EncryptionType="KMS", KeyId="my key")


@pytest.mark.parametrize("given", [False, True], ids=["own-key", "given-key"])
def test_records_of_an_encrypted_stream_are_sealed_on_disk_and_outlive_starts(start, tmp_path, given):
    more = {"MILLRACE_STORAGE_FILE_SIZE": "4MiB"}
    if given:
        more["MILLRACE_STORAGE_ENCRYPTION_KEYS"] = str(key_file(tmp_path, _1=key()))
    daemon = start(environment=environment(**more), config=None)
    local_key = daemon.data / "local-key"
    kinesis = daemon.client("kinesis")
    for name in ("sealed", "plain"):
        kinesis.create_stream(StreamName=name, ShardCount=1)
    assert not local_key.exists()
    kinesis.start_stream_encryption(StreamName="sealed", EncryptionType="KMS", KeyId=KEY)
    assert local_key.exists() != given
    if not given:
        assert stat.S_IMODE(local_key.stat().st_mode) == 0o600
    kept = []
    for life in range(3):
        for number in range(6):  # files are filled
            data = MARKER * 20_000 + b"%d-%d" % (life, number)
            assert put(kinesis, "sealed", data)["EncryptionType"] == "KMS"
            put(kinesis, "plain", b"%d" % number)
            kept.append(data)
        assert [record["Data"] for record in read_all(kinesis, "sealed", "shardId-000000000000")] == kept
        assert files_with_marker(daemon, "log") == set()
        again(daemon)
        kinesis = daemon.client("kinesis")
    assert [record["Data"] for record in read_all(kinesis, "sealed", "shardId-000000000000")] == kept

    kinesis.stop_stream_encryption(StreamName="sealed", EncryptionType="KMS", KeyId=KEY)
    assert "EncryptionType" not in put(kinesis, "sealed", MARKER)
    assert files_with_marker(daemon, "log") == {"log"}
    again(daemon)
    kinesis = daemon.client("kinesis")
    assert [record["Data"] for record in read_all(kinesis, "sealed", "shardId-000000000000")] == [*kept, MARKER]
    assert len(read_all(kinesis, "plain", "shardId-000000000000")) == 18


def test_without_its_key_a_data_directory_is_not_opened(start, tmp_path):
    daemon = start(environment=environment(), config=None)
    kinesis = daemon.client("kinesis")
    kinesis.create_stream(StreamName="sealed", ShardCount=1)
    kinesis.start_stream_encryption(StreamName="sealed", EncryptionType="KMS", KeyId=KEY)
    put(kinesis, "sealed", b"x")
    daemon.stop()
    local_key = daemon.data / "local-key"
    text = local_key.read_text()
    local_key.unlink()
    from test_encryption import refused

    assert "key 1" in refused(daemon)
    # Its line is what a file of keys holds.
    keys = tmp_path / "keys"
    keys.touch(mode=0o600)
    keys.write_text(text)
    daemon.environment["MILLRACE_STORAGE_ENCRYPTION_KEYS"] = str(keys)
    daemon.start()
    assert [record["Data"] for record in read_all(daemon.client("kinesis"), "sealed", "shardId-000000000000")] == [b"x"]


def test_settings_and_consumers_outlive_a_crash(start, tmp_path):
    daemon = start(environment=environment(), config=None)
    kinesis = daemon.client("kinesis")
    kinesis.create_stream(StreamName="kept", ShardCount=1, MaxRecordSizeInKiB=2048)
    arn = arn_of("kept")
    kinesis.enable_enhanced_monitoring(StreamName="kept", ShardLevelMetrics=["ALL"])
    kinesis.update_account_settings(MinimumThroughputBillingCommitment={"Status": "ENABLED"})
    kinesis.update_stream_mode(StreamARN=arn, StreamModeDetails={"StreamMode": "ON_DEMAND"}, WarmThroughputMiBps=5)
    consumer = kinesis.register_stream_consumer(StreamARN=arn, ConsumerName="reader", Tags={"a": "b"})["Consumer"]
    for resource in (arn, consumer["ConsumerARN"]):
        kinesis.put_resource_policy(ResourceARN=resource, Policy=policy_for(resource))

    def shown(client):
        replies = (
            client.describe_stream(StreamName="kept")["StreamDescription"],
            summary(client, "kept"),
            client.list_stream_consumers(StreamARN=arn)["Consumers"],
            client.list_tags_for_resource(ResourceARN=consumer["ConsumerARN"])["Tags"],
            client.get_resource_policy(ResourceARN=arn)["Policy"],
            client.get_resource_policy(ResourceARN=consumer["ConsumerARN"])["Policy"],
            client.describe_account_settings()["MinimumThroughputBillingCommitment"],
        )
        return replies

    before = shown(kinesis)
    again(daemon)
    assert shown(daemon.client("kinesis")) == before
