"""Downloads against a server of our own that breaks off, forgets, and lies."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from kseg import download
from kseg.download import fetch, mismatch
from kseg.errors import EnvironmentFailure

DATA = np.random.default_rng(0).integers(0, 256, 300_000, np.uint8).tobytes()
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()


class Server(ThreadingHTTPServer):
    """Serves `data` under every path; what else it does is set by a test."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.data, self.tag, self.ranges, self.length, self.breaks = DATA, '"1"', True, True, []
        self.status, self.location, self.asked = 200, "", []
        self.address = f"http://127.0.0.1:{self.server_address[1]}/a.bin"


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.asked.append((self.path, self.headers.get("Range"), self.headers.get("If-Range")))
        if server.status != 200:
            self.send_response(server.status)
            self.send_header("Location", server.location)
            self.send_header("Content-Length", "0")
            self.end_headers()
            server.status = 200 if server.location.startswith("/") else server.status
            return
        start = 0
        asked = self.headers.get("Range")
        if asked and server.ranges and self.headers.get("If-Range", server.tag) == server.tag:
            start = int(asked.removeprefix("bytes=").rstrip("-"))
            if start >= len(server.data):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(server.data) - 1}/{len(server.data)}")
        else:
            self.send_response(200)
        if server.tag:
            self.send_header("ETag", server.tag)
        if server.length:
            self.send_header("Content-Length", str(len(server.data) - start))
        self.end_headers()
        self.wfile.write(server.data[start : start + server.breaks.pop(0) if server.breaks else None])

    def log_message(self, *words):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "_WAIT_S", 0.0)
    for name in ("KSEG_MIRROR", "KSEG_OFFLINE", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_comes_whole_and_is_not_asked_for_again(server, tmp_path, capsys):
    target = tmp_path / "new" / "a.bin"
    for _ in range(2):
        assert fetch([server.address], target, size_bytes=len(DATA), digest=DIGEST) == target
    assert target.read_bytes() == DATA and names(target.parent) == ["a.bin"] and len(server.asked) == 1
    assert capsys.readouterr().err == "a.bin: 0.3 of 0.3 MB\n"


@pytest.mark.parametrize("tag", ['"1"', ""])
def test_what_breaks_off_goes_on_where_it_ended(server, tmp_path, tag):
    server.tag, server.breaks = tag, [1000, 2000]
    fetch([server.address], tmp_path / "a.bin", size_bytes=len(DATA), digest=DIGEST)
    assert (tmp_path / "a.bin").read_bytes() == DATA and names(tmp_path) == ["a.bin"]
    assert [(asked, condition or "") for _, asked, condition in server.asked] == [
        (None, ""), ("bytes=1000-", tag), ("bytes=3000-", tag),
    ]  # fmt: skip


def test_a_later_call_goes_on_too(server, tmp_path):
    server.breaks = [1000, 0, 0, 0, 0]
    with pytest.raises(EnvironmentFailure, match=r"broke off after 1,000 of 300,000.*kept in .*a\.bin\.part") as caught:
        fetch([server.address], tmp_path / "a.bin", digest=DIGEST)
    assert caught.value.exit_code == 5 and names(tmp_path) == ["a.bin.part", "a.bin.part.json"]
    fetch([server.address], tmp_path / "a.bin", digest=DIGEST)
    assert (tmp_path / "a.bin").read_bytes() == DATA and server.asked[-1][1] == "bytes=1000-"


def test_a_part_that_was_whole_is_not_asked_for_again(server, tmp_path):
    (tmp_path / "a.bin.part").write_bytes(DATA)
    (tmp_path / "a.bin.part.json").write_text(json.dumps({"address": server.address, "total": len(DATA), "tag": ""}))
    fetch([server.address], tmp_path / "a.bin", digest=DIGEST)
    assert not server.asked and names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("memory", ["", "[]", json.dumps({"address": "http://elsewhere/a.bin"})])
def test_a_part_of_unknown_origin_is_begun_anew(server, tmp_path, memory):
    (tmp_path / "a.bin.part").write_bytes(b"other" * 100)
    (tmp_path / "a.bin.part.json").write_text(memory)
    fetch([server.address], tmp_path / "a.bin")
    assert (tmp_path / "a.bin").read_bytes() == DATA and server.asked[0][1] is None


def test_a_server_without_ranges_is_asked_for_all_of_it(server, tmp_path):
    server.ranges, server.breaks = False, [1000]
    fetch([server.address], tmp_path / "a.bin", digest=DIGEST)
    assert (tmp_path / "a.bin").read_bytes() == DATA


@pytest.mark.parametrize(("tag", "new_tag"), [('"1"', '"2"'), ("", "")])
@pytest.mark.parametrize("new", [DATA[:500], DATA[::-1], DATA + b"more"])
def test_a_file_that_changed_meanwhile_is_not_mixed_with_the_old(server, tmp_path, tag, new_tag, new):
    server.tag, server.breaks = tag, [1000] + [0] * 4
    with pytest.raises(EnvironmentFailure):
        fetch([server.address], tmp_path / "a.bin")
    server.data, server.tag = new, new_tag
    fetch([server.address], tmp_path / "a.bin")
    mixed = DATA[:1000] + new[1000:]
    same_size_untagged = not tag and len(new) == len(DATA)  # only a digest can tell
    assert (tmp_path / "a.bin").read_bytes() == (mixed if same_size_untagged else new)


def test_a_wrong_file_is_removed_and_both_digests_are_said(server, tmp_path):
    server.data = DATA[::-1]
    found = hashlib.sha256(DATA[::-1]).hexdigest()
    with pytest.raises(EnvironmentFailure, match=f"expected sha256 {DIGEST[7:]}, found {found} .300,000 bytes"):
        fetch([server.address], tmp_path / "a.bin", digest=DIGEST)
    assert not names(tmp_path)


def test_a_file_of_another_size_is_not_even_fetched(server, tmp_path):
    with pytest.raises(EnvironmentFailure, match="expected 5 bytes, offered 300,000"):
        fetch([server.address], tmp_path / "a.bin", size_bytes=5)
    assert not names(tmp_path)


def test_a_server_that_sends_more_than_expected_is_cut_off(server, tmp_path):
    server.length = False
    with pytest.raises(EnvironmentFailure, match="more than the 1,000 bytes expected, and was cut off"):
        fetch([server.address], tmp_path / "a.bin", size_bytes=1000)
    assert not names(tmp_path)


def test_the_next_address_is_tried_and_every_answer_is_named(server, tmp_path):
    closed = "http://127.0.0.1:1/a.bin"
    fetch([closed, server.address], tmp_path / "a.bin")
    server.status = 404
    with pytest.raises(EnvironmentFailure) as caught:
        fetch([closed, server.address, "file:///etc/hostname"], tmp_path / "b.bin", digest=DIGEST)
    message = str(caught.value)
    assert "127.0.0.1:1/a.bin: no answer" in message and f"{server.address}: HTTP 404 Not Found." in message
    assert "file:///etc/hostname: only http and https" in message
    assert f"Or fetch the file from {closed} (size unknown, {DIGEST.replace(':', ' ')})" in message
    assert message.endswith(f"put it at {tmp_path / 'b.bin'}.")


def test_redirects_are_followed_to_the_web_alone(server, tmp_path):
    server.status, server.location = 302, "/elsewhere"
    fetch([server.address], tmp_path / "a.bin", digest=DIGEST)
    assert [path for path, *_ in server.asked] == ["/a.bin", "/elsewhere"]
    for location in ("file:///etc/hostname", "ftp://127.0.0.1/a"):
        server.status, server.location = 302, location
        with pytest.raises(EnvironmentFailure, match="HTTP 302.*not allowed|redirected to ftp.*not a web address"):
            fetch([server.address], tmp_path / "b.bin")


def test_a_mirror_is_asked_first_and_the_source_after_it(server, tmp_path, monkeypatch):
    folder, address = tmp_path / "mirror", server.address.removesuffix("/a.bin")
    folder.mkdir()
    (folder / "a.bin").write_bytes(DATA)
    monkeypatch.setenv("KSEG_MIRROR", str(folder))
    fetch([server.address], tmp_path / "a.bin", digest=DIGEST)
    assert not server.asked
    fetch([server.address], tmp_path / "b.bin", digest=DIGEST)  # the folder has no such file
    (folder / "c.bin").write_bytes(b"wrong")
    fetch([server.address], tmp_path / "c.bin", digest=DIGEST)
    assert [path for path, *_ in server.asked] == ["/a.bin", "/a.bin"] and (folder / "c.bin").exists()
    monkeypatch.setenv("KSEG_MIRROR", f"{address}/mirror/")
    fetch(["http://127.0.0.1:1/d.bin"], tmp_path / "d.bin", digest=DIGEST)
    assert server.asked[-1][0] == "/mirror/d.bin"


def test_offline_asks_no_address_and_names_the_file_to_bring(server, tmp_path, monkeypatch):
    monkeypatch.setenv("KSEG_OFFLINE", "1")
    monkeypatch.setenv("KSEG_MIRROR", server.address.removesuffix("/a.bin"))
    with pytest.raises(EnvironmentFailure, match="KSEG_OFFLINE is set.*Fetch the file from http.*300,000") as caught:
        fetch([server.address], tmp_path / "a.bin", size_bytes=len(DATA))
    assert not server.asked and str(tmp_path / "a.bin") in str(caught.value)
    (tmp_path / "a.bin").write_bytes(DATA)
    fetch([server.address], tmp_path / "a.bin", size_bytes=len(DATA), digest=DIGEST)
    monkeypatch.setenv("KSEG_MIRROR", str(tmp_path))
    (tmp_path / "b.bin").write_bytes(b"brought, but wrong")
    with pytest.raises(EnvironmentFailure, match="expected 300,000 bytes, found 18"):
        fetch([server.address], tmp_path / "b.bin", size_bytes=len(DATA))


def test_a_full_disk_is_said_and_what_came_is_kept(server, tmp_path, monkeypatch):
    import resource

    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(EnvironmentFailure, match="a.bin: can't be written .File too large"):
            fetch([server.address], tmp_path / "a.bin", digest=DIGEST)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "a.bin.part").stat().st_size == 100_000
    fetch([server.address], tmp_path / "a.bin", digest=DIGEST)
    assert (tmp_path / "a.bin").read_bytes() == DATA


@pytest.mark.parametrize("kind", ["md5", "sha1", "sha256"])
def test_digests_of_every_kind_are_checked_the_first_digits_alone_too(tmp_path, kind):
    path = tmp_path / "a.bin"
    path.write_bytes(DATA)
    whole = hashlib.new(kind, DATA).hexdigest()
    assert mismatch(path, len(DATA), f"{kind}:{whole}") is None and mismatch(path, None, f"{kind}:{whole[:8]}") is None
    assert f"expected {kind} 00, found {whole}" in mismatch(path, None, f"{kind}:00")
