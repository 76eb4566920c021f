"""Ctrl-C and SIGTERM while a training runs."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

from kseg.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)
AT_ONCE = "Interrupted; every step that was done is saved."


class StopSignal:
    """Makes Ctrl-C and SIGTERM raise Interrupted at once, but inside `noting` only notes them.

    So a step can end and its state be saved. A second signal then ends the program at once.

    Python handles a signal only between two of its own instructions, and a long step is one instruction. So a thread
    listens to the byte that the system writes as soon as a signal comes. Signals reach the main thread only; in another
    thread nothing is noted.

    Attributes:
      asked: whether a signal was noted.
    """

    def __init__(self) -> None:
        self.asked, self._waits = False, False
        self._reached = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> StopSignal:
        if self._reached:
            ear, self._mouth = socket.socketpair()
            self._mouth.setblocking(False)
            self._listener = threading.Thread(target=self._listen, args=(ear,), daemon=True)
            self._listener.start()
            self._wakeup = signal.set_wakeup_fd(self._mouth.fileno(), warn_on_full_buffer=False)
            self._before = {each: signal.signal(each, self._note) for each in SIGNALS}
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._reached:
            for each, before in self._before.items():
                signal.signal(each, before)
            signal.set_wakeup_fd(self._wakeup)
            self._mouth.close()
            self._listener.join()

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Inside, a signal is only noted. Whoever reads `asked` saves the state and ends.

        Raises:
          Interrupted: at the end, if a signal was noted and nobody has ended.
        """
        self._waits = True
        try:
            yield
        finally:
            self._waits = False
        if self.asked:
            raise Interrupted(AT_ONCE)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if not self._waits:
            raise Interrupted(AT_ONCE)
        self.asked = True

    def _listen(self, ear: socket.socket) -> None:
        with ear:
            heard = 0
            while byte := ear.recv(1):
                heard += byte[0] in SIGNALS
                if heard > 1:
                    os._exit(128 + byte[0])  # what a shell reports of a signal
                if heard and self._waits:
                    os.write(2, b"\nStopping after this step. Once more ends at once.\n")
