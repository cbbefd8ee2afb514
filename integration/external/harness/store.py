"""Runs the built `mogul store`: a storage node of its own, as mogstored is."""

import subprocess
import urllib.request

from .server import BINARY, wait_until


class StoreNode:
    """One `mogul store` process on a loopback address of its own; its devices are folders below one docroot."""

    def __init__(self, folder, ports, address, devices):
        self.folder, self.address, self.devices = folder, address, devices
        self.port, self.side_port = ports.take(), ports.take()
        self.log = folder / "store.log"
        self.process = None

    def start(self):
        for device in self.devices:
            (self.folder / f"dev{device}").mkdir(parents=True)
        command = [BINARY, "store", "--docroot", self.folder, "--storage", f"{self.address}:{self.port}"]
        command += ["--sidechannel", f"{self.address}:{self.side_port}"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([str(part) for part in command], stdout=log, stderr=log)
        wait_until(self.serves, 30, f"the node (see {self.log})")
        return self

    def serves(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            url = f"http://{self.address}:{self.port}/dev{self.devices[0]}/usage"
            return urllib.request.urlopen(url, timeout=2).status == 200
        except OSError:
            return False

    def fid_count(self, device):
        return len(list((self.folder / f"dev{device}").rglob("*.fid")))

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
