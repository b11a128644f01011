"""The operator's pages."""

import re

from conftest import http


def metrics(daemon):
    answer = http("GET", daemon.aws + "/_millrace/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    return answer.body.decode()


def value(page, name, **labels):
    """The sum of a metric's samples that carry the labels."""
    total, found = 0.0, False
    for line in page.splitlines():
        match = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
        if not match or match[1] != name:
            continue
        have = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match[2] or ""))
        if all(have.get(key) == wanted for key, wanted in labels.items()):
            total, found = total + float(match[3]), True
    assert found, f"{name} {labels} is not on the page:\n{page}"
    return total


def test_health_and_ready(daemon):
    assert http("GET", daemon.aws + "/_millrace/health").status == 200
    assert http("GET", daemon.aws + "/_millrace/ready").status == 200
    assert http("GET", daemon.aws + "/_millrace/nothing").status == 404
    assert http("POST", daemon.aws + "/_millrace/health", b"").status == 405
    assert http("GET", daemon.aws + "/_millrace/flush").status == 405


def test_the_metrics_page_is_well_formed(daemon):
    page = metrics(daemon)
    for line in page.splitlines():
        assert re.fullmatch(r"# (HELP|TYPE) \w+ .*|\w+(\{([^\"{}]+=\"([^\"\\]|\\.)*\",?)*\})? [-+0-9.eInfNa]+", line), line
    names = [line.split()[2] for line in page.splitlines() if line.startswith("# TYPE")]
    assert len(names) == len(set(names))
    assert all(name.startswith(("millrace_", "process_")) for name in names)


def test_requests_records_and_deliveries_are_counted(start):
    daemon = start()
    kinesis = daemon.client("kinesis")
    for _ in range(7):
        kinesis.put_record(StreamName="events", Data=b"12345", PartitionKey="k")
    try:
        kinesis.put_record(StreamName="none", Data=b"", PartitionKey="k")
    except kinesis.exceptions.ResourceNotFoundException:
        pass
    page = metrics(daemon)
    numbers = [float(x) for x in re.findall(r'^\w+\{[^}]*operation="PutRecord"[^}]*\} (\S+)$', page, re.M)]
    assert 8 in numbers, page  # calls
    assert 1 in numbers, page  # refused
    shards = [float(x) for x in re.findall(r'^\w+\{[^}]*stream="events"[^}]*\} (\S+)$', page, re.M)]
    assert 7 in shards and 35 in shards, page
    assert "events-to-s3" in page
    daemon.flush()
    after = metrics(daemon)
    objects = [line for line in after.splitlines() if "events-to-s3" in line and "object" in line]
    assert any(line.endswith(" 1") for line in objects), objects


def test_flush_without_anything_to_do_succeeds(start):
    daemon = start()
    daemon.flush()
    assert daemon.objects() == []


def test_reset_removes_streams_and_declares_again(start):
    daemon = start()
    kinesis = daemon.client("kinesis")
    kinesis.create_stream(StreamName="mine", ShardCount=1)
    kinesis.put_record(StreamName="events", Data=b"old", PartitionKey="k")
    daemon.flush()
    delivered = daemon.objects()
    answer = http("POST", daemon.aws + "/_millrace/reset")
    assert answer.status == 200, answer.body
    assert kinesis.list_streams()["StreamNames"] == ["events"]
    assert daemon.client("firehose").list_delivery_streams()["DeliveryStreamNames"] == ["events-to-s3"]
    iterator = kinesis.get_shard_iterator(StreamName="events", ShardId="0", ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    assert kinesis.get_records(ShardIterator=iterator)["Records"] == []
    assert daemon.objects() == delivered
    kinesis.put_record(StreamName="events", Data=b"new", PartitionKey="k")
    daemon.flush()
    assert b"new\n" in daemon.delivered()
    answer = http("POST", daemon.aws + "/_millrace/reset?objects=true")
    assert answer.status == 200, answer.body
    assert daemon.objects() == []


def test_reset_is_refused_from_a_web_page_and_where_it_is_off(start):
    daemon = start(environment={"MILLRACE_ADMIN_RESET": "false"})
    assert http("POST", daemon.aws + "/_millrace/reset").status == 403
    other = start()
    other.client("kinesis").create_stream(StreamName="mine", ShardCount=1)
    assert http("POST", other.aws + "/_millrace/reset", headers={"Origin": "http://evil.example"}).status == 403
    assert http("GET", other.aws + "/_millrace/reset").status == 405
    assert "mine" in other.client("kinesis").list_streams()["StreamNames"]
