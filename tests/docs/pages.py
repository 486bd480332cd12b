"""Fenced blocks of the documentation, and how a reader would run them."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAMED = re.compile(r"# (\w+\.py)\n")
_NOT_HERE = ("make ", "pip install")  # they make environments; CI runs both for real


class Block(NamedTuple):
    """One fenced block: its language and text."""

    language: str
    text: str


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(name: str) -> list[Block]:
    return [Block(*found) for found in _BLOCK.findall(page(name))]


def run_as_reader(block: Block, folder: Path) -> None:
    """Save a Python block that begins with a file's name, run other Python and shell blocks.

    Commands run in `folder` with this interpreter's own `bt` first on the path.
    """
    if block.language == "python" and (named := _NAMED.match(block.text)):
        (folder / named[1]).write_text(block.text, encoding="utf-8")
        return
    if block.language == "python":
        command = [sys.executable, "-c", block.text]
    elif block.language == "sh":
        lines = [line for line in block.text.splitlines() if not line.startswith(_NOT_HERE)]
        command = ["bash", "-eu", "-c", "\n".join(lines)]
    else:
        return
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{block.text}\nexit code {done.returncode}\n{done.stdout}\n{done.stderr}"
