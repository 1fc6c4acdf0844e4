"""The routes, asked as the page asks them, on drawn scans and on input that is missing, damaged or hostile."""

from __future__ import annotations

import json
import random
import shutil
import socket
import subprocess
import time
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np
import psutil
import pytest
from starlette.testclient import TestClient

import segwright
from segwright import io
from segwright.core.errors import GeometryError, UsageError
from segwright.core.geometry import Geometry
from segwright.core.inspection import Finding
from segwright.core.report import Report
from segwright.core.volume import Volume
from segwright.evaluation.pairing import read_labels
from segwright.io.dataset import open_dataset
from segwright.view.launch import Address, make_viewer
from segwright.view.listen import Watched, reached_as
from segwright.view.serializers import state
from segwright.view.server import build_app
from segwright.view.session import Session
from segwright.view.source import open_source
from segwright.view.uploads import Limits

OWN = {"x-segwright": "1"}


def ask(session: Session, **wishes) -> TestClient:
    return TestClient(build_app(session, **wishes), base_url="http://127.0.0.1:8000", raise_server_exceptions=False)


def unpack(answer) -> tuple[dict, bytes]:
    assert answer.status_code == 200, answer.text
    length = int.from_bytes(answer.content[:4], "little")
    return json.loads(answer.content[4 : 4 + length]), answer.content[4 + length :]


def label_plane(answer) -> tuple[np.ndarray, list]:
    header, body = unpack(answer)
    runs = np.frombuffer(body, "<u4").reshape(-1, 2)
    return np.repeat(runs[:, 0], runs[:, 1]).reshape(header["rows"], header["columns"]), header["members"]


def scored(page: TestClient, number: int) -> dict:
    """Scores of a result, once all are there."""
    for _ in range(600):
        told = page.get(f"/api/results/{number}/scores").json()
        if told["done"]:
            return told
        time.sleep(0.05)
    raise AssertionError("never scored")


@pytest.fixture(scope="module")
def session(volumes, shifted) -> Session:
    return Session(open_source(volumes), [shifted])


@pytest.fixture(scope="module")
def page(session) -> TestClient:
    return ask(session)


def test_state_lists_cases_structures_and_results(page, volumes):
    told = page.get("/api/state").json()
    assert [row["id"] for row in told["cases"]] == ["m000", "m001", "m002"]
    assert [s["name"] for s in told["structures"]] == list(open_dataset(volumes).labels.names)
    assert told["results"][0]["name"] == "shifted" and told["kind"] == "dataset"


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_are_the_voxels_on_disk(page, volumes, axis):
    told = page.get("/api/cases/1").json()
    at = told["shape"][axis] // 2
    header, body = unpack(page.get(f"/api/cases/1/image/{axis}/{at}"))
    levels = np.frombuffer(body, "u1" if header["bits"] == 8 else "<u2").reshape(header["rows"], header["columns"])
    stored = np.take(io.read(volumes / "imagesTr" / "m001_0000.nii.gz").array()[0], at, axis=axis)
    np.testing.assert_allclose(header["low"] + header["scale"] * levels, stored, atol=header["scale"])
    plane, members = label_plane(page.get(f"/api/cases/1/labels/0/{axis}/{at}"))
    raw = np.take(io.read(volumes / "labelsTr" / "m001.nii.gz").array()[0], at, axis=axis)
    values = [s.values[0] for s in open_dataset(volumes).labels.structures]
    np.testing.assert_array_equal(np.array([values[m[0]] if m else 0 for m in members])[plane], raw)


def test_a_part_of_a_slice_and_a_smaller_one(page):
    whole, _ = unpack(page.get("/api/cases/0/image/0/3"))
    part, body = unpack(page.get("/api/cases/0/image/0/3?box=4,14,2,10"))
    assert (part["rows"], part["columns"]) == (10, 8) and len(body) == 80 * part["bits"] // 8
    small, _ = unpack(page.get("/api/cases/0/image/0/3?step=4"))
    assert small["rows"] == -(-whole["rows"] // 4)
    labels, _ = label_plane(page.get("/api/cases/0/labels/0/0/3?step=4"))
    assert labels.shape == (small["rows"], small["columns"])


def test_what_the_page_has_already_is_not_sent_again(page):
    first = page.get("/api/cases/0/image/0/2")
    again = page.get("/api/cases/0/image/0/2", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304 and not again.content
    assert page.get("/api/cases/0/image/0/3", headers={"if-none-match": first.headers["etag"]}).status_code == 200


def test_scores_are_those_of_evaluate(page, volumes, shifted):
    told = scored(page, 1)
    report = segwright.evaluate(open_dataset(volumes), shifted)
    for row in report.scores:
        shown = told["rows"][row.case][row.structure][row.metric]
        assert shown == (None if row.value is None else pytest.approx(row.value, abs=1e-5))
    assert told["rows"]["m000"]["mean"]["dice"] == 1 > told["rows"]["m002"]["mean"]["dice"]
    assert {a["structure"] for a in told["aggregates"]} >= {"mean"}


def test_objects_and_their_numbers(page):
    told = page.get("/api/cases/0/objects/1/0").json()
    first = told["rows"][0]
    plane, _ = np.frombuffer(b""), None
    header, body = unpack(page.get(f"/api/cases/0/objects/1/0/0/{first['at'][0]}"))
    runs = np.frombuffer(body, "<u4").reshape(-1, 2)
    plane = np.repeat(runs[:, 0], runs[:, 1]).reshape(header["rows"], header["columns"])
    assert plane[first["at"][1], first["at"][2]] == first["id"] and first["found"] == 1.0


def test_thumbnails_and_the_page_itself(page):
    assert page.get("/api/cases/0/thumb.png").content.startswith(b"\x89PNG")
    text = page.get("/").text
    assert "http://" not in text.replace("http://www.w3.org", "") and "https://" not in text
    for name in ("main.js", "style.css", "stage.js"):
        answer = page.get(f"/static/{name}")
        assert answer.status_code == 200 and "default-src 'self'" in answer.headers["content-security-policy"]


def test_the_page_comes_with_what_it_would_ask_for_first(xrays, copied):
    session = Session(open_source(xrays))
    session.opened.title = "</script><b>"
    page = ask(session)

    def told() -> dict:
        text = page.get("/").text
        assert text.count("</script>") == 2 and text.count("modulepreload") > 10
        return json.loads(text.split('id="told">')[1].split("</script>")[0])

    assert told() == {"state": page.get("/api/state").json(), "first": None}
    session.warm()
    assert told()["first"] == page.get("/api/cases/0").json()
    assert session.store.pool.has(session.store._key("codes", 1, 0))  # and the case that the next key press leads to
    damaged = Session(open_source(copied))
    (copied / "imagesTr" / "m000_0000.nii.gz").unlink()
    damaged.warm()
    assert '"first":null' in ask(damaged).get("/").text  # the page asks, and is told what is wrong


def test_the_data_are_measured_in_the_background(page):
    for _ in range(200):
        told = page.get("/api/data").json()
        if told["ready"]:
            break
        time.sleep(0.05)
    assert told["exploration"]["cases"] == 3 and told["exploration"]["structures"]


def test_the_first_case_is_read_before_the_page_asks(volumes, xrays, copied):
    for source in (volumes, xrays):
        session = Session(open_source(source))
        session.warm()
        known = session.store.pool.has(session.store._key("codes", 0, 0))
        assert known and "percentiles" in vars(session.store.scan(0))
    session = Session(open_source(copied))
    (copied / "imagesTr" / "m000_0000.nii.gz").unlink()
    session.warm()  # says nothing
    assert "no such file" in ask(session).get("/api/cases/0").json()["error"]["what"]


def test_two_windows_see_the_same(page, session):
    other = ask(session)
    assert other.get("/api/cases/1").json() == page.get("/api/cases/1").json()


# Wrong, missing and hostile requests


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd", "/static/../../etc/passwd", "/static/..%2f..%2f..%2fetc%2fpasswd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/static/server.py", "/api/cases/../../etc/passwd", "/api/cases/99", "/api/cases/x",
        "/api/cases/0/labels/0/0/9999",
        "/api/cases/0/image/7/0", "/api/results/9/scores", "/api/cases/0/objects/0/99", "//etc/passwd", "/api/nothing",
    ],
)  # fmt: skip
def test_addresses_that_lead_nowhere_are_refused_in_words(page, path):
    answer = page.get(path)
    assert answer.status_code in {404, 422}
    assert "root:" not in answer.text and answer.json()["error"]["what"]


@pytest.mark.parametrize("query", ["step=x", "step=0", "step=99999", "box=1,2", "box=a,b,c,d", "c=5", "c=-1"])
def test_wrong_questions_are_answered_in_words(page, query):
    answer = page.get(f"/api/cases/0/image/0/0?{query}")
    assert answer.status_code == 422 and answer.json()["error"]["what"]


def test_other_names_of_this_machine_and_other_pages_are_refused(page):
    assert page.get("/api/state", headers={"host": "evil.example"}).status_code == 403
    assert page.post("/api/results?name=a.csv", content=b"x").status_code == 403


def test_a_missing_file_is_told_and_the_server_lives_on(copied):
    page = ask(Session(open_source(copied)))
    (copied / "imagesTr" / "m001_0000.nii.gz").unlink()
    (copied / "labelsTr" / "m002.nii.gz").unlink()
    assert "no such file" in page.get("/api/cases/1").json()["error"]["what"]
    assert page.get("/api/cases/1/thumb.png").status_code == 422
    assert page.get("/api/cases/2").status_code == 200
    assert "no such file" in page.get("/api/cases/2/labels/0/0/0").json()["error"]["what"]
    assert page.get("/api/cases/2/thumb.png").status_code == 200
    assert page.get("/api/cases/0").status_code == 200


def test_a_file_that_goes_while_it_is_looked_at_is_told(xrays, tmp_path):
    folder = Path(shutil.copytree(xrays, tmp_path / "scans"))
    session = Session(open_source(folder), pool_bytes=1)  # nothing is kept: each slice is read again
    page = ask(session)
    assert page.get("/api/cases/0").status_code == page.get("/api/cases/0/image/0/0").status_code == 200
    for path in (session.dataset.path(session.cases[0].images[0]), session.dataset.path(session.cases[0].label[0])):
        path.unlink()
    for what in ("image", "labels/0"):
        answer = page.get(f"/api/cases/0/{what}/0/0")
        assert answer.status_code == 422 and "fault" not in answer.text and answer.json()["error"]["what"]
    assert page.get("/").status_code == page.get("/api/cases/1/image/0/0").status_code == 200


def test_a_table_of_unknown_classes_or_of_another_size_is_told(xrays):
    page = ask(Session(open_source(xrays)))
    told = page.get("/api/state").json()
    name, structure = told["cases"][0]["id"], told["structures"][0]["name"]
    strange = drop(page, "a.csv", f"image_name,class,rle\n{name}.png,tail,1 5\n".encode())
    assert strange.status_code == 422 and "tail" in json.dumps(strange.json())
    beyond = drop(page, "b.csv", f"image_name,class,rle\n{name}.png,{structure},999999999 5\n".encode())
    failed = scored(page, beyond.json()["number"])["failed"]
    assert name in failed and page.get("/api/cases/0/image/0/0").status_code == 200


def test_a_truncated_volume_is_told(copied):
    path = copied / "imagesTr" / "m000_0000.nii.gz"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    page = ask(Session(open_source(copied)))
    answer = page.get("/api/cases/0/image/0/0")
    assert answer.status_code == 422 and str(path.name) in json.dumps(answer.json())
    assert page.get("/api/cases/1/image/0/0").status_code == 200


def test_a_label_of_another_size_is_told_beside_the_scan(volumes, tmp_path):
    scan = volumes / "imagesTr" / "m000_0000.nii.gz"
    label = io.read(volumes / "labelsTr" / "m000.nii.gz")
    small = Volume.of(label.array()[:, :, :-3], label.geometry.crop(_box(label.array()[:, :, :-3].shape)))
    io.write(small, tmp_path / "small.nii.gz")
    page = ask(Session(open_source(scan, [tmp_path / "small.nii.gz"])))
    assert page.get("/api/cases/0/image/0/0").status_code == 200
    answer = page.get("/api/cases/0/labels/0/0/0")
    assert answer.status_code == 422 and "do not fit" in answer.json()["error"]["what"]


def ids_of_cells(count: int) -> Volume:
    """Squares of scattered numbers, as segmentation of single cells leaves them."""
    ids = np.zeros((1, 200, 840), np.uint16)
    for i in range(count):
        y, x = divmod(i, 84)
        ids[0, 10 * y + 2 : 10 * y + 8, 10 * x + 2 : 10 * x + 8] = 37 * i + 5
    return Volume.of(ids, Geometry.from_spacing(ids.shape))


def beside_a_scan(label: Volume, folder: Path) -> list:
    """A file of a scan of the label's size, and the label's."""
    noise = np.random.default_rng(0).integers(0, 255, label.data.shape).astype(np.uint8)
    io.write(Volume.of(noise, label.geometry), folder / "scan.tif")
    io.write(label, folder / "cells.tif")
    return [folder / "scan.tif", [folder / "cells.tif"]]


@pytest.mark.parametrize(("count", "alone"), [(60, True), (1200, False)])
def test_numbers_of_objects_open_as_objects(tmp_path, count, alone):
    files = beside_a_scan(ids_of_cells(count), tmp_path)
    session = Session(open_source(*(files[1] if alone else files)))
    told = state(session)
    assert told["instances"] and [one["name"] for one in told["structures"]] == ["object"]
    assert f"Labels hold {count} values that number objects." in told["notes"]
    assert "Every value of the labels is an object of 'object'." in told["notes"]
    assert told["cases"][0]["labelled"] and session.store.objects(0, 0, 0).total == count


def test_values_beside_a_scan_stay_structures_as_in_an_atlas(tmp_path):
    told = state(Session(open_source(*beside_a_scan(ids_of_cells(60), tmp_path))))
    assert not told["instances"] and len(told["structures"]) == 60


def test_other_lone_files_open_as_scans(volumes, xrays, tmp_path):
    io.write(ids_of_cells(3), tmp_path / "classes.tif")
    scans = [volumes / "imagesTr" / "m000_0000.nii.gz", volumes / "labelsTr" / "m000.nii.gz", tmp_path / "classes.tif"]
    for file in [*scans, next((xrays / "images").iterdir())]:
        told = state(Session(open_source(file)))
        assert not told["instances"] and not told["structures"], file


def _box(shape):
    from segwright.core.box import Box

    return Box.whole(shape[1:])


# Uploads


def drop(page: TestClient, name: str, content: bytes):
    return page.post("/api/results", params={"name": name}, content=content, headers=OWN)


def test_a_table_dropped_is_scored(xrays, table):
    page = ask(Session(open_source(xrays)))
    answer = drop(page, "half.csv", table.read_bytes())
    assert answer.status_code == 200, answer.text
    number, notes = answer.json()["number"], " ".join(answer.json()["notes"])
    assert "tail" in notes and "nobody" in notes
    told = scored(page, number)
    assert len(told["rows"]) == 4 and 0.3 < told["rows"]["p000_a"]["mean"]["dice"] < 0.9
    assert page.get("/api/state").json()["results"][0]["dropped"] is True
    assert page.delete(f"/api/results/{number}", headers=OWN).json() == {"removed": number}
    assert page.get("/api/state").json()["results"] == []


def test_a_zip_dropped_is_scored(volumes, shifted, tmp_path):
    with zipfile.ZipFile(tmp_path / "mine.zip", "w") as file:
        for path in shifted.iterdir():
            file.write(path, f"submission/{path.name}")
    page = ask(Session(open_source(volumes)))
    answer = drop(page, "mine.zip", (tmp_path / "mine.zip").read_bytes())
    assert scored(page, answer.json()["number"])["rows"]["m000"]["mean"]["dice"] == 1


def test_a_folder_dropped_is_scored(volumes, shifted):
    page = ask(Session(open_source(volumes)))
    files = [(f"mine/labels/{path.name}", (path.name, path.read_bytes())) for path in shifted.iterdir()]
    answer = page.post("/api/results", params={"name": "mine"}, files=files, headers=OWN)
    assert answer.status_code == 200, answer.text
    assert answer.json()["name"] == "mine"
    assert scored(page, answer.json()["number"])["rows"]["m000"]["mean"]["dice"] == 1


@pytest.mark.parametrize("path", ["../m000.nii.gz", "/etc/m000.nii.gz", "a/../../m000.nii.gz", "..\\m000.nii.gz"])
def test_paths_of_a_dropped_folder_stay_inside(volumes, path):
    page = ask(Session(open_source(volumes)))
    answer = page.post("/api/results", params={"name": "mine"}, files=[(path, ("x", b"1"))], headers=OWN)
    assert answer.status_code == 422 and "outside" in answer.json()["error"]["what"]


def test_a_broken_or_large_folder_is_refused(volumes):
    page = ask(Session(open_source(volumes)), limits=Limits(each=1000))
    form = {**OWN, "content-type": "multipart/form-data; boundary=x"}
    for body in (b"", b"no form", b'--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\nhalf'):
        answer = page.post("/api/results?name=mine", content=body, headers=form)
        assert answer.status_code == 422, answer.text

    def endless():
        yield b'--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\n'
        for _ in range(50):
            yield b"y" * 100

    assert page.post("/api/results?name=mine", content=endless(), headers=form).status_code == 413
    assert not any(page.app.state.inbox.place.iterdir()) and page.get("/api/state").json()["results"] == []


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"image_name,class,rle\np000_a.png,tail,1 5\n", "no structures"),
        ("a.csv", b"image_name,class,rle\nnobody.png,foreground,1 5\n", "no case"),
        ("a.csv", b"image_name,class,rle\np000_a.png,foreground,1 x\n", ""),
        ("a.csv", b"a,b\n1,2\n", "run-length"),
        ("a.csv", b"\x00\xff\xfe", ""),
        ("a.zip", b"no zip", "unpacked"),
        ("p000_a.png", b"no picture", ""),
        ("a.pdf", b"%PDF", "not taken"),
        ("../../../etc/passwd", b"root", "not taken"),
    ],
)
def test_uploads_that_are_no_results_are_refused_in_words(xrays, name, content, says):
    page = ask(Session(open_source(xrays)))
    structure = page.get("/api/state").json()["structures"][0]["name"]
    answer = drop(page, name, content.replace(b"foreground", structure.encode()))
    if answer.status_code == 200:  # a label that is damaged is taken in, and told when it is scored
        failed = scored(page, answer.json()["number"])["failed"]
        assert failed and all("error" in why for why in failed.values())
    else:
        assert answer.status_code == 422 and says in answer.json()["error"]["what"] and "fault" not in answer.text
    assert page.get("/api/cases/0").status_code == 200


def test_an_upload_beyond_the_limit_is_refused_before_and_while_it_comes(xrays):
    page = ask(Session(open_source(xrays)), limits=Limits(each=1000))
    declared = page.post("/api/results?name=a.csv", headers={**OWN, "content-length": "5000000000"}, content=b"")
    assert declared.status_code == 413 and "too large" in declared.json()["error"]["what"]

    def endless():
        for _ in range(50):
            yield b"x" * 100

    streamed = page.post("/api/results?name=a.csv", headers=OWN, content=endless())
    assert streamed.status_code == 413
    assert page.get("/api/state").json()["results"] == []


# What may be opened


def test_one_scan_with_masks_of_single_structures(volumes, tmp_path):
    label = io.read(volumes / "labelsTr" / "m000.nii.gz")
    for value in (1, 2):
        io.write(Volume.of((label.array() == value).astype(np.uint8), label.geometry), tmp_path / f"part{value}.nii.gz")
    opened = open_source(
        volumes / "imagesTr" / "m000_0000.nii.gz", [tmp_path / "part1.nii.gz", tmp_path / "part2.nii.gz"]
    )
    assert opened.dataset.labels.names == ("part1", "part2") and not opened.dataset.labels.exclusive
    page = ask(Session(opened))
    assert page.get("/api/cases/0/labels/0/0/5").status_code == 200


def test_one_scan_with_two_maps_compares_them(volumes, shifted):
    labels = [volumes / "labelsTr" / "m001.nii.gz", shifted / "m001.nii.gz"]
    page = ask(Session(open_source(volumes / "imagesTr" / "m001_0000.nii.gz", labels)))
    assert page.get("/api/cases/0").json()["sources"] == [0, 1]
    assert scored(page, 1)["rows"]


def test_unlabelled_scans_can_be_looked_at(xrays):
    page = ask(Session(open_source(xrays / "images")))
    told = page.get("/api/state").json()
    assert len(told["cases"]) == 4 and not any(row["labelled"] for row in told["cases"])
    assert page.get("/api/cases/0/image/0/0").status_code == 200


def test_a_token_is_asked_for_on_this_machine_too(xrays):
    viewer = make_viewer(xrays)
    viewer.sockets[0].close()
    token = viewer.url.partition("?token=")[2]
    assert len(token) >= 20 and viewer.url.startswith("http://127.0.0.1:")
    page = ask(viewer.session, token=token)
    assert page.get("/api/state").status_code == page.get("/").status_code == 401
    assert page.get("/api/state?token=wrong").status_code == page.get("/api/state?token=%ff").status_code == 401
    first = page.get(f"/?token={token}")
    assert first.status_code == 200, "the address keeps the token, so that it can be handed on"
    cookie = first.headers["set-cookie"].lower()
    assert cookie.startswith("segwright-8000=") and "samesite=lax" in cookie and "httponly" in cookie
    assert page.get("/api/state").status_code == 200, "the cookie is enough from now on"
    assert page.get("/api/state", headers={"authorization": "Bearer no"}).status_code == 401


def test_two_viewers_on_one_host_do_not_log_each_other_out(session):
    apps = [ask(session, token="a" * 24), ask(session, token="b" * 24)]
    apps[1].base_url = "http://127.0.0.1:8001"
    apps[0].get(f"/?token={'a' * 24}")
    apps[1].cookies.update(apps[0].cookies)  # browsers give cookies of a host to all of its ports
    apps[1].get(f"/?token={'b' * 24}")
    apps[0].cookies.update(apps[1].cookies)
    assert [page.get("/api/state").status_code for page in apps] == [200, 200]


def test_no_token_is_for_this_machine_alone(xrays):
    viewer = make_viewer(xrays, address=Address(token=False))
    viewer.sockets[0].close()
    assert "token" not in viewer.url
    with pytest.raises(UsageError, match="everybody on the network"):
        Address("0.0.0.0", token=False)


def test_all_interfaces_print_addresses_that_others_can_open(xrays):
    viewer = make_viewer(xrays, address=Address("0.0.0.0"))
    viewer.sockets[0].close()
    hosts = [url.split("/")[2].rsplit(":", 1)[0] for url in viewer.urls]
    assert hosts[-1] == "127.0.0.1" and "0.0.0.0" not in hosts and viewer.url == viewer.urls[-1]
    others = [a.address for found in psutil.net_if_addrs().values() for a in found if a.family == socket.AF_INET]
    assert set(hosts[:-1]) == {a for a in others if not a.startswith(("127.", "169.254."))}
    assert reached_as("fe80::1") == ["[fe80::1]"]


def test_tls_takes_a_certificate_and_tells_what_is_wrong_with_one(xrays, tmp_path):
    (tmp_path / "a.pem").write_text("no certificate")
    with pytest.raises(UsageError, match="certificate cannot be used"):
        make_viewer(xrays, address=Address(tls=(tmp_path / "a.pem", tmp_path / "a.pem")))
    if shutil.which("openssl") is None:
        pytest.skip("no openssl")
    made = "openssl req -x509 -newkey rsa:2048 -nodes -keyout k.pem -out c.pem -days 2 -subj /CN=localhost"
    subprocess.run(made.split(), cwd=tmp_path, check=True, capture_output=True)
    with make_viewer(xrays, address=Address(tls=(tmp_path / "c.pem", tmp_path / "k.pem"))).in_background() as url:
        assert url.startswith("https://")
        answer = httpx.get(url, verify=False)
        assert answer.status_code == 200 and "secure" in answer.headers["set-cookie"].lower()


def test_a_port_that_is_taken_is_told(xrays):
    first = make_viewer(xrays)
    first.sockets[0].listen()
    with pytest.raises(UsageError, match="cannot listen"):
        make_viewer(xrays, address=Address(port=first.sockets[0].getsockname()[1]))
    first.sockets[0].close()


# Clients that hold on


def closed(client: socket.socket) -> bytes:
    """All that comes until the server ends the connection."""
    client.settimeout(20)
    found = b""
    try:
        while part := client.recv(65536):
            found += part
    except ConnectionResetError:
        pass
    return found


@pytest.mark.parametrize("kind", ["nothing", "half a head", "half a body", "a refused body", "a reply nobody reads"])
def test_a_client_that_goes_silent_is_dropped(volumes, monkeypatch, kind):
    monkeypatch.setattr(Watched, "silent_seconds", 0.3)
    with make_viewer(volumes).in_background() as url:
        where = urlsplit(url)
        with socket.create_connection((where.hostname, where.port)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            head = f"Host: 127.0.0.1:{where.port}\r\nAuthorization: Bearer {where.query[6:]}\r\n"
            if kind == "half a head":
                client.sendall(b"GET / HTTP/1.1\r\nHost")
            elif kind == "half a body":
                asked = f"POST /api/results?name=a.csv HTTP/1.1\r\n{head}x-segwright: 1\r\n"
                client.sendall(f"{asked}content-length: 9\r\n\r\nabc".encode())
            elif kind == "a refused body":
                client.sendall(b"POST /api/results HTTP/1.1\r\nHost: x\r\ncontent-length: 9999999\r\n\r\n")
            elif kind == "a reply nobody reads":
                asked = f"GET /api/cases/0/image/0/9 HTTP/1.1\r\n{head}\r\n".encode()
                client.sendall(asked * 40)
                time.sleep(1.5)
            closed(client)
        assert httpx.get(url).status_code == 200


def test_a_client_that_never_stops_sending_is_cut_off_and_leaves_no_file(xrays, monkeypatch):
    monkeypatch.setattr(Watched, "silent_seconds", 0.3)
    monkeypatch.setattr("segwright.view.server.Limits", lambda: Limits(each=100_000))
    viewer = make_viewer(xrays, address=Address(token=False))
    with viewer.in_background() as url:
        where = urlsplit(url)
        with socket.create_connection((where.hostname, where.port)) as client:
            head = "POST /api/results?name=a.csv HTTP/1.1\r\nHost: 127.0.0.1\r\nx-segwright: 1\r\n"
            client.sendall(f"{head}transfer-encoding: chunked\r\n\r\n".encode())
            with pytest.raises((ConnectionError, TimeoutError)):
                send_forever(client)
        inbox = viewer.server.config.app.state.inbox
        assert not list(inbox.place.iterdir()) and httpx.get(url).status_code == 200


def send_forever(client: socket.socket) -> None:
    """A gigabyte in chunks, unless the server ends the connection."""
    for _ in range(1 << 15):
        client.sendall(b"8000\r\n" + bytes(0x8000) + b"\r\n")


# Any question gets an answer


ODD = ["", "0", "-1", "1", "99", "9" * 30, "9" * 5000, "x", "1.5", "%00", "%ff", "é", "nan", "1e9", "../..", "0,5,0,5"]


def test_two_thousand_random_questions_are_answered_in_words(page):
    rng = random.Random(0)
    routes = [
        "/", "/static/{}", "/api/state", "/api/data", "/api/runs", "/api/cases/{}", "/api/cases/{}/thumb.png",
        "/api/cases/{}/image/{}/{}", "/api/cases/{}/labels/{}/{}/{}", "/api/cases/{}/extents/{}",
        "/api/cases/{}/objects/{}/{}", "/api/cases/{}/objects/{}/{}/{}/{}", "/api/results", "/api/results/{}",
        "/api/results/{}/scores", "/api/compare/{}/{}", "/{}",
    ]  # fmt: skip
    seen = set()
    for _ in range(2000):
        path = rng.choice(routes)
        path = path.format(*(rng.choice([*"0012", rng.choice(ODD)]) for _ in range(path.count("{}"))))
        names = rng.sample(["step", "box", "c", "name", "token"], rng.randint(0, 2))
        query = "&".join(f"{name}={rng.choice([*ODD, '-5,3,-9,400', '0,0,0,0', f'{10**20},1,2,3'])}" for name in names)
        method = rng.choice(["GET"] * 8 + ["POST", "DELETE", "PUT", "OPTIONS", "HEAD"])
        answer = page.request(method, f"{path}?{query}", headers=rng.choice([OWN, {}]))
        seen.add(answer.status_code)
        assert answer.status_code < 500, (method, path, query, answer.text)
        if answer.status_code >= 400 and method != "HEAD":
            assert answer.json()["error"]["what"], (method, path, query)
    assert {200, 404, 405, 422} <= seen


def test_no_answer_tells_where_on_this_machine_files_lie(copied):
    (copied / "imagesTr" / "m001_0000.nii.gz").write_bytes(b"no scan")
    (copied / "labelsTr" / "m002.nii.gz").unlink()
    page = ask(Session(open_source(copied)))
    for path in ("cases/1", "cases/1/image/0/0", "cases/2/labels/0/0/0", "cases/2/extents/0", "state", "data"):
        told = page.get(f"/api/{path}").text
        assert str(copied.parent) not in told and "/tmp/" not in told, told
    assert "m001_0000.nii.gz" in page.get("/api/cases/1").text


def test_other_sites_may_not_take_answers_in(page):
    for path in ("/", "/static/main.js", "/api/cases/0/image/0/0", "/api/nothing"):
        assert page.get(path).headers["cross-origin-resource-policy"] == "same-origin"
    assert page.get("/", headers={"host": "evil.example"}).headers["cross-origin-resource-policy"] == "same-origin"
    assert page.get("/", headers={"host": "a:b:c"}).status_code == 403


def test_uploads_are_removed_with_the_result_and_after_refusal(xrays, table):
    app = build_app(Session(open_source(xrays)))
    page = TestClient(app, base_url="http://127.0.0.1:8000")
    inbox = app.state.inbox
    assert drop(page, "a.csv", b"nothing,of,use\n").status_code == 422
    assert drop(page, "a.zip", b"no zip").status_code == 422
    assert not list(inbox.place.iterdir())
    number = drop(page, "half.csv", table.read_bytes()).json()["number"]
    assert [path.name for path in inbox.place.rglob("*.csv")] == ["half.csv"]
    page.delete(f"/api/results/{number}", headers=OWN)
    assert not list(inbox.place.iterdir())


def test_a_label_of_another_shape_is_refused_before_it_is_decoded(volumes, tmp_path, monkeypatch):
    label = io.read(volumes / "labelsTr" / "m000.nii.gz")
    values = label.array()[:, :, :-3]
    io.write(Volume.of(values, label.geometry.crop(_box(values.shape))), tmp_path / "a.nii.gz")
    parts, like = {"": tmp_path / "a.nii.gz"}, label.geometry
    monkeypatch.setattr("segwright.evaluation.pairing.values_of", lambda *_, **__: pytest.fail("decoded"))
    with pytest.raises(GeometryError, match="do not fit"):
        read_labels(parts, open_dataset(volumes).labels, like=like)


def test_labels_that_a_report_doubts_are_marked_at_their_case(volumes, shifted):
    session = Session(open_source(volumes), [shifted])
    (number,) = session.results
    case = session.cases[0].id
    doubt = Finding(level="warning", code="unlabelled", what="Plain to see and not labelled.", where=case)
    session.scores[number].report = Report(scores=(), aggregates=(), findings=(doubt,))
    told = {row["id"]: row["findings"] for row in ask(session).get("/api/state").json()["cases"]}
    assert told[case] == [{"level": "warning", "what": "Plain to see and not labelled."}]
