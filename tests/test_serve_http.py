"""What `birefvideo serve` takes and refuses: uploads, options, other sites, addresses, tokens."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the extra birefvideo[serve] is not installed")
pytest.importorskip("httpx", reason="the extra birefvideo[serve] is not installed")

import httpx
from starlette.routing import Route
from studios import run, stand_in, studio_at

from birefvideo.errors import OptionError
from birefvideo.serve import bodies, fetch
from birefvideo.serve.api import Api
from birefvideo.serve.names import clean_name
from birefvideo.serve.openapi import description
from birefvideo.serve.order import Order
from birefvideo.serve.services.cog import with_cog
from birefvideo.serve.settings import Settings
from birefvideo.serve.studio import Studio


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    return stand_in(monkeypatch).asked


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def _files(data: Path) -> list[str]:
    return [
        str(path.relative_to(data)) for kind in ("incoming", "uploads", "jobs") for path in (data / kind).rglob("*")
    ]


async def _chunks(count: int, *, broken: bool = False) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield bytes(1000)
    if broken:
        raise OSError("the line is cut")


def test_an_upload_is_stored_as_it_was_sent(data: Path, asked: list[dict[str, Any]]) -> None:
    content = bytes(range(256)) * 9000

    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        sent = await client.post("/v1/uploads", files={"file": ("../../etc/My clip?.mp4", content)})
        assert sent.status_code == 201, sent.text
        shown = sent.json()
        assert (shown["name"], shown["bytes"], shown["width"]) == ("My clip_.mp4", len(content), 96)
        assert (data / "uploads" / shown["id"] / "My clip_.mp4").read_bytes() == content
        part = await client.get(shown["urls"]["file"], headers={"Range": "bytes=256-258"})
        assert (part.status_code, part.content) == (206, bytes([0, 1, 2]))
        raw = await client.post("/v1/uploads?name=b.mov", content=content, headers={"Content-Type": "video/quicktime"})
        assert (raw.json()["name"], raw.json()["bytes"]) == ("b.mov", len(content))

    run(data, use)


@pytest.mark.parametrize("as_form", [True, False])
def test_a_file_that_is_too_large_is_refused_and_nothing_of_it_stays(
    as_form: bool, data: Path, asked: list[dict[str, Any]]
) -> None:
    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        if as_form:
            answer = await client.post("/v1/jobs", files={"video": ("a.mp4", bytes(5001))})
        else:
            answer = await client.post("/v1/jobs?name=a.mp4", content=_chunks(6), headers={"Content-Type": "video/mp4"})
        assert (answer.status_code, answer.json()["error"]["kind"]) == (413, "too_large")
        assert not _files(data)

    run(data, use, most_upload=5000)


def test_a_body_that_says_that_it_is_too_large_is_refused_before_it_comes(
    data: Path, asked: list[dict[str, Any]]
) -> None:
    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        headers = {"Content-Type": "video/mp4", "Content-Length": str(10**11)}
        answer = await client.post("/v1/jobs", content=_chunks(1, broken=True), headers=headers)
        assert answer.status_code == 413

    run(data, use)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'--x\r\nContent-Disposition: form-data; name="video"; filename="a.mp4"\r\n\r\nhalf', "bad_form"),
        (b"no form at all", "bad_form"),
        (b'--x\r\nContent-Disposition: form-data; filename="a.mp4"\r\n\r\nabc\r\n--x--\r\n', "bad_form"),
        (b'--x\r\nContent-Disposition: form-data; name="end"\r\n\r\n' + bytes(70000) + b"\r\n--x--\r\n", "too_large"),
        (b'--x\r\nContent-Disposition: form-data; name="video"; filename="a"\r\n\r\n\r\n--x--\r\n', "bad_input"),
        (b'--x\r\nContent-Disposition: form-data; name="end"\r\n\r\n1\r\n--x--\r\n', "no_clip"),
    ],
)
def test_a_damaged_form_is_refused_and_nothing_of_it_stays(
    body: bytes, kind: str, data: Path, asked: list[dict[str, Any]]
) -> None:
    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        answer = await client.post("/v1/jobs", content=body, headers=headers)
        assert answer.status_code in (400, 413, 422)
        assert answer.json()["error"]["kind"] == kind
        assert not _files(data)

    run(data, use)


def test_forms_without_end_and_clients_that_fall_silent_are_refused(
    data: Path, asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="video"; filename="a.mp4"; y="'

    async def endless() -> AsyncIterator[bytes]:
        yield head
        while True:
            yield b"y" * 1000

    async def silent() -> AsyncIterator[bytes]:
        yield head[:20]
        await asyncio.sleep(5)

    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        answer = await client.post("/v1/jobs", content=endless(), headers=headers)
        assert (answer.status_code, answer.json()["error"]["kind"]) in ((413, "too_large"), (400, "bad_form"))
        with monkeypatch.context() as impatient:
            impatient.setattr(bodies, "_PATIENCE", 0.05)
            answer = await client.post("/v1/jobs", content=silent(), headers=headers)
        assert (answer.status_code, answer.json()["error"]["kind"]) == (408, "too_slow")
        plain = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await client.post("/v1/jobs", content=b"&".join([b"end=1"] * 300), headers=plain)
        assert (answer.status_code, answer.json()["error"]["kind"]) == (400, "bad_form")
        two = {name: (f"{name}.mp4", bytes(1_500_000)) for name in ("video", "background")}
        answer = await client.post("/v1/jobs", files=two)
        assert (answer.status_code, answer.json()["error"]["kind"]) == (413, "too_large")
        assert not _files(data)

    run(data, use, most_upload=1_600_000)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"modle": "talk"}, "there is no option 'modle' (did you mean 'model'?): choose from model, size"),
        ({"overwrite": True}, "there is no option 'overwrite'"),
        ({"out": "/etc"}, "there is no option 'out'"),
        ({"background": "/etc/passwd"}, "background is '/etc/passwd': upload the file, and name it as upload:ID"),
        ({"background": "..\\secret.png"}, "upload the file"),
        ({"background": "~/a.png"}, "upload the file"),
        ({"background": "upload:../../x"}, "it takes no such upload"),
        ({"audio": "upload:" + "a" * 24}, "it takes no such upload"),
        ({"model": "/home/me/weights"}, "model is '/home/me/weights': name auto or one of talk, "),
        ({"deinterlace": "perhaps"}, "deinterlace is 'perhaps': give true or false"),
        ({"end": {"a": 1}}, "end is a dict: give text, a number, or a list of them"),
        ({"to": 3}, "to is no text"),
    ],
)
def test_an_option_that_clients_cannot_have_is_refused_by_name(given: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        Order.of(given)
    assert message in str(caught.value)


def test_a_model_may_be_called_by_its_name_on_the_hub() -> None:
    assert Order.of({"model": "ZhengPeng7/BiRefNet_lite"}).options == {"model": "lite"}


def test_a_background_that_was_uploaded_goes_to_the_command_as_a_path(data: Path, asked: list[dict[str, Any]]) -> None:
    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        files = {"video": ("a.mp4", b"clip"), "background": ("wall.png", b"picture")}
        sent = (await client.post("/v1/jobs", files=files)).json()
        key = sent["options"]["background"].removeprefix("upload:")
        (check,) = [one for one in asked if one["do"] == "check"]
        assert check["options"] == {"background": str(data / "uploads" / key / "wall.png")}
        assert check["uploads"] == [check["options"]["background"]]
        await studio.wait(sent["id"], 20)
        assert f"--background={data}/uploads/{key}/wall.png" in (data / "calls.txt").read_text()
        await studio.remove(sent["id"])
        assert not _files(data)

    run(data, use)


@pytest.mark.parametrize(
    ("given", "cleaned"),
    [
        ("a.mp4", "a.mp4"),
        ("C:\\Users\\me\\Zoë's clip.MOV", "Zoë_s clip.MOV"),
        ("../../..", "clip"),
        ("", "clip"),
        ("-rf.mp4", "rf.mp4"),
        ("frames/%05d.png", "_05d.png"),
        ("NUL.mp4", "_NUL.mp4"),
        ("a\0b\n.mp4", "a_b_.mp4"),
        (".hidden", "hidden"),
        ("x" * 300 + ".mp4", "x" * 96 + ".mp4"),
    ],
)
def test_names_of_clients_become_names_that_any_disk_takes(given: str, cleaned: str) -> None:
    assert clean_name(given) == cleaned
    assert clean_name(cleaned) == cleaned


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {"Host": "localhost:8765"}, 200),
        ("GET", {"Host": "[::1]:8765"}, 200),
        ("GET", {"Host": "evil.example"}, 421),
        ("GET", {"Host": "127.0.0.1.evil.example"}, 421),
        ("GET", {"Host": "192.168.1.7"}, 421),
        ("GET", {"Host": "studio.lan"}, 200),
        ("POST", {"Host": "localhost", "Origin": "http://localhost"}, 400),
        ("POST", {"Host": "localhost", "Origin": "http://localhost:3000"}, 403),
        ("POST", {"Host": "localhost", "Origin": "https://evil.example"}, 403),
        ("POST", {"Host": "localhost", "Origin": "null"}, 403),
        ("POST", {"Host": "localhost", "Origin": "https://mine.example"}, 400),
        ("POST", {"Host": "localhost", "Sec-Fetch-Site": "cross-site"}, 403),
        ("GET", {"Host": "localhost", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
        ("POST", {"Host": "localhost", "Sec-Fetch-Site": "same-origin"}, 400),
    ],
)
def test_requests_of_other_sites_and_by_foreign_names_are_refused(
    method: str, headers: dict[str, str], status: int, data: Path, asked: list[dict[str, Any]]
) -> None:
    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        answer = await client.request(method, "/v1/jobs", headers={**headers, "Content-Type": "application/json"})
        assert answer.status_code == status, answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]

    run(data, use, names=("studio.lan",), origins=("https://mine.example",))


def test_a_link_from_another_site_may_lead_to_the_page_alone(data: Path, asked: list[dict[str, Any]]) -> None:
    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        assert (await client.get("/", headers=headers)).status_code == 200
        assert (await client.get("/v1/jobs", headers=headers)).status_code == 403

    run(data, use)


def test_a_token_is_asked_for_everywhere_but_at_the_door(data: Path, asked: list[dict[str, Any]]) -> None:
    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        for path in ("/v1/jobs", "/openapi.json", "/docs", "/v1/uploads/x/file"):
            assert (await client.get(path)).status_code == 401
        assert (await client.get("/", headers={"Accept": "text/html"})).headers["location"] == "/login"
        for headers in (
            {"Authorization": "Bearer secret-token"},
            {"Authorization": "Key secret-token"},
            {"X-Api-Key": "secret-token"},
        ):
            assert (await client.get("/v1/jobs", headers=headers)).status_code == 200
        assert (await client.get("/v1/jobs", headers={"X-Api-Key": "secret-tokeN"})).status_code == 401
        wrong = await client.post("/login", data={"token": "nothing"})
        assert wrong.headers["location"] == "/login?wrong"
        right = await client.post("/login", data={"token": "secret-token"})
        assert {"HttpOnly", "SameSite=strict"} <= set(right.headers["set-cookie"].split("; "))
        assert (await client.get("/v1/jobs")).status_code == 200  # with the cookie

    run(data, use, host="0.0.0.0", token="secret-token")


def test_other_machines_are_served_only_with_a_token(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="which other machines can reach"):
        Settings(data=tmp_path, host="0.0.0.0")
    with pytest.raises(OptionError, match="too easily guessed"):
        Settings(data=tmp_path, token="short")


@pytest.mark.parametrize("limit", ["most_upload", "most_data", "keep_days", "most_waiting", "most_hours"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf")])
def test_a_limit_that_is_none_is_refused(limit: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="is to be a number above 0"):
        Settings(data=tmp_path, **{limit: value})


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/a.mp4",
        "http://localhost/a.mp4",
        "http://[::1]/a.mp4",
        "http://[::ffff:10.0.0.1]/a.mp4",
        "http://[64:ff9b::a00:1]/a.mp4",
        "http://169.254.169.254/latest/meta-data",
        "http://192.168.0.1/a.mp4",
        "http://2130706433/a.mp4",
        "http://0/a.mp4",
    ],
)
def test_addresses_of_the_private_network_are_not_fetched(url: str, data: Path, asked: list[dict[str, Any]]) -> None:
    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        answer = await client.post("/v1/jobs", json={"video_url": url})
        assert (answer.status_code, answer.json()["error"]["kind"]) == (422, "bad_url")
        assert "is in a private network" in answer.json()["error"]["message"]

    run(data, use)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("file:///etc/passwd", "begins with http:// or https://"),
        ("ftp://example.com/a", "begins with http:// or https://"),
        ("http://user:word@example.com/a", "without a user's name"),
        ("http://[", "it is no address"),
        ("http://8.8.8.8/\x01", "it is no address"),
        ("http://a..b/", "it is no address"),
        ("nothing", "begins with http:// or https://"),
    ],
)
def test_other_kinds_of_addresses_are_refused(url: str, message: str, data: Path, asked: list[dict[str, Any]]) -> None:
    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        answer = await client.post("/v1/jobs", json={"video_url": url})
        assert answer.status_code == 422
        assert message in answer.json()["error"]["message"]

    run(data, use)


def test_a_clip_is_fetched_through_redirects_each_of_which_is_checked(
    data: Path, asked: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1]
        if path == b"/first":
            writer.write(b"HTTP/1.1 302 Found\r\nLocation: /clip.mp4\r\nContent-Length: 0\r\n\r\n")
        elif path == b"/inside":
            writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2/x\r\nContent-Length: 0\r\n\r\n")
        elif path == b"/astray":
            writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://[\r\nContent-Length: 0\r\n\r\n")
        elif path == b"/nowhere":
            writer.write(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\na clip")
        writer.close()

    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        at = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        monkeypatch.setattr(fetch, "is_public", lambda address: address == "127.0.0.1")
        sent = await client.post("/v1/jobs", json={"video_url": f"{at}/first"})
        assert sent.status_code == 201, sent.text
        assert studio.upload_path(sent.json()["upload"]).read_bytes() == b"a clip"
        inside = await client.post("/v1/jobs", json={"video_url": f"{at}/inside"})
        assert "127.0.0.2 is in a private network" in inside.json()["error"]["message"]
        for path, why in (("astray", "it leads on to what is no address"), ("nowhere", "its server answers 302")):
            wrong = await client.post("/v1/jobs", json={"video_url": f"{at}/{path}"})
            assert wrong.json()["error"] == {"kind": "bad_url", "message": f"the address cannot be fetched: {why}"}
        await studio.wait(sent.json()["id"], 20)
        server.close()
        await server.wait_closed()

    run(data, use)


def test_a_host_with_letters_of_its_language_is_called_by_its_name_in_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    async def address(host: str, port: int, allowed: str) -> str:
        assert host == "xn--mnchen-3ya.example"
        return "93.184.216.34"

    async def use() -> None:
        monkeypatch.setattr(fetch, "_address", address)
        async with httpx.AsyncClient() as client:
            request = await fetch.request_to(client, "GET", "http://münchen.example:81/ä.mp4", "public")
        assert str(request.url) == "http://93.184.216.34:81/%C3%A4.mp4"
        assert request.headers["host"] == "xn--mnchen-3ya.example:81"

    asyncio.run(use())


def test_nothing_is_fetched_where_that_is_turned_off(data: Path, asked: list[dict[str, Any]]) -> None:
    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        answer = await client.post("/v1/jobs", json={"video_url": "https://example.com/a.mp4"})
        assert "this server fetches nothing" in answer.json()["error"]["message"]

    run(data, use, urls="none")


def test_what_is_not_there_is_told_in_one_form(data: Path, asked: list[dict[str, Any]]) -> None:
    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        for path in (f"/v1/jobs/{'a' * 24}", "/v1/jobs/x", "/v1/jobs/..%2f..%2fetc", "/v1/uploads/x/file", "/nothing"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["error"]["kind"]) == (404, "not_found"), path
        answer = await client.put("/v1/jobs")
        assert (answer.status_code, answer.json()["error"]["kind"]) == (405, "bad_method")
        answer = await client.post("/v1/jobs", content=b"[", headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["error"]["kind"]) == (400, "bad_json")
        assert (await client.get("/v1/jobs?limit=-1")).status_code == 400
        assert (await client.get("/v1/jobs?limit=0")).json() == {"jobs": [], "before": None}

    run(data, use)


def test_the_description_names_every_path_and_option(data: Path, asked: list[dict[str, Any]]) -> None:
    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        shown = (await client.get("/openapi.json")).json()
        assert shown == with_cog(description())
        wanted = {
            (route.path.replace("{key}", "{id}"), method.lower())
            for route in Api(studio).routes()
            if isinstance(route, Route)
            for method in (route.methods or set()) - {"HEAD"}
        }
        told = {(path, method) for path, methods in description()["paths"].items() for method in methods}
        assert told == wanted
        options = (await client.get("/v1/options")).json()["options"]
        body = shown["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert {option["name"] for option in options} == set(body["properties"]) - {"upload", "video_url"}

    run(data, use)


def test_a_certificate_made_here_is_good_for_this_machine_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tls = pytest.importorskip("birefvideo.serve.tls", reason="the extra birefvideo[serve] is not installed")
    authority, server, key = tls.certificate(tmp_path / "tls", "127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server, key)
    before = server.read_bytes()

    async def meet() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

        listening = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
        trusting = ssl.create_default_context(cafile=str(authority))
        port = listening.sockets[0].getsockname()[1]
        for name in ("localhost", "127.0.0.1"):
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname=name)
            writer.close()
        with pytest.raises(ssl.SSLCertVerificationError):
            await asyncio.open_connection("127.0.0.1", port, ssl=trusting, server_hostname="example.com")
        listening.close()
        await listening.wait_closed()

    asyncio.run(meet())
    assert key.stat().st_mode & 0o077 == 0
    tls.certificate(tmp_path / "tls", "127.0.0.1")
    assert server.read_bytes() == before
    tls.certificate(tmp_path / "tls", "127.0.0.1", ("studio.lan",))
    assert server.read_bytes() != before
    before = server.read_bytes()

    class Earlier(datetime):
        @classmethod
        def now(cls, zone: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.now(zone) - timedelta(days=10)

    monkeypatch.setattr(tls, "datetime", Earlier)
    tls.certificate(tmp_path / "tls", "127.0.0.1")
    assert server.read_bytes() != before


def test_a_studio_can_be_opened_again(data: Path, asked: list[dict[str, Any]]) -> None:
    async def whole() -> None:
        for _ in range(2):
            async with studio_at(data) as (client, _):
                assert (await client.get("/v1/health")).json()["status"] == "ok"

    asyncio.run(whole())


def test_the_file_of_an_option_need_be_no_clip(data: Path, asked: list[dict[str, Any]]) -> None:
    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        files = {"video": ("a.mp4", b"clip"), "marks": ("marks.json", b"{}")}
        sent = (await client.post("/v1/jobs", files=files)).json()
        assert [one["do"] for one in asked] == ["probe", "check"]
        await studio.wait(sent["id"], 20)
        key = sent["options"]["marks"].removeprefix("upload:")
        assert f"--marks={data}/uploads/{key}/marks.json" in (data / "calls.txt").read_text()

    run(data, use)


def test_who_has_the_newest_answer_is_told_so_in_no_bytes(data: Path, asked: list[dict[str, Any]]) -> None:
    async def use(client: httpx.AsyncClient, studio: Studio) -> None:
        key = (await client.post("/v1/jobs", files={"video": ("a.mp4", b"one")})).json()["id"]
        await studio.wait(key, 20)
        for address in (f"/v1/jobs/{key}", "/v1/jobs", "/v1/jobs?limit=1"):
            found = await client.get(address)
            assert (found.status_code, found.headers["content-type"]) == (200, "application/json")
            seen = {"If-None-Match": f'"other", W/{found.headers["etag"]}'}
            same = await client.get(address, headers=seen)
            assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", found.headers["etag"])
            assert same.headers["x-content-type-options"] == "nosniff"
            assert (await client.get(address, headers={"If-None-Match": '"other"'})).json() == found.json()
            studio.note(key, told=address)  # which is a change
            assert (await client.get(address, headers=seen)).status_code == 200
        assert (await client.put(f"/v1/jobs/{key}")).status_code == 405
        known = {"If-None-Match": (await client.get(f"/v1/jobs/{key}")).headers["etag"]}
        await client.delete(f"/v1/jobs/{key}")
        gone = await client.get(f"/v1/jobs/{key}", headers=known)
        assert (gone.status_code, gone.json()["error"]["kind"]) == (404, "not_found")

    run(data, use)
