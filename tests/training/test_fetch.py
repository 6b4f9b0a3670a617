import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from automl_gpt_ray.errors import DataError
from automl_gpt_ray.training import fetch
from automl_gpt_ray.training.data_check import check_data
from training.small import card_of

CONTENT = b"n,label\n" + b"1,no\n2,yes\n" * 20


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def site(tmp_path, monkeypatch):
    """The URL of a folder with one file, and an empty cache."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "t.csv").write_bytes(CONTENT)
    monkeypatch.setenv(fetch.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


def card(url, name="t.csv", **load):
    return card_of(load={"format": "csv", "files": {"train": name}, "url": url, **load})


def test_an_absent_file_is_fetched_once_and_then_found(site, tmp_path):
    md5 = hashlib.md5(CONTENT).hexdigest()
    found = fetch.find_files(card(site, md5={"t.csv": md5}))["train"]
    assert found.read_bytes() == CONTENT
    assert list((tmp_path / "cache").rglob("*")) == [found.parent, found]
    (tmp_path / "site" / "t.csv").unlink()
    assert fetch.find_files(card(site))["train"] == found
    assert check_data(card(site))["train"] > 0


def test_a_file_with_another_md5_is_refused_and_not_kept(site, tmp_path):
    with pytest.raises(DataError, match="must have MD5"):
        fetch.find_files(card(site, md5={"t.csv": "0" * 32}))
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_an_unreachable_site_names_rule_value_and_remedy(site):
    with pytest.raises(DataError) as caught:
        fetch.find_files(card(site, name="absent.csv"))
    text = str(caught.value)
    assert "`load.url`" in text
    assert "must be reachable" in text
    assert "404" in text
    assert "Set `data.path` in the job to a folder that holds absent.csv" in text


@pytest.mark.parametrize(("url", "name"), [("file:///etc", "t.csv"), ("ftp://x.invalid/", "t.csv")])
def test_only_the_web_is_fetched_from(site, url, name):
    with pytest.raises(DataError, match="must begin with http"):
        fetch.find_files(card(url, name=name))


def test_no_name_leads_out_of_the_cache(site):
    with pytest.raises(DataError, match="must be a name below the URL"):
        fetch.find_files(card(site, name="../t.csv"))


def test_a_local_file_of_another_md5_is_found_by_the_check(tmp_path):
    (tmp_path / "t.csv").write_bytes(CONTENT)
    local = card_of(
        load={"format": "csv", "path": str(tmp_path), "files": {"train": "t.csv"}, "md5": {"t.csv": "0" * 32}}
    )
    with pytest.raises(DataError, match="must have MD5"):
        check_data(local)


def test_every_absent_file_is_listed(tmp_path):
    files = {"train": "a.csv", "test": "b.csv"}
    with pytest.raises(DataError) as caught:
        check_data(card_of(load={"format": "csv", "path": str(tmp_path), "files": files}))
    assert [problem.field for problem in caught.value.problems] == ["load.files.train", "load.files.test"]
