"""millrace tail against a running daemon."""

import hashlib
import json
import selectors
import signal
import subprocess

import boto3
import pytest

from conftest import BINARY, CLEAN_ENVIRONMENT, PATIENCE


def command(daemon, *arguments):
    return [BINARY, "tail", "--url", daemon.aws, *arguments]


def tail(daemon, *arguments, expect=0, **environment):
    done = subprocess.run(command(daemon, *arguments), capture_output=True, timeout=PATIENCE, env={**CLEAN_ENVIRONMENT, **environment})
    assert done.returncode == expect, done.stderr.decode()
    return done.stdout if expect == 0 else done.stderr.decode()


def objects(text):
    decoder, found, at = json.JSONDecoder(), [], 0
    text = text.decode()
    while at < len(text):
        value, at = decoder.raw_decode(text, at)
        found.append(value)
        at += 1  # the line end
    return found


@pytest.fixture
def events(kinesis, name):
    kinesis.create_stream(StreamName=name, ShardCount=1)
    yield name
    kinesis.delete_stream(StreamName=name)


def put(kinesis, stream, data, key="k"):
    return kinesis.put_record(StreamName=stream, Data=data, PartitionKey=key)["SequenceNumber"]


def test_records_are_shown_as_what_they_are(daemon, kinesis, events):
    number = put(kinesis, events, b'{"b": 1, "a": [null, "\\u00e9"]}', "kéy")
    put(kinesis, events, b"plain text")
    put(kinesis, events, b"\xff\x00")
    put(kinesis, events, b"[" * 500 + b"]" * 500)
    shown = objects(tail(daemon, events, "--from", "horizon", "--limit", "4"))
    assert shown[0]["data"] == {"b": 1, "a": [None, "é"]} and list(shown[0]["data"]) == ["b", "a"]
    assert (shown[0]["shardId"], shown[0]["sequenceNumber"], shown[0]["partitionKey"]) == ("shardId-000000000000", number, "kéy")
    assert shown[0]["approximateArrivalTimestamp"].endswith("Z")
    assert shown[1]["data"] == "plain text" and shown[2]["dataBase64"] == "/wA=" and shown[3]["data"].startswith("[[[")
    assert tail(daemon, events, "--from", "horizon", "--limit", "3", "--raw").startswith(b'{"b": 1, "a": [null, "\\u00e9"]}\nplain text\n\xff\x00\n')


def test_aggregated_records_are_taken_apart(daemon, kinesis, events):
    message = b"\x0a\x01a\x0a\x02bb" + b"\x1a\x07\x08\x00\x1a\x03one" + b"\x1a\x07\x08\x01\x1a\x03two"
    put(kinesis, events, b"\xf3\x89\x9a\xc2" + message + hashlib.md5(message).digest())
    shown = objects(tail(daemon, events, "--from", "horizon", "--limit", "2"))
    assert [(one["subSequenceNumber"], one["partitionKey"], one["data"]) for one in shown] == [(0, "a", "one"), (1, "bb", "two")]


def test_a_reshard_is_followed_parents_first(daemon, kinesis, events):
    for i in range(3):
        put(kinesis, events, b"before %d" % i, str(i))
    kinesis.update_shard_count(StreamName=events, TargetShardCount=2, ScalingType="UNIFORM_SCALING")
    for i in range(3):
        put(kinesis, events, b"after %d" % i, str(i))
    lines = tail(daemon, events, "--from", "horizon", "--limit", "6", "--raw").splitlines()
    assert lines[:3] == [b"before %d" % i for i in range(3)]
    assert sorted(lines[3:]) == [b"after %d" % i for i in range(3)]
    # One shard alone ends with it.
    assert tail(daemon, events, "--from", "horizon", "--shard", "shardId-000000000000", "--raw").splitlines() == lines[:3]
    assert len(tail(daemon, events, "--from", "2020-01-01T00:00:00Z", "--limit", "6", "--raw").splitlines()) == 6


def test_it_waits_for_records_until_ctrl_c(daemon, kinesis, events):
    put(kinesis, events, b"old")
    with subprocess.Popen(command(daemon, events, "--raw"), stdout=subprocess.PIPE, env=CLEAN_ENVIRONMENT) as following:
        try:
            seen = b""
            # It is at the tip when it shows something: until then records come.
            ready = selectors.DefaultSelector()
            ready.register(following.stdout, selectors.EVENT_READ)
            while not ready.select(0.1):
                put(kinesis, events, b"new")
            seen = following.stdout.readline()
            assert seen == b"new\n"
            kinesis.update_shard_count(StreamName=events, TargetShardCount=2, ScalingType="UNIFORM_SCALING")
            put(kinesis, events, b"after the reshard")
            while seen != b"after the reshard\n":
                seen = following.stdout.readline()
            following.send_signal(signal.SIGINT)
            assert following.wait(PATIENCE) == 0
        finally:
            following.kill()


def test_a_reader_that_goes_ends_it(daemon, kinesis, events):
    for i in range(20):
        put(kinesis, events, b"x" * 100_000)
    with subprocess.Popen(command(daemon, events, "--from", "horizon", "--raw"), stdout=subprocess.PIPE, env=CLEAN_ENVIRONMENT) as following:
        following.stdout.read(10)
        following.stdout.close()
        put(kinesis, events, b"x")
        assert following.wait(PATIENCE) == 0


def test_over_tls_and_signed(start, tmp_path):
    keys = tmp_path / "credentials"
    keys.touch(0o600)
    keys.write_text("[x]\naws_access_key_id = AKIATAIL000000000001\naws_secret_access_key = secret\n")
    daemon = start('listen: {aws: "127.0.0.1:0", gateway: "127.0.0.1:0"}\ndata_dir: data\nauth: {credentials: %s}\nstreams: [{StreamName: s, ShardCount: 1}]\n' % keys)
    url = daemon.aws.replace("http://127.0.0.1", "https://localhost")
    signed = {"AWS_ACCESS_KEY_ID": "AKIATAIL000000000001", "AWS_SECRET_ACCESS_KEY": "secret"}
    kinesis = boto3.client("kinesis", endpoint_url=daemon.aws, region_name="us-east-1", aws_access_key_id="AKIATAIL000000000001",
                           aws_secret_access_key="secret")
    kinesis.put_record(StreamName="s", Data=b"signed", PartitionKey="k")

    def run(*more, **environment):
        return subprocess.run([BINARY, "tail", "s", "--url", url, "--from", "horizon", "--limit", "1", "--raw", *more],
                              capture_output=True, text=True, timeout=PATIENCE, env={**CLEAN_ENVIRONMENT, **environment})

    ca = str(daemon.data / "tls" / "ca.pem")
    assert run("--ca", ca, **signed).stdout == "signed\n"
    assert run(AWS_CA_BUNDLE=ca, **signed).stdout == "signed\n"
    refused = run("--ca", ca)
    assert refused.returncode == 1 and "UnrecognizedClientException" in refused.stderr
    unknown = run(**signed)
    assert unknown.returncode == 1 and "certificate verify failed" in unknown.stderr
    assert "cannot be read as certificates" in run("--ca", "/nowhere", **signed).stderr


def test_what_cannot_be_read_is_said(daemon, kinesis, events):
    assert "ResourceNotFoundException" in tail(daemon, "nobody", expect=1)
    assert "ResourceNotFoundException" in tail(daemon, events, "--shard", "shardId-000000000007", expect=1)
    assert "is not horizon, tip or a time" in tail(daemon, events, "--from", "yesterday", expect=2)
    assert "STREAM is missing" in tail(daemon, expect=2)
    gone = subprocess.run([BINARY, "tail", events, "--url", "http://127.0.0.1:1"], capture_output=True, text=True, env=CLEAN_ENVIRONMENT, timeout=PATIENCE)
    assert gone.returncode == 1 and "cannot reach http://127.0.0.1:1: Connection refused" in gone.stderr
