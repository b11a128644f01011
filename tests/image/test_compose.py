"""docker/compose.yaml as its comments say, by docker-compose and an engine that speaks Docker's protocol."""

import os
import pathlib
import subprocess
import tempfile

import pytest

from conftest import PATIENCE, ROOT, http
from containers import USER, inspect, podman

FILE = ROOT / "docker/compose.yaml"
AWS, GATEWAY = "http://127.0.0.1:4566", "http://127.0.0.1:8080"


class Compose:
    def __init__(self, socket, environment):
        self.environment = {**os.environ, "DOCKER_HOST": f"unix://{socket}", **environment}

    def __call__(self, *arguments):
        command = ["docker-compose", "--file", str(FILE), *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=4 * PATIENCE)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)


@pytest.fixture
def compose(tmp_path):
    short = tempfile.TemporaryDirectory()  # a socket's path has 107 bytes
    socket = pathlib.Path(short.name) / "engine"
    command = ["podman", "system", "service", "--time", "0", f"unix://{socket}"]
    service = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=open(tmp_path / "service.log", "wb"))
    used = []

    def with_environment(**environment):
        used.append(Compose(socket, environment))
        return used[-1]

    try:
        yield with_environment
    finally:
        for one in used:
            one("down", "--volumes")
        service.kill()
        service.wait()
        short.cleanup()


def deliver(data):
    event = b'{"event":"view"}'
    answer = http("POST", GATEWAY + "/PROD/v1", event, {"Content-Type": "application/json"})
    assert answer.status == 200, answer.body
    assert http("POST", AWS + "/_millrace/flush").status == 200
    (found,) = (path for path in (data / "s3/datalake").rglob("*") if path.is_file())
    assert found.read_bytes() == event + b"\n"
    return found


def test_it_serves_this_machine_only_and_keeps_objects_in_its_volume(compose):
    up = compose()
    up("up", "--detach")
    data = pathlib.Path(podman("volume", "inspect", "--format", "{{.Mountpoint}}", "millrace-data").stdout.strip())
    assert deliver(data).stat().st_uid == USER
    published = inspect("millrace")["HostConfig"]["PortBindings"]
    assert {bound["HostIp"] for bindings in published.values() for bound in bindings} == {"127.0.0.1"}
    up("stop")
    assert inspect("millrace")["State"]["ExitCode"] == 0


def test_a_folder_of_the_users_in_place_of_the_volume(compose, tmp_path):
    user = 4321
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, user, user)
    compose(MILLRACE_VOLUME=str(data), MILLRACE_USER=f"{user}:{user}")("up", "--detach")
    assert deliver(data).stat().st_uid == user
