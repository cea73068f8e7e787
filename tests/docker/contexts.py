"""Docker contexts on disk, as `docker context create` and `docker context use` write them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path


def create(folder: Path, name: str, host: str, *, use: bool = False) -> None:
    """Write a context to the configuration in `folder`; with `use`, it is the selected one."""
    (folder / "config.json").write_text(json.dumps({"currentContext": name} if use else {}), encoding="utf-8")
    meta = folder / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
    meta.mkdir(parents=True)
    description = {"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}}}
    (meta / "meta.json").write_text(json.dumps(description), encoding="utf-8")
