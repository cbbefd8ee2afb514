"""A tracker and a storage node in processes of their own."""

import sqlite3
import subprocess

from .server import BINARY, Server, wait_until
from .tracker import LineClient

#: How long an upload may stay open, in seconds (mogilefs.md §12).
TEMPFILE_TOO_OLD = 3_600


class Apart(Server):
    """A storage node of two devices, and a tracker: a process each. Killed and started again is the tracker."""

    def __init__(self, folder, ports):
        super().__init__(folder, ports)
        self.dirs = [self.folder / "docroot"]
        for number in (1, 2):
            (self.dirs[0] / f"dev{number}").mkdir(parents=True)
        self.node = None

    def command(self):
        command = [BINARY, "tracker", "--db", f"sqlite:{self.dirs[0] / 'mogul.db'}"]
        command += ["--tracker", f"127.0.0.1:{self.tracker_port}", "--admin", f"127.0.0.1:{self.admin_port}"]
        return [str(part) for part in command]

    def begin(self):
        """Starts both for the first time, and makes them known to each other."""
        command = [BINARY, "store", "--docroot", self.dirs[0], "--storage", f"127.0.0.1:{self.storage_port}"]
        command += ["--sidechannel", f"127.0.0.1:{self.sidechannel_port}"]
        with open(self.folder / "node.log", "ab") as log:
            self.node = subprocess.Popen(
                list(map(str, command)),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=self.environment(),
            )
        self.start(wait=False)
        wait_until(lambda: self.health("live") == 200, what="a live tracker")
        with LineClient(self.tracker_port) as line:
            line.must("create_host", host="node", ip="127.0.0.1", port=self.storage_port, status="alive")
            for number in (1, 2):
                line.must("create_device", devid=number, hostname="node", state="alive")
        wait_until(self.is_ready, what="readiness")

    def end(self):
        self.kill()
        self.node.kill()
        self.node.wait()

    def halves(self):
        """As for any server, but for what the tracker writes to see whether a device takes files."""
        return [path for path in super().halves() if path.parent.name != "test-write"]

    def age_open_uploads(self):
        """Makes uploads that nobody will close as old as they have to be; the tracker does not run."""
        with sqlite3.connect(self.dirs[0] / "mogul.db") as database:
            database.execute("update tempfile set createtime = createtime - ?", (2 * TEMPFILE_TOO_OLD,))
