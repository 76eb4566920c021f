import signal
import subprocess
import sys
import threading

import pytest

from kseg.errors import Interrupted
from kseg.training.stopping import StopSignal

TWICE = """
import hashlib, os, signal, sys, threading
from kseg.training.stopping import StopSignal
send = lambda: os.kill(os.getpid(), signal.SIGINT)
with StopSignal() as stop, stop.noting():
    for seconds in map(float, sys.argv[1:]):
        threading.Timer(seconds, send).start()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 6_000_000)  # seconds in which Python runs no handler, as in a long step
    sys.exit(75 if stop.asked else 1)
"""


@pytest.mark.parametrize(("seconds", "code"), [(["0.5"], 75), (["0.5", "0.7"], 130)])
def test_the_first_signal_lets_a_step_end_and_the_second_ends_at_once(seconds, code):
    found = subprocess.run([sys.executable, "-c", TWICE, *seconds], capture_output=True, text=True)
    assert found.returncode == code and "Stopping after this step" in found.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_afterwards_signals_are_what_they_were(number):
    before = signal.getsignal(number)
    with pytest.raises(Interrupted), StopSignal() as stop, stop.noting():
        assert not stop.asked and signal.getsignal(number) is not before
        signal.raise_signal(number)
        assert stop.asked
    assert signal.getsignal(number) is before and signal.set_wakeup_fd(-1) == -1


@pytest.mark.parametrize("has_noted", [False, True])
def test_a_signal_interrupts_at_once_where_no_step_is_under_way(has_noted):
    with pytest.raises(Interrupted, match="every step that was done is saved"), StopSignal() as stop:
        if has_noted:
            with stop.noting():
                pass
        signal.raise_signal(signal.SIGTERM)
        pytest.fail("not interrupted")


def test_another_thread_has_no_signals_to_note():
    stops = []

    def work() -> None:
        with StopSignal() as stop:
            stops.append(stop.asked)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert stops == [False]
