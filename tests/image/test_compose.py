"""docker/compose.yaml as its comments say, by docker-compose and an engine that speaks Docker's protocol."""

import os
import pathlib
import socket
import subprocess
import tempfile

import pytest

from conftest import PATIENCE, ROOT, http
from containers import USER, inspect, podman

FILE = ROOT / "docker/compose.yaml"
AWS, GATEWAY = "http://127.0.0.1:4566", "http://127.0.0.1:8080"


class Compose:
    def __init__(self, engine, environment):
        self.environment = {**os.environ, "DOCKER_HOST": f"unix://{engine}", **environment}

    def __call__(self, *arguments):
        command = ["docker-compose", "--file", str(FILE), *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=4 * PATIENCE)
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)


@pytest.fixture
def compose():
    used = []
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as listener:
        path = pathlib.Path(short) / "engine"  # such a path has 107 bytes
        listener.bind(str(path))
        listener.listen()
        # As systemd would start it: what connects before it serves waits.
        serve = 'export LISTEN_PID=$$ LISTEN_FDS=1; exec podman system service --time 0 3<&"$0" 2>/dev/null'
        engine = subprocess.Popen(["sh", "-c", serve, str(listener.fileno())], pass_fds=[listener.fileno()])

        def with_environment(**environment):
            used.append(Compose(path, environment))
            return used[-1]

        try:
            yield with_environment
        finally:
            for project in used:
                project("down", "--volumes")
            engine.kill()
            engine.wait()


def up(compose):
    compose("up", "--detach")
    follow = ["timeout", str(PATIENCE), "podman", "logs", "--follow", "millrace"]
    with subprocess.Popen(follow, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as log:
        ready = any(line.startswith("ready:") for line in log.stdout)
        log.terminate()
    assert ready, podman("logs", "millrace")


def deliver(data):
    event = b'{"event":"view"}'
    answer = http("POST", GATEWAY + "/PROD/v1", event, {"Content-Type": "application/json"})
    assert answer.status == 200, answer.body
    assert http("POST", AWS + "/_millrace/flush").status == 200
    (found,) = (path for path in (data / "s3/datalake").rglob("*") if path.is_file())
    assert found.read_bytes() == event + b"\n"
    return found


def test_it_serves_this_machine_only_and_keeps_objects_in_its_volume(compose):
    project = compose()
    up(project)
    data = pathlib.Path(podman("volume", "inspect", "--format", "{{.Mountpoint}}", "millrace-data").stdout.strip())
    assert deliver(data).stat().st_uid == USER
    published = inspect("millrace")["HostConfig"]["PortBindings"]
    assert {bound["HostIp"] for bindings in published.values() for bound in bindings} == {"127.0.0.1"}
    project("stop")
    assert inspect("millrace")["State"]["ExitCode"] == 0


def test_what_was_acknowledged_outlives_a_killed_container(compose):
    project = compose()
    up(project)
    event = b'{"event":"kept"}'
    assert http("POST", GATEWAY + "/PROD/v1", event, {"Content-Type": "application/json"}).status == 200
    project("kill")
    project("rm", "--force")  # its log says `ready` already
    up(project)
    assert http("POST", AWS + "/_millrace/flush").status == 200
    data = pathlib.Path(podman("volume", "inspect", "--format", "{{.Mountpoint}}", "millrace-data").stdout.strip())
    (found,) = (path for path in (data / "s3/datalake").rglob("*") if path.is_file())
    assert found.read_bytes() == event + b"\n"


def test_a_folder_of_the_users_in_place_of_the_volume(compose, tmp_path):
    user = 4321
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, user, user)
    up(compose(MILLRACE_VOLUME=str(data), MILLRACE_USER=f"{user}:{user}"))
    assert deliver(data).stat().st_uid == user
