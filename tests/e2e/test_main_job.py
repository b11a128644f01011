"""The main job as a new user does it: an event posted with curl becomes a line under an hourly UTC folder."""

import datetime
import json
import re
import subprocess

import pytest

from conftest import CLEAN_ENVIRONMENT, PATIENCE, http, wait_until

OBJECT = re.compile(
    r"rawdata/(\d{4})/(\d\d)/(\d\d)/(\d\d)/"
    r"events-to-s3-1-(\d{4})-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)


def curl(*arguments, body=None):
    """Status, headers in lower case, body."""
    done = subprocess.run(
        ["curl", "-sS", "-i", "--noproxy", "*", "--max-time", str(PATIENCE), *arguments],
        capture_output=True,
        input=body,
        env=CLEAN_ENVIRONMENT,
        check=True,
    )
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    while head.startswith(b"HTTP/1.1 100"):
        head, _, body = body.partition(b"\r\n\r\n")
    status_line, *fields = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    return int(status_line.split()[1]), headers, body


def post(daemon, body, *options, path="/PROD/v1"):
    return curl("-X", "POST", daemon.gateway + path, "--data-binary", "@-", *options, body=body.encode())


def delivered_line(start, body, *options):
    daemon = start()
    status, _, reply = post(daemon, body, *options)
    assert status == 200, reply
    daemon.flush()
    return daemon.delivered().decode()


def test_an_event_becomes_a_line_and_is_read_back(start):
    daemon = start()
    before = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    status, headers, body = curl("-X", "POST", daemon.gateway + "/PROD/v1", "-d", '{"event":"click","user_id":"Aster-564"}')
    after = datetime.datetime.now(datetime.timezone.utc)
    assert status == 200
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", headers["x-amzn-requestid"])
    assert headers["x-amz-apigw-id"]
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", headers["x-amzn-trace-id"])
    reply = json.loads(body)
    assert re.fullmatch(r"shardId-00000000000[01]", reply["ShardId"])
    assert re.fullmatch(r"\d{56}", reply["SequenceNumber"])

    daemon.flush()
    (path,) = daemon.objects()
    found = OBJECT.fullmatch(str(path))
    assert found, path
    stamp = datetime.datetime(*(int(found[i]) for i in range(5, 11)), tzinfo=datetime.timezone.utc)
    assert before <= stamp <= after + datetime.timedelta(seconds=PATIENCE)
    assert (daemon.data / "s3/datalake" / path).read_bytes() == b'{"event":"click","user_id":"Aster-564"}\n'
    folder = datetime.datetime(*(int(found[i]) for i in range(1, 5)), tzinfo=datetime.timezone.utc)
    assert before.replace(minute=0, second=0) <= folder <= after

    kinesis = daemon.client("kinesis")
    iterator = kinesis.get_shard_iterator(StreamName="events", ShardId=reply["ShardId"], ShardIteratorType="TRIM_HORIZON")
    (record,) = kinesis.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
    assert record["Data"] == b'{"event":"click","user_id":"Aster-564"}'
    assert record["SequenceNumber"] == reply["SequenceNumber"]
    assert record["PartitionKey"] == headers["x-amzn-requestid"]


def test_a_body_of_several_lines_is_one_compact_line(start):
    body = '{\n  "b": [1, 2,\t3],\r\n  "a": {"z": null, "y": true},\n  "b2": "two  blanks"\n}\n'
    line = delivered_line(start, body, "-H", "Content-Type: application/json")
    assert line == '{"b":[1,2,3],"a":{"z":null,"y":true},"b2":"two  blanks"}\n'


def test_numbers_keep_their_text(start):
    body = '{"n":[1.0, 1e5, -0, 12345678901234567890123, 0.10, 1E+2]}'
    assert delivered_line(start, body, "-H", "Content-Type: application/json") == '{"n":[1.0,1e5,-0,12345678901234567890123,0.10,1E+2]}\n'


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
def test_non_ascii_comes_out_as_utf8(start, kind):
    body = '{"raw":"Zürich ☕ 😀","escaped":"Z\\u00fcrich \\u2615 \\ud83d\\ude00","kept":"\\"\\\\\\n"}'
    assert delivered_line(start, body, "-H", f"Content-Type: {kind}") == (
        '{"raw":"Zürich ☕ 😀","escaped":"Zürich ☕ 😀","kept":"\\"\\\\\\n"}\n'
    )


def test_plain_text_is_stored_as_it_came(start):
    assert delivered_line(start, " not json \\u0041", "-H", "Content-Type: text/plain; charset=utf-8") == " not json \\u0041\n"


def test_order_within_a_shard_is_kept_in_the_object(start):
    daemon = start()
    sent = {}
    for number in range(60):
        status, _, body = post(daemon, json.dumps({"n": number}))
        assert status == 200
        sent.setdefault(json.loads(body)["ShardId"], []).append(number)
    daemon.flush()
    lines = [json.loads(line)["n"] for line in daemon.delivered().splitlines()]
    assert sorted(lines) == list(range(60))
    for numbers in sent.values():
        assert [n for n in lines if n in set(numbers)] == numbers


def test_the_buffer_is_delivered_by_its_size_without_a_flush(start):
    daemon = start()
    for _ in range(12):
        status, _, _ = post(daemon, "x" * 100_000, "-H", "Content-Type: text/plain")
        assert status == 200
    wait_until(lambda: daemon.delivered())
    daemon.flush()
    assert daemon.delivered().count(b"\n") == 12


def test_the_same_api_answers_on_the_aws_listener(daemon):
    api = daemon.api_id()
    host = daemon.aws.removeprefix("http://").rsplit(":", 1)[1]
    forms = [
        (f"{daemon.aws}/_aws/execute-api/{api}/PROD/v1", []),
        (f"{daemon.aws}/restapis/{api}/PROD/_user_request_/v1", []),
        (f"{daemon.aws}/PROD/v1", ["-H", f"Host: {api}.execute-api.localhost:{host}"]),
    ]
    for url, options in forms:
        status, headers, body = curl("-X", "POST", url, "-d", '{"a":1}', *options)
        assert status == 200, (url, body)
        assert "ShardId" in json.loads(body)
        assert headers["x-amz-apigw-id"]


@pytest.mark.parametrize("path", ["/PROD/v1/", "/PROD//v1", "//PROD/v1", "/PROD/v1?a=b"])
def test_slashes_more_or_less_match(daemon, path):
    status, _, body = post(daemon, '{"a":1}', path=path)
    assert status == 200, body


@pytest.mark.parametrize(
    "path, method, status, message",
    [
        ("/PROD/nothing", "POST", 403, "Missing Authentication Token"),
        ("/PROD/v1", "DELETE", 403, "Missing Authentication Token"),
        ("/none/v1", "POST", 403, "Forbidden"),
        ("/", "GET", 403, "Forbidden"),
    ],
)
def test_what_is_not_deployed_answers_as_api_gateway_does(daemon, path, method, status, message):
    answer = http(method, daemon.gateway + path, b"{}" if method == "POST" else None)
    assert answer.status == status
    assert answer.json() == {"message": message}
    assert answer.headers["x-amzn-RequestId"] and answer.headers["x-amzn-ErrorType"]


def test_a_media_type_without_template_is_415(daemon):
    status, headers, body = post(daemon, "<a/>", "-H", "Content-Type: application/xml")
    assert status == 415
    assert json.loads(body) == {"message": "Unsupported Media Type"}


@pytest.mark.parametrize("body", ["{", "{'a':1}", "hello", '{"a":1} x', '{"a":NaN}', '"\ud800"'.encode("utf-8", "surrogatepass")])
def test_a_body_that_is_not_json_is_400(daemon, body):
    if isinstance(body, bytes):
        answer = http("POST", daemon.gateway + "/PROD/v1", body, {"Content-Type": "application/json"})
    else:
        answer = http("POST", daemon.gateway + "/PROD/v1", body.encode(), {"Content-Type": "application/json"})
    assert answer.status == 400, answer.body
    assert "__type" not in answer.body.decode()


def test_a_kinesis_error_gets_its_status(daemon):
    status, _, body = post(daemon, "x" * (1024 * 1024 + 1), "-H", "Content-Type: text/plain")
    assert status == 400, body


def test_throttling_is_429(start):
    limits = {"MILLRACE_STORAGE_MEMORY_LIMIT": "16MiB", "MILLRACE_STORAGE_FILE_SIZE": "1MiB", "MILLRACE_STORAGE_DISK_LIMIT": "4MiB"}
    daemon = start(environment=limits)
    for _ in range(40):
        status, _, body = post(daemon, "x" * 900_000, "-H", "Content-Type: text/plain")
        if status != 200:
            break
    assert status == 429, body
    assert daemon.alive()
    daemon.flush()


def test_a_body_over_10_mib_is_413_before_it_is_sent(daemon):
    connection = daemon.connect("gateway")
    connection.sendall(
        b"POST /PROD/v1 HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: text/plain\r\n"
        b"Content-Length: 10485761\r\n\r\n"
    )
    reply = connection.recv(65536)
    assert reply.startswith(b"HTTP/1.1 413"), reply
    connection.close()
