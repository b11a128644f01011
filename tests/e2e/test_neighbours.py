"""The hosts and URLs under which suites for AWS, LocalStack and moto look for their services."""

import ipaddress
import json
import re
import socket
import subprocess

import boto3
import botocore.config
import botocore.exceptions
import pytest

from conftest import CLEAN_ENVIRONMENT, DEFAULT_CONFIG, PATIENCE, http
from test_main_job import curl


def port_of(url):
    return url.rsplit(":", 1)[1]


@pytest.fixture
def names_lead_to(monkeypatch):
    """Any host name leads this process to a daemon, whatever the port: what a DNS server of one's own would do.

    Only addresses are looked up as usual. Not every system resolves *.localhost by itself."""
    looked_up = socket.getaddrinfo

    def install(daemon):
        def to_the_daemon(host, port, *arguments, **options):
            try:
                ipaddress.ip_address(host)
            except ValueError:
                host, port = "127.0.0.1", int(port_of(daemon.aws))
            return looked_up(host, port, *arguments, **options)

        monkeypatch.setattr(socket, "getaddrinfo", to_the_daemon)

    return install


def client(service, endpoint=None, **options):
    return boto3.client(
        service,
        endpoint_url=endpoint,
        use_ssl=False,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=botocore.config.Config(retries={"total_max_attempts": 1}, proxies={}, **options),
    )


def hosts_used_by(made):
    used = []
    made.meta.events.register("before-send.*.*", lambda request, **_: used.append(request.url.split("/")[2]))
    return used


@pytest.mark.parametrize(
    "host",
    ["kinesis.us-east-1.localhost", "kinesis.localhost", "kinesis.localhost.localstack.cloud", "localhost.localstack.cloud", "millrace", "host.docker.internal"],
)
def test_boto3_finds_kinesis_under_any_host(daemon, names_lead_to, name, host):
    names_lead_to(daemon)
    kinesis = client("kinesis", f"http://{host}:{port_of(daemon.aws)}")
    used = hosts_used_by(kinesis)
    kinesis.create_stream(StreamName=name, ShardCount=1)
    assert kinesis.put_record(StreamName=name, Data=b"x", PartitionKey="k")["ShardId"] == "shardId-000000000000"
    assert set(used) == {f"{host}:{port_of(daemon.aws)}"}


def test_boto3_finds_firehose_under_its_host_and_under_that_of_kinesis(daemon, names_lead_to):
    names_lead_to(daemon)
    for host in ("firehose.us-east-1.localhost", "kinesis.us-east-1.localhost"):
        firehose = client("firehose", f"http://{host}:{port_of(daemon.aws)}")
        assert "events-to-s3" in firehose.list_delivery_streams()["DeliveryStreamNames"]


def test_boto3_without_any_endpoint_uses_the_hosts_of_aws(daemon, names_lead_to, name):
    names_lead_to(daemon)
    seen = []
    for options in ({}, {"use_dualstack_endpoint": True}, {"use_fips_endpoint": True}, {"use_fips_endpoint": True, "use_dualstack_endpoint": True}):
        kinesis = client("kinesis", **options)
        used = hosts_used_by(kinesis)
        stream = f"{name}-{len(seen)}"
        kinesis.create_stream(StreamName=stream, ShardCount=1)
        arn = kinesis.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["StreamARN"]
        kinesis.put_record(StreamARN=arn, Data=b"x", PartitionKey="k")
        kinesis.delete_stream(StreamARN=arn)
        seen.append(used)
    assert seen[0] == [
        "kinesis.us-east-1.amazonaws.com",
        "kinesis.us-east-1.amazonaws.com",
        "000000000000.data-kinesis.us-east-1.amazonaws.com",
        "000000000000.control-kinesis.us-east-1.amazonaws.com",
    ]
    assert seen[3][2] == "000000000000.data-kinesis-fips.us-east-1.api.aws"
    assert "firehose.us-east-1.amazonaws.com" not in str(seen)


def test_the_control_api_of_api_gateway_is_refused_by_name(daemon):
    with pytest.raises(botocore.exceptions.ClientError, match="control API of Amazon API Gateway is not served here"):
        daemon.client("apigateway").get_rest_apis()
    answer = http("GET", daemon.aws + "/restapis")
    assert (answer.status, "control API of Amazon API Gateway" in answer.body.decode()) == (400, True)


def test_curl_finds_an_api_by_its_host_on_both_listeners(daemon):
    # curl resolves names below localhost by itself.
    for listener in (daemon.aws, daemon.gateway):
        for api in (daemon.api_id(), daemon.api_id().upper()):
            status, headers, body = curl(f"http://{api}.execute-api.localhost:{port_of(listener)}/PROD/v1", "-d", '{"a":1}')
            assert status == 200, body
            assert "ShardId" in json.loads(body)
            assert headers["x-amz-apigw-id"]


@pytest.mark.parametrize(
    "host",
    [
        "{api}.execute-api.localhost",
        "{api}.execute-api.localhost.localstack.cloud:4566",
        "{api}.execute-api.us-east-1.amazonaws.com",
        "{api}.execute-api.eu-central-1.localhost.:4566",
        "{API}.EXECUTE-API.US-EAST-1.AMAZONAWS.COM",
    ],
)
def test_an_api_answers_to_each_form_of_its_host(daemon, host):
    api = daemon.api_id()
    headers = {"Host": host.format(api=api, API=api.upper())}
    for listener in (daemon.aws, daemon.gateway):
        answer = http("POST", listener + "/PROD/v1", b'{"a":1}', headers)
        assert answer.status == 200, answer.body
        unknown = http("POST", listener + "/PROD/v1", b"{}", {"Host": headers["Host"].replace(api, "0123456789").replace(api.upper(), "0123456789")})
        assert (unknown.status, unknown.json()) == (403, {"message": "Forbidden"})
        missing = http("POST", listener + "/PROD/nothing", b"{}", headers)
        assert (missing.status, missing.json()) == (403, {"message": "Missing Authentication Token"})


PLACES = """
openapi: 3.0.1
info: {title: places, version: "1"}
paths:
  /of/{name}/{rest+}:
    get:
      parameters:
        - {name: name, in: path, required: true, schema: {type: string}}
        - {name: rest, in: path, required: true, schema: {type: string}}
      responses: {"200": {description: put}}
      x-amazon-apigateway-integration:
        type: aws
        httpMethod: POST
        uri: arn:aws:apigateway:us-east-1:kinesis:action/PutRecord
        credentials: arn:aws:iam::000000000000:role/x
        requestTemplates:
          application/json: |
            {"StreamName":"places","PartitionKey":"k","Data":"$util.base64Encode("$input.params('name')|$input.params('rest')|$input.params('q')|$context.path|$context.stage|$context.apiId")"}
        responses: {default: {statusCode: "200"}}
"""
PLACES_CONFIG = """
streams: [{StreamName: places, ShardCount: 1}]
apis: [{name: places, id: placesplac, openapi: PATH, stages: [PROD]}]
"""


def test_an_api_sees_the_same_request_by_every_url(start, tmp_path):
    (tmp_path / "places.yaml").write_text(PLACES)
    daemon = start(PLACES_CONFIG.replace("PATH", str(tmp_path / "places.yaml")))
    host = {"Host": "placesplac.execute-api.localhost"}
    resource = "/of/a%20b%2Fc/d/e%25f?q=1%202&r=x"
    answers = [
        http("GET", daemon.gateway + "/PROD" + resource),
        http("GET", daemon.gateway + "/PROD" + resource, headers=host),
        http("GET", daemon.aws + "/PROD" + resource, headers=host),
        http("GET", daemon.aws + "/restapis/placesplac/PROD/_user_request_" + resource),
        http("GET", daemon.aws + "/_aws/execute-api/placesplac/PROD" + resource),
    ]
    assert [answer.status for answer in answers] == [200] * 5, [answer.body for answer in answers]
    kinesis = daemon.client("kinesis")
    iterator = kinesis.get_shard_iterator(StreamName="places", ShardId="0", ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    seen = [record["Data"].decode() for record in kinesis.get_records(ShardIterator=iterator)["Records"]]
    assert len(seen) == 5 and len(set(seen)) == 1, seen
    assert seen[0].endswith("|PROD|placesplac")
    assert "a b/c|d/e%f|1 2|/PROD/of/" in seen[0]


def shell(script):
    """What a suite's script does until its emulator is there; bounded, since those loops are not."""
    return subprocess.run(["bash", "-c", script], env=CLEAN_ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE)


@pytest.mark.parametrize("path", ["/_localstack/health", "/health"])
@pytest.mark.parametrize("word", ["available", "running"])
@pytest.mark.parametrize("config", [None, DEFAULT_CONFIG], ids=["nothing declared", "streams declared"])
def test_a_script_that_polls_for_either_word_goes_on(start, config, word, path):
    daemon = start(config)
    loop = (
        f"for i in 1 2 3; do curl -s --noproxy '*' {daemon.aws}{path} | grep '\"kinesis\": \"{word}\"' | grep '\"firehose\": \"{word}\"'"
        " && exit 0; sleep 0.1; done; exit 1"
    )
    done = shell(loop)
    assert done.returncode == 0, done


def test_health_checks_of_containers_pass(daemon):
    for path in ("/_localstack/health", "/health", "/_localstack/info", "/_localstack/init/ready"):
        assert shell(f"curl -sSf --noproxy '*' {daemon.aws}{path}").returncode == 0
        head = shell(f"curl -sSfI --noproxy '*' {daemon.aws}{path}")
        assert head.returncode == 0 and head.stdout.startswith("HTTP/1.1 200"), head


OTHERS = {"cloudwatch": "available", "firehose": "available", "sts": "available"}


def services(daemon):
    return http("GET", daemon.aws + "/_localstack/health").json()["services"]


def test_a_suite_sees_a_service_run_once_it_holds_something(start):
    daemon = start(None)
    assert services(daemon) == {**OTHERS, "kinesis": "available"}
    daemon.client("kinesis").create_stream(StreamName="mine", ShardCount=1)
    assert services(daemon) == {**OTHERS, "kinesis": "running"}
    http("POST", daemon.aws + "/_localstack/state/reset")
    assert services(daemon) == {**OTHERS, "kinesis": "available"}


@pytest.mark.parametrize("path", ["/moto-api/reset", "/_localstack/state/reset"])
def test_a_reset_by_a_neighbours_url_forgets_streams_and_keeps_objects(start, path):
    daemon = start()
    kinesis = daemon.client("kinesis")
    kinesis.put_record(StreamName="events", Data=b"old", PartitionKey="k")
    daemon.flush()
    kinesis.create_stream(StreamName="mine", ShardCount=1)
    delivered = daemon.objects()
    assert delivered
    answer = http("POST", daemon.aws + path, b"{}")
    assert answer.status == 200
    assert answer.headers["X-Millrace-Objects"] == "kept"
    if path == "/moto-api/reset":
        assert answer.body == b'{"status": "ok"}'
    assert kinesis.list_streams()["StreamNames"] == ["events"]
    assert daemon.objects() == delivered
    assert {"objects": "kept", "asked_at": path}.items() <= next(e for e in daemon.log_entries() if e["message"] == "reset").items()
    assert http("POST", daemon.gateway + "/PROD/v1", b'{"a":1}', {"Content-Type": "application/json"}).status == 200, "APIs stay"
    answer = http("POST", daemon.aws + path + "?objects=true")
    assert (answer.status, answer.headers["X-Millrace-Objects"]) == (200, "removed")
    assert daemon.objects() == []


@pytest.mark.parametrize("path", ["/moto-api/reset", "/_localstack/state/reset"])
def test_a_neighbours_reset_is_as_safe_as_our_own(start, path):
    daemon = start()
    daemon.client("kinesis").create_stream(StreamName="mine", ShardCount=1)
    url = daemon.aws + path
    assert http("POST", url, b"", {"Origin": "http://evil.example"}).status == 403
    assert http("POST", url, b"", {"Origin": "null"}).status == 403
    for method in ("GET", "PUT", "DELETE"):
        refused = http(method, url)
        assert (refused.status, refused.headers["Allow"]) == (405, "POST")
    assert http("POST", daemon.aws + "/_localstack/state/kinesis/reset").status == 404
    assert http("POST", daemon.gateway + path).status == 403, "no page of the other listener"
    assert "mine" in daemon.client("kinesis").list_streams()["StreamNames"]
    off = start(environment={"MILLRACE_ADMIN_RESET": "false"})
    assert http("POST", off.aws + path).status == 403


def test_what_neighbours_have_and_we_do_not_is_a_plain_404(daemon):
    for path in ("/_localstack/diagnose", "/_localstack/nothing", "/moto-api/data.json", "/moto-api/", "/_aws/sqs/messages"):
        answer = http("GET", daemon.aws + path)
        assert answer.status == 404 and "no such page" in answer.json()["error"]


def test_hosts_of_any_make_neither_hurt_nor_show_in_the_metrics(daemon):
    def lines():
        page = http("GET", daemon.aws + "/_millrace/metrics").body.decode()
        return sorted(line.rsplit(" ", 1)[0] for line in page.splitlines())

    before = lines()
    for host in ("x" * 3000 + ".execute-api.localhost", ".execute-api.", "..", "[::1", "kinesis..", "\xff.execute-api.localhost", "a,b", "%00.localhost"):
        connection = daemon.connect()
        connection.sendall(b"GET /PROD/v1 HTTP/1.1\r\nHost: " + host.encode("latin-1") + b"\r\nConnection: close\r\n\r\n")
        reply = b""
        while piece := connection.recv(65536):
            reply += piece
        connection.close()
        assert re.match(rb"HTTP/1\.1 4\d\d ", reply), (host[:40], reply[:100])
    assert lines() == before
