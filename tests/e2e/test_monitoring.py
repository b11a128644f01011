"""CloudWatch's PutMetricData as clients of all its protocols send it."""

import datetime
import gzip
import urllib.parse

import boto3
import botocore.config
import botocore.exceptions
import cbor2
import pytest

from conftest import http
from test_aws_cli import aws

TARGET = "GraniteServiceVersion20100801"
AUTHORIZATION = ("AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/monitoring/aws4_request, SignedHeaders=host, Signature=00")
SIGNED = {"Authorization": AUTHORIZATION, "X-Amz-Date": "20260101T000000Z"}


@pytest.fixture
def cloudwatch(daemon):
    return boto3.client("cloudwatch", endpoint_url=daemon.aws, region_name="us-east-1", aws_access_key_id="test",
                        aws_secret_access_key="test", config=botocore.config.Config(retries={"total_max_attempts": 1}))


def published(daemon, metric, what="sum"):
    page = http("GET", daemon.aws + "/_millrace/metrics").body.decode()
    return [line for line in page.splitlines() if line.startswith("millrace_published_%s{" % what) and 'metric="%s"' % metric in line]


def test_boto3_publishes(daemon, cloudwatch):
    now = datetime.datetime.now(datetime.timezone.utc)
    cloudwatch.put_metric_data(Namespace="App", MetricData=[
        {"MetricName": "one", "Value": 1.5, "Unit": "Count", "Timestamp": now, "Dimensions": [{"Name": "b", "Value": "2"}, {"Name": "a", "Value": "1"}]},
        {"MetricName": "set", "StatisticValues": {"SampleCount": 4, "Sum": 10, "Minimum": 1, "Maximum": 4}},
        {"MetricName": "list", "Values": [1, 2], "Counts": [3, 1], "StorageResolution": 1}])
    assert published(daemon, "one") == ['millrace_published_sum{namespace="App",metric="one",dimensions="a=1,b=2",unit="Count"} 1.5']
    assert published(daemon, "set", "maximum")[0].endswith(" 4")
    assert published(daemon, "list")[0].endswith(" 5")
    assert published(daemon, "list", "samples_total")[0].endswith(" 4")


def test_a_large_request_comes_compressed(daemon, cloudwatch):
    cloudwatch.put_metric_data(Namespace="App", MetricData=[{"MetricName": "m%d" % i, "Value": i} for i in range(1000)])
    assert published(daemon, "m999")[0].endswith(" 999")


@pytest.mark.parametrize("data, code, text", [
    ([], "MissingParameter", "The parameter MetricData is required."),
    ([{"MetricName": "m", "Value": 1, "Values": [1]}], "InvalidParameterCombination",
     "The parameters MetricData.member.1.Value and MetricData.member.1.Values are mutually exclusive and you have specified both."),
    ([{"MetricName": "m", "Values": [1], "Counts": [1, 2]}], "InvalidParameterValue",
     "The parameters MetricData.member.1.Values and MetricData.member.1.Counts must be of the same size."),
    ([{"MetricName": "m"}], "MissingParameter", None),
    ([{"MetricName": "m", "Value": 1e300}], "InvalidParameterValue", None),
    ([{"MetricName": "m", "Value": 1, "Timestamp": 0}], "InvalidParameterValue",
     "The parameter MetricData.member.1.Timestamp must specify a time within the past two weeks."),
    ([{"MetricName": "m", "Value": 1, "Unit": "Apples"}], "ValidationError", None),
    ([{"MetricName": "m", "Value": 1}] * 1001, "InvalidParameterValue", "The collection MetricData must not have a size greater than 1000."),
])
def test_what_is_wrong_is_refused_in_its_words(daemon, cloudwatch, data, code, text):
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        cloudwatch.put_metric_data(Namespace="App", MetricData=data)
    error = refused.value.response["Error"]
    assert error["Code"] == code
    assert text is None or error["Message"] == text
    assert published(daemon, "m") == []


def test_the_query_protocol(daemon):
    form = {"Action": "PutMetricData", "Version": "2010-08-01", "Namespace": "Old", "MetricData.member.1.MetricName": "q",
            "MetricData.member.1.Value": "2.5", "MetricData.member.1.Dimensions.member.1.Name": "d",
            "MetricData.member.1.Dimensions.member.1.Value": "v w"}
    headers = {**SIGNED, "Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    answer = http("POST", daemon.aws + "/", urllib.parse.urlencode(form).encode(), headers)
    assert answer.status == 200 and answer.headers["Content-Type"] == "text/xml"
    assert answer.body.startswith(b'<PutMetricDataResponse xmlns="http://monitoring.amazonaws.com/doc/2010-08-01/"><ResponseMetadata>')
    assert published(daemon, "q")[0].endswith('dimensions="d=v w",unit="None"} 2.5')
    form["MetricData.member.1.Value"] = "many"
    assert http("POST", daemon.aws + "/", urllib.parse.urlencode(form).encode(), headers).status == 400
    refused = http("POST", daemon.aws + "/", b"Action=ListMetrics&Version=2010-08-01", headers)
    assert refused.status == 400 and b"<Type>Sender</Type><Code>InvalidAction</Code>" in refused.body


def rpc(daemon, body, operation="PutMetricData", **more):
    headers = {**SIGNED, "Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor", "x-amzn-query-mode": "true", **more}
    return http("POST", "%s/service/%s/operation/%s" % (daemon.aws, TARGET, operation), body, headers)


def test_rpc_v2_cbor(daemon):
    now = int(datetime.datetime.now().timestamp())
    body = cbor2.dumps({"Namespace": "New", "MetricData": [{"MetricName": "c", "Value": 3.5, "Timestamp": cbor2.CBORTag(1, now)}]})
    answer = rpc(daemon, body)
    assert answer.status == 200 and answer.headers["smithy-protocol"] == "rpc-v2-cbor" and cbor2.loads(answer.body) == {}
    assert rpc(daemon, gzip.compress(body), **{"Content-Encoding": "gzip"}).status == 200
    assert published(daemon, "c")[0].endswith(" 7")
    refused = rpc(daemon, cbor2.dumps({"Namespace": ":no"}))
    assert refused.status == 400 and refused.headers["x-amzn-query-error"] == "ValidationError;Sender"
    assert cbor2.loads(refused.body)["__type"] == "ValidationException"
    assert rpc(daemon, body, "ListMetrics").status == 404


@pytest.mark.parametrize("body, more", [
    (b"\x81" * 100_000, {}), (b"\xa1", {}), (b"{}", {}), (b"\x1f\x8b", {"Content-Encoding": "gzip"}),
    (gzip.compress(b"\0" * 50_000_000), {"Content-Encoding": "gzip"}),
])
def test_bad_bodies_are_refused(daemon, body, more):
    answer = rpc(daemon, body, **more)
    assert answer.status == 400 and cbor2.loads(answer.body)["__type"] == "SerializationException"


def test_the_aws_cli_publishes(daemon):
    aws(daemon, "cloudwatch", "put-metric-data", "--namespace", "CLI", "--metric-name", "x", "--value", "3", "--unit", "Count")
    assert published(daemon, "x")[0].endswith(" 3")
