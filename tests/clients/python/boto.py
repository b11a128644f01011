"""Runs the scenario with boto3."""
import base64
import contextlib
import pathlib
import sys

import boto3
import botocore.config
import botocore.exceptions
from botocore import xform_name

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
import scenario

endpoint, name = sys.argv[1:3]
client = boto3.client("kinesis", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="test",
                      aws_secret_access_key="test", config=botocore.config.Config(retries={"total_max_attempts": 1}))


def typed(value):
    if isinstance(value, list):
        return [typed(each) for each in value]
    if isinstance(value, dict):
        return {key: base64.b64decode(each) if key == "Data" else typed(each) for key, each in value.items()}
    return value


def call(step, members):
    try:
        output = getattr(client, xform_name(step["op"]))(**typed(members))
        if "events" not in step:
            return output
        with contextlib.closing(output["EventStream"]) as events:
            return next(event["SubscribeToShardEvent"] for event in events if "SubscribeToShardEvent" in event)
    except botocore.exceptions.ClientError as error:
        raise scenario.Refused(error.response["Error"]["Code"], error.response["Error"]["Message"]) from error


run = scenario.Scenario(name)
for step in run.steps():
    run.run(step, call)
sys.exit(run.failed)
