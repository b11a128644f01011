"""The images as users run them: a root file system that cannot be written, no capabilities, an address of their own."""

import ipaddress
import json
import os
import re
import shutil

import pytest

from conftest import DEFAULT_CONFIG, http
from containers import TIGHT, USER, Container, inspect, podman

BYTES_OVER_BASE_MAX = 40_000_000
EVENT = b'{"event":"click","user_id":"Aster-564"}'


@pytest.fixture(params=["latest", "distroless"])
def image(request):
    return f"localhost/millrace:{request.param}"


@pytest.fixture
def start(tmp_path, image):
    started = []

    def start_one(*options, arguments=()):
        directory = tmp_path / f"container{len(started)}"
        directory.mkdir()
        started.append(Container(directory, image, *options, arguments=arguments))
        return started[-1].start()

    yield start_one
    for container in started:
        container.kill()


def post(container, body=EVENT):
    answer = http("POST", container.gateway + "/PROD/v1", body, {"Content-Type": "application/json"})
    assert answer.status == 200, answer.body
    return answer.json()


def owners(path):
    return {(found.stat().st_uid, found.stat().st_gid) for found in (path, *path.rglob("*"))}


def owned_directory(path, user):
    path.mkdir()
    os.chown(path, user, user)
    return path


def read_all(container, stream, shard):
    kinesis = container.client("kinesis")
    iterator = kinesis.get_shard_iterator(StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    return kinesis.get_records(ShardIterator=iterator["ShardIterator"])["Records"]


def test_the_image_is_small(image, tmp_path):
    """As a registry holds it: each layer compressed. The base is everybody's."""
    podman("push", "--quiet", image, f"oci:{tmp_path}/pushed")
    blobs = tmp_path / "pushed/blobs/sha256"

    def blob(descriptor):
        return json.loads((blobs / descriptor["digest"].removeprefix("sha256:")).read_text())

    (manifest,) = json.loads((tmp_path / "pushed/index.json").read_text())["manifests"]
    layers = [layer["size"] for layer in blob(manifest)["layers"]]
    base = inspect("docker.io/library/debian:bookworm-slim")["RootFS"]["Layers"]
    on_base = inspect(image)["RootFS"]["Layers"][: len(base)] == base
    own = sum(layers[len(base) :] if on_base else layers)
    print(f"\n{image}: {own / 1e6:.1f} MB compressed" + (f" over a base of {sum(layers[:len(base)]) / 1e6:.1f} MB" if on_base else ""))
    assert on_base == ("distroless" not in image)
    assert own <= BYTES_OVER_BASE_MAX


def test_an_event_becomes_a_line_and_is_read_back(start, tmp_path):
    data = owned_directory(tmp_path / "data", USER)
    container = start(*TIGHT, "--volume", f"{data}:/data")
    assert not ipaddress.ip_address(container.address).is_loopback
    reply = post(container)
    assert re.fullmatch(r"shardId-00000000000[01]", reply["ShardId"])
    container.flush()
    (path,) = container.objects()
    assert re.fullmatch(r"rawdata/\d{4}/\d\d/\d\d/\d\d/events-to-s3-1-[0-9a-f-]+", str(path))
    assert container.delivered() == EVENT + b"\n"
    (record,) = read_all(container, "events", reply["ShardId"])
    assert (record["Data"], record["SequenceNumber"]) == (EVENT, reply["SequenceNumber"])
    assert owners(data) == {(USER, USER)}


def test_it_runs_as_its_own_user_and_as_the_first_process(start):
    container = start(*TIGHT)
    process = inspect(container.name)["State"]["Pid"]
    status = dict(line.split(":\t", 1) for line in open(f"/proc/{process}/status").read().splitlines() if ":\t" in line)
    assert status["Name"] == "millrace"
    assert status["Uid"].split() == status["Gid"].split() == [str(USER)] * 4
    assert status["NSpid"].split()[-1] == "1"


def test_a_stop_delivers_what_was_acknowledged(start, tmp_path):
    data = owned_directory(tmp_path / "data", USER)
    container = start(*TIGHT, "--volume", f"{data}:/data")
    lines = [json.dumps({"number": number}, separators=(",", ":")).encode() for number in range(50)]
    for line in lines:
        post(container, line)
    assert container.objects() == []
    container.stop(expect=0)
    assert sorted(container.delivered().splitlines()) == sorted(lines)


def test_what_was_acknowledged_in_durable_mode_outlives_a_kill(start, tmp_path):
    data = owned_directory(tmp_path / "data", USER)
    durable = ("--env", "MILLRACE_STORAGE_MODE=durable", "--env", "MILLRACE_STORAGE_SYNC=os", "--volume", f"{data}:/data")
    killed = start(*TIGHT, *durable)
    reply = post(killed)
    podman("kill", "--signal", "KILL", killed.name)
    assert killed.wait() == 137
    container = start(*TIGHT, *durable)
    (record,) = read_all(container, "events", reply["ShardId"])
    assert (record["Data"], record["SequenceNumber"]) == (EVENT, reply["SequenceNumber"])
    container.flush()
    assert container.delivered() == EVENT + b"\n"
    assert ", 1 record;" in container.run("millrace", "log", "verify").stdout
    assert owners(data) == {(USER, USER)}


def test_the_health_check_tells_a_daemon_that_serves_from_one_that_does_not(start, image):
    container = start(*TIGHT)
    assert container.healthy()
    assert container.run("/usr/bin/millrace", "health", "--ready").returncode == 0
    alone = podman("run", "--rm", image, "health", check=False)
    assert alone.returncode == 1
    assert "cannot reach http://127.0.0.1:4566" in alone.stderr


def test_the_health_check_follows_the_listener(start):
    container = start(*TIGHT, "--env", "MILLRACE_LISTEN_AWS=0.0.0.0:5000", "--env", "MILLRACE_LISTEN_GATEWAY=0.0.0.0:5001")
    assert container.aws.endswith(":5000") and container.gateway.endswith(":5001")
    assert http("GET", container.aws + "/_millrace/health").status == 200
    assert container.healthy()


def test_it_runs_without_any_option(start):
    container = start()
    post(container)
    container.flush()
    assert container.delivered() == EVENT + b"\n"


def test_a_configuration_is_mounted_over_the_one_inside(start, tmp_path):
    config = tmp_path / "config"
    shutil.copytree(DEFAULT_CONFIG.parent, config)
    file = config / DEFAULT_CONFIG.name
    file.write_text(file.read_text().replace("StreamName: events\n", "StreamName: events\n    Tags: {mounted: 'yes'}\n"))
    container = start(*TIGHT, "--volume", f"{config}:/etc/millrace:ro")
    tags = container.client("kinesis").list_tags_for_stream(StreamName="events")["Tags"]
    assert tags == [{"Key": "mounted", "Value": "yes"}]


def test_another_user_owns_what_it_writes(start, tmp_path):
    user = 4321
    data = owned_directory(tmp_path / "data", user)
    container = start(*TIGHT, "--user", f"{user}:{user}", "--volume", f"{data}:/data")
    post(container)
    container.flush()
    assert container.objects()
    assert owners(data) == {(user, user)}


def test_a_volume_of_somebody_else_is_refused_by_name(image, tmp_path):
    data = owned_directory(tmp_path / "data", 0)
    refused = podman("run", "--rm", *TIGHT, "--volume", f"{data}:/data", image, check=False)
    assert refused.returncode == 1
    assert "data_dir: /data cannot be written: Permission denied" in refused.stderr


def test_other_commands_run_too(image):
    assert podman("run", "--rm", *TIGHT, image, "version").stdout.startswith("millrace ")
    podman("run", "--rm", *TIGHT, image, "check", "--config", "/etc/millrace/millrace.yaml")


def test_containers_reach_it_by_name(start, image):
    network = podman("network", "create").stdout.strip()
    try:
        container = start(*TIGHT, "--network", f"{network}:alias=millrace")
        asked = podman("run", "--rm", "--network", network, image, "health", "--url", "http://millrace:4566")
        assert json.loads(asked.stdout)["status"] == json.loads(http("GET", container.aws + "/_millrace/health").body)["status"]
    finally:
        podman("network", "rm", "--force", network)
