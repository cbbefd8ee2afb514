"""A wire between two processes that a test can cut and mend."""

import contextlib
import socket
import threading


class Relay:
    """Listens on a port of its own and passes on what comes, as long as it is whole."""

    def __init__(self, host, port):
        self.beyond = (host, port)
        self.ends, self.lock = [], threading.Lock()
        self.listener = self.port = None
        self.mend()

    def mend(self):
        """Connections are taken again, on the same port."""
        self.listener = socket.create_server(("127.0.0.1", self.port or 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._take, args=(self.listener,), daemon=True).start()

    def cut(self):
        """Ends all connections; new ones are refused."""
        with self.lock:
            listener, self.listener = self.listener, None
            if listener is None:
                return
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            for end in self.ends:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            self.ends.clear()

    def _take(self, listener):
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                with contextlib.suppress(OSError):
                    self._connect(listener, near)

    def _connect(self, listener, near):
        far = socket.create_connection(self.beyond)
        with self.lock:
            if listener is not self.listener:  # It was cut meanwhile.
                near.close()
                far.close()
                return
            self.ends += [near, far]
        for source, target in ((near, far), (far, near)):
            threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    @staticmethod
    def _pass_on(source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
