"""The programs that are measured: started fresh for each cell, stopped after it, looked at through /proc."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import wire

ROOT = pathlib.Path(__file__).resolve().parent.parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """Use in a with statement: runs inside it, in a directory of its own below `place`."""
    name = ""
    has_gateway = False
    place = None
    process = None

    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="millrace-bench-", dir=self.place))
        self.start()
        return self

    def start(self):
        self.port, self.gateway_port = free_port(), free_port()
        command, extra = self.command()
        begun = time.monotonic()
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(command, env=dict(os.environ, **extra), cwd=self.directory, stdout=log,
                                            stderr=subprocess.STDOUT)
        try:
            while True:
                try:
                    with wire.Client(self.port) as client:
                        client.call("ListStreams")
                    break
                except (OSError, wire.BadReply):
                    if self.process.poll() is not None or time.monotonic() - begun > 60:
                        raise SystemExit("%s does not start:\n%s" % (self.name, (self.directory / "log").read_text()))
                    time.sleep(0.001)
        except BaseException:
            self.__exit__()
            raise
        self.ready_ms = (time.monotonic() - begun) * 1e3

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def stop(self):
        if self.process is None:
            return
        died = self.process.poll()
        if died is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(12)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        else:
            print("%s ended by itself with %d:\n%s" % (self.name, died, (self.directory / "log").read_text()),
                  file=sys.stderr, flush=True)
        self.process = None

    def command(self):
        raise NotImplementedError

    def cpu_seconds(self):
        """CPU of all threads so far, to the nanosecond (/proc/PID/stat has ticks of 10 ms)."""
        total = 0
        for task in pathlib.Path("/proc/%d/task" % self.process.pid).iterdir():
            try:
                total += int((task / "schedstat").read_text().split()[0])
            except FileNotFoundError:
                pass  # a thread that has just ended
        return total / 1e9

    def resident_bytes(self):
        for line in pathlib.Path("/proc/%d/status" % self.process.pid).read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0


class Millrace(Server):
    name = "millrace"
    has_gateway = True

    def __init__(self, build, memory_limit, routes=None):
        self.program, self.memory_limit, self.routes = build / "millrace", memory_limit, routes

    def command(self):
        config = ROOT / "config" / "millrace.yaml"
        if self.routes is not None:
            config = self.config_with_routes(config)
        return [self.program, "serve", "--config", config], {
            "MILLRACE_LISTEN_AWS": "127.0.0.1:%d" % self.port,
            "MILLRACE_LISTEN_GATEWAY": "127.0.0.1:%d" % self.gateway_port,
            "MILLRACE_DATA_DIR": str(self.directory / "data"),
            "MILLRACE_STORAGE_MEMORY_LIMIT": self.memory_limit,
        }

    def config_with_routes(self, base):
        """The default configuration, and one more API in it (stage BENCH) with so many routes, POST /v1 among them."""
        integration = {
            "type": "aws", "httpMethod": "POST", "uri": "arn:aws:apigateway:us-east-1:kinesis:action/PutRecord",
            "credentials": "arn:aws:iam::000000000000:role/gateway", "passthroughBehavior": "never",
            "requestTemplates": {"application/json": "{\"StreamName\": \"events\", \"PartitionKey\": \"$context.requestId\", "
                                                     "\"Data\": \"$util.base64Encode($input.json('$'))\"}"},
            "responses": {"default": {"statusCode": "200"}},
        }
        post = {"post": {"responses": {"200": {"description": "stored"}}, "x-amazon-apigateway-integration": integration}}
        paths = {"/r%d/items/{id}" % i if i % 2 else "/r%d" % i: post for i in range(1, self.routes)}
        paths["/v1"] = post
        for path, methods in paths.items():
            if "{id}" in path:
                parameter = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
                paths[path] = {"post": dict(methods["post"], parameters=[parameter])}
        openapi = self.directory / "routes.json"
        openapi.write_text(wire.compact({"openapi": "3.0.1", "info": {"title": "bench", "version": "1"}, "paths": paths}))
        text = base.read_text().replace("openapi: ", "openapi: %s/" % base.parent)
        text += "\n  - name: bench\n    openapi: %s\n    stages: [BENCH]\n" % openapi
        config = self.directory / "millrace.yaml"
        config.write_text(text)
        return config


class Floor(Server):
    name = "floor"

    def __init__(self, build):
        self.program = build / "bench_floor"

    def command(self):
        return [self.program, str(self.port)], {}
