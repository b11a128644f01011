"""A daemon for a test: its own data directory, ports that the kernel picks, real sockets."""

import contextlib
import itertools
import json
import os
import pathlib
import queue
import re
import resource
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

import boto3
import botocore.config
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("MILLRACE_BINARY", str(ROOT / "build/release/millrace"))
DEFAULT_CONFIG = ROOT / "config/millrace.yaml"
PATIENCE = 60  # seconds until a test says that something hangs; nothing waits this long when all is well
SANITIZER = re.compile(r"ERROR: (Address|Leak|Thread)Sanitizer|runtime error:|WARNING: ThreadSanitizer")

# What a user's shell may hold must not reach the programs under test.
CLEAN_ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("AWS_", "MILLRACE_")) and name not in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy")
}
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


def http(method, url, body=None, headers=None, timeout=PATIENCE):
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout) as reply:
            return Answer(reply.status, reply.headers, reply.read())
    except urllib.error.HTTPError as error:
        return Answer(error.code, error.headers, error.read())


class Daemon:
    """One process. `config` is a path, or YAML text, or None for the built-in defaults; `files_max` limits open files."""

    def __init__(self, directory, config=DEFAULT_CONFIG, environment=None, files_max=None):
        self.files_max = files_max
        self.directory = pathlib.Path(directory)
        self.data = self.directory / "data"
        self.arguments = []
        if isinstance(config, str):
            path = self.directory / "millrace.yaml"
            path.write_text(config)
            config = path
        if config is not None:
            self.arguments = ["--config", str(config)]
        self.environment = {
            **CLEAN_ENVIRONMENT,
            "MILLRACE_LISTEN_AWS": "127.0.0.1:0",
            "MILLRACE_LISTEN_GATEWAY": "127.0.0.1:0",
            "MILLRACE_DATA_DIR": str(self.data),
            "MILLRACE_STORAGE_MEMORY_LIMIT": "256MiB",
            **(environment or {}),
        }
        self.command = [BINARY, "serve", *self.arguments]
        self.process = None
        self.lines = []
        self.log_path = self.directory / "log"

    def start(self):
        self.process = subprocess.Popen(
            self.command,
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=open(self.log_path, "ab"),
            text=True,
            preexec_fn=self.files_max and (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (self.files_max, self.files_max))),
        )
        lines = queue.SimpleQueue()
        self.reader = threading.Thread(target=self._read, args=(self.process.stdout, lines), daemon=True)
        self.reader.start()
        deadline = time.monotonic() + PATIENCE
        line = ""
        while not line.startswith("ready:"):
            try:
                line = lines.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"not ready: {self.lines}\n{self.log()}") from None
            if not line:
                raise AssertionError(f"exit {self.process.wait(PATIENCE)}: {self.lines}\n{self.log()}")
            self.lines.append(line)
        urls = {}
        kind = None
        for word in line.split()[1:]:
            if word.startswith("http://"):
                urls.setdefault(kind, []).append(word)
            else:
                kind = word
        self.aws, self.gateway = urls["aws"][0], urls["gateway"][0]
        self.urls = urls
        return self

    @staticmethod
    def _read(output, lines):
        """Every line of the output, then an empty one at its end."""
        with output:
            for line in output:
                lines.put(line)
        lines.put("")

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_entries(self):
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]

    def wait(self, timeout=PATIENCE):
        return self.process.wait(timeout)

    def wait_for(self, text):
        """Until the log says so."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.log():
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.01)

    def stop(self, with_signal=signal.SIGTERM, expect=0):
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
        code = self.wait()
        assert not SANITIZER.search(self.log()), self.log()
        assert code == expect, f"exit {code}, log:\n{self.log()}"
        return code

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def alive(self):
        return self.process.poll() is None

    def flush(self, expect=200):
        answer = http("POST", self.aws + "/_millrace/flush")
        assert answer.status == expect, (answer.status, answer.body)
        return answer

    def api_id(self):
        return re.search(r"^API ingest \(([a-z0-9]{10})\)", "".join(self.lines), re.M).group(1)

    def objects(self, bucket="datalake"):
        root = self.data / "s3" / bucket
        return sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file()) if root.exists() else []

    def delivered(self, bucket="datalake"):
        root = self.data / "s3" / bucket
        return b"".join((root / path).read_bytes() for path in self.objects(bucket))

    def client(self, service, **options):
        settings = {"retries": {"total_max_attempts": 1}, "proxies": {}, **options}
        return boto3.client(
            service,
            endpoint_url=self.aws,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            config=botocore.config.Config(**settings),
        )

    def connect(self, listener="aws"):
        """A raw connection to one of the listeners."""
        host, port = self.urls[listener][0].removeprefix("http://").rsplit(":", 1)
        connection = socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE)
        return connection


@pytest.fixture
def start(tmp_path):
    """Starts daemons that end with the test; those still running must end well."""
    started = []
    numbers = itertools.count()

    def start_one(config=DEFAULT_CONFIG, environment=None, directory=None, files_max=None):
        if directory is None:
            directory = tmp_path / f"daemon{next(numbers)}"
            directory.mkdir()
        daemon = Daemon(directory, config, environment, files_max)
        started.append(daemon)
        return daemon.start()

    yield start_one
    try:
        for daemon in started:
            if daemon.process and daemon.process.poll() is None:
                daemon.stop()
            assert not SANITIZER.search(daemon.log()), daemon.log()
    finally:
        for daemon in started:
            daemon.kill()


@contextlib.contextmanager
def running(*arguments):
    """A daemon that is started, and stopped in order unless something failed."""
    daemon = Daemon(*arguments)
    daemon.start()
    try:
        yield daemon
        daemon.stop()
    finally:
        daemon.kill()


def wait_until(true):
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory):
    """One daemon with the default config for a module's tests; they keep out of each other's way by names."""
    with running(tmp_path_factory.mktemp("daemon")) as daemon:
        yield daemon


@pytest.fixture
def kinesis(daemon):
    return daemon.client("kinesis")


@pytest.fixture
def firehose(daemon):
    return daemon.client("firehose")


_names = itertools.count()


@pytest.fixture
def name():
    """A stream's name that no other test of this process has."""
    return f"stream-{next(_names)}"


@pytest.fixture
def stream(kinesis, name):
    kinesis.create_stream(StreamName=name, ShardCount=2)
    return name
