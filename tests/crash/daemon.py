"""One daemon in a directory of its own, started and killed as often as needed."""

import os
import pathlib
import queue
import re
import signal
import subprocess
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("MILLRACE_BINARY", str(ROOT / "build/release/millrace"))
PATIENCE = 60  # seconds until a start or a stop counts as hanging
SANITIZER = re.compile(r"ERROR: (Address|Leak|Thread)Sanitizer|runtime error:|WARNING: ThreadSanitizer")


class NotReady(Exception):
    """It ended before it was ready, or takes too long."""


class Daemon:
    def __init__(self, directory, config, binary=BINARY, prefix=()):
        """`prefix` is a program that runs it, such as strace and its options."""
        self.directory = pathlib.Path(directory)
        self.data = self.directory / "data"
        self.log_path = self.directory / "log"
        (self.directory / "millrace.yaml").write_text(config)
        self.command = [*prefix, binary, "serve", "--config", str(self.directory / "millrace.yaml")]
        self.process = None

    def launch(self):
        """Starts the process and does not wait for it."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "MILLRACE_"))}
        self.begun = time.monotonic()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command, cwd=self.directory, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True
            )
        self.lines = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(self.process.stdout, self.lines), daemon=True).start()

    @staticmethod
    def _read(output, lines):
        with output:
            for line in output:
                lines.put(line)
        lines.put("")

    def wait_until_ready(self, patience=PATIENCE):
        """Address of the listener for AWS's APIs."""
        end = time.monotonic() + patience
        while True:
            try:
                line = self.lines.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise NotReady(f"not ready after {patience} s\n{self.log_tail()}") from None
            if not line:
                raise NotReady(f"exit {self.process.wait(PATIENCE)} before it was ready\n{self.log_tail()}")
            if line.startswith("ready:"):
                self.ready_ms = (time.monotonic() - self.begun) * 1e3
                host, port = re.search(r"aws http://([^ /]+):(\d+)", line).groups()
                self.address = host.strip("[]"), int(port)
                return self.address

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        if self.alive():
            self.process.kill()
        if self.process:
            self.process.wait(PATIENCE)

    def terminate(self):
        if self.alive():
            self.process.send_signal(signal.SIGTERM)

    def wait(self):
        return self.process.wait(PATIENCE)

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def log_tail(self):
        return self.log()[-3000:]
