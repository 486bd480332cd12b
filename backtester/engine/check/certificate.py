"""The certificate: what was checked of a run, how often, with which seed, and what came of it."""

import os
from pathlib import Path
from typing import Any, Final

import msgspec

from backtester.core.errors import CheckFailed
from backtester.engine.config_snapshot import CONFIG
from backtester.engine.provenance import digest_of

CERTIFICATE: Final = "certificate.json"
_AGAIN: Final = "bt check {} makes a new one"
PROVEN, FOUND, UNPROVEN = "proven", "found", "unproven"


def identity_of(details: dict[str, Any]) -> dict[str, Any]:
    """Return by what a certificate and a run belong together, from the run's run.json."""
    strategy = details["strategy"]
    return {
        "log": details["log"],
        "config": details["config"],
        "engine_digest": details["engine_digest"],
        "strategy": {key: strategy[key] for key in ("name", "modules", "imported") if key in strategy},
        "data": digest_of(msgspec.json.encode(sorted((p["path"], p["content"]) for p in details["data"]))),
    }


def sealed(content: dict[str, Any]) -> dict[str, Any]:
    """Return a certificate with the digest of what it says."""
    return {**content, "digest": _digest(content)}


def write_certificate(folder: Path, certificate: dict[str, Any]) -> Path:
    """Write a certificate into a run's folder, in place of one that is there; nothing else of the run changes."""
    path = folder / CERTIFICATE
    fresh = folder / f".{CERTIFICATE}.new"
    with fresh.open("wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(certificate), indent=2) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    return path


def read_certificate(folder: Path, details: dict[str, Any]) -> dict[str, Any] | None:
    """Return the certificate of a run, None when it has none; details: the run's run.json.

    Raises:
        CheckFailed: it cannot be read, was changed, or is of another run.
    """
    path = folder / CERTIFICATE
    if not path.exists():
        return None
    try:
        found: dict[str, Any] = msgspec.json.decode(path.read_bytes())
        digest, of, verdict = found.pop("digest"), found["of"], found["verdict"]
    except (OSError, msgspec.DecodeError, KeyError, TypeError, AttributeError) as error:
        raise CheckFailed(f"{path} is not a certificate: {error!r}", hint=_AGAIN.format(folder)) from None
    if digest != _digest(found) or verdict not in (PROVEN, FOUND):
        raise CheckFailed(
            f"{path} was changed: it does not say any more what the check found", hint=_AGAIN.format(folder)
        )
    own = identity_of(details) | {"config": _file_digest(folder / CONFIG)}
    sources = {name: _file_digest(folder / "source" / name) for name in own["strategy"].get("modules", ())}
    if (folder / "source").is_dir():
        own["strategy"] = own["strategy"] | {"modules": sources}
    other = [name for name, value in own.items() if of.get(name) != value]
    if other:
        raise CheckFailed(
            f"{path} is not of this run, which differs in: {', '.join(sorted(other))}",
            hint=_AGAIN.format(folder),
        )
    return {**found, "digest": digest}


def _file_digest(path: Path) -> str:
    return digest_of(path.read_bytes()) if path.is_file() else "missing"


def _digest(content: dict[str, Any]) -> str:
    return digest_of(msgspec.json.encode(content, order="sorted"))
