"""Runs the scenario with the AWS CLI, version 1 or 2, whichever `aws` is."""
import base64
import json
import os
import pathlib
import re
import subprocess
import sys

from botocore import xform_name

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
import scenario

endpoint, name = sys.argv[1:3]
environment = dict(os.environ, AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_DEFAULT_REGION="us-east-1", AWS_PAGER="",
                   AWS_MAX_ATTEMPTS="1")
version = subprocess.run(["aws", "--version"], capture_output=True, text=True, check=True).stdout
blobs = ["--cli-binary-format", "base64"] if "aws-cli/2" in version else []


def call(step, members):
    operation = xform_name(step["op"], "-")
    if not blobs:  # version 1 takes the bytes of a string, and knows no others
        members = as_text(members)
    done = subprocess.run(["aws", "--endpoint-url", endpoint, "--output", "json", "--no-paginate", *blobs, "kinesis", operation,
                           "--cli-input-json", json.dumps(members)], capture_output=True, text=True, env=environment, timeout=60)
    if done.returncode == 0:
        return json.loads(done.stdout) if done.stdout.strip() else {}
    refused = re.search(r"An error occurred \((\w+)\) when calling[^:]*: (.*)", done.stderr, re.DOTALL)
    if not refused:
        raise RuntimeError(done.stderr.strip())
    raise scenario.Refused(refused[1], refused[2].strip())


def as_text(value):
    if isinstance(value, list):
        return [as_text(each) for each in value]
    if isinstance(value, dict):
        return {key: base64.b64decode(each).decode("latin-1") if key == "Data" else as_text(each) for key, each in value.items()}
    return value


def as_sent(data):
    return base64.b64encode(base64.b64decode(data).decode("latin-1").encode()).decode()


run = scenario.Scenario(name)
for step in run.steps():
    if "events" in step:  # the CLI has no command for it
        continue
    if not blobs:
        step["expect"] = {path: as_sent(each) if path.endswith(".Data") else each for path, each in step.get("expect", {}).items()}
    run.run(step, call)
sys.exit(run.failed)
