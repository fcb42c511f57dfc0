"""The engine on two accelerators that are emulated on the CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from torch.utils import backend_registration

CHECKS = Path(__file__).parent / "emulated_checks.py"


@pytest.mark.skipif(
    not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="this torch has no devices that are written in Python",
)
def test_the_engine_on_emulated_accelerators():
    """In a process of its own, since torch keeps a new kind of device: each check of emulated_checks.py passes."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", "-p", "no:cacheprovider", str(CHECKS)]
    ran = subprocess.run(command, cwd=CHECKS.parents[2], env=os.environ, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout[-5000:]
