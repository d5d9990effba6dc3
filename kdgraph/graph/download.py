"""Fetches released weights, and says within seconds when there is no network."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from kdgraph.errors import Diagnostic, ModelError, Span

RELEASES = "https://github.com/ultralytics/assets/releases"
"""Where Ultralytics' weights and datasets come from."""

_REACH_SECONDS = 10.0


def download(name: str, *, way_out: str | None, span: Span | None) -> Path:
    """Path of the released checkpoint `name`: in Ultralytics' weights folder, or else downloaded to the
    working directory.

    Raises ModelError (KD303) when it cannot be had: after one attempt, or none if the server does not answer
    within 10 s. Its hint names the place for the file, and `way_out`, how to do without it.
    """
    from ultralytics.utils import SETTINGS
    from ultralytics.utils.downloads import attempt_download_asset

    stored = Path(SETTINGS["weights_dir"]) / name
    if stored.is_file():
        return stored
    reason = unreachable(RELEASES)
    try:
        if reason is None:
            return Path(attempt_download_asset(name, retry=0))
    except Exception as error:  # network, proxy, certificate, disk: all mean that the file is not here
        reason = str(error).strip()
    message = f"no network for weights: {name} is not on disk and cannot be downloaded ({reason})"
    hint = " or ".join(filter(None, (f"put the file at {Path.cwd() / name}", way_out)))
    raise ModelError(Diagnostic("KD303", message, span, hint))


def unreachable(url: str) -> str | None:
    """Why `url` cannot be reached, None when it can; waits at most 10 s for an answer."""
    import requests
    from ultralytics.utils import env_bool

    if env_bool("YOLO_OFFLINE"):
        return "YOLO_OFFLINE is set"
    try:
        requests.head(url, timeout=_REACH_SECONDS)
    except requests.RequestException as error:
        return f"{urlsplit(url).hostname} does not answer: {type(error).__name__}"
    return None
