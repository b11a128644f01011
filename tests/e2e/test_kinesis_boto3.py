"""Kinesis through boto3."""

import datetime
import hashlib
import re

import pytest
from botocore.exceptions import ClientError

MAX_HASH = 2**128 - 1


def error(call, **arguments):
    """Code and message of the refusal that the call must meet."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] in (400, 500)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def read_all(kinesis, stream, shard, kind="TRIM_HORIZON", **arguments):
    iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType=kind, **arguments)["ShardIterator"]
    records = []
    while True:
        page = kinesis.get_records(ShardIterator=iterator)
        records += page["Records"]
        if not page["Records"]:
            return records
        iterator = page["NextShardIterator"]


def put(kinesis, stream, data, shard=0, **arguments):
    return kinesis.put_record(
        StreamName=stream, Data=data, PartitionKey="k", ExplicitHashKey="0" if shard == 0 else str(MAX_HASH), **arguments
    )


def test_a_stream_from_creation_to_deletion(kinesis, name):
    kinesis.create_stream(StreamName=name, ShardCount=3, Tags={"made": "here"})
    kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 5})
    description = kinesis.describe_stream(StreamName=name)["StreamDescription"]
    assert description["StreamStatus"] == "ACTIVE"
    assert description["StreamName"] == name
    arn = description["StreamARN"]
    assert arn == f"arn:aws:kinesis:us-east-1:000000000000:stream/{name}"
    assert description["RetentionPeriodHours"] == 24
    assert description["StreamModeDetails"] == {"StreamMode": "PROVISIONED"}
    assert description["EncryptionType"] == "NONE"
    assert description["EnhancedMonitoring"] == [{"ShardLevelMetrics": []}]
    age = datetime.datetime.now(datetime.timezone.utc) - description["StreamCreationTimestamp"]
    assert datetime.timedelta(seconds=-1) <= age <= datetime.timedelta(minutes=5)
    step = 2**128 // 3
    assert [(s["ShardId"], s["HashKeyRange"]) for s in description["Shards"]] == [
        ("shardId-000000000000", {"StartingHashKey": "0", "EndingHashKey": str(step - 1)}),
        ("shardId-000000000001", {"StartingHashKey": str(step), "EndingHashKey": str(2 * step - 1)}),
        ("shardId-000000000002", {"StartingHashKey": str(2 * step), "EndingHashKey": str(MAX_HASH)}),
    ]
    for shard in description["Shards"]:
        assert re.fullmatch(r"\d{56}", shard["SequenceNumberRange"]["StartingSequenceNumber"])
        assert "EndingSequenceNumber" not in shard["SequenceNumberRange"]

    summary = kinesis.describe_stream_summary(StreamARN=arn)["StreamDescriptionSummary"]
    assert summary["OpenShardCount"] == 3
    assert summary["ConsumerCount"] == 0
    assert name in kinesis.list_streams(Limit=100)["StreamNames"]

    kinesis.delete_stream(StreamName=name)
    kinesis.get_waiter("stream_not_exists").wait(StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 5})
    assert error(kinesis.describe_stream, StreamName=name) == (
        "ResourceNotFoundException",
        f"Stream {name} under account 000000000000 not found.",
    )


def test_the_modelled_error_classes_are_raised(kinesis, stream):
    with pytest.raises(kinesis.exceptions.ResourceInUseException, match=f"Stream {stream} under account 000000000000 already exists."):
        kinesis.create_stream(StreamName=stream, ShardCount=1)
    with pytest.raises(kinesis.exceptions.ResourceNotFoundException):
        kinesis.put_record(StreamName="none", Data=b"", PartitionKey="k")
    with pytest.raises(kinesis.exceptions.InvalidArgumentException, match="Invalid ShardIterator."):
        kinesis.get_records(ShardIterator="AAAA")
    with pytest.raises(kinesis.exceptions.InvalidArgumentException):
        kinesis.list_shards()


def test_validation_comes_in_awss_words(kinesis, stream):
    code, message = error(kinesis.create_stream, StreamName="a b", ShardCount=1)
    assert code == "ValidationException"
    assert message.startswith("1 validation error detected: Value 'a b' at 'streamName' failed to satisfy constraint: Member must satisfy regular expression pattern")
    code, message = error(kinesis.put_record, StreamName=stream, Data=b"", PartitionKey="k" * 257)
    assert (code, "at 'partitionKey' failed to satisfy constraint" in message) == ("ValidationException", True)
    code, message = error(kinesis.get_records, ShardIterator="AAAA", Limit=10_001)
    assert (code, "at 'limit' failed to satisfy constraint" in message) == ("ValidationException", True)


def test_not_built_yet_is_refused(kinesis, name):
    code, _ = error(kinesis.create_stream, StreamName=name, ShardCount=1, RecordDistributionStrategy="AUTO")
    assert code == "InvalidArgumentException"
    assert name not in kinesis.list_streams(Limit=1000)["StreamNames"]


def test_a_record_goes_where_its_key_hashes_to_and_comes_back(kinesis, stream):
    for key in ("a", "Zürich", "☕", "x" * 256, "😀" * 256):
        reply = kinesis.put_record(StreamName=stream, Data=key.encode(), PartitionKey=key)
        upper = int(hashlib.md5(key.encode()).hexdigest(), 16) >= 2**127
        assert reply["ShardId"] == f"shardId-00000000000{int(upper)}"
        found = [r for r in read_all(kinesis, stream, reply["ShardId"]) if r["SequenceNumber"] == reply["SequenceNumber"]]
        assert [(r["PartitionKey"], r["Data"]) for r in found] == [(key, key.encode())]
        age = datetime.datetime.now(datetime.timezone.utc) - found[0]["ApproximateArrivalTimestamp"]
        assert datetime.timedelta(seconds=-1) <= age <= datetime.timedelta(minutes=5)


def test_a_dry_run_checks_and_does_nothing(kinesis, stream):
    shard = kinesis.list_shards(StreamName=stream)["Shards"][0]["ShardId"]
    iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    record = {"PartitionKey": "k", "Data": b"x"}
    for call, arguments in (
        (kinesis.put_record, {"StreamName": stream, **record}),
        (kinesis.put_records, {"StreamName": stream, "Records": [record]}),
        (kinesis.get_records, {"ShardIterator": iterator}),
        (kinesis.get_shard_iterator, {"StreamName": stream, "ShardId": shard, "ShardIteratorType": "LATEST"}),
    ):
        assert error(call, **arguments, DryRun=True)[0] == "DryRunOperationException"
    assert error(kinesis.put_record, StreamName="nobody", **record, DryRun=True)[0] == "ResourceNotFoundException"
    for each in kinesis.list_shards(StreamName=stream)["Shards"]:
        assert read_all(kinesis, stream, each["ShardId"]) == []


def test_sequence_numbers_only_grow_in_a_shard(kinesis, stream):
    numbers = [int(put(kinesis, stream, b"%d" % i)["SequenceNumber"]) for i in range(20)]
    assert numbers == sorted(set(numbers))
    assert [r["Data"] for r in read_all(kinesis, stream, "shardId-000000000000")] == [b"%d" % i for i in range(20)]


def test_put_records_keeps_their_order_in_the_reply(kinesis, stream):
    entries = [{"Data": bytes([i % 256]) * i, "PartitionKey": f"key-{i}"} for i in range(500)]
    reply = kinesis.put_records(StreamName=stream, Records=entries)
    assert reply["FailedRecordCount"] == 0
    assert len(reply["Records"]) == 500
    stored = {}
    for shard in ("shardId-000000000000", "shardId-000000000001"):
        for record in read_all(kinesis, stream, shard):
            stored[shard, record["SequenceNumber"]] = (record["PartitionKey"], record["Data"])
    assert [stored[r["ShardId"], r["SequenceNumber"]] for r in reply["Records"]] == [(e["PartitionKey"], e["Data"]) for e in entries]


def test_a_batch_beyond_its_limits_is_refused_whole(kinesis, stream):
    code, _ = error(kinesis.put_records, StreamName=stream, Records=[{"Data": b"", "PartitionKey": "k"}] * 501)
    assert code == "ValidationException"
    entries = [{"Data": b"x", "PartitionKey": "k"}, {"Data": b"x", "PartitionKey": "k", "ExplicitHashKey": str(2**128)}]
    code, message = error(kinesis.put_records, StreamName=stream, Records=entries)
    assert code == "InvalidArgumentException"
    assert message == f"Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was {2**128}"
    assert read_all(kinesis, stream, "shardId-000000000000") == read_all(kinesis, stream, "shardId-000000000001") == []


def test_a_record_of_exactly_one_mib_is_taken_and_one_byte_more_is_not(kinesis, stream):
    data = b"\xff" * (1024 * 1024 - 1)
    put(kinesis, stream, data)
    assert [r["Data"] for r in read_all(kinesis, stream, "shardId-000000000000")] == [data]
    code, _ = error(kinesis.put_record, StreamName=stream, Data=data + b"xx", PartitionKey="k")
    assert code in ("ValidationException", "InvalidArgumentException")


def test_every_kind_of_iterator(kinesis, stream):
    shard = "shardId-000000000000"
    numbers = [put(kinesis, stream, b"%d" % i)["SequenceNumber"] for i in range(5)]
    records = read_all(kinesis, stream, shard)
    data = lambda *arguments, **named: [r["Data"] for r in read_all(kinesis, stream, shard, *arguments, **named)]
    assert data("TRIM_HORIZON") == [b"0", b"1", b"2", b"3", b"4"]
    assert data("LATEST") == []
    assert data("AT_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[2]) == [b"2", b"3", b"4"]
    assert data("AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=numbers[2]) == [b"3", b"4"]
    at = records[3]["ApproximateArrivalTimestamp"]
    expected = [r["Data"] for r in records if r["ApproximateArrivalTimestamp"] >= at]
    assert data("AT_TIMESTAMP", Timestamp=at) == expected
    assert data("AT_TIMESTAMP", Timestamp=0) == [b"0", b"1", b"2", b"3", b"4"]
    starting = kinesis.describe_stream(StreamName=stream)["StreamDescription"]["Shards"][0]["SequenceNumberRange"]["StartingSequenceNumber"]
    assert len(data("AT_SEQUENCE_NUMBER", StartingSequenceNumber=starting)) == 5
    assert len(data("AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=starting)) == 5


def test_latest_sees_what_comes_after_it(kinesis, stream):
    put(kinesis, stream, b"before")
    iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId="shardId-000000000000", ShardIteratorType="LATEST")["ShardIterator"]
    put(kinesis, stream, b"after")
    page = kinesis.get_records(ShardIterator=iterator)
    assert [r["Data"] for r in page["Records"]] == [b"after"]
    assert page["MillisBehindLatest"] == 0
    assert page["NextShardIterator"] != iterator


def test_pages_of_get_records_follow_each_other(kinesis, stream):
    for i in range(7):
        put(kinesis, stream, b"%d" % i)
    iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId="0", ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    seen = []
    while True:
        page = kinesis.get_records(ShardIterator=iterator, Limit=3)
        assert len(page["Records"]) <= 3
        if not page["Records"]:
            break
        seen += [r["Data"] for r in page["Records"]]
        iterator = page["NextShardIterator"]
    assert seen == [b"%d" % i for i in range(7)]


def test_refused_iterators(kinesis, stream):
    def refused(shard="shardId-000000000000", **arguments):
        return error(kinesis.get_shard_iterator, StreamName=stream, ShardId=shard, **arguments)

    other = put(kinesis, stream, b"", shard=1)["SequenceNumber"]
    assert refused("shardId-000000000009", ShardIteratorType="LATEST") == (
        "ResourceNotFoundException",
        f"Shard shardId-000000000009 in stream {stream} under account 000000000000 does not exist",
    )
    code, message = refused(ShardIteratorType="AT_SEQUENCE_NUMBER")
    assert code == "InvalidArgumentException"
    assert message.endswith("Request specified AT_SEQUENCE_NUMBER and no StartingSequenceNumber.")
    assert refused(ShardIteratorType="AT_SEQUENCE_NUMBER", StartingSequenceNumber=other) == (
        "InvalidArgumentException",
        "Invalid StartingSequenceNumber. It encodes shardId-000000000001, while it was used in a call to a shard with shardId-000000000000",
    )
    tomorrow = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
    code, message = refused(ShardIteratorType="AT_TIMESTAMP", Timestamp=tomorrow)
    assert (code, "cannot be greater than the currentTimestampInMillis" in message) == ("InvalidArgumentException", True)


def test_tags_come_go_and_are_listed_in_pages(kinesis, stream):
    kinesis.add_tags_to_stream(StreamName=stream, Tags={f"t{i:02}": f"ü{i}" for i in range(10)})
    kinesis.add_tags_to_stream(StreamName=stream, Tags={"t03": "new"})
    kinesis.remove_tags_from_stream(StreamName=stream, TagKeys=["t00", "absent"])
    first = kinesis.list_tags_for_stream(StreamName=stream, Limit=4)
    assert first["HasMoreTags"] is True
    rest = kinesis.list_tags_for_stream(StreamName=stream, ExclusiveStartTagKey=first["Tags"][-1]["Key"])
    assert rest["HasMoreTags"] is False
    tags = {t["Key"]: t["Value"] for t in first["Tags"] + rest["Tags"]}
    assert tags == {**{f"t{i:02}": f"ü{i}" for i in range(1, 10)}, "t03": "new"}
    code, _ = error(kinesis.add_tags_to_stream, StreamName=stream, Tags={f"m{i}": "" for i in range(50)})
    assert code == "InvalidArgumentException"


def test_retention_goes_up_and_down(kinesis, stream):
    kinesis.increase_stream_retention_period(StreamName=stream, RetentionPeriodHours=48)
    assert kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["RetentionPeriodHours"] == 48
    code, message = error(kinesis.increase_stream_retention_period, StreamName=stream, RetentionPeriodHours=24)
    assert code == "InvalidArgumentException"
    assert "can not be shorter than existing retention period (48 hours)" in message
    kinesis.decrease_stream_retention_period(StreamName=stream, RetentionPeriodHours=24)
    assert kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["RetentionPeriodHours"] == 24
    code, _ = error(kinesis.decrease_stream_retention_period, StreamName=stream, RetentionPeriodHours=23)
    assert code == "InvalidArgumentException"


def test_streams_are_listed_in_pages(kinesis):
    names = [f"paged-{i}" for i in range(5)]
    for one in names:
        kinesis.create_stream(StreamName=one, ShardCount=1)
    listed = [n for page in kinesis.get_paginator("list_streams").paginate(PaginationConfig={"PageSize": 2}) for n in page["StreamNames"]]
    assert listed == sorted(listed)
    assert [n for n in listed if n.startswith("paged-")] == names
    page = kinesis.list_streams(Limit=1, ExclusiveStartStreamName="paged-1")
    assert (page["StreamNames"], page["HasMoreStreams"]) == (["paged-2"], True)


def test_shards_are_listed_in_pages_and_by_filter(kinesis, name):
    kinesis.create_stream(StreamName=name, ShardCount=5)
    ids = [f"shardId-00000000000{i}" for i in range(5)]
    pages = [kinesis.list_shards(StreamName=name, MaxResults=2)]
    while "NextToken" in pages[-1]:  # boto3's own paginator names the stream again, which AWS refuses
        pages.append(kinesis.list_shards(NextToken=pages[-1]["NextToken"], MaxResults=2))
    assert [[s["ShardId"] for s in page["Shards"]] for page in pages] == [ids[:2], ids[2:4], ids[4:]]
    listed = lambda **arguments: [s["ShardId"] for s in kinesis.list_shards(StreamName=name, **arguments)["Shards"]]
    assert listed(ExclusiveStartShardId=ids[2]) == ids[3:]
    assert listed(ShardFilter={"Type": "AT_LATEST"}) == ids
    assert listed(ShardFilter={"Type": "AT_TRIM_HORIZON"}) == ids
    assert listed(ShardFilter={"Type": "AFTER_SHARD_ID", "ShardId": ids[3]}) == ids[4:]
    code, _ = error(kinesis.list_shards, StreamName=name, NextToken="x")
    assert code == "InvalidArgumentException"


def test_describe_stream_pages_shards(kinesis, name):
    kinesis.create_stream(StreamName=name, ShardCount=5)
    pages = kinesis.get_paginator("describe_stream").paginate(StreamName=name, PaginationConfig={"PageSize": 2})
    assert [s["ShardId"][-1] for page in pages for s in page["StreamDescription"]["Shards"]] == ["0", "1", "2", "3", "4"]


def test_a_shard_count_nobody_has_is_refused(kinesis, name):
    code, _ = error(kinesis.create_stream, StreamName=name, ShardCount=20_001)
    assert code in ("LimitExceededException", "ValidationException", "InvalidArgumentException")
    code, _ = error(kinesis.create_stream, StreamName=name, ShardCount=2_000_000_000)
    assert code in ("LimitExceededException", "ValidationException", "InvalidArgumentException")


def test_a_stream_made_again_has_nothing_of_the_old_one(kinesis, name):
    kinesis.create_stream(StreamName=name, ShardCount=1)
    number = kinesis.put_record(StreamName=name, Data=b"old", PartitionKey="k")["SequenceNumber"]
    iterator = kinesis.get_shard_iterator(StreamName=name, ShardId="0", ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    kinesis.delete_stream(StreamName=name)
    kinesis.create_stream(StreamName=name, ShardCount=1)
    assert read_all(kinesis, name, "0") == []
    code, message = error(
        kinesis.get_shard_iterator, StreamName=name, ShardId="0", ShardIteratorType="AT_SEQUENCE_NUMBER", StartingSequenceNumber=number
    )
    assert (code, "did not come from this stream" in message) == ("InvalidArgumentException", True)
    with pytest.raises(ClientError):
        kinesis.get_records(ShardIterator=iterator)


def test_state_delays_are_seen(start):
    daemon = start(environment={"MILLRACE_DELAYS_STREAM_CREATE": "700ms"})
    kinesis = daemon.client("kinesis")
    kinesis.create_stream(StreamName="slow", ShardCount=1)
    assert kinesis.describe_stream_summary(StreamName="slow")["StreamDescriptionSummary"]["StreamStatus"] == "CREATING"
    assert kinesis.describe_stream(StreamName="slow")["StreamDescription"]["Shards"] == []
    code, _ = error(kinesis.put_record, StreamName="slow", Data=b"", PartitionKey="k")
    assert code == "ResourceNotFoundException"
    kinesis.get_waiter("stream_exists").wait(StreamName="slow", WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    kinesis.put_record(StreamName="slow", Data=b"", PartitionKey="k")


def test_a_full_daemon_refuses_puts_and_still_reads_and_deletes(start):
    # Memory, and the files that take over from it.
    limits = {"MILLRACE_STORAGE_MEMORY_LIMIT": "32MiB", "MILLRACE_STORAGE_FILE_SIZE": "1MiB", "MILLRACE_STORAGE_DISK_LIMIT": "4MiB"}
    daemon = start(config=None, environment=limits)
    kinesis = daemon.client("kinesis")
    kinesis.create_stream(StreamName="full", ShardCount=1)
    stored = 0
    while stored < 200:
        try:
            put(kinesis, "full", b"x" * 500_000)
        except kinesis.exceptions.ProvisionedThroughputExceededException as refusal:
            assert "shardId-000000000000 in stream full under account 000000000000" in str(refusal)
            break
        stored += 1
    assert 20 <= stored < 100
    batch = kinesis.put_records(StreamName="full", Records=[{"Data": b"x" * 500_000, "PartitionKey": "k"}] * 4)
    assert batch["FailedRecordCount"] > 0
    assert {r.get("ErrorCode") for r in batch["Records"]} <= {None, "ProvisionedThroughputExceededException"}
    kept = len(batch["Records"]) - batch["FailedRecordCount"]
    assert len(read_all(kinesis, "full", "0")) == stored + kept
    kinesis.delete_stream(StreamName="full")
    kinesis.create_stream(StreamName="again", ShardCount=1)
    for _ in range(10):
        put(kinesis, "again", b"x" * 500_000)


def test_unsigned_calls_are_refused_unless_allowed(daemon, start):
    from conftest import http

    headers = {"X-Amz-Target": "Kinesis_20131202.ListStreams", "Content-Type": "application/x-amz-json-1.1"}
    refused = http("POST", daemon.aws + "/", b"{}", headers)
    assert refused.status == 400
    assert refused.json() == {"__type": "MissingAuthenticationTokenException", "message": "Missing Authentication Token"}
    lenient = start(environment={"MILLRACE_AUTH_MODE": "ignore"})
    served = http("POST", lenient.aws + "/", b"{}", headers)
    assert served.status == 200
    assert served.json()["StreamNames"] == ["events"]


# ---- reshards


def shards_of(kinesis, stream, **shard_filter):
    arguments = {"ShardFilter": shard_filter} if shard_filter else {}
    return {shard["ShardId"]: shard for shard in kinesis.list_shards(StreamName=stream, **arguments)["Shards"]}


def read_to_the_end(kinesis, stream):
    """All records, each shard's behind those of its parents, as a consumer follows ChildShards."""
    waiting = [shard for shard, it in shards_of(kinesis, stream).items() if "ParentShardId" not in it]
    seen, records = set(), []
    while waiting:
        shard = waiting.pop(0)
        if shard in seen:
            continue
        seen.add(shard)
        iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        while iterator:
            page = kinesis.get_records(ShardIterator=iterator)
            records += page["Records"]
            iterator = page.get("NextShardIterator")
            assert ("ChildShards" in page) == (iterator is None)
            if iterator and not page["Records"] and page["MillisBehindLatest"] == 0:
                break
        waiting += [child["ShardId"] for child in page.get("ChildShards", []) if set(child["ParentShards"]) <= seen]
    assert seen == set(shards_of(kinesis, stream))
    return records


def test_a_stream_is_split_merged_and_scaled(kinesis, name):
    kinesis.create_stream(StreamName=name, ShardCount=1)
    sent = []

    def put_some():
        for number in range(len(sent), len(sent) + 20):
            kinesis.put_record(StreamName=name, Data=b"%d" % number, PartitionKey=f"key-{number % 7}")
            sent.append(number)

    put_some()
    kinesis.split_shard(StreamName=name, ShardToSplit="shardId-000000000000", NewStartingHashKey=str(2**126))
    put_some()
    shards = shards_of(kinesis, name)
    assert "EndingSequenceNumber" in shards["shardId-000000000000"]["SequenceNumberRange"]
    assert shards["shardId-000000000001"]["HashKeyRange"] == {"StartingHashKey": "0", "EndingHashKey": str(2**126 - 1)}
    assert shards["shardId-000000000002"]["HashKeyRange"] == {"StartingHashKey": str(2**126), "EndingHashKey": str(MAX_HASH)}
    assert shards["shardId-000000000002"]["ParentShardId"] == "shardId-000000000000"
    assert set(shards_of(kinesis, name, Type="AT_LATEST")) == {"shardId-000000000001", "shardId-000000000002"}
    assert set(shards_of(kinesis, name, Type="AT_TRIM_HORIZON")) == {"shardId-000000000000"}

    kinesis.merge_shards(StreamName=name, ShardToMerge="shardId-000000000001", AdjacentShardToMerge="shardId-000000000002")
    put_some()
    merged = shards_of(kinesis, name)["shardId-000000000003"]
    assert (merged["ParentShardId"], merged["AdjacentParentShardId"]) == ("shardId-000000000001", "shardId-000000000002")

    for target in (2, 3, 6, 4):
        current = len(shards_of(kinesis, name, Type="AT_LATEST"))
        reply = kinesis.update_shard_count(StreamName=name, TargetShardCount=target, ScalingType="UNIFORM_SCALING")
        assert (reply["CurrentShardCount"], reply["TargetShardCount"]) == (current, target)
        assert reply["StreamARN"].endswith("stream/" + name)
        kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 5})
        opened = shards_of(kinesis, name, Type="AT_LATEST").values()
        starts = sorted(int(shard["HashKeyRange"]["StartingHashKey"]) for shard in opened)
        assert all(abs(start - 2**128 // target * i) < 20_000 for i, start in enumerate(starts))
        put_some()
    assert kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["OpenShardCount"] == 4

    by_key = {}
    for record in read_to_the_end(kinesis, name):
        by_key.setdefault(record["PartitionKey"], []).append(int(record["Data"]))
    assert by_key == {f"key-{k}": [n for n in sent if n % 7 == k] for k in range(7)}


def test_reshards_are_refused_as_aws_refuses_them(kinesis, name):
    kinesis.create_stream(StreamName=name, ShardCount=3)
    with pytest.raises(kinesis.exceptions.InvalidArgumentException, match="not an adjacent pair of shards"):
        kinesis.merge_shards(StreamName=name, ShardToMerge="shardId-000000000000", AdjacentShardToMerge="shardId-000000000002")
    with pytest.raises(kinesis.exceptions.InvalidArgumentException, match="is not both greater than one plus"):
        kinesis.split_shard(StreamName=name, ShardToSplit="shardId-000000000000", NewStartingHashKey="1")
    with pytest.raises(kinesis.exceptions.LimitExceededException, match="over double your current open shard count"):
        kinesis.update_shard_count(StreamName=name, TargetShardCount=7, ScalingType="UNIFORM_SCALING")
    with pytest.raises(kinesis.exceptions.ResourceNotFoundException, match="Could not find shard shardId-000000000009"):
        kinesis.split_shard(StreamName=name, ShardToSplit="shardId-000000000009", NewStartingHashKey="5")
