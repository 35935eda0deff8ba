"""Reading a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from perdure.corpus import FailedFile
from tests.support.unlisted import unlist
from workers.corpus_files import read_folder


def test_text_is_read_and_the_rest_is_reported(tmp_path: Path) -> None:
    for path, data in {
        "b.md": b"# B\r\n",
        "a/x.py": "x = '\U0001f600'".encode(),
        "empty.txt": b"",
        "image.png": b"\x89PNG\0\0",
        "latin.txt": "caf\xe9".encode("latin-1"),
        "large.txt": b"x" * 101,
        ".hidden": b"secret",
        ".git/config": b"x",
        "node_modules/m.js": b"x",
        "a/__pycache__/x.pyc": b"x",
        "api_pb2.py": b"generated",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(data)
    found = list(read_folder(tmp_path, 100))
    assert [entry for entry in found if isinstance(entry, tuple)] == [
        ("b.md", "# B\r\n"),
        ("empty.txt", ""),
        ("a/x.py", "x = '\U0001f600'"),
    ]
    assert [entry for entry in found if isinstance(entry, FailedFile)] == [
        FailedFile(path="image.png", reason="binary"),
        FailedFile(path="large.txt", reason="101 bytes; the limit is 100"),
        FailedFile(path="latin.txt", reason="not UTF-8 (at byte 3)"),
    ]


def test_one_file_is_a_folder_of_one(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    assert list(read_folder(tmp_path / "a.txt")) == [("a.txt", "x")]


def test_a_link_is_followed_inside_the_folder_only(tmp_path: Path) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    for made in (outside, folder):
        made.mkdir()
        (made / "a.txt").write_text(made.name)
    (folder / "in.txt").symlink_to("a.txt")
    (folder / "loop.txt").symlink_to("loop.txt")
    (folder / "out.txt").symlink_to(outside / "a.txt")
    (tmp_path / "linked").symlink_to(folder)
    for root in (folder, tmp_path / "linked"):
        found = list(read_folder(root))
        assert found[:2] == [("a.txt", "folder"), ("in.txt", "folder")]
        assert [f.path for f in found[2:] if isinstance(f, FailedFile)] == ["loop.txt", "out.txt"]
        assert found[3] == FailedFile(path="out.txt", reason="a link that leads outside the folder")
    assert list(read_folder(folder / "out.txt")) == [("out.txt", "outside")]  # named by the caller


def test_a_link_to_what_is_left_out_is_left_out(tmp_path: Path) -> None:
    for name in ("a.md", ".env2", "node_modules/x.js", "drafts/old/b.md", "c.lock"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
        (tmp_path / f"to{len(name)}.txt").symlink_to(name)
    assert list(read_folder(tmp_path, exclude=["drafts"])) == [("a.md", "a.md"), ("to4.txt", "a.md")]


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"\xef\xbb\xbf# Heading\n\n\xef\xbb\xbfbody\n")
    (tmp_path / "b.md").write_bytes(b"\xef\xbb\xbf# Heading\xff\n")
    assert list(read_folder(tmp_path)) == [
        ("a.md", "# Heading\n\n\ufeffbody\n"),
        FailedFile(path="b.md", reason="not UTF-8 (at byte 12)"),
    ]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        list(read_folder(tmp_path / "nowhere"))


def test_excluded_paths_are_passed_over(tmp_path: Path) -> None:
    for name in ("keep.md", "bridge/core.rs", "docs/old/a.md", "docs/b.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("text\n")
    found = [entry[0] for entry in read_folder(tmp_path, exclude=["bridge", "docs/old/*"])]  # type: ignore[index]  # no file fails
    assert found == ["keep.md", "docs/b.md"]


def test_a_folder_that_cannot_be_listed_is_reported_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/a.md", "a/locked/b.md", "z.md", "skipped/c.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("text\n")
    unlist(monkeypatch, tmp_path / "a/locked", tmp_path / "skipped")
    assert list(read_folder(tmp_path, exclude=["skipped"])) == [
        ("z.md", "text\n"),
        ("a/a.md", "text\n"),
        FailedFile(path="a/locked", reason="a folder that cannot be listed: Permission denied"),
    ]


def test_five_thousand_files_are_read_in_order_one_at_a_time(tmp_path: Path) -> None:
    folders = [tmp_path / f"{n:02}" for n in range(50)]
    for folder in folders:
        folder.mkdir()
        for n in range(100):
            (folder / f"{n:03}.txt").write_bytes(b"x\n")
    entries = read_folder(tmp_path)
    assert next(entries) == ("00/000.txt", "x\n")
    folders[49].joinpath("099.txt").write_bytes(b"changed\n")  # not read yet
    rest = list(entries)
    assert len(rest) == 4_999
    assert rest[-1] == ("49/099.txt", "changed\n")
    assert rest == sorted(rest, key=lambda entry: entry[0] if isinstance(entry, tuple) else "")


def test_a_name_that_would_break_its_line_is_reported_and_shown_escaped(tmp_path: Path) -> None:
    for name in ("a\n## b.md", "c\x1b[2J.md", "d\u2028e.md", "f\u00a0g.md"):
        (tmp_path / name).write_text("text\n")
    assert list(read_folder(tmp_path)) == [
        FailedFile(path="a\\n## b.md", reason="its name has control characters"),
        FailedFile(path="c\\x1b[2J.md", reason="its name has control characters"),
        FailedFile(path="d\\u2028e.md", reason="its name has control characters"),
        ("f\u00a0g.md", "text\n"),
    ]


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="no file whose size is not told")
def test_a_file_that_holds_more_than_its_size_says_is_held_to_the_limit() -> None:
    assert list(read_folder(Path("/proc/cpuinfo"), 10)) == [
        FailedFile(path="cpuinfo", reason="over 10 bytes, which is the limit")
    ]
