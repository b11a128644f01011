#!/usr/bin/env python3
"""Real clients against the real daemon: unmodified, told nothing but the endpoint (and, for TLS, the daemon's CA).

  run.py ROW           runs one of them; fails when an operation went wrong. Results go to the directory RESULTS names
  run.py --table       compares docs/compatibility.md with all results; with UPDATE_COMPATIBILITY=1 writes it
  run.py --list        names the rows

tests/clients/prepare has made the programs. moto's DynamoDB stands in for the KCL's lease table: DynamoDB Local's licence is not
an open one.
"""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILT = ROOT / ".clients"
VENV = ROOT / ".venv" / "bin"
BINARY = os.environ.get("MILLRACE_BINARY", str(ROOT / "build/release/millrace"))
RESULTS = pathlib.Path(os.environ.get("RESULTS", ROOT / "build/clients"))
DOCUMENT = ROOT / "docs" / "compatibility.md"
PATIENCE = 240  # of a whole row

OPERATIONS = sorted({step["op"] for step in json.loads((HERE / "scenario.json").read_text())})


def python(module):
    return lambda url, ca: [VENV / "python", HERE / "python" / module, url, "events"]


def javascript(*more):
    return lambda url, ca: [VENV / "node", "--no-warnings", BUILT / "js" / "run.mjs", url, "events", *more]


def go(url, ca):
    return [BUILT / "go-client", url, "events", BUILT / "scenario.json"]


def java(which, last="scenario"):
    def command(url, ca):
        trust = ["-Djavax.net.ssl.trustStore=%s" % trust_store(ca), "-Djavax.net.ssl.trustStorePassword=changeit"] if ca else []
        more = {"scenario": [BUILT / "scenario.json"], "dynamodb": [os.environ.get("DYNAMODB", "")], "": []}[last]
        jars = "%s:%s/*" % (BUILT / "java/target/clients.jar", BUILT / "java/target/lib")
        return ["java", "-Xmx384m", "-XX:+UseSerialGC", *trust, "-cp", jars, "millrace.clients.Main", which, url, "events", *more]
    return command


def trust_store(ca):
    """As docs/clients.md says."""
    store = ca.parent / "trust.p12"
    subprocess.run(["keytool", "-importcert", "-noprompt", "-alias", "millrace", "-file", ca, "-keystore", store, "-storepass", "changeit"],
                   check=True, capture_output=True)
    return store


# name: client and wire as the table heads its column, whether over TLS, command
ROWS = {
    "boto3": ("boto3", "HTTP/1.1, JSON", False, python("boto.py")),
    "boto3-tls": ("boto3", "TLS, HTTP/1.1, JSON", True, python("boto.py")),
    "aws-cli": ("AWS CLI", "HTTP/1.1, JSON", False, python("cli.py")),
    "javascript": ("JavaScript v3", "h2c, JSON", False, javascript()),
    "javascript-http1": ("JavaScript v3", "HTTP/1.1, JSON", False, javascript("http1")),
    "javascript-tls": ("JavaScript v3", "TLS, HTTP/2, JSON", True, javascript()),
    "go": ("Go v2", "HTTP/1.1, JSON", False, go),
    "go-tls": ("Go v2", "TLS, HTTP/2, JSON", True, go),
    "java": ("Java v2", "HTTP/1.1, CBOR", False, java("v2")),
    "java-async": ("Java v2 async", "h2c, CBOR", False, java("v2-async")),
    "java-async-tls": ("Java v2 async", "TLS, HTTP/2, CBOR", True, java("v2-async")),
    "java1": ("Java v1", "HTTP/1.1, CBOR", False, java("v1")),
    "kpl": ("KPL 1", "TLS, JSON", True, java("kpl", "")),
    "kcl-polling": ("KCL 3, polling", "h2c, CBOR", False, java("kcl-polling", "dynamodb")),
    "kcl-fan-out": ("KCL 3, fan-out", "h2c, CBOR", False, java("kcl-fan-out", "dynamodb")),
}


@contextlib.contextmanager
def process(command, **more):
    started = subprocess.Popen([str(part) for part in command], **more)
    try:
        yield started
    finally:
        started.send_signal(signal.SIGTERM)
        try:
            started.wait(30)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


@contextlib.contextmanager
def daemon(directory, tls):
    config = directory / "millrace.yaml"
    config.write_text('listen: {aws: "127.0.0.1:0", gateway: "127.0.0.1:0"}\ndata_dir: %s\n' % (directory / "data"))
    with process([BINARY, "serve", "--config", config], cwd=directory, stdout=subprocess.PIPE, stderr=open(directory / "log", "wb"),
                 text=True) as started:
        for line in started.stdout:
            if ready := re.match(r"ready: aws http://127\.0\.0\.1:(\d+)", line):
                ca = directory / "data" / "tls" / "ca.pem"
                yield "%s://localhost:%s" % ("https" if tls else "http", ready[1]), ca if tls else None
                break
        else:
            sys.exit("the daemon did not start: " + (directory / "log").read_text())


@contextlib.contextmanager
def dynamodb(directory):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with process([VENV / "moto_server", "-H", "127.0.0.1", "-p", str(port)], stdout=open(directory / "moto", "wb"), stderr=subprocess.STDOUT):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield "http://127.0.0.1:%d" % port


def environment(ca):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_") and not name.lower().endswith("_proxy")}
    clean.update(AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE="/dev/null", AWS_SHARED_CREDENTIALS_FILE="/dev/null", AWS_REGION="us-east-1")
    if ca:
        clean.update(AWS_CA_BUNDLE=str(ca), NODE_EXTRA_CA_CERTS=str(ca), SSL_CERT_FILE=str(ca))
    return clean


def page(url, path):
    with urllib.request.urlopen(url + path, timeout=30) as answer:
        return answer.read().decode()


def make_stream(url, ca):
    import boto3
    boto3.client("kinesis", endpoint_url=url, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test",
                 verify=str(ca)).create_stream(StreamName="events", ShardCount=2)


def run(name):
    client, wire, tls, command = ROWS[name]
    directory = pathlib.Path(tempfile.mkdtemp(prefix="millrace-client-"))
    with contextlib.ExitStack() as held:
        held.callback(shutil.rmtree, directory)
        url, ca = held.enter_context(daemon(directory, tls))
        if name.startswith("kcl"):
            os.environ["DYNAMODB"] = held.enter_context(dynamodb(directory))
        if name == "kpl":
            make_stream(url, ca)
        done = subprocess.run([str(part) for part in command(url, ca)], capture_output=True, text=True, timeout=PATIENCE, env=environment(ca))
        if name.startswith("kcl") and 'namespace="events-app"' not in page(url, "/_millrace/metrics"):
            sys.exit("the library published no metrics by PutMetricData")
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"')]
        failed = [line for line in lines if not line["ok"]]
        for line in failed:
            print("%s: %s" % (line["operation"], line["said"]))
        if done.returncode != 0 or not lines or failed:
            sys.exit("%s failed (%d):\n%s\ndaemon's log:\n%s" % (name, done.returncode, done.stderr[-4000:], (directory / "log").read_text()[-4000:]))
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / (name + ".json")).write_text(json.dumps(sorted({line["operation"] for line in lines})))
    print("%s: %d operations over %s" % (client, len({line["operation"] for line in lines}), wire))


def table():
    served = {name: set(json.loads((RESULTS / (name + ".json")).read_text())) for name in ROWS}
    rows = ["| operation | " + " | ".join("%s<br>%s" % row[:2] for row in ROWS.values()) + " |", "|---|" + "---|" * len(ROWS)]
    for operation in OPERATIONS:
        rows.append("| %s | " % operation + " | ".join("yes" if operation in served[name] else "–" for name in ROWS) + " |")
    return "\n".join(rows) + "\n"


def main():
    argument = sys.argv[1] if len(sys.argv) == 2 else ""
    if argument == "--list":
        print("\n".join(ROWS))
    elif argument == "--table":
        text = DOCUMENT.read_text()
        head = text[:text.index("| operation |")] if "| operation |" in text else text
        if os.environ.get("UPDATE_COMPATIBILITY"):
            DOCUMENT.write_text(head + table())
        elif text != head + table():
            sys.exit("docs/compatibility.md is not what the clients' runs show: UPDATE_COMPATIBILITY=1 writes it")
    elif argument in ROWS:
        run(argument)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
