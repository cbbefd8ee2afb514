"""A line client of our own for the tracker port: sends exactly what a test wants, and keeps each answer's bytes."""

import dataclasses
import http.client
import socket
import urllib.parse


def encode(value):
    raw = value if isinstance(value, bytes) else str(value).encode()
    return urllib.parse.quote_from_bytes(raw, safe="/-_.,")


def decode(text):
    return urllib.parse.unquote_to_bytes(text.replace(b"+", b" "))


def arguments(**pairs):
    """`a=1&b=x%20y`; a trailing underscore of a name is for Python's own words: `class_`."""
    return "&".join(f"{name.rstrip('_')}={encode(value)}" for name, value in pairs.items())


@dataclasses.dataclass
class Answer:
    """One line of the tracker."""

    raw: bytes

    @property
    def ok(self):
        return self.raw.startswith(b"OK ")

    @property
    def code(self):
        """The word behind ERR; None of a success."""
        return None if self.ok else self.raw.split()[1].decode()

    @property
    def text(self):
        return None if self.ok else decode(self.raw.split()[2]).decode()

    def bytes(self, name):
        return dict(self.raw_pairs()).get(name.encode())

    def raw_pairs(self):
        words = self.raw.rstrip(b"\r\n").split(b" ", 1)[1]
        for pair in filter(None, words.split(b"&")):
            name, _, value = pair.partition(b"=")
            yield decode(name), decode(value)

    @property
    def pairs(self):
        return {name.decode(): value.decode("utf-8", "replace") for name, value in self.raw_pairs()}

    def __getitem__(self, name):
        return self.pairs[name]


class LineClient:
    """One connection to a tracker."""

    def __init__(self, port, host="127.0.0.1", timeout=30):
        self.socket = socket.create_connection((host, port), timeout)
        self.reader = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.reader.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def read(self):
        line = self.reader.readline()
        assert line.endswith(b"\r\n"), f"the tracker hung up: {line!r}"
        return Answer(line)

    def line(self, text):
        """Sends a line as it is and reads the answer."""
        self.send((text if isinstance(text, bytes) else text.encode()) + b"\r\n")
        return self.read()

    def ask(self, command, **pairs):
        return self.line(f"{command} {arguments(**pairs)}")

    def must(self, command, **pairs):
        answer = self.ask(command, **pairs)
        assert answer.ok, f"{command} {pairs}: {answer.raw!r}"
        return answer

    def admin(self, command):
        """The lines of an `!` command."""
        self.send(command.encode() + b"\r\n")
        lines = []
        while (line := self.reader.readline()) not in (b".\r\n", b""):
            lines.append(line.rstrip(b"\r\n").decode())
        return lines

    def store(self, domain, key, body, **pairs):
        """An upload as clients do it; answers with the fid."""
        opened = self.must("create_open", domain=domain, key=key, multi_dest=1, **pairs)
        status = put(opened["path_1"], body)
        assert status in (200, 201, 204), status
        close = {"fid": opened["fid"], "devid": opened["devid_1"], "path": opened["path_1"]}
        self.must("create_close", domain=domain, key=key, size=len(body), **close)
        return int(opened["fid"])

    def fetch(self, domain, key):
        """The bytes of a file, from its first path."""
        paths = self.must("get_paths", domain=domain, key=key)
        status, body = get(paths["path1"])
        assert status == 200, status
        return body


def put(url, body):
    return _request("PUT", url, body)[0]


def get(url):
    return _request("GET", url, None)


def _request(method, url, body):
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    try:
        connection.request(method, parts.path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
