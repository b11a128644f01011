"""TLS on the ports of everything else: clients that users have, with the daemon's own authority and with the user's."""

import json
import os
import signal
import socket
import ssl
import stat
import subprocess

import boto3
import botocore.config
import pytest

from conftest import BINARY, CLEAN_ENVIRONMENT, CREDENTIALS, PATIENCE, http
from test_http2 import record, target

EVENT = b'{"a":1}'


def https(url, host="localhost"):
    """The same port by TLS, under a name of the certificate."""
    return f"https://{host}:{url.rsplit(':', 1)[1]}"


def authority(daemon):
    return daemon.data / "tls/ca.pem"


def curl(daemon, url, *options, headers=None, body=b"", expect=0):
    """Status, HTTP version and body as curl sees them."""
    command = ["curl", "--silent", "--show-error", "--max-time", str(PATIENCE), "--write-out", "\n%{http_code} %{http_version}"]
    command += ["--noproxy", "*", *options, "--data-binary", "@-", url]
    for name, value in (headers or {}).items():
        command += ["--header", f"{name}: {value}"]
    done = subprocess.run(command, input=body, capture_output=True, env=CLEAN_ENVIRONMENT, timeout=2 * PATIENCE)
    assert done.returncode == expect, done.stderr
    if expect:
        return done.stderr.decode()
    text, _, last = done.stdout.rpartition(b"\n")
    status, version = last.decode().split()
    return int(status), version, text


def shown(daemon, verify, host="localhost"):
    """What a client sees of the certificate, and which protocol it agrees to."""
    context = ssl.create_default_context(cafile=str(verify))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    context.set_alpn_protocols(["h2", "http/1.1"])
    with daemon.connect() as plain, context.wrap_socket(plain, server_hostname=host) as connection:
        return connection.getpeercert(), connection.selected_alpn_protocol(), connection.version()


def openssl(directory, *arguments):
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


def make_own(directory, name, common_name):
    """A certificate of the user's own, which is its own authority."""
    openssl(
        directory, "req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "30", "-keyout", f"{name}.key", "-out", f"{name}.pem",
        "-subj", f"/CN={common_name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
    )  # fmt: skip


@pytest.mark.parametrize("version, options", [("1.1", ["--http1.1"]), ("2", ["--http2"]), ("2", ["--http2-prior-knowledge"]), ("2", [])])
def test_curl_with_the_daemons_own_authority(start, version, options):
    daemon = start()
    options = [*options, "--cacert", str(authority(daemon))]
    for host in ("localhost", "127.0.0.1"):
        status, got, body = curl(daemon, https(daemon.aws, host) + "/", *options, headers=target("PutRecord"), body=json.dumps(record(0)).encode())
        assert (status, got) == (200, version)
        assert json.loads(body)["ShardId"].startswith("shardId-")
    status, got, body = curl(daemon, https(daemon.gateway) + "/PROD/v1", *options, headers={"Content-Type": "application/json"}, body=EVENT)
    assert (status, got) == (200, version)
    large = json.dumps({"text": "x" * 900_000}).encode()
    status, got, body = curl(daemon, https(daemon.gateway) + "/PROD/v1", *options, headers={"Content-Type": "application/json"}, body=large)
    assert (status, got) == (200, version), body
    # The same ports without TLS.
    assert http("POST", daemon.gateway + "/PROD/v1", EVENT, {"Content-Type": "application/json"}).status == 200
    daemon.stop()


@pytest.mark.parametrize("version", ["--tlsv1.2 --tls-max 1.2", "--tlsv1.3"])
def test_versions_of_tls(start, version):
    daemon = start()
    options = [*version.split(), "--cacert", str(authority(daemon))]
    assert curl(daemon, https(daemon.gateway) + "/PROD/v1", *options, headers={"Content-Type": "application/json"}, body=EVENT)[0] == 200
    daemon.stop()


def test_who_does_not_trust_the_authority_is_not_served(start):
    daemon = start()
    assert "certificate" in curl(daemon, https(daemon.aws) + "/", expect=60)
    assert http("GET", daemon.aws + "/_millrace/health").status == 200
    daemon.stop()


def test_python_sees_a_certificate_that_is_right_by_the_strictest_rules(start):
    daemon = start(environment={"MILLRACE_TLS_HOSTNAMES": "data.example, 10.0.0.7"})
    certificate, protocol, version = shown(daemon, authority(daemon))
    assert (protocol, version) == ("h2", "TLSv1.3")
    names = [name for _, name in certificate["subjectAltName"]]
    for name in ("localhost", "*.localhost", "127.0.0.1", "0:0:0:0:0:0:0:1", "host.docker.internal", "data.example", "10.0.0.7"):
        assert name in names
    assert socket.gethostname().lower() in names
    for host in ("127.0.0.1", "data.example"):
        shown(daemon, authority(daemon), host)
    with pytest.raises(ssl.SSLCertVerificationError):
        shown(daemon, authority(daemon), "other.example")
    daemon.stop()


def test_boto3_verifies(start):
    daemon = start()
    client = boto3.client(
        "kinesis",
        endpoint_url=https(daemon.aws),
        verify=str(authority(daemon)),
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=botocore.config.Config(retries={"total_max_attempts": 1}, proxies={}),
    )
    records = [{"Data": b"x" * 50_000, "PartitionKey": str(i)} for i in range(60)]
    assert client.put_records(StreamName="events", Records=records)["FailedRecordCount"] == 0
    got = 0
    for shard in client.list_shards(StreamName="events")["Shards"]:
        iterator = client.get_shard_iterator(StreamName="events", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
        got += sum(len(each["Data"]) for each in client.get_records(ShardIterator=iterator)["Records"])
    assert got == 60 * 50_000
    daemon.stop()


def test_aws_cli_verifies(start):
    daemon = start()
    done = subprocess.run(
        ["/usr/bin/aws", "--endpoint-url", https(daemon.aws), "--ca-bundle", str(authority(daemon)), "kinesis", "list-streams"],
        capture_output=True,
        text=True,
        env={**CLEAN_ENVIRONMENT, **CREDENTIALS, "AWS_MAX_ATTEMPTS": "1"},
        timeout=2 * PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert "events" in json.loads(done.stdout)["StreamNames"]
    daemon.stop()


def test_the_authority_is_made_once_and_served(start):
    daemon = start()
    pem = authority(daemon).read_bytes()
    served = http("GET", daemon.aws + "/_millrace/ca.pem")
    assert (served.status, served.body) == (200, pem)
    assert served.headers["Content-Type"] == "application/x-pem-file"
    for key in ("ca.key", "server.key"):
        assert stat.S_IMODE(os.stat(daemon.data / "tls" / key).st_mode) == 0o600
    assert f"tls: https on the same ports, clients trust {authority(daemon)}\n" in daemon.lines
    certificate = shown(daemon, authority(daemon))[0]["serialNumber"]
    daemon.stop()
    daemon.start()
    assert authority(daemon).read_bytes() == pem
    assert shown(daemon, authority(daemon))[0]["serialNumber"] == certificate
    daemon.stop()
    # Other names: another certificate of the same authority.
    daemon.environment["MILLRACE_TLS_HOSTNAMES"] = "data.example"
    daemon.start()
    assert authority(daemon).read_bytes() == pem
    assert shown(daemon, authority(daemon), "data.example")[0]["serialNumber"] != certificate
    daemon.stop()


def test_the_users_own_certificate_is_read_again_on_sighup(start, tmp_path):
    make_own(tmp_path, "first", "first")
    make_own(tmp_path, "second", "second")
    first, second = tmp_path / "first.pem", tmp_path / "second.pem"
    used, key = tmp_path / "server.pem", tmp_path / "server.key"

    def put(name):
        used.write_bytes((tmp_path / f"{name}.pem").read_bytes())
        key.write_bytes((tmp_path / f"{name}.key").read_bytes())

    def sees(trusted):
        try:
            shown(daemon, trusted)
            return True
        except ssl.SSLCertVerificationError:
            return False

    put("first")
    daemon = start(environment={"MILLRACE_TLS_CERTIFICATE": str(used), "MILLRACE_TLS_KEY": str(key)})
    assert sees(first) and not (daemon.data / "tls").exists()
    assert http("GET", daemon.aws + "/_millrace/ca.pem").status == 404

    context = ssl.create_default_context(cafile=str(first))
    with context.wrap_socket(daemon.connect(), server_hostname="localhost") as open_before:
        # A file that is none changes nothing, and is told.
        used.write_text("half a file")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for("the certificate before stays in use")
        reason = next(line["reason"] for line in daemon.log_entries() if "stays in use" in line["message"])
        assert reason == f"tls.certificate: {used} and {key}: there is no certificate (-----BEGIN CERTIFICATE-----)"
        assert sees(first) and not sees(second)

        put("second")
        daemon.process.send_signal(signal.SIGHUP)
        daemon.wait_for("the certificate was read again")
        assert sees(second) and not sees(first)
        open_before.sendall(b"GET /_millrace/health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert open_before.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")
    daemon.stop()


def test_sighup_without_tls_ends_nothing(start):
    daemon = start(environment={"MILLRACE_TLS_ENABLED": "false"})
    daemon.process.send_signal(signal.SIGHUP)
    assert http("GET", daemon.aws + "/_millrace/health").status == 200
    assert http("GET", daemon.aws + "/_millrace/ca.pem").status == 404
    assert not (daemon.data / "tls").exists()
    assert "tls: " not in "".join(daemon.lines)
    with pytest.raises(ssl.SSLError), daemon.connect() as plain:
        ssl._create_unverified_context().wrap_socket(plain)
    daemon.stop()


def test_material_that_cannot_be_used_ends_the_start(tmp_path):
    make_own(tmp_path, "one", "one")
    make_own(tmp_path, "other", "other")
    environment = {
        **CLEAN_ENVIRONMENT,
        "MILLRACE_LISTEN_AWS": "127.0.0.1:0",
        "MILLRACE_LISTEN_GATEWAY": "127.0.0.1:0",
        "MILLRACE_DATA_DIR": str(tmp_path / "data"),
        "MILLRACE_TLS_CERTIFICATE": str(tmp_path / "one.pem"),
        "MILLRACE_TLS_KEY": str(tmp_path / "other.key"),
    }
    for command in ("check", "serve"):
        done = subprocess.run([BINARY, command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 1, done
        assert f"tls.certificate: {tmp_path}/one.pem and {tmp_path}/other.key: the key is not the first certificate's" in done.stderr
    assert not (tmp_path / "data").exists()


def test_an_authority_without_its_key_ends_the_start(start):
    daemon = start()
    daemon.stop()
    (daemon.data / "tls/ca.key").unlink()
    with pytest.raises(AssertionError, match="exit 1"):
        daemon.start()
    assert f"tls: {daemon.data}/tls/ca.key: No such file or directory" in daemon.log()


def test_http2_over_tls_carries_many_requests_at_once(start):
    """curl's own multiplexing: one connection, forty requests."""
    daemon = start()
    command = ["curl", "--silent", "--show-error", "--fail", "--http2", "--parallel", "--parallel-max", "40", "--noproxy", "*"]
    command += ["--cacert", str(authority(daemon)), "--write-out", "%{num_connects} %{http_version}\n", "--output", "/dev/null"]
    command += ["--header", "Content-Type: application/json", "--data-binary", EVENT.decode(), https(daemon.gateway) + "/PROD/v1?[1-40]"]
    done = subprocess.run(command, capture_output=True, text=True, env=CLEAN_ENVIRONMENT, timeout=2 * PATIENCE, check=True)
    answers = [line.split() for line in done.stdout.splitlines()]
    assert len(answers) == 40 and all(version == "2" for _, version in answers), done.stdout
    daemon.flush()
    assert daemon.delivered().count(EVENT) == 40
    daemon.stop()


def test_a_stop_tells_idle_connections(start):
    daemon = start()
    context = ssl.create_default_context(cafile=str(authority(daemon)))
    context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
    with context.wrap_socket(daemon.connect(), server_hostname="localhost", suppress_ragged_eofs=False) as connection:
        connection.sendall(b"GET /_millrace/health HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 OK\r\n")
        daemon.process.send_signal(signal.SIGTERM)
        assert connection.recv(4096) == b""  # close_notify: without it this raises
    assert daemon.wait() == 0


def test_silent_and_broken_handshakes_cost_no_other_client(start):
    daemon = start()
    silent = []
    for _ in range(50):
        connection = daemon.connect()
        connection.sendall(b"\x16\x03\x01\x02\x00\x01")
        silent.append(connection)
    for sent in (b"\x16\x03\x01\x00\x04abcd", b"\x16\x03" + os.urandom(1000)):
        with daemon.connect() as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            got = b""
            while piece := connection.recv(4096):
                got += piece
            assert got[0] == 21  # an alert, and nothing else
            assert len(got) == 7
    shown(daemon, authority(daemon))
    for connection in silent:
        connection.close()
    daemon.stop()
