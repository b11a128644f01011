"""Starting, being asked, and stopping."""

import fcntl
import json
import os
import pathlib
import signal
import socket
import stat
import subprocess
import time

import pytest

from conftest import BINARY, CLEAN_ENVIRONMENT, DEFAULT_CONFIG, PATIENCE, http

SANITIZED = b"__asan_init" in pathlib.Path(BINARY).read_bytes() or b"__tsan_init" in pathlib.Path(BINARY).read_bytes()


def run(*arguments, environment=None, cwd=None):
    return subprocess.run(
        [BINARY, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**CLEAN_ENVIRONMENT, **(environment or {})},
        timeout=PATIENCE,
    )


def put(daemon, data=b"event"):
    daemon.client("kinesis").put_record(StreamName="events", Data=data, PartitionKey="k")


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_delivers_what_is_buffered(start, by):
    daemon = start()
    for number in range(100):
        put(daemon, b"%d" % number)
    daemon.stop(by, expect=0)
    assert daemon.delivered() == b"".join(b"%d\n" % number for number in range(100))
    assert any(entry.get("message", entry.get("msg")) == "stopped" for entry in daemon.log_entries())


def test_a_stop_with_nothing_to_do_does_not_wait_for_its_deadline(start):
    daemon = start(environment={"MILLRACE_SHUTDOWN_DEADLINE": "1h"})
    daemon.stop()  # which is patient for less


def block_bucket(daemon):
    """A file where the bucket's directory would be: nothing can be delivered."""
    (daemon.data / "s3").mkdir(parents=True, exist_ok=True)
    (daemon.data / "s3/datalake").write_text("in the way")


def test_what_cannot_be_delivered_is_counted_and_exits_3(start):
    daemon = start(environment={"MILLRACE_SHUTDOWN_DEADLINE": "500ms"})
    block_bucket(daemon)
    for _ in range(3):
        put(daemon)
    daemon.stop(expect=3)
    (entry,) = [entry for entry in daemon.log_entries() if "undelivered_records" in entry]
    assert entry["undelivered_records"] == 3
    assert "event" not in daemon.log().replace("events", "")


def test_a_bucket_that_becomes_writable_loses_nothing(start):
    daemon = start()
    block_bucket(daemon)
    put(daemon, b"first")
    put(daemon, b"second")
    failed = http("POST", daemon.aws + "/_millrace/flush?deadline=300ms")
    assert failed.status == 503
    assert [failure["delivery_stream"] for failure in failed.json()["failures"]] == ["events-to-s3"]
    (daemon.data / "s3/datalake").unlink()
    daemon.flush()
    assert daemon.delivered() == b"first\nsecond\n"


def test_a_second_signal_ends_at_once(start):
    daemon = start(environment={"MILLRACE_SHUTDOWN_DEADLINE": "60s"})
    block_bucket(daemon)
    put(daemon)
    daemon.process.send_signal(signal.SIGINT)
    deadline = time.monotonic() + PATIENCE
    while "stopping" not in daemon.log():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    begun = time.monotonic()
    daemon.process.send_signal(signal.SIGINT)
    assert daemon.wait() == 130
    assert time.monotonic() - begun < 20


def test_requests_under_way_are_finished(start):
    daemon = start()
    body = b'{"StreamName":"events","PartitionKey":"k","Data":"ZXZlbnQ="}'
    connection = daemon.connect()
    connection.sendall(
        b"POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: Kinesis_20131202.PutRecord\r\nContent-Type: application/x-amz-json-1.1\r\n"
        b"Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=0\r\n"
        b"X-Amz-Date: 20260101T000000Z\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:10]
    )
    deadline = time.monotonic() + PATIENCE
    while http("GET", daemon.aws + "/_millrace/health").status != 200:
        assert time.monotonic() < deadline
    daemon.process.send_signal(signal.SIGTERM)
    while "stopping" not in daemon.log():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    connection.sendall(body[10:])
    reply = b""
    while piece := connection.recv(65536):
        reply += piece
    assert reply.startswith(b"HTTP/1.1 200"), reply
    assert b"SequenceNumber" in reply
    assert daemon.wait() == 0, daemon.log()
    assert daemon.delivered() == b"event\n"


def test_a_stopping_daemon_takes_no_connections(start):
    daemon = start()
    address = daemon.aws.removeprefix("http://").rsplit(":", 1)
    daemon.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address[0], int(address[1])), timeout=PATIENCE)


def test_it_says_what_it_serves_and_where(start):
    daemon = start()
    text = "".join(daemon.lines)
    assert "stream events: 2 shards" in text
    assert "delivery stream events-to-s3: events to" in text
    assert "1 MiB or 10 s" in text
    assert "API ingest (" in text and "stages PROD" in text
    assert len(daemon.lines) <= 8


def test_localhost_is_both_addresses_on_one_port(start):
    daemon = start(environment={"MILLRACE_LISTEN_AWS": "localhost:0"})
    hosts = {url.removeprefix("http://").rsplit(":", 1) [0] for url in daemon.urls["aws"]}
    ports = {url.rsplit(":", 1)[1] for url in daemon.urls["aws"]}
    assert "127.0.0.1" in hosts and hosts <= {"127.0.0.1", "[::1]"}
    assert len(ports) == 1
    for url in daemon.urls["aws"]:
        assert http("GET", url + "/_millrace/health").status == 200


def test_built_in_defaults_serve_with_nothing_declared(start):
    daemon = start(config=None)
    assert daemon.client("kinesis").list_streams()["StreamNames"] == []
    daemon.client("kinesis").create_stream(StreamName="a", ShardCount=1)
    assert http("POST", daemon.gateway + "/PROD/v1", b"{}").status == 403


def test_a_port_in_use_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        environment = {
            "MILLRACE_LISTEN_AWS": f"127.0.0.1:{port}",
            "MILLRACE_LISTEN_GATEWAY": "127.0.0.1:0",
            "MILLRACE_DATA_DIR": str(tmp_path / "data"),
        }
        for config in ([], ["--config", str(DEFAULT_CONFIG)]):
            done = run("serve", *config, environment=environment)
            assert done.returncode == 1, done.stderr
            assert f"listen.aws: 127.0.0.1:{port} is already in use" in done.stderr
            assert "Sanitizer" not in done.stderr and "ready:" not in done.stdout


def test_a_data_directory_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    environment = {"MILLRACE_LISTEN_AWS": "127.0.0.1:0", "MILLRACE_LISTEN_GATEWAY": "127.0.0.1:0"}
    done = run("serve", environment={**environment, "MILLRACE_DATA_DIR": str(tmp_path / "file/data")})
    assert done.returncode == 1
    assert f"MILLRACE_DATA_DIR (data_dir): '{tmp_path}/file' is a file" in done.stderr
    if os.geteuid() != 0:
        (tmp_path / "closed").mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
        done = run("serve", environment={**environment, "MILLRACE_DATA_DIR": str(tmp_path / "closed")})
        assert done.returncode == 1
        assert "cannot be written" in done.stderr


def test_a_data_directory_has_one_daemon(start, tmp_path):
    daemon = start()
    environment = {"MILLRACE_LISTEN_AWS": "127.0.0.1:0", "MILLRACE_LISTEN_GATEWAY": "127.0.0.1:0"}
    done = run("serve", environment={**environment, "MILLRACE_DATA_DIR": str(daemon.data)})
    assert done.returncode == 1
    assert "is in use by another millrace" in done.stderr
    daemon.stop()
    with open(daemon.data / ".lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_check_says_what_would_be_served_and_touches_nothing(tmp_path):
    done = run("check", "--config", str(DEFAULT_CONFIG), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "stream events: 2 shards" in done.stdout
    assert "events-to-s3" in done.stdout and "API ingest" in done.stdout
    assert "valid: aws localhost:4566 gateway localhost:8080" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_environment_name_only_warns(start):
    daemon = start(environment={"MILLRACE_SERVICE_HOST": "10.0.0.1"})
    assert "MILLRACE_SERVICE_HOST" in daemon.log()


def test_version_and_help():
    assert run("version").stdout.startswith("millrace ")
    assert "serve" in run("help").stdout
    assert run("fly").returncode == 2


def test_health_of_a_running_daemon_and_of_none(start):
    daemon = start()
    assert run("health", "--url", daemon.aws).returncode == 0
    assert run("health", "--ready", environment={"MILLRACE_LISTEN_AWS": daemon.aws.removeprefix("http://")}).returncode == 0
    daemon.stop()
    gone = run("health", "--url", daemon.aws, "--timeout", "5s")
    assert gone.returncode == 1
    assert "cannot reach" in gone.stderr


def test_log_lines_are_json_and_silent_about_requests_that_succeed(start):
    daemon = start()
    before = len(daemon.log().splitlines())
    for _ in range(5):
        put(daemon, b"secret-data")
    assert len(daemon.log().splitlines()) == before
    daemon.stop()
    for line in daemon.log().splitlines():
        json.loads(line)
    assert "secret-data" not in daemon.log()


@pytest.mark.skipif(SANITIZED, reason="sanitizers change the size")
def test_small_when_idle(start):
    daemon = start()
    status = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text()
    resident = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))
    assert resident <= 20 * 1024, f"{resident} KiB"
