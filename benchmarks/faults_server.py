"""Requests that nobody should send to the viewer: every route, with numbers, queries, methods and bodies at random.

    python benchmarks/faults.py server [--requests 5000] [--seed 0]

A server runs as `segwright view` runs it, over three drawn volumes of which one scan and one label are damaged, with a
result. Each request is

- `answered`: what it asked for came, and says what it should;
- `refused`: a 4xx that tells in words what is wrong;
- `wrong`: a slice of another size than it says, a refusal without words, or an answer that names the server's folders;
- `crashed`: a 5xx, or no answer at all; `hung`: no answer within the limit of time.

Then clients that go silent at every stage are left alone with it: each must have been dropped at the end, and the
server must still answer.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from segwright import io
from segwright.core.volume import Volume
from segwright.phantoms.write import write_dataset
from segwright.view.launch import Viewer, make_viewer
from segwright.view.listen import SILENT_SECONDS

RESULTS = Path(__file__).parent / "results" / "faults_server.json"
#: Seconds in which an answer has to come.
PATIENCE = 20
ROUTES = (
    "/", "/static/{}", "/api/state", "/api/data", "/api/runs", "/api/cases/{}", "/api/cases/{}/thumb.png",
    "/api/cases/{}/image/{}/{}", "/api/cases/{}/labels/{}/{}/{}", "/api/cases/{}/extents/{}",
    "/api/cases/{}/objects/{}/{}", "/api/cases/{}/objects/{}/{}/{}/{}", "/api/results", "/api/results/{}",
    "/api/results/{}/scores", "/api/compare/{}/{}", "/report/{}", "/{}",
)  # fmt: skip
ODD = (
    "", "-1", "3", "99", "9" * 30, "9" * 5000, "x", "1.5", "%00", "%ff", "%C3%A9", "nan", "1e9", "..%2f..", "%2e%2e",
    "main.js", "style.css", "0x1", "+1", "1_0", "%0d%0aSet-Cookie:a=b", "'", "%3Cscript%3E", "a%20b",
)  # fmt: skip
BOXES = ("0,5,0,5", "-5,3,-9,400", "0,0,0,0", "9,1,9,1", f"{10**20},1,2,3", "1,2,3", "a,b,c,d", ",,,", "nan,1,2,3")
BODIES = (b"", b"x", b"a,b\n1,2\n", b"image_name,class,rle\nm000,tumour,1 5\n", b"PK\x03\x04" + bytes(60), bytes(4096))
NAMES = (
    "a.csv",
    "a.zip",
    "a.nii.gz",
    "a.png",
    "../../etc/passwd",
    "%00.csv",
    "a.mhd",
    "a.nhdr",
    "",
    "a" * 900 + ".csv",
)


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    route: str
    path: str
    body: bytes
    headers: dict[str, str]


def asked(rng: random.Random, token: str) -> Asked:
    """A request at random, most of them near to what the page itself would ask."""
    route = rng.choice(ROUTES)
    value = lambda: rng.choice("0012") if rng.random() < 0.9 else rng.choice(ODD)  # noqa: E731
    path = route.format(*(value() for _ in range(route.count("{}"))))
    odd = lambda: rng.choice([*ODD, *BOXES, "1", "4", "all"])  # noqa: E731
    query = [f"{name}={odd()}" for name in rng.sample(["step", "box", "c", "token", "x"], rng.randint(0, 2))]
    method = rng.choice(["GET"] * 7 + ["HEAD", "POST", "DELETE", "PUT", "OPTIONS", "TRACE"])
    if route == "/api/results" and rng.random() < 0.7:
        method, query = "POST", [f"name={rng.choice(NAMES)}"]
    headers = {"Authorization": f"Bearer {token}"} if rng.random() < 0.95 else {}
    headers |= {"x-segwright": "1"} if rng.random() < 0.8 else {}
    headers |= rng.choice([{}, {}, {"If-None-Match": '"x"'}, {"Cookie": "=;;\xe9"}, {"Range": "bytes=5-1"}])
    body = rng.choice(BODIES) if method in {"POST", "PUT"} else b""
    return Asked(method, route, f"{path}?{'&'.join(query)}", body, headers)


def judged(one: Asked, place: tuple[str, int], folder: str) -> str:
    """What became of a request."""
    link = http.client.HTTPConnection(*place, timeout=PATIENCE)
    try:
        link.request(one.method, one.path, one.body or None, one.headers)
        answer = link.getresponse()
        body = answer.read()
    except TimeoutError:
        return "hung"
    except (http.client.HTTPException, OSError):
        return "crashed"
    finally:
        link.close()
    if answer.status >= 500 and not (answer.status == 503 and b"at once" in body):
        return "crashed"
    if folder.encode() in body:
        return "wrong"
    if answer.status >= 400:
        return "refused" if one.method == "HEAD" or in_words(body) else "wrong"
    sliced = answer.getheader("content-type") == "application/octet-stream" and one.method == "GET" and body
    return "wrong" if sliced and not whole(body) else "answered"


def in_words(body: bytes) -> bool:
    """Whether a refusal tells something."""
    try:
        return bool(json.loads(body)["error"]["what"])
    except (ValueError, KeyError, TypeError):
        return body == b"Invalid HTTP request received."


def whole(body: bytes) -> bool:
    """Whether a slice has as many pixels as it says."""
    length = int.from_bytes(body[:4], "little")
    header, rest = json.loads(body[4 : 4 + length]), body[4 + length :]
    pixels = header["rows"] * header["columns"]
    if "bits" in header:
        return len(rest) == pixels * header["channels"] * header["bits"] // 8
    return int(np.frombuffer(rest, "<u4")[1::2].sum()) == pixels


def drawn(folder: Path) -> Viewer:
    """Three volumes, one of them cut and one label gone, and a result."""
    scans = write_dataset("tumour-mri", folder, cases=3, seed=3) / "scans"
    for path in sorted((scans / "labelsTr").iterdir()):
        label = io.read(path)
        io.write(
            Volume.of(np.roll(label.array(), 2, axis=3), label.geometry), folder / "result" / path.name, like=label
        )
    scan = sorted((scans / "imagesTr").iterdir())[1]
    viewer = make_viewer(scans, results=[folder / "result"])
    scan.write_bytes(scan.read_bytes()[:5000])
    sorted((scans / "labelsTr").iterdir())[2].unlink()
    return viewer


def stages(token: str) -> dict[str, str]:
    """What clients have sent when they go silent."""
    head = f"Host: x\r\nAuthorization: Bearer {token}\r\nx-segwright: 1\r\n"
    return {
        "nothing": "",
        "half a head": "GET / HTTP/1.1\r\nHost",
        "half a body": f"POST /api/results?name=a.csv HTTP/1.1\r\n{head}content-length: 9\r\n\r\nabc",
        "a refused body": "POST /api/results HTTP/1.1\r\nHost: x\r\ncontent-length: 99999\r\n\r\n",
        "replies nobody reads": f"GET /static/stage.js HTTP/1.1\r\n{head}\r\n" * 400,
    }


def silent(place: tuple[str, int], token: str, each: int = 5) -> dict[str, int]:
    """Clients that stop at every stage: how many of each are still connected at the end."""
    clients = []
    for name, sent in [*stages(token).items()] * each:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(place)
        client.sendall(sent.encode())
        clients.append((name, client))
    time.sleep(3 * SILENT_SECONDS)
    held = dict.fromkeys(stages(token), 0)
    for name, client in clients:
        held[name] += not ended(client)
        client.close()
    return held


def ended(client: socket.socket) -> bool:
    """Whether the server has closed a connection, once what is still on its way is read."""
    client.settimeout(2)
    try:
        while client.recv(1 << 20):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


def main(words: list[str] | None = None) -> int:
    """Ask, count, print; 1 where anything crashed, hung or was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    wish = parser.parse_args(words)
    counts: dict[str, Counter[str]] = {route: Counter() for route in ROUTES}
    rng, begun = random.Random(wish.seed), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        viewer = drawn(Path(folder))
        thread = threading.Thread(target=viewer.server.run, kwargs={"sockets": viewer.sockets}, daemon=True)
        thread.start()
        where = urlsplit(viewer.url)
        place, token = (str(where.hostname), int(where.port or 0)), where.query.partition("=")[2]
        for _ in range(wish.requests):
            one = asked(rng, token)
            fate = judged(one, place, folder)
            counts[one.route][fate] += 1
            if fate in {"crashed", "hung", "wrong"}:
                print(f"  {fate}: {one.method} {one.path[:120]} {one.headers} {one.body[:40]!r}", flush=True)
        held = silent(place, token)
        alive = judged(Asked("GET", "/", "/", b"", {"Authorization": f"Bearer {token}"}), place, folder) == "answered"
        viewer.server.should_exit = True
        thread.join(timeout=10)
    total: Counter[str] = sum(counts.values(), Counter())
    kinds = ("crashed", "hung", "wrong", "refused", "answered")
    print(f"{'route':46}{'tried':>8}" + "".join(f"{kind:>10}" for kind in kinds))
    for route, found in [*counts.items(), ("all", total)]:
        print(f"{route:46}{found.total():8}" + "".join(f"{found[kind]:10}" for kind in kinds))
    print(f"silent clients still held: {held}; the server answers: {'yes' if alive else 'no'}.")
    told = {"total": dict(total), "held": held, "alive": alive, "seed": wish.seed}
    wish.output.write_text(json.dumps({**told, "seconds": round(time.monotonic() - begun)}, indent=1) + "\n")
    return int(bool(total["crashed"] + total["hung"] + total["wrong"] + sum(held.values())) or not alive)


if __name__ == "__main__":
    sys.exit(main())
