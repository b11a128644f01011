"""A container as a daemon for a test. scripts/test-image provides the engine, the images and the network."""

import itertools
import json
import pathlib
import subprocess

from conftest import PATIENCE, Daemon

USER = 10001  # docs/docker.md
SECONDS_TO_STOP = 10  # what Docker gives
TIGHT = ("--read-only", "--cap-drop", "all", "--security-opt", "no-new-privileges")

_names = itertools.count()


def podman(*arguments, check=True):
    done = subprocess.run(["podman", *arguments], capture_output=True, text=True, timeout=2 * PATIENCE)
    assert not check or done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done


def inspect(name):
    return json.loads(podman("inspect", name).stdout)[0]


class Container(Daemon):
    """One container of an image; `options` are those of `podman run`. Its data is where its volume lies on the host."""

    def __init__(self, directory, image, *options, arguments=()):
        super().__init__(directory, config=None)
        self.name = f"millrace-{next(_names)}"
        # Attached: its output, its log and its exit code are those of this process.
        self.command = ["podman", "run", "--name", self.name, *options, image, *arguments]

    def start(self):
        super().start()
        found = inspect(self.name)
        (volume,) = (mount for mount in found["Mounts"] if mount["Destination"] == "/data")
        self.data = pathlib.Path(volume["Source"])
        (network,) = found["NetworkSettings"]["Networks"].values()
        self.address = network["IPAddress"]
        for kind, urls in self.urls.items():
            assert urls[0].startswith("http://0.0.0.0:"), urls
            self.urls[kind] = [url.replace("0.0.0.0", self.address) for url in urls]
        self.aws, self.gateway = self.urls["aws"][0], self.urls["gateway"][0]
        return self

    def run(self, *command, check=True):
        return podman("exec", self.name, *command, check=check)

    def healthy(self):
        """Whether the image's own check says so."""
        return podman("healthcheck", "run", self.name, check=False).returncode == 0

    def stop(self, expect=0):
        """As `docker stop`: SIGTERM to the first process, and the end of all after ten seconds."""
        podman("stop", "--time", str(SECONDS_TO_STOP), self.name)
        code = self.wait()
        assert code == expect, f"exit {code}, log:\n{self.log()}"

    def kill(self):
        podman("rm", "--force", "--volumes", "--time", "0", self.name, check=False)
        super().kill()
