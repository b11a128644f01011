"""STS: who asks, and credentials for a time that then sign."""

import datetime

import boto3
import botocore.config
import botocore.exceptions
import pytest

from conftest import http
from test_aws_cli import aws

ROLE = "arn:aws:iam::000000000000:role/team/ingest"
KEYS = "[ci]\naws_access_key_id = AKIACI00000000000001\naws_secret_access_key = %s\n" % ("s" * 40)
ONCE = botocore.config.Config(retries={"total_max_attempts": 1})


def client(service, url, key="test", secret="test", token=None):
    return boto3.client(service, endpoint_url=url, region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret,
                        aws_session_token=token, config=ONCE)


def of(credentials):
    return credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]


@pytest.fixture(scope="module")
def verifying(tmp_path_factory):
    from conftest import Daemon
    directory = tmp_path_factory.mktemp("verifying")
    keys = directory / "credentials"
    keys.touch(0o600)
    keys.write_text(KEYS)
    daemon = Daemon(directory, 'listen: {aws: "127.0.0.1:0", gateway: "127.0.0.1:0"}\ndata_dir: data\nauth: {credentials: credentials}\n')
    daemon.start()
    yield daemon
    daemon.stop()


def signer(verifying, service="sts"):
    return client(service, verifying.aws, "AKIACI00000000000001", "s" * 40)


def code(call):
    with pytest.raises(botocore.exceptions.ClientError) as refused:
        call()
    return refused.value.response["Error"]["Code"], refused.value.response["ResponseMetadata"]["HTTPStatusCode"]


def test_whose_credentials_they_are(daemon):
    sts = client("sts", daemon.aws)
    identity = sts.get_caller_identity()
    assert (identity["UserId"], identity["Account"], identity["Arn"]) == ("000000000000", "000000000000", "arn:aws:iam::000000000000:root")
    assert aws(daemon, "sts", "get-caller-identity")["Account"] == "000000000000"
    given = sts.assume_role(RoleArn=ROLE, RoleSessionName="me@work")
    assumed = client("sts", daemon.aws, *of(given["Credentials"])).get_caller_identity()
    assert assumed["Arn"] == given["AssumedRoleUser"]["Arn"] == "arn:aws:sts::000000000000:assumed-role/ingest/me@work"
    assert assumed["UserId"] == given["AssumedRoleUser"]["AssumedRoleId"]


def test_credentials_for_a_time_sign(verifying):
    before = datetime.datetime.now(datetime.timezone.utc)
    given = signer(verifying).assume_role(RoleArn=ROLE, RoleSessionName="me", DurationSeconds=900)["Credentials"]
    lasts = given["Expiration"] - before
    assert datetime.timedelta(seconds=890) < lasts < datetime.timedelta(seconds=1000)
    assert client("kinesis", verifying.aws, *of(given)).list_streams()["StreamNames"] == []
    assert client("sts", verifying.aws, *of(given)).get_caller_identity()["Arn"].endswith(":assumed-role/ingest/me")
    url = client("sts", verifying.aws, *of(given)).generate_presigned_url("get_caller_identity", HttpMethod="GET", ExpiresIn=60)
    answer = http("GET", url)
    assert answer.status == 200 and b":assumed-role/ingest/me</Arn>" in answer.body, answer.body
    assert http("GET", url.replace("Expires=60", "Expires=61")).status == 403


def test_tokens_that_are_not_right_are_refused(verifying):
    one, other = (signer(verifying).assume_role(RoleArn=ROLE, RoleSessionName=name)["Credentials"] for name in ("one", "two"))
    key, secret, token = of(one)
    refused = ("UnrecognizedClientException", 400)
    for wrong in ((key, secret, token[:-8] + "AAAAAAA="), (key, secret, "x"), (key, secret, of(other)[2]), (key, secret, None),
                  ("AKIACI00000000000001", "s" * 40, token)):
        assert code(client("kinesis", verifying.aws, *wrong).list_streams) == refused, wrong
    assert code(client("kinesis", verifying.aws, key, "other", token).list_streams) == ("InvalidSignatureException", 400)
    # The query protocol has its own names and status.
    assert code(client("sts", verifying.aws, key, secret, "x").get_caller_identity) == ("InvalidClientTokenId", 403)
    assert code(client("sts", verifying.aws, key, "other", token).get_caller_identity) == ("SignatureDoesNotMatch", 403)


@pytest.mark.parametrize("members, expected", [
    ({"RoleArn": "arn:aws:iam::000000000000:user/somebody"}, ("ValidationError", 400)),
    ({"RoleArn": "arn:aws:iam::111122223333:role/other"}, ("AccessDenied", 403)),
    ({"RoleSessionName": "a b"}, ("ValidationError", 400)),
    ({"DurationSeconds": 43201}, ("ValidationError", 400)),
    ({"Policy": "{}"}, ("InvalidArgument", 400)),
])
def test_what_cannot_be_assumed(daemon, members, expected):
    call = {"RoleArn": ROLE, "RoleSessionName": "me", **members}
    assert code(lambda: client("sts", daemon.aws).assume_role(**call)) == expected


def test_other_actions_are_unknown(daemon):
    assert code(client("sts", daemon.aws).get_session_token) == ("InvalidAction", 400)
