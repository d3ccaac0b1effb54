"""Images on servers: the same pixels as from the disk, each chunk fetched once, faults never taken for pixels."""

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from objclass import open_project, predict
from objclass.cli import main
from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.errors import ImageError, without_secrets
from objclass.images import dataset_name, open_image, remote
from objclass.images.paths import check_here, expand, relative
from objclass.pipeline.inputs import open_lanes
from objclass.pipeline.pairing import Inputs
from objclass.pipeline.plates import lanes_of_plates
from tests.conftest import SAMPLES
from tests.contracts.test_readers import save_n5, save_ome_zarr
from tests.images.server import Server, serving
from tests.pipeline.test_plates import objects, raw, write_plate

pytest.importorskip("aiohttp")
pytest.importorskip("fsspec")

VOLUME = np.random.default_rng(0).integers(0, 5000, (24, 40, 48), np.uint16)

PLANES = VOLUME[None, :4, ..., None]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, no place but the loopback; attempts follow each other at once."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(remote, "PAUSE", 0.001)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("web")
    for version in (2, 3):
        v = zarr.create_array(
            f"{folder}/v{version}.zarr",
            shape=VOLUME.shape,
            chunks=(8, 16, 16),
            dtype="u2",
            zarr_format=version,
        )
        v[:] = VOLUME
    shards = zarr.create_array(
        f"{folder}/shards.zarr",
        shape=VOLUME.shape,
        chunks=(4, 8, 8),
        shards=(24, 40, 24),
        dtype="u2",
        zarr_format=3,
    )
    shards[:] = VOLUME
    save_n5(folder / "volume.n5" / "raw", PLANES)
    for version in ("0.1", "0.4", "0.5"):
        save_ome_zarr(folder / f"ome{version}.zarr", version, [PLANES, PLANES[:, :, ::2, ::2]])
    yield from serving(folder)


@pytest.fixture
def server(web: Server) -> Server:
    web.faults.clear()
    web.status_of_absent, web.delay, web.needs = 404, 0.0, ("", "")
    web.forget()
    return web


# --- the same pixels


@pytest.mark.parametrize(
    "name",
    ["v2.zarr", "v3.zarr", "shards.zarr", "ome0.1.zarr", "ome0.4.zarr", "ome0.5.zarr", "ome0.4.zarr/1"],
)
def test_pixels_axes_and_sizes_are_those_of_the_disk(server: Server, name: str) -> None:
    there, here = open_image(f"{server.url}/{name}"), open_image(f"{server.folder}/{name}")
    assert np.array_equal(there.read(), here.read())
    assert (there.axes, there.axes_from, there.pixel_size) == (here.axes, here.axes_from, here.pixel_size)
    assert there.name == here.name.replace(str(server.folder), server.url)
    assert dataset_name(f"{server.url}/{name}") == (dataset_name(f"{server.folder}/{name}")[0], server.url)


def test_a_folder_of_any_name_is_an_image_of_the_groups_above_it(server: Server) -> None:
    shutil.copytree(server.folder / "ome0.4.zarr", server.folder / "image", dirs_exist_ok=True)
    image = open_image(f"{server.url}/image/1")
    assert (image.axes, image.axes_from) == ("tzyxc", "OME-Zarr")
    assert image.pixel_size == open_image(f"{server.url}/ome0.4.zarr/1").pixel_size


def test_several_urls_are_a_stack(server: Server) -> None:
    image = open_image(f"{server.url}/v2.zarr{os.pathsep}{server.url}/v3.zarr", stack_along="t")
    assert image.shape == (2, *VOLUME.shape, 1)
    assert np.array_equal(image.read()[1, ..., 0], VOLUME)
    assert image.version


def test_stores_travel_to_other_processes(server: Server) -> None:
    image = open_image(f"{server.url}/v3.zarr")
    image.read()
    server.forget()
    packed = pickle.dumps(image)
    copy = pickle.loads(packed)
    assert np.array_equal(copy.read(), image.read())
    assert not server.asked("zarr.json")  # what describes the image travels, too


# --- what is fetched


def test_only_chunks_of_the_region_are_fetched(server: Server) -> None:
    image = open_image(f"{server.url}/v2.zarr")
    assert not [path for path in server.asked() if path[-1].isdigit()]
    server.forget()
    image.read((slice(0, 1), slice(0, 8), slice(0, 16), slice(16, 40), slice(0, 1)))
    assert sorted(server.asked()) == ["v2.zarr/0.0.1", "v2.zarr/0.0.2"]


def test_each_chunk_is_fetched_once_for_many_slabs(server: Server) -> None:
    image = open_image(f"{server.url}/v2.zarr", context=Context(Limits(jobs=3)))
    server.forget()
    for z in range(24):
        image.read((slice(0, 1), slice(z, z + 1), slice(0, 40), slice(0, 48), slice(0, 1)))
    assert len(server.asked()) == len(set(server.asked())) == 3 * 3 * 3


def test_shards_are_read_by_range_and_their_index_once(server: Server) -> None:
    image = open_image(f"{server.url}/shards.zarr")
    server.forget()
    for z in range(4):
        image.read((slice(0, 1), slice(z, z + 1), slice(0, 8), slice(0, 8), slice(0, 1)))
    assert server.asked() == ["shards.zarr/c/0/0/0"] * 2  # index and chunk
    server.faults["shards.zarr/c/0/0/1"].extend(["whole"] * 9)
    with pytest.raises(ImageError, match="whole files only"):
        image.read((slice(0, 1), slice(0, 1), slice(0, 8), slice(24, 32), slice(0, 1)))


def test_requests_of_all_threads_together_are_bounded(server: Server) -> None:
    image = open_image(f"{server.url}/shards.zarr")
    server.delay, server.most = 0.002, 0
    regions = [(slice(z, z + 4), slice(0, 40), slice(0, 24)) for z in range(0, 24, 4)]
    threads = [threading.Thread(target=image.stored.read, args=(region,)) for region in regions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 4 < server.most <= remote.REQUESTS


# --- faults


@pytest.mark.parametrize("fault", [503, 500, 429, "reset", "cut"])
@pytest.mark.parametrize("place", ["v3.zarr/zarr.json", "v3.zarr/c/0/0/0"])
def test_what_may_pass_is_tried_again(server: Server, fault, place: str) -> None:
    server.faults[place].extend([fault, fault])
    assert np.array_equal(open_image(f"{server.url}/v3.zarr").read()[0, ..., 0], VOLUME)
    assert len(server.asked(place)) == 3


@pytest.mark.parametrize(("fault", "said"), [
    (503, "503 Service Unavailable (5 attempts"), ("reset", "(5 attempts"), ("cut", "(5 attempts"),
    (403, "403 Forbidden: no permission, or no such file: S3"), (400, "400 Bad Request"),
])  # fmt: skip
def test_a_fault_is_never_taken_for_a_missing_chunk(server: Server, fault, said: str) -> None:
    image = open_image(f"{server.url}/v3.zarr")
    server.faults["v3.zarr/c/2/1/1"].extend([fault] * 20)
    with pytest.raises(ImageError) as found:
        image.read((slice(0, 1), slice(16, 24), slice(16, 32), slice(16, 32), slice(0, 1)))
    assert said in str(found.value)
    assert f"{server.url}/v3.zarr/c/2/1/1: " in str(found.value)
    if fault != "reset":  # the client tries these once more by itself
        attempts = 1 if isinstance(fault, int) and fault < 429 else remote.ATTEMPTS
        assert len(server.asked("v3.zarr/c")) == attempts


def test_missing_chunks_have_the_fill_value_while_the_image_is_there(server: Server) -> None:
    folder = server.folder / "sparse.zarr"
    shutil.copytree(server.folder / "v3.zarr", folder, dirs_exist_ok=True)
    (folder / "c/0/0/0").unlink()
    image = open_image(f"{server.url}/sparse.zarr")
    expected = VOLUME.copy()
    expected[:8, :16, :16] = 0
    assert np.array_equal(image.read()[0, ..., 0], expected)
    (folder / "zarr.json").write_text(
        (folder / "zarr.json").read_text().replace('"fill_value": 0', '"fill_value": 1')
    )
    with pytest.raises(ImageError, match="sparse.zarr/zarr.json: has changed since the image was opened"):
        image.stored.stored.stored.read((slice(0, 8),) * 3)  # without the cache
    shutil.rmtree(folder)
    with pytest.raises(ImageError, match="sparse.zarr/zarr.json: has gone since the image was opened"):
        image.stored.stored.stored.read((slice(0, 8),) * 3)


def test_blocks_of_n5_are_missing_only_while_the_dataset_is_there(server: Server) -> None:
    folder = server.folder / "sparse.n5" / "raw"
    shutil.copytree(server.folder / "volume.n5" / "raw", folder, dirs_exist_ok=True)
    first = min(path for path in folder.rglob("*") if path.is_file() and path.name.isdigit())
    name = f"sparse.n5/raw/{first.relative_to(folder)}"
    server.faults[name].extend([500, "cut", "reset"])
    image = open_image(f"{server.url}/sparse.n5/raw")
    assert np.array_equal(pickle.loads(pickle.dumps(image)).read(), PLANES)
    server.faults[name].append(403)
    with pytest.raises(ImageError, match="refuses it: 403"):
        pickle.loads(pickle.dumps(image)).read()
    first.unlink()
    assert (pickle.loads(pickle.dumps(image)).read() != PLANES).any()
    (folder / "attributes.json").unlink()
    with pytest.raises(ImageError, match="sparse.n5/raw/attributes.json: has gone"):
        image.read()


def test_where_absent_files_are_refused_as_in_s3(server: Server, caplog) -> None:
    """A bucket that may not be listed: what describes the image is found, a chunk that is refused is an error."""
    server.status_of_absent = 403
    for name in ("v2.zarr", "v3.zarr", "ome0.4.zarr"):
        pixels = open_image(f"{server.url}/{name}").read()[0, ..., 0]
        assert np.array_equal(pixels, VOLUME[: len(pixels)])
    assert "v2.zarr/.zattrs" not in caplog.text  # it is there
    with pytest.raises(ImageError, match=r"nothing.zarr/\S+: the server refuses it: 403"):
        open_image(f"{server.url}/nothing.zarr")
    (server.folder / "v2.zarr/.zattrs").rename(server.folder / "away")
    open_image(f"{server.url}/v2.zarr")
    (server.folder / "away").rename(server.folder / "v2.zarr/.zattrs")
    assert (
        "v2.zarr/.zattrs: the server refuses it (403): it is taken for absent, and axes by shape"
        in caplog.text
    )


def test_a_silent_server_does_not_hold_the_run_for_ever(server: Server, monkeypatch) -> None:
    monkeypatch.setattr(remote, "_systems", {})  # connections with other limits
    monkeypatch.setattr(remote, "SILENCE", 0.1)
    monkeypatch.setattr(remote, "ATTEMPTS", 2)
    server.faults["v3.zarr/zarr.json"].extend(["silent"] * 9)
    with pytest.raises(
        ImageError,
        match=r"v3.zarr/zarr.json: cannot be fetched: the server does not respond in time \(2 attempts",
    ):
        open_image(f"{server.url}/v3.zarr")


@pytest.mark.slow
def test_connections_end_with_the_process(server: Server) -> None:
    code = "import sys\nfrom objclass.images import open_image\nprint(open_image(sys.argv[1]).read().sum())"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, f"{server.url}/v3.zarr"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.stdout.strip(), done.stderr) == (str(VOLUME.sum()), "")


@pytest.mark.slow
def test_ctrl_c_ends_a_run_that_waits_for_a_server(server: Server, tmp_path: Path) -> None:
    save(SAMPLES, server.folder)
    for key in ("cells.zarr/.zarray", "cells.zarr/0.0"):
        server.faults[key].append("silent")
        outputs = ["--output_filename_format", f"{tmp_path}/o", "--table_filename", f"{tmp_path}/t.csv"]
        run = [
            "-m",
            "objclass",
            "--headless",
            "--project",
            str(SAMPLES / "cells.ilp"),
            *images_of(server.url),
            *outputs,
        ]
        process = subprocess.Popen([sys.executable, *run], stderr=subprocess.PIPE, text=True)
        while server.faults[key]:
            time.sleep(0.05)
        time.sleep(0.5)
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert time.monotonic() - begun < 5
        assert process.returncode == 130, said
        assert "interrupted" in said


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without forks")
def test_a_forked_process_has_connections_of_its_own(server: Server) -> None:
    code = """if True:
        import os, sys
        from objclass.images import open_image
        image = open_image(sys.argv[1])
        image.read()
        if os.fork():
            raise SystemExit(os.waitstatus_to_exitcode(os.wait()[1]))
        os._exit(int(open_image(sys.argv[1]).read().sum() != image.read().sum()))"""
    done = subprocess.run([sys.executable, "-c", code, f"{server.url}/v3.zarr"], timeout=60, check=False)
    assert done.returncode == 0


def test_no_server_is_one_line(server: Server) -> None:
    port = server.server_port
    with pytest.raises(ImageError, match=r"cannot be fetched: .*\(5 attempts"):
        open_image("http://127.0.0.1:1/a.zarr")
    assert port


# --- what is refused


@pytest.mark.parametrize(("url", "said"), [
    ("URL/a.tif", "only OME-Zarr, Zarr and N5 are read from servers: download this file"),
    ("URL/a.h5/data", "only OME-Zarr, Zarr and N5 are read from servers: download this file"),
    ("URL/a.zarr.zip", "only OME-Zarr, Zarr and N5 are read from servers: download this file"),
    ("URL/a.n5/raw", "is no dataset of N5: name one behind the URL of the container"),
    ("URL/*.zarr", "servers are not searched for patterns"),
    ("URL/absent.zarr", "absent.zarr: is no Zarr store"),
    ("URL/ome0.4.zarr/7", "ome0.4.zarr: there is no array '7'"),
    ("ftp://127.0.0.1/a.zarr", "URLs of this kind are not read, expected http://"),
    ("memory://a.zarr", "URLs of this kind are not read"),
    ("s3:///a.zarr", "names no bucket"),
    ("URL/ome0.4.zarr/*", "servers are not searched for patterns"),
    ("http://me:PA5S/WORD@127.0.0.1/a.zarr", "write %23 for #, %2F for / in a password"),
    ("URL/a.zarr#0", "write %23 for #"),
    ("http://[::1]:1/a.zarr", "cannot be fetched"),
    pytest.param(
        "gs://bucket/a.zarr", "gs:// needs the package gcsfs",
        marks=pytest.mark.skipif(find_spec("gcsfs") is not None, reason="it is installed"),
    ),
])  # fmt: skip
def test_what_cannot_be_read_is_one_line(server: Server, url: str, said: str) -> None:
    with pytest.raises(ImageError) as found:
        open_image(url.replace("URL", server.url))
    assert said in str(found.value)
    assert "WORD" not in str(found.value)


def test_arrays_of_a_group_are_named_since_web_servers_do_not_list(server: Server) -> None:
    group = zarr.open_group(f"{server.folder}/group.zarr", mode="w", zarr_format=2)
    group.create_array("cells", data=VOLUME)
    with pytest.raises(ImageError, match="do not list folders: name the array behind the URL"):
        open_image(f"{server.url}/group.zarr")
    assert np.array_equal(open_image(f"{server.url}/group.zarr/cells").read()[0, ..., 0], VOLUME)


def test_redirects_lead_to_no_other_scheme(server: Server, tmp_path: Path) -> None:
    for place in (f"file://{server.folder}/v3.zarr/zarr.json", "ftp://127.0.0.1/zarr.json"):
        server.faults["moved.zarr/zarr.json"].append((302, place))
        with pytest.raises(ImageError, match="moved.zarr/zarr.json: cannot be fetched"):
            open_image(f"{server.url}/moved.zarr")
    server.faults["moved.zarr/zarr.json"].append((302, f"{server.url}/v3.zarr/zarr.json"))
    assert open_image(f"{server.url}/moved.zarr").shape == (1, *VOLUME.shape, 1)


@pytest.mark.parametrize("path", ["../v3.zarr", "..", "a/../../v3.zarr"])
def test_metadata_lead_nowhere_else(server: Server, path: str) -> None:
    scales = [{"path": path, "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 1]}]}]
    folder = server.folder / "evil.zarr"
    folder.mkdir(exist_ok=True)
    (folder / ".zgroup").write_text('{"zarr_format": 2}')
    (folder / ".zattrs").write_text(json.dumps({"multiscales": [{"datasets": scales}]}))
    with pytest.raises(ImageError):
        open_image(f"{server.url}/evil.zarr")
    assert not server.asked("v3.zarr")


def test_an_endless_answer_takes_no_more_memory_than_a_chunk(server: Server) -> None:
    image = open_image(f"{server.url}/v3.zarr")
    server.faults["v3.zarr/c/0/0/0"].append("endless")
    with pytest.raises(ImageError, match=r"v3.zarr/c/0/0/0: has more than \d+ bytes"):
        image.read()
    assert server.sent < 100_000_000


def test_objects_are_not_unpickled(server: Server) -> None:
    folder = server.folder / "objects.zarr"
    folder.mkdir(exist_ok=True)
    array = {
        "zarr_format": 2,
        "shape": [2, 2],
        "chunks": [2, 2],
        "dtype": "|u1",
        "order": "C",
        "fill_value": 0,
    }
    (folder / ".zarray").write_text(json.dumps({**array, "compressor": None, "filters": [{"id": "pickle"}]}))
    (folder / "0.0").write_bytes(pickle.dumps(print))
    with pytest.raises(ImageError, match="pickle"):
        open_image(f"{server.url}/objects.zarr").read()


# --- secrets


def test_passwords_and_signatures_are_used_but_never_shown(
    server: Server, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    save(SAMPLES, server.folder)
    host = server.url.removeprefix("http://")
    server.needs = "Authorization", "Basic bWU6UEE1U1dPUkQ="
    image = open_image(f"http://me:PA5SWORD@{host}/cells.zarr")
    assert (image.name, image.files) == (f"{server.url}/cells.zarr", (f"{server.url}/cells.zarr",))
    server.needs = "query", "sig=S3CRET&se=2026-01-01T00:00:00Z"
    urls = [f"http://me:PA5SWORD@{host}/cells{part}.zarr?{server.needs[1]}" for part in ("", "_segmentation")]
    images = ["--raw_data", urls[0], "--segmentation_image", urls[1]]
    outputs = [
        "--output_filename_format",
        "o/{nickname}",
        "--table_filename",
        "o/t.csv",
        "--logfile",
        "o/log",
    ]
    run = ["--headless", "--project", str(SAMPLES / "cells.ilp"), *images, *outputs]
    assert main([*run, "--metadata_regex", "http://(?P<place>.*)"]) == 0
    assert main([*run, "--dry_run"]) == 0
    server.needs = "query", "other"
    assert main([*run, "--debug", "--log_json", "o/log.json"]) == 2
    assert main([*run, "--dry_run", "--json"]) == 2
    assert "S3CRET" not in repr(image.stored) + repr(expand(urls[0]))
    texts = [path.read_text(errors="replace") for path in Path("o").rglob("*") if path.is_file()]
    texts += capfd.readouterr()
    assert any(f"{host}/cells.zarr" in text for text in texts)
    assert any("from a server in up to 25 chunks" in text for text in texts)
    assert not [text for text in texts if "S3CRET" in text or "PA5SWORD" in text]


@pytest.mark.parametrize("text", ["http://x?" + "a:" * 50_000, "http://" + "a:" * 50_000, "http://a" * 5_000])
def test_long_texts_take_no_longer_than_others(text: str) -> None:
    begun = time.monotonic()
    without_secrets(text)
    assert time.monotonic() - begun < 5  # seconds; without limits, minutes


# --- runs


def save(samples: Path, folder: Path) -> None:
    """The images of the samples as Zarr: chunks that slabs cut."""
    for name in ("cells", "cells_segmentation"):
        pixels = tifffile.imread(samples / f"{name}.tif")
        array = zarr.create_array(
            f"{folder}/{name}.zarr", shape=pixels.shape, chunks=(64, 64, *pixels.shape[2:]), dtype=pixels.dtype,
            zarr_format=2, overwrite=True, attributes={"_ARRAY_DIMENSIONS": list("yxc")[: pixels.ndim]},
        )  # fmt: skip
        array[:] = pixels


def images_of(folder: str) -> list[str]:
    """The options of images for those of `save`."""
    return f"--raw_data {folder}/cells.zarr --segmentation_image {folder}/cells_segmentation.zarr".split()


def run(folder: str, out: Path, *more: str) -> dict[str, bytes]:
    """The outputs of a run on the images of a folder."""
    named = ["--output_filename_format", f"{out}/{{result_type}}", "--table_filename", f"{out}/t.csv"]
    wanted = [f"--export_object_{kind}_img" for kind in ("prediction", "probability", "identities")]
    project = ["--project", str(SAMPLES / "cells.ilp")]
    assert main(["--headless", "--quiet", *project, *images_of(folder), *named, *wanted, *more]) == 0
    files = [path for path in out.iterdir() if not path.name.startswith("objclass_run")]
    return {path.name: path.read_bytes() for path in files}


def test_a_run_on_a_server_writes_the_same_bytes(server: Server, tmp_path: Path) -> None:
    save(SAMPLES, server.folder)
    local = run(str(server.folder), tmp_path / "local")
    server.forget()
    assert run(server.url, tmp_path / "web", "--jobs", "2") == local
    assert len(local) == 4
    chunks = [path for path in server.asked() if path[-1].isdigit()]
    assert len(chunks) == len(set(chunks)) == 2 * 25


@pytest.mark.slow
def test_a_lane_that_cannot_be_fetched_is_made_good_by_a_later_run(
    server: Server, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    save(SAMPLES, server.folder)
    for name in ("cells", "cells_segmentation"):
        shutil.copytree(server.folder / f"{name}.zarr", server.folder / "b" / f"{name}.zarr")
    both = [*images_of(server.url)[:2], f"{server.url}/b/cells.zarr"]
    both += [*images_of(server.url)[2:], f"{server.url}/b/cells_segmentation.zarr"]
    outputs = ["--table_only", "--table_filename", f"{tmp_path}/t.csv", "--on_error", "continue"]
    arguments = ["--headless", "--project", str(SAMPLES / "cells.ilp"), *both, *outputs]
    server.faults["b/cells.zarr/2.2"].extend([503] * 9)
    assert main(arguments) == 1
    said = capfd.readouterr().err
    assert "failed: " in said
    assert f"{server.url}/b/cells.zarr/2.2: cannot be fetched: 503 Service Unavailable (5 attempts" in said
    server.faults.clear()
    assert main([*arguments, "--resume"]) == 0
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 1 + 2 * 60


@pytest.mark.slow
def test_workers_of_a_cluster_fetch_for_themselves(server: Server, tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    save(SAMPLES, server.folder)
    local = run(str(server.folder), tmp_path / "local")
    assert run(server.url, tmp_path / "web", "--engine", "dask", "--jobs", "2") == local


@pytest.mark.slow
def test_resume_notices_that_an_image_was_replaced(server: Server, tmp_path: Path) -> None:
    save(SAMPLES, server.folder)
    run(server.url, tmp_path)
    server.forget()
    run(server.url, tmp_path, "--resume")
    assert not [path for path in server.asked("cells.zarr") if path[-1].isdigit()]
    record = json.loads((tmp_path / "objclass_run.json").read_text())["lanes"][0]["inputs"][0]
    assert record["files"] == [{"path": f"{server.url}/cells.zarr"}]
    assert {"documents", "modified"} <= record["version"].keys()
    save(SAMPLES, server.folder)
    os.utime(server.folder / "cells.zarr/.zarray", (0, 0))
    server.forget()
    run(server.url, tmp_path, "--resume")
    assert [path for path in server.asked("cells.zarr") if path[-1].isdigit()]


@pytest.mark.parametrize(
    ("option", "path"),
    [
        ("--output_filename_format", "{dataset_dir}/{nickname}.h5"),
        ("--table_filename", "{dataset_dir}/{nickname}.csv"),
        ("--summary_filename", "s3://bucket/summary.csv"),
    ],
)
def test_nothing_is_written_to_servers(
    server: Server, tmp_path: Path, monkeypatch, capfd, option: str, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    save(SAMPLES, server.folder)
    project, images = ["--project", str(SAMPLES / "cells.ilp")], images_of(server.url)
    assert (
        main(["--headless", *project, *images, "--output_filename_format", "o/{nickname}", option, path]) == 2
    )
    said = capfd.readouterr().err.strip().splitlines()[-1]
    assert option in said
    assert "not written to servers" in said
    assert not list(tmp_path.iterdir())


def test_manifest_and_python_take_urls(server: Server, tmp_path: Path) -> None:
    save(SAMPLES, server.folder)
    manifest, project = tmp_path / "m.csv", SAMPLES / "cells.ilp"
    urls = [f"{server.url}/cells.zarr", f"{server.url}/cells_segmentation.zarr"]
    manifest.write_text(f"raw_data,segmentation_image\n{','.join(urls)}\n")
    table = ["--table_only", "--table_filename", f"{tmp_path}/t.csv"]
    assert (
        main(["--headless", "--quiet", "--project", str(project), "--manifest", str(manifest), *table]) == 0
    )
    found = predict(project, *urls)
    assert len(found.table) == len((tmp_path / "t.csv").read_text().splitlines()) - 1


def test_paths_that_a_project_stores_make_no_requests(
    server: Server, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    url = f"{server.url}/cells_train.zarr"
    project = open_project(SAMPLES / "cells.ilp")
    lane = {role: replace(given, path=url) for role, given in project.lanes[0].items()}
    replace(project, lanes=(lane,)).save(tmp_path / "a.ilp")
    train = ["train", "--quiet", "--labels", f"{tmp_path}/a.ilp", "--project", f"{tmp_path}/b.ilp"]
    train += [
        "--raw_data",
        str(SAMPLES / "cells.tif"),
        "--segmentation_image",
        str(SAMPLES / "cells_segmentation.tif"),
    ]
    assert main(train) == 2
    assert f"{url} is on a server, of which nothing is requested" in capfd.readouterr().err
    with pytest.raises(ImageError, match="is on a server"):
        check_here(f"a.tif{os.pathsep}{url}")
    assert relative(f"{url}?sig=S3CRET", str(tmp_path)) == url
    assert not server.requests


def test_start_up_imports_no_client_unless_a_url_is_given(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", VOLUME)
    code = (
        "import sys, objclass\nobjclass.open_image(sys.argv[1]).read()\n"
        "print(sorted({'fsspec', 'aiohttp', 's3fs', 'botocore', 'zarr'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.tif")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_servers_of_many_lanes_are_asked_at_once(server: Server) -> None:
    server.delay = 0.01
    urls = [f"{server.url}/{name}" for name in ("v2.zarr", "v3.zarr", "shards.zarr", "volume.n5/raw")]
    lanes = open_lanes(Inputs({"label_image": urls}), None, Context(Limits(jobs=4)))
    assert [lane.objects.name for lane in lanes] == urls
    assert server.most > 6
    server.forget()
    assert lanes_of_plates({"label_image": urls}) == ()
    assert not server.asked("v3.zarr")


def test_fields_of_plates_are_lanes(server: Server, tmp_path: Path) -> None:
    here = server.folder / "plates"
    write_plate(here / "p.zarr", "0.4", raw, objects)
    for folder in (f"{here}", f"{server.url}/plates"):
        images = ["--raw_data", f"{folder}/p.zarr", "--label_image", f"{folder}/p.zarr/labels/nuclei"]
        table = ["--table_only", "--table_filename", f"{tmp_path}/{len(folder)}.csv"]
        assert main(["--headless", "--quiet", *images, "--features", "regionprops:area", *table]) == 0
    local, there = (path.read_text() for path in sorted(tmp_path.glob("*.csv")))
    assert local == there
    assert "p,A01,0" in local


# --- S3


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """New connections; credentials, if there are any, are those of the test."""
    pytest.importorskip("s3fs")
    monkeypatch.setattr(remote, "_systems", {})
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return monkeypatch


def test_faults_of_s3(s3: pytest.MonkeyPatch, server: Server) -> None:
    """Without credentials requests are anonymous; codes of S3 are those of any server."""
    shutil.copytree(server.folder / "v3.zarr", server.folder / "lab/v3.zarr", dirs_exist_ok=True)
    s3.setenv("AWS_ENDPOINT_URL", server.url)
    for fault in (503, 500, "reset", "cut"):
        server.faults["lab/v3.zarr/c/0/0/0"].extend([fault, fault])
    image = open_image("s3://lab/v3.zarr")
    region = (slice(0, 1), slice(0, 8), slice(0, 16), slice(0, 16), slice(0, 1))
    s3.setattr(remote, "ATTEMPTS", 20)
    assert np.array_equal(image.read(region)[0, ..., 0], VOLUME[:8, :16, :16])
    assert image.stored.stored.stored.store.absences == 0
    assert not server.signed
    s3.setattr(remote, "ATTEMPTS", 2)
    for fault, said in ((403, "refuses it: 403 "), (503, "503 "), (400, "400 ")):
        server.faults["lab/v3.zarr/c/1/1/1"].extend([fault] * 2)
        with pytest.raises(ImageError, match=f"s3://lab/v3.zarr/c/1/1/1: .*{said}"):
            open_image("s3://lab/v3.zarr").read((slice(0, 1), slice(8, 9), *[slice(16, 17)] * 2, slice(0, 1)))
        server.faults.clear()


@pytest.mark.slow
def test_a_run_on_a_bucket(s3: pytest.MonkeyPatch, server: Server, tmp_path: Path) -> None:
    """moto is a whole S3 server."""
    moto = pytest.importorskip("moto.server")
    import boto3

    bucket = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    bucket.start()
    s3.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*bucket.get_host_and_port()))
    s3.setenv("AWS_ACCESS_KEY_ID", "key")
    s3.setenv("AWS_SECRET_ACCESS_KEY", "S3CRET")
    save(SAMPLES, server.folder)
    group = zarr.open_group(f"{server.folder}/group.zarr", mode="w")
    group.create_array("cells", data=VOLUME)
    client = boto3.client("s3")
    client.create_bucket(Bucket="lab")
    for store in ("cells.zarr", "cells_segmentation.zarr", "shards.zarr", "ome0.5.zarr", "group.zarr"):
        for file in (server.folder / store).rglob("*"):
            if file.is_file():
                client.put_object(
                    Bucket="lab", Key=str(file.relative_to(server.folder)), Body=file.read_bytes()
                )
    client.close()
    for name in ("shards.zarr", "ome0.5.zarr", "group.zarr"):  # buckets list what a group holds
        there, here = open_image(f"s3://lab/{name}"), open_image(f"{server.folder}/{name}")
        assert np.array_equal(there.read(), here.read())
        assert (there.axes, there.pixel_size) == (here.axes, here.pixel_size)
        assert {"etag", "modified", "documents"} <= there.version.keys()
    assert run("s3://lab", tmp_path / "s3") == run(str(server.folder), tmp_path / "local")
    with pytest.raises(ImageError, match=r"s3://lab/absent.zarr: is no Zarr store"):
        open_image("s3://lab/absent.zarr")
    with pytest.raises(ImageError, match=r"s3://absent/a.zarr: is no Zarr store"):
        open_image("s3://absent/a.zarr")
    bucket.stop()
