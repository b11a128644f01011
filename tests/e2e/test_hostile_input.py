"""Whatever a request holds: an answer in AWS's words, and the daemon lives."""

import itertools
import json
import random
import re
import socket

import pytest

from conftest import http

AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=00"


def headers(target="Kinesis_20131202.PutRecord", kind="application/x-amz-json-1.1"):
    return {"X-Amz-Target": target, "Content-Type": kind, "Authorization": AUTHORIZATION, "X-Amz-Date": "20260101T000000Z"}


def call(daemon, operation, body, service="Kinesis_20131202"):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return http("POST", daemon.aws + "/", body, headers(f"{service}.{operation}"))


@pytest.fixture(autouse=True)
def lives(daemon):
    """After every test: nothing crashed, and a good request is served."""
    yield
    assert daemon.alive(), daemon.log()
    assert call(daemon, "ListStreams", {}).status == 200


def raw(daemon, data, listener="aws", end=True):
    """What comes back for these bytes until the daemon closes; `end` says whether we end our side first."""
    with daemon.connect(listener) as connection:
        try:
            connection.sendall(data)
            if end:
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # closed on us already: it may have answered first
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
        except ConnectionError:
            pass
        return received


@pytest.mark.parametrize("end", [False, True], ids=["open", "half-closed"])
def test_pipelined_requests_are_answered_in_order(daemon, end):
    request = b"GET /_millrace/%s HTTP/1.1\r\nHost: x\r\n%s\r\n"
    pages = [(b"health", b""), (b"nothing", b""), (b"health", b"Connection: close\r\n")]
    reply = raw(daemon, b"".join(request % page for page in pages), end=end)
    assert re.findall(rb"HTTP/1\.1 (\d\d\d)", reply) == [b"200", b"404", b"200"]


def test_an_upgrade_to_h2c_is_ignored_and_the_body_kept(daemon):
    body = b'{"a":1}'
    head = b"POST /PROD/v1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    reply = raw(daemon, head + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body, "gateway")
    assert reply.startswith(b"HTTP/1.1 200"), reply
    assert b"SequenceNumber" in reply


def test_a_chunked_body_is_a_body(daemon):
    reply = raw(
        daemon,
        b"POST /PROD/v1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        b'4\r\n{"a"\r\n3\r\n:1}\r\n0\r\n\r\n',
        "gateway",
    )
    assert reply.startswith(b"HTTP/1.1 200"), reply


def test_a_body_over_20_mib_is_413(daemon):
    connection = daemon.connect()
    head = "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers().items())
    connection.sendall(head.encode() + b"Content-Length: %d\r\n\r\n" % (20 * 1024 * 1024 + 1))
    reply = connection.recv(65536)
    assert reply.startswith(b"HTTP/1.1 413"), reply
    connection.close()


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"x"', b"null", b"\xff\xfe", b'{"StreamName":"\xff"}', b"{" * 5000, b"[" * 100_000, b'{"a":' * 3000 + b"1" + b"}" * 3000, b'{"StreamName":"events"', b'{"a":"\\ud800"}', b"\x00"],
    ids=["empty", "open", "array", "string", "null", "bom", "bad-utf8", "nested-objects", "nested-arrays", "deep", "cut", "lone-surrogate", "nul"],
)
def test_what_is_not_a_json_object_is_a_serialization_error(daemon, body):
    answer = http("POST", daemon.aws + "/", body, headers())
    assert answer.status == 400
    assert answer.json()["__type"] == "SerializationException"


@pytest.mark.parametrize("name", ["../x", "%2e%2e", "a/b", "a\u0000b", "😀", "x" * 2048, "", " ", "a\nb", 5, True, [], {}, None, 1e400])
@pytest.mark.parametrize("operation", ["CreateStream", "DescribeStream", "PutRecord", "DeleteStream"])
def test_hostile_stream_names_are_refused(daemon, operation, name):
    body = {"StreamName": name, "ShardCount": 1, "Data": "", "PartitionKey": "k"}
    if name == 1e400:
        body = json.dumps(body).replace("Infinity", "1e400").encode()
    answer = call(daemon, operation, body)
    assert answer.status == 400, answer.body
    assert answer.json()["__type"] in (
        "ValidationException", "SerializationException", "InvalidArgumentException", "ResourceNotFoundException",
    )  # fmt: skip


@pytest.mark.parametrize("data", ["a", "a===", "YQ", "YQ==x", "Y Q==", "YQ==\n", "é", "YR==", "_-8=", 7, None])
def test_bad_base64_is_refused(daemon, data):
    answer = call(daemon, "PutRecord", {"StreamName": "events", "Data": data, "PartitionKey": "k"})
    assert answer.status == 400, (data, answer.body)
    assert answer.json()["__type"] in ("SerializationException", "ValidationException")


@pytest.mark.parametrize(
    "target", ["", "x", "Kinesis_20131202", "Kinesis_20131202.", "Kinesis_20131202.Nothing", "kinesis_20131202.PutRecord", "Nothing_1.X", "." * 1000]
)
def test_unknown_targets_are_named_so(daemon, target):
    answer = http("POST", daemon.aws + "/", b"{}", headers(target))
    assert answer.status in (400, 403, 404), answer.body
    assert b"UnknownOperationException" in answer.body or b"AccessDeniedException" in answer.body, answer.body


def test_hostile_iterators_are_refused(daemon):
    generator = random.Random(7)
    import base64

    good = call(daemon, "GetShardIterator", {"StreamName": "events", "ShardId": "0", "ShardIteratorType": "LATEST"}).json()["ShardIterator"]
    for position in range(0, len(good), 7):
        forged = good[:position] + ("A" if good[position] != "A" else "B") + good[position + 1 :]
        answer = call(daemon, "GetRecords", {"ShardIterator": forged})
        assert answer.status == 400 and answer.json()["__type"] in ("InvalidArgumentException", "ExpiredIteratorException"), (forged, answer.body)
    for size in (0, 1, 8, 16, 100, 200, 380):
        token = base64.b64encode(bytes(generator.randrange(256) for _ in range(size))).decode()
        assert call(daemon, "GetRecords", {"ShardIterator": token}).status == 400


@pytest.mark.parametrize("bucket", ["..", "../../tmp", "a/b", "UPPER", "a", "x" * 64, "1.2.3.4", "a..b", "", "ü", "a\u0000bc"])
def test_hostile_bucket_names_are_refused(daemon, bucket):
    role = "arn:aws:iam::000000000000:role/r"
    body = {
        "DeliveryStreamName": "hostile",
        "DeliveryStreamType": "KinesisStreamAsSource",
        "KinesisStreamSourceConfiguration": {"KinesisStreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/events", "RoleARN": role},
        "ExtendedS3DestinationConfiguration": {"BucketARN": f"arn:aws:s3:::{bucket}", "RoleARN": role},
    }
    answer = call(daemon, "CreateDeliveryStream", body, "Firehose_20150804")
    assert answer.status == 400, answer.body
    assert answer.json()["__type"] in ("ValidationException", "InvalidArgumentException", "SerializationException")


_numbers = itertools.count()


@pytest.mark.parametrize("prefix", ["../../../escape/", "/abs/", "a//b/", "./x/", "%2e%2e/", "a\u0000b/", "😀/", "x" * 300 + "/", ".hidden/"])
def test_hostile_prefixes_stay_below_their_bucket(daemon, prefix):
    number = next(_numbers)
    bucket, role = f"hostile-prefix-{number}", "arn:aws:iam::000000000000:role/r"
    body = {
        "DeliveryStreamName": f"prefix-{number}",
        "DeliveryStreamType": "KinesisStreamAsSource",
        "KinesisStreamSourceConfiguration": {"KinesisStreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/events", "RoleARN": role},
        "ExtendedS3DestinationConfiguration": {"BucketARN": f"arn:aws:s3:::{bucket}", "RoleARN": role, "Prefix": prefix},
    }
    def outside():
        paths = (p.relative_to(daemon.data) for p in daemon.data.rglob("*"))
        return {str(p) for p in paths if p.parts[0] not in ("s3", "tmp")}

    created = call(daemon, "CreateDeliveryStream", body, "Firehose_20150804")
    if created.status != 200:
        assert created.json()["__type"] in ("ValidationException", "InvalidArgumentException")
        return
    before, beside = outside(), set(daemon.directory.iterdir())
    call(daemon, "PutRecord", {"StreamName": "events", "Data": "eA==", "PartitionKey": "k"})
    daemon.flush()
    assert len(daemon.objects(bucket)) == 1
    assert daemon.delivered(bucket) == b"x"
    assert (outside(), set(daemon.directory.iterdir())) == (before, beside)
    assert {p.name for p in (daemon.data / "s3").iterdir()} <= {"datalake", *(f"hostile-prefix-{n}" for n in range(number + 1))}
    call(daemon, "DeleteDeliveryStream", {"DeliveryStreamName": f"prefix-{number}"}, "Firehose_20150804")


@pytest.mark.parametrize("path", ["/%2e%2e/%2e%2e/etc/passwd", "/../../etc/passwd", "/PROD/%00", "/PROD/v1%2f..", "/%", "/%zz", "/" + "a" * 9000, "/PROD/v1?" + "a=b&" * 2000])
def test_hostile_paths_on_both_listeners(daemon, path):
    for listener in ("aws", "gateway"):
        reply = raw(daemon, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode(), listener)
        assert reply.startswith(b"HTTP/1.1 4"), reply[:200]
        assert b"root:" not in reply


def test_random_bytes_never_hurt(daemon):
    generator = random.Random(2026)
    good = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nX-Amz-Target: Kinesis_20131202.ListStreams\r\n\r\n{}"
    for _ in range(60):
        data = bytearray(good * generator.randrange(1, 4))
        for _ in range(generator.randrange(1, 12)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        raw(daemon, bytes(data), generator.choice(["aws", "gateway"]))
