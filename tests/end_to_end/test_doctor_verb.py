"""`kseg doctor` as a person calls it."""

import os
import subprocess
import sys


def doctor(**variables: str) -> subprocess.CompletedProcess:
    code = "from kseg.cli import main; main(['doctor'])"
    surroundings = {
        name: value for name, value in os.environ.items() if not name.startswith(("KSEG_", "KERAS_", "TF_"))
    }
    return subprocess.run(
        [sys.executable, "-c", code], env={**surroundings, **variables}, capture_output=True, text=True
    )


def test_a_whole_installation_ends_with_0_and_plain_lines():
    found = doctor()
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.startswith("python ") and found.stdout.endswith("\n\nNothing is wrong.\n")
    assert "\nprecision auto " in found.stdout and "wrong:" not in found.stdout


def test_another_backend_of_keras_ends_with_1_and_says_what_to_do_whether_it_is_installed_or_not():
    found = doctor(KERAS_BACKEND="jax")
    assert found.returncode == 1 and "wrong: " in found.stdout and found.stdout.endswith("\n1 wrong\n")
    assert "KERAS_BACKEND" in found.stdout and "kseg needs tensorflow" in found.stdout
