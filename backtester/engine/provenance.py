"""Where a run's result comes from: code, versions, machine. Everything that could explain a difference."""

import platform
import subprocess
import sys
from functools import cache
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from backtester.strategy.composed.strategy import composed_files
from backtester.strategy.registry import FoundStrategy

PACKAGE_ROOT = Path(__file__).resolve().parent.parent
_DECIDING = ("backtester", "msgspec", "numpy", "pyarrow", "pydantic")


def digest_of(data: bytes) -> str:
    """Return blake2b-128 as hex."""
    return blake2b(data, digest_size=16).hexdigest()


@cache
def engine_digest() -> str:
    """Return one digest over all sources of the engine, by relative path and content."""
    total = blake2b(digest_size=16)
    for path in sorted(PACKAGE_ROOT.rglob("*.py")):
        total.update(f"{path.relative_to(PACKAGE_ROOT).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return total.hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that take part in deciding."""
    found = {"python": platform.python_version()}
    for name in _DECIDING:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def platform_text() -> str:
    """Return system, machine and Python implementation."""
    return f"{platform.system()} {platform.machine()} {platform.python_implementation()}"


@cache
def git_sha() -> str:
    """Return the revision of the engine's own checkout, with `+` when it has changes; empty when it is installed.

    As it was when it was first asked for: what is loaded does not change any more.
    """
    root = PACKAGE_ROOT.parent
    try:
        if Path(_git(root, "rev-parse", "--show-toplevel")).resolve() != root:
            return ""  # an environment inside somebody else's repository
        sha = _git(root, "rev-parse", "HEAD")
        return sha + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=5,
    )
    return done.stdout.strip()


def own_sources(found: FoundStrategy) -> dict[str, Path]:
    """Return the files that a strategy of the user's own is made of, by path relative to its own file's folder."""
    if found.file is None:
        return {}
    folder = found.file.parent
    sources = modules_below(folder)
    if found.is_composed:
        sources |= {path.relative_to(folder).as_posix(): path for path in composed_files(found.cls)}
    return dict(sorted(sources.items()))


def modules_below(folder: Path) -> dict[str, Path]:
    """Return the imported modules whose files lie below a folder, by relative path: a strategy and what it imports.

    The engine itself and installed packages are left out: they have digests and versions of their own.
    """
    found = {}
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        path = _source(file) if file else None
        if path is not None and path.is_relative_to(folder):
            found[path.relative_to(folder).as_posix()] = path
    return dict(sorted(found.items()))


@cache
def _source(file: str) -> Path | None:
    """Return where a module lies, None for one that is installed or has no source; many are asked for at every run."""
    path = Path(file).resolve()
    installed = [PACKAGE_ROOT, Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()]
    return None if path.suffix != ".py" or any(path.is_relative_to(root) for root in installed) else path
