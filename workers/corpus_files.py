"""Reads the files of a folder that a corpus can hold, and says of the others why it cannot."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from stat import S_ISREG
from unicodedata import category

from perdure.corpus import MAX_FILE_BYTES, FailedFile

IGNORED_FOLDERS = frozenset(
    {"__pycache__", "node_modules", "site-packages", "venv", "env", "vendor", "target", "build", "dist", "out"}
)
"""Made by tools, or other people's; hidden folders are left out too."""
IGNORED_FILES = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi", "*.min.js", "*.min.css", "*.map", "*.lock")
"""Generated: much text that answers nothing. Hidden files are left out too."""
MAX_PATH_BYTES = 1024


def read_folder(
    root: Path, max_file_bytes: int = MAX_FILE_BYTES, exclude: Sequence[str] = ()
) -> Iterator[tuple[str, str] | FailedFile]:
    """`(path, content)` of each file under `root`, paths relative with `/`, in order; or why a file is left out.

    Last come the folders that cannot be listed: what is in them is not known.
    `exclude` holds shell patterns of relative paths, of files and of folders, that are passed over in silence.
    Links to folders are not followed, and links to files only inside `root`; one to a file that is left out is left out
    with it. `root` itself may be hidden, ignored by name, a link, or a single file.

    Raises:
        FileNotFoundError: there is no `root`.
    """
    if not root.exists():
        raise FileNotFoundError(f"No such file or folder: {root}")
    unlisted: list[OSError] = []
    files = _walk(root, exclude, unlisted.append) if root.is_dir() else [root]
    base = root if root.is_dir() else root.parent
    inside = _target(root)
    for file in files:
        path = file.relative_to(base).as_posix()
        try:
            if file is not root and file.is_symlink():
                target = _target(file)
                if not target.is_relative_to(inside):
                    raise ValueError("a link that leads outside the folder")
                if not _wanted_with_folders(target.relative_to(inside), exclude):
                    continue
            yield path, _read(file, path, max_file_bytes)
        except (OSError, ValueError) as error:
            reason = str(error) if isinstance(error, ValueError) else error.strerror or "?"
            yield FailedFile(path=_shown(path), reason=reason)
    for refused in unlisted:
        path = Path(refused.filename).relative_to(base).as_posix()
        yield FailedFile(path=_shown(path), reason=f"a folder that cannot be listed: {refused.strerror}")


def _shown(path: str) -> str:
    plain = path.encode(errors="backslashreplace").decode()
    return "".join(ascii(char)[1:-1] if _is_control(char) else char for char in plain)


def _is_control(char: str) -> bool:
    """Whether it ends a line, or steers a terminal."""
    return category(char) in ("Cc", "Zl", "Zp")


def _target(path: Path) -> Path:
    return Path(os.path.realpath(path))  # `Path.resolve` raises at a link to itself, which is told later


def _walk(root: Path, exclude: Sequence[str], on_error: Callable[[OSError], None]) -> Iterator[Path]:
    for folder, folders, files in os.walk(root, onerror=on_error):
        here = Path(folder).relative_to(root)
        folders[:] = sorted(name for name in folders if _folder_wanted(here / name, exclude))
        for name in sorted(files):
            if _file_wanted(here / name, exclude):
                yield Path(folder, name)


def _wanted_with_folders(file: Path, exclude: Sequence[str]) -> bool:
    return _file_wanted(file, exclude) and all(_folder_wanted(folder, exclude) for folder in file.parents[:-1])


def _folder_wanted(path: Path, exclude: Sequence[str]) -> bool:
    return path.name not in IGNORED_FOLDERS and _wanted(path, exclude)


def _file_wanted(path: Path, exclude: Sequence[str]) -> bool:
    return not any(fnmatch(path.name, pattern) for pattern in IGNORED_FILES) and _wanted(path, exclude)


def _wanted(path: Path, exclude: Sequence[str]) -> bool:
    return not path.name.startswith(".") and not any(fnmatch(path.as_posix(), pattern) for pattern in exclude)


def _read(file: Path, path: str, limit: int) -> str:
    try:
        size = len(path.encode())
    except UnicodeEncodeError:
        raise ValueError("its name is not UTF-8") from None
    if size > MAX_PATH_BYTES:
        raise ValueError(f"its path has {size} bytes; the limit is {MAX_PATH_BYTES}")
    if any(map(_is_control, path)):  # a working set shows the path in a line of its own
        raise ValueError("its name has control characters")
    status = file.stat()
    if not S_ISREG(status.st_mode):
        raise ValueError("not a regular file")
    if status.st_size > limit:
        raise ValueError(f"{status.st_size} bytes; the limit is {limit}")
    with file.open("rb") as opened:
        data = opened.read(limit + 1)
    if len(data) > limit:  # it grows, or its size is not told
        raise ValueError(f"over {limit} bytes, which is the limit")
    if b"\0" in data:
        raise ValueError("binary")
    try:
        return data.decode().removeprefix("\ufeff")  # a byte order mark, which would hide what the first line is
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 (at byte {error.start})") from None
