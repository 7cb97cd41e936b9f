"""The interfaces of hosted services, each used by its own client, which knows nothing of us."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
import shlex
import shutil
import ssl
import subprocess
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra birefvideo[serve] is not installed")
pytest.importorskip("httpx", reason="the extra birefvideo[serve] is not installed")

import httpx
from services import Served, Told, client, listening, served
from studios import stand_in, studio_at, until
from websockets.sync.client import connect

from birefvideo.serve.services import SERVICES, webhooks
from birefvideo.serve.services.names import NAMES
from birefvideo.serve.store import Job
from birefvideo.serve.studio import Studio


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with served(tmp_path / "data", monkeypatch) as found:
        yield found


@pytest.fixture
def clip(tmp_path: Path) -> str:
    return _file(tmp_path, "clip.mp4")


@pytest.fixture
def photo(tmp_path: Path) -> str:
    return _file(tmp_path, "photo.png")


def _check_signatures(come: list[Told], secret: str) -> None:
    """Verifies webhooks as Replicate's client does, and that it notices what is changed."""
    from replicate.webhook import InvalidSignatureError, Webhooks, WebhookSigningSecret

    key = WebhookSigningSecret(key=secret)
    ids = set()
    for one in come:
        Webhooks.validate(headers=one.headers, body=one.raw.decode(), secret=key, tolerance=60)
        with pytest.raises(InvalidSignatureError):
            Webhooks.validate(headers=one.headers, body=one.raw.decode() + " ", secret=key)
        ids.add(one.headers["webhook-id"])
    assert len(ids) == len({one.raw for one in come})  # a message that is sent again keeps its id


def _check_fals_signature(one: Told, public: str) -> None:
    """Verifies a webhook as fal's documentation says."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    key = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(public + "="))
    parts = [one.headers[f"x-fal-webhook-{name}"] for name in ("request-id", "user-id", "timestamp", "signature")]
    assert parts[0] == one["request_id"]
    assert abs(time.time() - int(parts[2])) < 60
    key.verify(bytes.fromhex(parts[3]), "\n".join([*parts[:3], sha256(one.raw).hexdigest()]).encode())


def _file(folder: Path, name: str) -> str:
    path = folder / name
    path.write_bytes(b"the very bytes of a clip")
    return str(path)


def _until(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


_REPLICATE = """
import json, sys, replicate
clip, slow, hook = sys.argv[1:]
found = {}
found["list"] = replicate.run("birefvideo/matte", input={"video": open(clip, "rb"), "to": "webm,matte", "end": 0.5})
inputs = {"video": open(clip, "rb"), "video_output_type": "mp4", "background_color": "#ff0000", "mask_offset": -3}
one = replicate.predictions.create(model="sprited/birefnet-video", input=inputs, webhook=hook, stream=True)
found["events"] = [(event.event.value, event.data) for event in one.stream()]
one.reload()
bria = {"video_url": open(clip, "rb"), "output_container_and_codec": "mov_proresks", "preserve_audio": False}
found["bria"] = replicate.run("bria/video-remove-background", input=bria)
found["secret"] = replicate.webhooks.default.secret().key
found["one"] = [one.id, one.status, one.output, one.model, one.progress.percentage]
version = replicate.models.get("birefvideo/matte").latest_version
found["with version"] = replicate.run(f"birefvideo/matte:{version.id}", input={"video": open(clip, "rb"), "to": "gif"})
found["inputs"] = sorted(version.openapi_schema["components"]["schemas"]["Input"]["properties"])[:3]
waits = replicate.predictions.create(model="birefvideo/matte", input={"video": open(slow, "rb")}, wait=1)
found["while it waits"] = waits.status
waits.cancel()
found["cancelled"] = waits.status
found["all"] = [p.status for p in replicate.predictions.list().results]
found["refused"] = []
for name, inputs in json.loads(REFUSED):
    try:
        replicate.run(name, input={"video": "data:video/mp4;base64,AAAA", **inputs})
    except Exception as error:
        found["refused"].append([error.status, error.detail])
print(json.dumps(found))
"""


def test_replicates_client_uploads_runs_streams_cancels_and_is_called_back(
    server: Served, clip: str, tmp_path: Path
) -> None:
    refused = [
        ("birefvideo/matte", {"modle": "talk"}),
        ("birefvideo/matte", {"model": "lite"}),
        ("sprited/birefnet-video", {"refine_fg": False}),
        ("sprited/birefnet-video", {"video_quality": "low"}),
        ("someone/else", {}),
    ]
    with listening() as (hook, come):
        script = f"REFUSED = {json.dumps(refused)!r}\n{_REPLICATE}"
        slow = _file(tmp_path, "slow.mp4")
        found = client("replicate", script, clip, slow, hook, REPLICATE_BASE_URL=server.base, REPLICATE_API_TOKEN="any")
        _until(lambda: any(one["status"] == "succeeded" and one["id"] == found["one"][0] for one in come))
    _check_signatures(come, found["secret"])
    first, second = found["list"]
    assert [first.rpartition("/")[2], second.rpartition("/")[2]] == ["clip_alpha.webm", "clip_matte.mp4"]
    assert httpx.get(first).content == b"webm"
    assert server.words(first.split("/")[-2]) == ["--end=0.5", "--to=webm", "--to=matte"]
    assert found["events"] == [["logs", "a note"], ["output", found["one"][2]], ["done", "{}"]]
    key, status, output, model, done = found["one"]
    assert (status, model, done) == ("succeeded", "sprited/birefnet-video", 1.0)
    assert output == f"{server.base}/files/{key}/clip_comp.mp4"
    assert server.words(key) == ["--model=auto", "--background=#ff0000", "--shrink=3", "--dtype=auto", "--to=green"]
    assert server.words(found["bria"].split("/")[-2]) == ["--audio=none", "--to=prores"]
    assert found["with version"][0].endswith("clip_alpha.gif")
    assert found["inputs"] == ["audio", "background", "batch"]
    assert (found["while it waits"], found["cancelled"]) == ("starting", "canceled")
    assert found["all"] == ["canceled", *["succeeded"] * 4]
    assert [status for status, _ in found["refused"]] == [400, 422, 422, 422, 404]
    assert "did you mean 'model'?" in found["refused"][0][1]
    assert "birefvideo models --download" in found["refused"][1][1]
    assert found["refused"][2][1].startswith("- input.refine_fg: refine_fg False is not done by this server")


_FAL = """
import json, sys, fal_client
clip, photo, hook = sys.argv[1:]
found = {}
name, data = "fal-ai/birefnet/v2/video", fal_client.encode_file(clip)
seen = []
arguments = {"video_url": data, "output_mask": True}
arguments |= {"video_output_type": "PRORES4444 (.mov)", "video_quality": "maximum"}
found["result"] = fal_client.subscribe(name, arguments, with_logs=True, on_queue_update=lambda one: seen.append(one))
found["logs"] = [line["message"] for line in seen[-1].logs]
arguments = {"video_url": data, "background_color": [1, 2, 3], "seed": 7}
handle = fal_client.submit("fal-ai/ben/v2/video", arguments, webhook_url=hook)
found["ben"] = handle.get()
found["bria"] = [fal_client.subscribe("bria/video/background-removal", {"video_url": data, **more})["video"]["url"]
                 for more in ({}, {"background_color": "Transparent"})]
found["by id"] = fal_client.result("fal-ai/ben/v2/video", handle.request_id)["seed"]
waits = fal_client.submit(name, {"video_url": SLOW})
waits.cancel()
found["cancelled"] = waits.status().error_type
arguments = {"image_url": fal_client.encode_file(photo), "output_format": "webp", "sync_mode": True}
found["photo"] = fal_client.run("fal-ai/birefnet/v2", arguments)
found["refused"] = []
for name, inputs in json.loads(REFUSED):
    try:
        fal_client.submit(name, {"video_url": data, **inputs})
    except fal_client.client.FalClientHTTPError as error:
        found["refused"].append([error.status_code, error.response.json()["detail"]])
print(json.dumps(found))
"""


def test_fals_client_submits_follows_gets_results_and_cancels_over_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip: str, photo: str
) -> None:
    name, bria = "fal-ai/birefnet/v2/video", "bria/video/background-removal"
    refused = [
        (name, {"refine_foreground": False}),
        (name, {"model": "General Use (Light)"}),
        (name, {"video_write_mode": "fast"}),
        (name, {"video_quality": "low"}),
        (name, {"operating_resolution": "2304x2304"}),
        (name, {"fps": 12}),
        (bria, {"output_container_and_codec": "webm_vp9"}),
        (bria, {"output_container_and_codec": "mkv_h265"}),
        (bria, {"background_color": "Transparent", "output_container_and_codec": "mp4_h264"}),
        ("fal-ai/flux", {}),
    ]
    with served(tmp_path / "data", monkeypatch, tls=True) as server, listening() as (hook, come):
        trusting = ssl.create_default_context(cafile=server.authority)
        with httpx.Client(verify=trusting) as own:
            slow = own.post(f"{server.base}/v1/uploads?name=slow.mp4", content=b"slow").json()
            script = f"SLOW = {server.base + slow['urls']['file']!r}\nREFUSED = {json.dumps(refused)!r}\n{_FAL}"
            hosts = {"FAL_QUEUE_RUN_HOST": server.host, "FAL_RUN_HOST": f"{server.host}/fal/run", "FAL_KEY": "any"}
            found = client("fal_client", script, clip, photo, hook, SSL_CERT_FILE=server.authority, **hosts)
            _until(lambda: come)
            video, mask = found["result"]["video"], found["result"]["mask_video"]
            assert own.get(video["url"]).content == b"prores-xq"
            assert own.get(mask["url"]).content == b"matte"
            job = video["url"].split("/")[-2]
            assert server.words(job) == ["--model=auto", "--to=prores-xq", "--to=matte"]
            ben = found["ben"]["video"]["url"].split("/")[-2]
            black, clear = (server.words(url.split("/")[-2]) for url in found["bria"])
            assert (black, clear) == (["--background=#000000", "--to=green"], ["--to=webm"])
            (public,) = own.get(f"{server.base}/.well-known/jwks.json").json()["keys"]
            _check_fals_signature(come[0], public["x"])
            assert server.words(ben) == ["--background=#010203", "--to=green"]
    facts = {"content_type": "video/quicktime", "file_name": "video_xq.mov", "file_size": 9, "width": 12, "height": 8}
    assert {name: video[name] for name in facts} == facts
    assert (video["duration"], video["fps"]) == (0.5, 24.0)
    assert found["logs"] == ["a note", "100%|####################| 2/2"]
    assert (found["by id"], found["ben"]["seed"]) == (7, 7)
    assert found["cancelled"] == "request_cancelled"
    assert found["photo"]["image"]["url"].startswith("data:image/webp;base64,UklGR")
    assert (come[0]["status"], come[0]["payload"]["seed"]) == ("OK", 7)
    assert [status for status, _ in found["refused"]] == [422] * 9 + [404]
    fields = [detail[0]["loc"][-1] for status, detail in found["refused"] if status == 422]
    alone = ["refine_foreground", "body", "video_write_mode", "video_quality", "operating_resolution", "fps"]
    assert fields == [*alone, *["output_container_and_codec"] * 3]


def test_fals_proxy_sends_what_its_client_asks_to_where_it_is_answered(server: Served, clip: str) -> None:
    def ask(method: str, target: str, **values: Any) -> httpx.Response:
        return httpx.request(method, f"{server.base}/fal/proxy", headers={"x-fal-target-url": target}, **values)

    rest = "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3"
    begun = ask("POST", rest, json={"content_type": "video/mp4", "file_name": "mine.mp4"}).json()
    assert httpx.put(begun["upload_url"], content=Path(clip).read_bytes()).status_code == 200
    assert httpx.put(begun["upload_url"], content=b"again").status_code == 404
    queue = "https://queue.fal.run/fal-ai/birefnet"
    sent = ask("POST", f"{queue}/v2/video", json={"video_url": begun["file_url"]}).json()
    at = f"{queue}/requests/{sent['request_id']}"
    _until(lambda: ask("GET", f"{at}/status?logs=1").json()["status"] == "COMPLETED")
    assert ask("GET", at).json()["video"]["file_name"] == "mine_comp.mp4"
    assert ask("PUT", f"{at}/cancel").json() == {"status": "ALREADY_COMPLETED"}
    assert ask("GET", "https://example.com/x").status_code == 422


_RUNWARE = """
import asyncio, json, sys
from runware import IImageBackgroundRemoval, IVideoBackgroundRemoval, IVideoBackgroundRemovalInputs, Runware
url, clip, photo, key = sys.argv[1:]
found = {"refused": []}

def video(media, **values):
    return IVideoBackgroundRemoval(inputs=IVideoBackgroundRemovalInputs(video=media), **values)

async def main():
    runware = Runware(api_key=key, url=url)
    await runware.connect()
    media = (await runware.uploadMedia(clip)).mediaUUID
    waited = await runware.videoBackgroundRemoval(video(media, model="talk", deliveryMethod="sync", outputFormat="MOV"))
    found["waited"] = waited[0].videoURL
    later = await runware.videoBackgroundRemoval(video(media, model="auto", settings={"rgba": [255, 0, 0, 255]}))
    (got,) = await runware.getResponse(later.taskUUID)
    found["later"] = [got.status, got.mediaURL]
    image = IImageBackgroundRemoval(inputImage=photo, outputFormat="WEBP", outputType="dataURI")
    (image,) = await runware.imageBackgroundRemoval(image)
    found["image"] = image.imageDataURI[:30]
    for values in json.loads(REFUSED):
        try:
            await runware.videoBackgroundRemoval(video(media, **values))
        except Exception as error:
            found["refused"].append([error.code, error.error_data["message"]])
    await runware.disconnect()

asyncio.run(main())
print(json.dumps(found))
"""


def test_runwares_client_uploads_and_gets_videos_and_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip: str, photo: str
) -> None:
    refused = [
        {"model": "runware:112@3"},
        {"model": "runware:112@10"},
        {"model": "talk", "outputFormat": "MP4"},
        {"model": "talk", "settings": {"rgba": [0, 0, 0, 128]}},
    ]
    with served(tmp_path / "data", monkeypatch, token="a-good-token") as server:
        script = f"REFUSED = {json.dumps(refused)!r}\n{_RUNWARE}"
        url = server.base.replace("http", "ws")
        found = client("runware", script, url, clip, photo, "a-good-token")
        assert httpx.get(found["waited"]).content == b"prores"
        job = found["later"][1].split("/")[-2]
        assert server.words(job) == ["--model=auto", "--background=#ff0000", "--to=green"]
    assert found["later"][0] == "success"
    assert found["image"].startswith("data:image/webp;base64,UklGR")
    assert [code for code, _ in found["refused"]] == ["enum", "no_weights", "bad_input", "bad_input"]
    assert "'runware:112@3'" in found["refused"][0][1]


def test_unscreens_scripts_get_a_clip_on_a_colour_a_gif_and_the_bundle(server: Served, clip: str) -> None:
    at, key = f"{server.base}/v1.0/videos", {"X-Api-Key": "mine"}

    def send(**values: str) -> dict[str, Any]:
        with Path(clip).open("rb") as file:
            answer = httpx.post(at, headers=key, data=values, files={"video_file": ("clip.mp4", file)})
        assert answer.status_code == 200, answer.text
        place = answer.json()["data"]["links"]["self"]
        _until(lambda: httpx.get(place, headers=key).json()["data"]["attributes"]["status"] == "done")
        found: dict[str, Any] = httpx.get(place, headers=key).json()["data"]
        return found

    with listening() as (hook, come):
        green = send(format="mp4", background_color="00ff00", webhook_url=hook, video_url="")
        _until(lambda: come)
    assert come[0]["data"]["attributes"]["result_url"] == green["attributes"]["result_url"]
    assert server.words(green["id"]) == ["--background=#00ff00", "--to=green"]
    assert httpx.get(send(format="gif")["attributes"]["result_url"]).content == b"gif"
    bundle = httpx.get(send(format="pro_bundle")["attributes"]["result_url"])
    with zipfile.ZipFile(io.BytesIO(bundle.content)) as made:
        assert {name: made.read(name) for name in made.namelist()} == {"color.mp4": b"fill", "alpha.mp4": b"matte"}
    refused = httpx.post(at, files={"video_file": ("clip.mp4", b"clip")})
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["detail"] == "parameter background_color"


def test_remove_bgs_scripts_get_the_picture_itself(server: Served) -> None:
    def send(**values: str) -> httpx.Response:
        return httpx.post(
            f"{server.base}/v1.0/removebg",
            headers={"X-Api-Key": "k"},
            data=values,
            files={"image_file": ("a.png", b"x")},
        )

    cut = send(size="auto")
    assert (cut.headers["content-type"], cut.content[:4]) == ("image/png", b"\x89PNG")
    cropped = send(size="auto", crop="true", crop_margin="1px")
    assert int.from_bytes(cropped.content[16:20], "big") == 8  # six columns of subject, and one on each side
    assert int.from_bytes(cropped.content[20:24], "big") == 6
    jpeg = send(size="auto", format="jpg", bg_color="81d4fa")
    assert (jpeg.headers["content-type"], jpeg.content[:3]) == ("image/jpeg", b"\xff\xd8\xff")
    with zipfile.ZipFile(io.BytesIO(send(size="full", format="zip").content)) as made:
        assert made.namelist() == ["color.jpg", "alpha.png"]
    for name, value in (("scale", "50%"), ("add_shadow", "true"), ("size", "huge"), ("colour", "red")):
        refused = send(**{name: value})
        assert (refused.status_code, refused.json()["errors"][0]["detail"]) == (400, f"parameter {name}")
    product = send(type="product")
    assert product.json()["errors"][0]["code"] == "no_weights"


def test_cogs_interface_answers_at_once_later_and_by_the_clients_own_id(server: Served, clip: str) -> None:
    video = f"data:video/mp4;base64,{'AAAA' * 10}"
    places = httpx.get(f"{server.base}/", headers={"Accept": "application/json"}).json()
    assert httpx.get(server.base + places["healthcheck_url"]).json()["status"] == "READY"
    done = httpx.post(f"{server.base}/predictions", json={"input": {"video": video, "to": "webm"}}).json()
    assert (done["status"], httpx.get(done["output"][0]).content) == ("succeeded", b"webm")
    wall = "data:image/png;base64,AAAA"
    over = httpx.post(f"{server.base}/predictions", json={"input": {"video": video, "background": wall}}).json()
    assert over["input"]["background"].startswith(f"{server.base}/v1/files/")
    words = server.words(over["output"][0].split("/")[-2])
    assert [word.partition("=")[0] for word in words] == ["--background"]
    at = f"{server.base}/predictions/my-own.id"
    put = httpx.put(at, json={"input": {"video": video}}, headers={"Prefer": "respond-async"})
    assert (put.status_code, put.json()["id"]) == (202, "my-own.id")
    assert httpx.post(f"{at}/cancel").json() == {}
    wrong = httpx.post(f"{server.base}/predictions", json={"input": {"video": video, "size": None, "modle": 1}})
    assert wrong.status_code == 400
    assert "modle" in wrong.json()["detail"]
    schemas = httpx.get(f"{server.base}/openapi.json").json()["components"]["schemas"]
    assert schemas["Input"]["required"] == ["video"]
    assert schemas["Output"] == {"title": "Output", "type": "array", "items": {"type": "string", "format": "uri"}}


def test_private_addresses_are_neither_fetched_nor_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = "data:video/mp4;base64,AAAA"
    with served(tmp_path / "data", monkeypatch, urls="public") as server, listening() as (hook, come):
        queue = f"{server.base}/fal-ai/birefnet/v2/video"
        fetched = httpx.post(queue, json={"video_url": hook})
        assert fetched.json()["detail"][0]["loc"] == ["body", "video_url"]
        called = httpx.post(queue, params={"fal_webhook": hook}, json={"video_url": video})
        assert called.json()["detail"][0]["loc"] == ["body", "fal_webhook"]
        told = httpx.post(
            f"{server.base}/predictions",
            json={"input": {"video": video}, "webhook": "http://[::1]:1/", "version": None},
        )
        assert told.status_code == 422
        assert not come
        assert httpx.get(f"{server.base}/v1/jobs").json()["jobs"] == []


def test_results_are_got_by_their_address_alone_and_the_rest_by_the_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"video_url": "data:video/mp4;base64,AAAA", "video_output_type": "GIF (.gif)"}
    with served(tmp_path / "data", monkeypatch, token="a-good-token") as server:
        run = f"{server.base}/fal/run/fal-ai/birefnet/v2/video"
        assert httpx.post(run, json=asked).status_code == 401
        result = httpx.post(run, json=asked, headers={"Authorization": "Key a-good-token"}).json()
        assert httpx.get(result["video"]["url"]).content == b"gif"
        key = result["video"]["url"].split("/")[-2]
        assert httpx.get(f"{server.base}/fal-ai/birefnet/requests/{key}").status_code == 401
        assert httpx.get(f"{server.base}/files/{'a' * 24}/video_alpha.gif").status_code == 404


def test_a_webhook_is_told_of_the_end_by_the_server_that_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch)
    data = tmp_path / "data"

    async def whole(hook: str) -> None:
        async with studio_at(data, urls="all") as (own, studio):
            form = {"format": "gif", "webhook_url": hook}
            sent = await own.post("/v1.0/videos", data=form, files={"video_file": ("slow.mp4", b"clip")})
            key = sent.json()["data"]["id"]
            await until(studio, key, lambda job: bool(job.progress))
        async with studio_at(data, urls="all") as (own, studio):
            await until(studio, key, lambda job: "told" in job.notes)
        async with studio_at(data, urls="all") as (own, studio):
            await asyncio.sleep(0.1)

    with listening() as (hook, come):
        asyncio.run(whole(hook))
    assert [one["data"]["attributes"]["status"] for one in come] == ["done"]


def test_a_webhook_is_told_of_the_start_of_a_job_that_ends_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch)
    monkeypatch.setattr(webhooks, "_EVERY", 1.0)  # the job has ended by then

    async def whole(hook: str) -> None:
        async with studio_at(tmp_path / "data", urls="all") as (own, studio):
            inputs = {"input": {"video": "data:video/mp4;base64,AAAA"}, "webhook": hook}
            wanted = {"webhook_events_filter": ["start", "completed"]}
            sent = await own.post("/v1/models/birefvideo/matte/predictions", json=inputs | wanted)
            await until(studio, sent.json()["id"], lambda job: "told" in job.notes)

    with listening() as (hook, come):
        asyncio.run(whole(hook))
    assert len(come) == 2
    assert come[-1]["status"] == "succeeded"


def test_a_webhook_whose_news_cannot_be_made_ends_with_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(studio: Studio, job: Job, event: str) -> dict[str, Any]:
        raise FileNotFoundError(2, "its files are gone")

    stand_in(monkeypatch)
    monkeypatch.setattr(webhooks, "_PAUSES", (0.01,))
    monkeypatch.setitem(SERVICES, "unscreen", replace(SERVICES["unscreen"], news=gone))

    async def whole() -> None:
        async with studio_at(tmp_path / "data", urls="all") as (own, studio):
            form = {"format": "gif", "webhook_url": "http://127.0.0.1:1/"}
            sent = await own.post("/v1.0/videos", data=form, files={"video_file": ("a.mp4", b"clip")})
            job = await until(studio, sent.json()["data"]["id"], lambda job: "told" in job.notes)
            assert job.notes["told"] == "no answer ([Errno 2] its files are gone)"

    asyncio.run(whole())


_BODIES = [
    b"",
    b"no json",
    b"[]",
    b'"text"',
    b"{" * 3000,
    b'{"input": [], "video_url": {}, "image_url": []}',
    b'{"input": {"video": NaN}, "video_url": NaN}',
    b'{"input": {"video": 1e999}, "video_url": 1' + b"0" * 5000 + b"}",
    b'{"input": {"video": {"a": 1}}, "video_url": ["a"], "image_url": 3}',
    b'{"input": {"video": "data:,"}, "video_url": "data:video/mp4;base64,%%%", "image_url": "http://[::1"}',
    b'{"input": {"video": "ftp://x"}, "video_url": "http://a@b", "background_color": [1, 2, null]}',
    b'{"video_url": "\\ud800", "input": {"video": "\\u0000"}}',
]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/predictions",
        "/v1/models/birefvideo/matte/predictions",
        "/v1/models/sprited/birefnet-video/predictions",
        "/predictions",
        "/fal-ai/birefnet/v2/video",
        "/fal/run/fal-ai/birefnet/v2",
        "/fal-ai/ben/v2/video",
        "/fal/rest/storage/upload/initiate",
        "/v1.0/videos",
        "/v1.0/removebg",
        "/v1/files",
    ],
)
def test_odd_bodies_are_refused_and_break_nothing(path: str, server: Served) -> None:
    with httpx.Client(base_url=server.base) as own:
        for body in _BODIES:
            for kind in ("application/json", "multipart/form-data; boundary=x", "text/plain"):
                status = own.post(path, content=body, headers={"content-type": kind}).status_code
                assert 400 <= status < 500 or path.endswith("initiate"), (body, kind)
    assert httpx.get(f"{server.base}/v1/jobs").json()["jobs"] == []


def test_odd_messages_on_a_socket_are_refused_and_break_nothing(server: Served) -> None:
    task = '[{"taskType": "removeBackground", "taskUUID": "a", "inputs": {"video": "x"}'
    messages = [
        *("x", "[1]", "{}", "[" * 3000, '1, "more": [1]', '[{"taskType": ["x"], "taskUUID": {"a": 1}}]'),
        *(f'{task}, "settings": {{"rgba": [[], {{}}, null, []]}}}}]', f'{task}, "settings": {{"rgba": NaN}}}}]'),
        *(f'{task}, "model": 3}}]', '[{"taskType": "getResponse"}]', '[{"taskType": "imageUpload", "image": ""}]'),
        '[{"taskType": "removeBackground", "taskUUID": "\\ud800", "inputs": {"video": "x"}}]',
        '[{"taskType": "mediaStorage", "taskUUID": "a", "operation": "upload", "media": "%%%"}]',
    ]
    with connect(server.base.replace("http", "ws")) as socket:
        for message in messages:
            socket.send(message)
            assert "message" in json.loads(socket.recv(10))["errors"][0], message
        socket.send('[{"taskType": "ping", "ping": true}]')
        assert json.loads(socket.recv(10)) == {"data": [{"taskType": "ping", "pong": True}]}


_PAGE = Path(__file__).parent.parent / "docs" / "hosted.md"
_RUN = """
import json, sys
values = {"print": lambda *words: None}
exec(compile(sys.argv[1], "hosted.md", "exec"), values)
shown = values.get("output") or values.get("result") or vars(values["video"])
print(json.dumps(shown if isinstance(shown, (dict, list)) else str(shown)))
"""


@pytest.mark.parametrize(
    ("module", "result"),
    [("replicate", "clip_alpha.mov"), ("fal_client", "video_alpha.mov"), ("runware", "media_alpha.webm")],
)
def test_the_lines_of_the_page_run_as_printed(
    module: str, result: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip: str
) -> None:
    page = _PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```py\n(.*?)^```$", page, re.M | re.S)
    (block,) = (text for text in blocks if re.search(rf"^(import|from) {module}\b", text, re.M))
    monkeypatch.chdir(tmp_path)
    with served(tmp_path / "data", monkeypatch, tls=module == "fal_client") as server:
        exports = dict(re.findall(r"(\w+)=(\S+)", "\n".join(re.findall(r"^export (.*)$", page, re.M))))
        exports = {name: value.replace("127.0.0.1:8765", server.host) for name, value in exports.items()}
        exports.pop("SSL_CERT_FILE")
        own = {"SSL_CERT_FILE": server.authority} if server.authority else {}
        found = client(module, _RUN, block.replace("127.0.0.1:8765", server.host), **exports, **own)
    assert result in json.dumps(found)


def test_the_pages_commands_run_as_printed(server: Served, tmp_path: Path, clip: str) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    _file(tmp_path, "photo.jpg")
    key = ""
    for line in re.findall(r"^curl .*$", _PAGE.read_text(encoding="utf-8"), re.M):
        words = shlex.split(line.replace("127.0.0.1:8765", server.host).replace("/ID", f"/{key}"))
        done = subprocess.run([*words, "-s"], cwd=tmp_path, capture_output=True, timeout=30, check=True)
        if done.stdout:
            key = json.loads(done.stdout)["data"]["id"]
    assert (tmp_path / "no-bg.png").read_bytes().startswith(b"\x89PNG")


def test_the_page_names_every_model_that_services_name() -> None:
    page = _PAGE.read_text(encoding="utf-8")
    rows = {(service, name, own) for service, table in NAMES.items() for name, own in table.items()}
    assert set(re.findall(r"^\| ([\w.]+) \| `([^`]+)` \| `([\w.-]+)` \|$", page, re.M)) == rows
