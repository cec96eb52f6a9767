"""How a long loop is shown: on a terminal and in a log."""

import os
import pty
import subprocess
import sys
import termios
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import logging, time
from stages.progress import Progress
logging.basicConfig(level=logging.INFO, format="%(message)s")
for _ in Progress(range(3), desc="packing", unit=" images"):
    pass
bar = Progress(desc="of unknown length", unit="B", unit_scale=True)
bar.update(2_000)
bar.close()
"""


def test_a_log_gets_whole_lines():
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, cwd=ROOT
    )
    lines = run.stderr.splitlines()
    assert "\r" not in run.stderr
    assert [line.partition(" at ")[0] for line in lines] == [
        "packing: 0 images of 3 images",
        "packing: 3 images of 3 images",
        "of unknown length: 0.00B of ?B",
        "of unknown length: 2.00kB of ?B",
    ]


def test_a_terminal_gets_a_bar():
    terminal, end = pty.openpty()
    termios.tcsetwinsize(end, (24, 80))
    subprocess.run([sys.executable, "-c", PROGRAM], stderr=end, check=True, cwd=ROOT)
    os.close(end)
    shown = os.read(terminal, 10_000).decode()
    os.close(terminal)
    assert "packing: 100%|" in shown
    assert "\r" in shown
