"""Fetching: finds the files of a data set, on disk, in the cache, or at the card's URL.

Knows nothing of what the files hold beyond their MD5. The cache is `$AUTOML_GPT_RAY_CACHE`, by
default `~/.cache/automl_gpt_ray`.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import tempfile
import urllib.request
import zlib
from http.client import HTTPException
from pathlib import Path
from urllib.parse import quote, urlsplit

from automl_gpt_ray.cards import DataCard, Loading
from automl_gpt_ray.errors import DataError, Problem, shown

CACHE_VARIABLE = "AUTOML_GPT_RAY_CACHE"
_TIMEOUT = 60.0  # seconds without a byte
_PIECE = 1 << 20
_GZIP = b"\x1f\x8b"


def find_files(card: DataCard, only: frozenset[str] | None = None) -> dict[str, Path]:
    """Return the file of each key of `load.files` (or of those in `only`), fetching absent ones.

    Raises:
        DataError: With every file that is neither on disk nor to be had.
    """
    load = _loading(card)
    found: dict[str, Path] = {}
    problems: list[Problem] = []
    for key, name in load.files.items():
        if only is not None and key not in only:
            continue
        try:
            found[key] = _beside(load, name) or _fetched(load, key, name)
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(card.name, problems)
    return found


def md5_problems(card: DataCard, files: dict[str, Path]) -> list[Problem]:
    """Return a problem for each of `files` whose unpacked content has not the card's MD5."""
    load = _loading(card)
    return [p for key, path in files.items() if (p := _md5_problem(load, load.files[key], path))]


def unpacked(path: Path) -> bytes:
    """Return the content of `path`, gunzipped where it is gzip, whatever its name.

    Raises:
        OSError: It cannot be read or is a broken gzip file.
    """
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content.startswith(_GZIP) else content
    except (EOFError, zlib.error) as error:
        raise OSError(f"broken gzip file: {error}") from error


def cache_folder(load: Loading) -> Path:
    """Return the folder in the cache for what comes from `load.url`."""
    root = os.environ.get(CACHE_VARIABLE)
    base = Path(root).expanduser() if root else Path.home() / ".cache" / "automl_gpt_ray"
    host = urlsplit(load.url or "").hostname or "local"
    return base / f"{host}-{hashlib.sha256((load.url or '').encode()).hexdigest()[:12]}"


def _loading(card: DataCard) -> Loading:
    if card.load is None:
        raise DataError(card.name, [Problem("load", "required key is missing", remedy="say how the data is loaded")])
    return card.load


def _beside(load: Loading, name: str) -> Path | None:
    """Return `name` within `load.path`, packed or not, or None."""
    folder = Path(load.path).expanduser() if load.path else None
    return _variant(folder, name) if folder else None


def _variant(folder: Path, name: str) -> Path | None:
    names = (name, f"{name}.gz", name.removesuffix(".gz"))
    return next((folder / n for n in names if (folder / n).is_file()), None)


def _fetched(load: Loading, key: str, name: str) -> Path:
    if load.url is None:
        where = f"not in {shown(load.path)}" if load.path else "no `load.path` and no `load.url`"
        rule = f"the file {shown(name)} must exist"
        raise DataError("data", [Problem(f"load.files.{key}", rule, where, _remedy(load))])
    folder = cache_folder(load)
    cached = _variant(folder, name)
    return cached or _download(load, key, name, folder)


def _download(load: Loading, key: str, name: str, folder: Path) -> Path:
    url = f"{(load.url or '').rstrip('/')}/{quote(name)}"
    if urlsplit(url).scheme not in ("http", "https"):
        raise DataError("data", [Problem("load.url", "must begin with http:// or https://", shown(load.url))])
    if Path(name).is_absolute() or ".." in Path(name).parts:
        rule = "must be a name below the URL"
        raise DataError("data", [Problem(f"load.files.{key}", rule, shown(name), "write a relative name without `..`")])
    target = folder / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # A private folder beside the target: trials that fetch at once never see half a file.
        with tempfile.TemporaryDirectory(dir=target.parent) as private:
            piece = Path(private) / target.name
            _copy(url, piece)
            if problem := _md5_problem(load, name, piece):
                raise DataError("data", [problem])
            piece.replace(target)
    except (OSError, ValueError, HTTPException) as error:
        missing = f"{shown(name)} is not in {shown(load.path)}, so " if load.path else ""
        rule = f"{missing}{shown(url)} must be reachable"
        raise DataError("data", [Problem("load.url", rule, shown(str(error)), _remedy(load))]) from None
    return target


def _copy(url: str, target: Path) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "automl-gpt-ray"})  # noqa: S310 - scheme checked
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as reply, target.open("wb") as out:  # noqa: S310 - as above
        shutil.copyfileobj(reply, out, _PIECE)
        announced = reply.headers.get("Content-Length")
    if announced is not None and target.stat().st_size != int(announced):
        raise OSError(f"the connection ended after {target.stat().st_size} of {announced} bytes")


def _md5_problem(load: Loading, name: str, path: Path) -> Problem | None:
    expected = load.md5.get(name)
    if expected is None:
        return None
    try:
        actual = hashlib.md5(unpacked(path), usedforsecurity=False).hexdigest()
    except OSError as error:
        return Problem(f"load.md5.{name}", "the file must be readable", shown(str(error)), "fetch it again")
    if actual == expected.lower():
        return None
    return Problem(f"load.md5.{name}", f"the unpacked file must have MD5 {expected}", actual, "fetch it again")


def _remedy(load: Loading) -> str:
    names = " and ".join(load.files.values())
    return f"set `data.path` in the job to a folder that holds {names}"
