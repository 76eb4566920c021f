"""The public data sets' downloads, against a server of our own and archives that mean harm."""

import dataclasses
import hashlib
import io
import os
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kseg import download, storage
from kseg.datasets import DATASETS
from kseg.datasets.downloads import ENDINGS, PUBLISHED, Part, missing, obtain, published
from kseg.errors import ConfigError, DataError, EnvironmentFailure
from kseg.storage import unpack


class Serving(BaseHTTPRequestHandler):
    """Serves the files of the server's folder; breaks off after so many bytes as `breaks` names, once each."""

    def do_GET(self):
        path = self.server.folder / self.path[1:]
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        self.server.asked.append(start)
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self.wfile.write(data[start : start + self.server.breaks.pop() if self.server.breaks else None])

    def log_message(self, *words):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server of a folder, on this machine."""
    monkeypatch.setattr(download, "_WAIT_S", 0.0)
    for name in ("KSEG_MIRROR", "KSEG_OFFLINE", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Serving) as server:
        server.folder, server.breaks, server.asked = tmp_path / "served", [], []
        server.folder.mkdir()
        server.address = f"http://127.0.0.1:{server.server_address[1]}/"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def tar(path: Path, *members: tarfile.TarInfo | tuple[str, bytes]) -> Path:
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as file:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                file.addfile(member)
                continue
            entry = tarfile.TarInfo(member[0])
            entry.size = len(member[1])
            file.addfile(entry, io.BytesIO(member[1]))
    return path


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


def zipped(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members:
            file.writestr(name, data)
    return path


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


# What is published


def test_every_public_set_is_read_by_a_registered_one_and_says_where_it_is():
    for name, entry in PUBLISHED.items():
        assert entry.dataset in DATASETS.names() and entry.terms, name
        for part in entry.parts:
            assert all(address.startswith("http") for address in part.addresses) and part.addresses, part.file
            kind, digits = (part.digest or "sha256:" + 64 * "0").split(":")
            assert len(digits) == 2 * hashlib.new(kind).digest_size and int(digits, 16) >= 0
            assert part.file.endswith(ENDINGS) or part.holds == part.file
            assert part.digest or part.state, f"{part.file}: neither a digest nor a word about it"


def test_a_wrong_name_gets_the_nearest():
    with pytest.raises(ConfigError, match="no public data set 'voc2021'. Did you mean 'voc2012'"):
        published("voc2021")


def test_what_is_there_is_not_missing(tmp_path):
    assert [part.file for part in missing("voc-aug", tmp_path)] == ["VOCtrainval_11-May-2012.tar", "benchmark.tgz"]
    (tmp_path / "VOCdevkit" / "VOC2012" / "ImageSets").mkdir(parents=True)
    assert [part.file for part in missing("voc-aug", tmp_path)] == ["benchmark.tgz"]
    (tmp_path / "ISBI" / "train-volume.tif").mkdir(parents=True)
    assert not missing("isbi2012", tmp_path)


# From the server to the folder


@pytest.fixture
def part(server):
    address = server.address
    path = tar(server.folder / "set.tgz", ("set/a.txt", b"a"), ("set/inner/b.txt", b"b"))
    digest = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    return Part("set.tgz", (address + "gone.tgz", address + "set.tgz"), "set/inner", path.stat().st_size, digest)


def test_a_set_is_fetched_verified_unpacked_and_its_archive_removed(part, tmp_path):
    assert obtain(part, tmp_path / "new") is None
    assert files(tmp_path / "new") == ["set/a.txt", "set/inner/b.txt"]


def test_a_set_goes_on_where_it_broke_off(part, server, tmp_path):
    server.breaks = [70, 50]
    obtain(part, tmp_path / "new")
    assert files(tmp_path / "new") == ["set/a.txt", "set/inner/b.txt"] and server.asked == [0, 50, 120]


def test_without_a_published_digest_the_files_own_is_given(part, tmp_path):
    open_part = dataclasses.replace(part, digest=None, size_bytes=None)
    assert obtain(open_part, tmp_path / "new") == part.digest


def test_another_archive_is_not_unpacked(part, tmp_path):
    with pytest.raises(
        EnvironmentFailure, match="it gave another file, which was removed: expected sha256 000000"
    ) as caught:
        obtain(dataclasses.replace(part, digest="sha256:" + 64 * "0"), tmp_path / "new")
    assert caught.value.exit_code == 5 and not files(tmp_path / "new")


def test_an_archive_that_holds_something_else_is_named(part, tmp_path):
    with pytest.raises(DataError, match=r"set\.tgz: unpacked, but it holds no other \(found set\)"):
        obtain(dataclasses.replace(part, holds="other"), tmp_path / "new")


def test_a_file_that_is_no_archive_stays_as_it_is(server, tmp_path):
    (server.folder / "splits.mat").write_bytes(b"m")
    obtain(Part("splits.mat", (server.address + "splits.mat",), "splits.mat"), tmp_path / "new")
    assert files(tmp_path / "new") == ["splits.mat"]


def test_a_dead_address_names_the_file_to_bring(server, tmp_path):
    with pytest.raises(EnvironmentFailure, match=r"HTTP 404.*fetch the file from http://page.*put it at .*set\.tgz"):
        obtain(Part("set.tgz", (server.address + "set.tgz",), "set", page="http://page"), tmp_path / "new")


# Unpacking


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz"])
def test_an_archive_joins_what_is_there(tmp_path, name):
    (tmp_path / "out" / "kit").mkdir(parents=True)
    (tmp_path / "out" / "kit" / "old.txt").write_text("old")
    write = zipped if name.endswith("zip") else tar
    path = write(tmp_path / name, ("kit/new/b.txt", b"b"), ("c.txt", b"c"))
    assert unpack(path, tmp_path / "out") == ["c.txt", "kit"]
    assert files(tmp_path / "out") == ["c.txt", "kit/new/b.txt", "kit/old.txt"]


def link(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = 0o120777 << 16
    return entry


HOSTILE = {
    "a path above, tar": (tar, "a.tar", [("../out.txt", b"x")], "leads out of the folder"),
    "a path above further down": (tar, "a.tgz", [("a/../../out.txt", b"x")], "leads out of the folder"),
    "an absolute path, tar": (tar, "a.tar", [("/tmp/out.txt", b"x")], "leads out of the folder"),
    "a path above, zip": (zipped, "a.zip", [("../out.txt", b"x")], "leads out of the folder"),
    "a path above, from Windows": (zipped, "a.zip", [("..\\out.txt", b"x")], "leads out of the folder"),
    "a drive": (zipped, "a.zip", [("C:\\out.txt", b"x")], "leads out of the folder"),
    "a symbolic link": (tar, "a.tar", [special("in", tarfile.SYMTYPE, "/"), ("in/out.txt", b"x")], "in is a link"),
    "a symbolic link, zip": (zipped, "a.zip", [(link("in"), b"/")], "in is a link"),
    "a hard link": (tar, "a.tar", [special("in", tarfile.LNKTYPE, "/etc/passwd")], "in is a link"),
    "a device": (tar, "a.tar", [special("in", tarfile.CHRTYPE)], "in is a link, a device"),
    "a pipe": (tar, "a.tar", [special("in", tarfile.FIFOTYPE)], "in is a link, a device"),
    "a file twice": (tar, "a.tar", [("in", b"x"), ("in", b"y")], "in is in it twice"),
    "a file as a folder": (tar, "a.tar", [("in", b"x"), ("in/b", b"y")], "in/b is in it twice"),
    "a bomb, gzip": (tar, "a.tgz", [("zeros", bytes(3 << 20))], "zeros and the files before it are too large"),
    "a bomb, zip": (zipped, "a.zip", [("zeros", bytes(3 << 20))], "zeros and the files before it are too large"),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_what_means_harm_leaves_nothing(tmp_path, how):
    write, name, members, message = HOSTILE[how]
    path = write(tmp_path / name, ("good.txt", b"good"), *members)
    with pytest.raises(DataError, match=message):
        unpack(path, tmp_path / "out" / "in", most_bytes=2 << 20)
    assert files(tmp_path) == [name]


def test_an_archive_of_too_many_files_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "_MOST_MEMBERS", 3)
    path = tar(tmp_path / "a.tar", *((f"{number}", b"") for number in range(4)))
    with pytest.raises(DataError, match="more than 3 files"):
        unpack(path, tmp_path / "out")
    assert files(tmp_path) == ["a.tar"]


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz"])
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.97])
def test_a_damaged_archive_is_said_to_be_one(tmp_path, name, keep):
    write = zipped if name.endswith("zip") else tar
    path = write(tmp_path / name, ("a", os.urandom(60_000)), ("b", os.urandom(60_000)))
    path.write_bytes(path.read_bytes()[: int(keep * 120_000)])
    with pytest.raises(DataError, match="damaged, or not a .zip or .tar archive"):
        unpack(path, tmp_path / "out")
    assert files(tmp_path) == [name]


@pytest.mark.parametrize("member", ["b", "b/c"])
def test_a_file_that_is_there_is_not_replaced(tmp_path, member):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b").write_text("mine")
    path = tar(tmp_path / "a.tar", ("a", b"new"), (member, b"new"))
    with pytest.raises(EnvironmentFailure, match="b: this exists already. Move it away"):
        unpack(path, tmp_path / "out")
    assert files(tmp_path / "out") == ["b"] and (tmp_path / "out" / "b").read_text() == "mine"


def test_a_file_does_not_take_the_place_of_a_folder(tmp_path):
    (tmp_path / "out" / "b").mkdir(parents=True)
    with pytest.raises(EnvironmentFailure, match="b: this exists already. Move it away"):
        unpack(tar(tmp_path / "a.tar", ("a", b"new"), ("b", b"new")), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b"]
