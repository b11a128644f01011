"""Loads that are connections, not requests."""
import resource
import socket
import time

import wire

CONNECTIONS = 10_000
HALF_A_HEAD = b"POST / HTTP/1.1\r\nHost:"


def raise_descriptor_limit(needed):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < needed:
        raise SystemExit("the hard limit of open files is %d: %d are needed" % (hard, needed))
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def idle_cells(server, options):
    raise_descriptor_limit(CONNECTIONS + 1000)
    # Half of them on each listener, which has a limit of its own.
    requests = {server.port: b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
                server.gateway_port: b"GET /PROD/none HTTP/1.1\r\nHost: x\r\n\r\n"}

    def measured(state, wait):
        time.sleep(wait)
        now = server.resident_bytes()
        with wire.Client(server.port) as client:
            client.call("ListStreams")  # a new one is served beside them
        return "%d connections, %s" % (CONNECTIONS, state), {
            "resident_MiB": now / 2**20, "bytes/connection": (now - before) / CONNECTIONS, "errors": 0}

    time.sleep(1)
    before = server.resident_bytes()
    connections = []
    try:
        for _ in range(CONNECTIONS // len(requests)):
            connections += [(socket.create_connection(("127.0.0.1", port), timeout=30), port) for port in requests]
        yield measured("never used", 1)
        for connection, port in connections:
            connection.sendall(requests[port])
            if not connection.recv(4096).startswith(b"HTTP/1.1 4"):
                raise SystemExit("an idle connection is not served")
        yield measured("idle after a request", 4)  # the buffers are lent for two seconds more
        for connection, _ in connections:
            connection.sendall(HALF_A_HEAD)
        yield measured("in the middle of a head", 1)
    finally:
        for connection, _ in connections:
            connection.close()
