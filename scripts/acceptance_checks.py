"""Check how other programs read our outputs, one line a check; exit code 1 if one fails.

Run by scripts/acceptance. Checks whose program is missing are listed as left out.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

os.environ.setdefault("OPENCV_IO_ENABLE_OPENEXR", "1")  # read when OpenCV is imported

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from browser import Browser, find_chromium  # noqa: E402

from birefvideo.media.endings import VIDEO_SUFFIXES  # noqa: E402
from birefvideo.media.format_table import FORMATS, get_format  # noqa: E402
from birefvideo.media.reading.alpha import alpha_of  # noqa: E402
from birefvideo.media.verification.finished_output import read_finished_output  # noqa: E402
from birefvideo.media.writing.availability import why_unavailable  # noqa: E402

Outcome = tuple[bool | None, str]
"""Whether it passed (None if that cannot be checked here), and what was found."""
RGB = np.ndarray
"""R'G'B' codes as float64 (height, width, 3), 0 to 255."""
BACKGROUNDS = [(48, 96, 192), (255, 255, 255), (0, 0, 0), (208, 52, 44)]
PICTURE = 12  # which picture is compared


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clip", type=Path, default=ROOT / "samples/talking_head.mp4")
    parser.add_argument("--end", default="1", help="seconds of the clip to matte")
    parser.add_argument("--keep", type=Path, help="write the outputs here and leave them")
    parser.add_argument(
        "--corners", type=Path, metavar="FOLDER", help="matte every clip of this folder into every format, and verify"
    )
    arguments = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.keep or Path(scratch)
        clip = Path(shutil.copy(arguments.clip, Path(scratch) / "clip.mp4"))
        for program, name, check in (
            *checks(clip, folder, arguments.end),
            *corner_cases(arguments.corners, Path(scratch)),
        ):
            if program is not None and not (shutil.which(program) if program != "chromium" else find_chromium()):
                print(f"LEFT OUT {name}: {program} is not installed")
                continue
            try:
                passed, said = check()
            except (subprocess.SubprocessError, AssertionError, OSError, LookupError, cv2.error) as error:
                passed, said = False, f"{type(error).__name__}: {error}"
            print(f"{ {True: 'ok', False: 'FAIL', None: 'LEFT OUT'}[passed]:8} {name}: {said}", flush=True)
            failed += passed is False
    return 1 if failed else 0


def checks(clip: Path, folder: Path, end: str) -> Iterator[tuple[str | None, str, Callable[[], Outcome]]]:
    """Yield the program that each check needs, the check's name, and the check, in order."""
    mov, webm = folder / "clip_alpha.mov", folder / "clip_alpha.webm"
    yield None, "birefvideo matte", lambda: matted(clip, folder, end)
    for name in ("clip_alpha.mov", "clip_alpha.webm", "clip_green.mp4", "clip_matte.mp4", "clip_png", "clip_exr"):
        yield None, f"birefvideo verify {name}", partial(verified, folder / name, clip)
    yield "ffprobe", "ffprobe reads ProRes", lambda: ffprobe(mov, PRORES_TAGS)
    yield "ffprobe", "ffprobe reads WebM", lambda: ffprobe(webm, WEBM_TAGS)
    yield "mediainfo", "MediaInfo reads ProRes", lambda: mediainfo(mov, MEDIAINFO_PRORES)
    yield "mediainfo", "MediaInfo reads WebM", lambda: mediainfo(webm, MEDIAINFO_WEBM)
    yield "melt", "melt composites ProRes", lambda: melted(mov, folder)
    yield None, "OpenCV reads PNG", lambda: opencv(folder / "clip_png", mov)
    yield None, "OpenCV reads EXR", lambda: opencv_exr(folder / "clip_exr", mov)
    yield "chromium", "Chromium plays WebM transparently", lambda: played(webm, folder)
    yield "chromium", "Chromium shows the review page", lambda: reviewed(folder / "clip_review.html")


def corner_cases(clips: Path | None, folder: Path) -> Iterator[tuple[str | None, str, Callable[[], Outcome]]]:
    """Yield a check for every file of a folder, in the form of `checks`."""
    for clip in sorted(path for path in clips.iterdir() if path.suffix in VIDEO_SUFFIXES) if clips else ():
        yield None, f"{clip.name} in every format", partial(corner_case, clip, folder / "corners")


def corner_case(clip: Path, folder: Path) -> Outcome:
    """Matte a clip's beginning into every available format and verify all; a refusal in one line also passes."""
    formats = [word for name in FORMATS if not why_unavailable(name) for word in ("--to", name)]
    command = [sys.executable, "-m", "birefvideo", "matte", str(clip), "-o", str(folder), "--end", "0.3", *formats]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    said = done.stderr.strip()
    outputs = [path for path in folder.iterdir() if path.suffix != ".json"] if folder.exists() else []
    try:
        if done.returncode:
            refused = len(said.splitlines()) == 1 and "unexpected" not in said and not outputs
            return refused, f"refused: {said or 'without a word'}"
        results = [(path.name, *verified(path, clip)) for path in outputs]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if "found no person" in done.stdout:  # in a test card; an empty matte is not proven, rightly
        return len(results) == len(formats) // 2, f"{len(results)} outputs without a person"
    wrong = [f"{name}: {what}" for name, passed, what in results if not passed]
    complete = len(results) == len(formats) // 2
    return complete and not wrong, "; ".join(wrong) or f"{len(results)} outputs proven"


def output_of(*command: object) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True, timeout=600)
    return done.stdout


def matted(clip: Path, folder: Path, end: str) -> Outcome:
    formats = [word for name in ("prores", "webm", "green", "matte", "png", "exr") for word in ("--to", name)]
    command = [sys.executable, "-m", "birefvideo", "matte", clip, "-o", folder, *formats, "--end", end, "--review"]
    said = output_of(*command, "--overwrite")
    return "frames" in said, said.splitlines()[1].strip()


def verified(output: Path, clip: Path) -> Outcome:
    command = [sys.executable, "-m", "birefvideo", "verify", str(output), "--source", str(clip), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    (one,) = json.loads(done.stdout)
    wrong = [f"{check['name']}: {check['said']}" for check in one["checks"] if check["passed"] is False]
    good = sum(check["passed"] is True for check in one["checks"])
    return one["passed"], "; ".join(wrong) or f"{good} of {len(one['checks'])} checks proven"


_BT709 = {"color_space": "bt709", "color_transfer": "bt709", "color_primaries": "bt709", "color_range": "tv"}
PRORES_TAGS = {"codec_name": "prores", "profile": "4444", "codec_tag_string": "ap4h", "field_order": "progressive"}
PRORES_TAGS |= {"pix_fmt": "yuva444p12le", **_BT709}
WEBM_TAGS = {"codec_name": "vp9", "tags.alpha_mode": "1", **_BT709}
_TOLD = {f"{name}": "BT.709" for name in ("colour_primaries", "transfer_characteristics", "matrix_coefficients")}
MEDIAINFO_PRORES = {"Format": "ProRes", "Format_Profile": "4444", "CodecID": "ap4h", "ColorSpace": "YUVA", **_TOLD}
MEDIAINFO_WEBM = {"Format": "VP9", "CodecID": "V_VP9", "extra.ALPHA_MODE": "1", "colour_range": "Limited", **_TOLD}


def ffprobe(path: Path, wanted: dict[str, str]) -> Outcome:
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_streams", "-of", "json", path]
    return same_as(json.loads(output_of(*command))["streams"][0], wanted)


def mediainfo(path: Path, wanted: dict[str, str]) -> Outcome:
    tracks = json.loads(output_of("mediainfo", "--Output=JSON", path))["media"]["track"]
    return same_as(next(track for track in tracks if track["@type"] == "Video"), wanted)


def same_as(reported: dict[str, object], wanted: dict[str, str]) -> Outcome:
    """Compare what a program reported with what it should report; upper and lower case of names do not matter."""
    flat = {name.lower(): value for name, value in reported.items()}
    for outer, value in reported.items():
        if isinstance(value, dict):
            flat |= {f"{outer}.{name}".lower(): inner for name, inner in value.items()}
    wrong = [f"{name} is {flat.get(name.lower())} instead of {value}" for name, value in wanted.items()
             if flat.get(name.lower()) != value]  # fmt: skip
    return not wrong, "; ".join(wrong) or ", ".join(f"{name} {value}" for name, value in wanted.items())


def straight(path: Path, name: str, index: int) -> tuple[RGB, np.ndarray]:
    """Read one picture ourselves: R'G'B' codes, and alpha (height, width, 1)."""
    for number, picture in enumerate(read_finished_output(path, get_format(name)).pictures()):
        if number == index:
            alpha = alpha_of(picture)
            assert alpha is not None
            matrix = int(picture.colorspace)
            rgb = picture.reformat(
                format="rgb48le", src_colorspace=matrix, src_color_range=1, dst_color_range=2, threads=1
            )
            return rgb.to_ndarray() / 257.0, alpha[..., None].astype(float)
    raise LookupError(f"{path} has no picture {index}")


def over(path: Path, name: str, colour: tuple[int, int, int]) -> tuple[RGB, np.ndarray]:
    """Return what a program should show of an output over a colour, and the alpha."""
    rgb, alpha = straight(path, name, PICTURE)
    return alpha * rgb + (1 - alpha) * np.array(colour), alpha


def compared(got: RGB, wanted: RGB, alpha: np.ndarray, mean: float, empty: float) -> Outcome:
    off = np.abs(got.astype(float) - wanted)
    clear = off[alpha[..., 0] == 0]
    worst_clear = float(clear.max()) if clear.size else 0.0
    said = f"off by {off.mean():.2f} of 255 on average, {np.percentile(off, 99):.1f} at the 99th percentile, "
    said += f"{worst_clear:.0f} at most where alpha is 0"
    return bool(off.mean() <= mean and worst_clear <= empty), said


def melted(mov: Path, folder: Path) -> Outcome:
    colour = BACKGROUNDS[0]
    height, width = over(mov, "prores", colour)[0].shape[:2]
    profile = folder / "melt_profile"
    profile.write_text(
        f"description=as the clip\nframe_rate_num=25\nframe_rate_den=1\nwidth={width}\nheight={height}\n"
        f"progressive=1\nsample_aspect_num=1\nsample_aspect_den=1\ndisplay_aspect_num={width}\n"
        f"display_aspect_den={height}\ncolorspace=709\n"
    )
    shown = folder / "melt_%03d.png"
    back = "color:0x{:02x}{:02x}{:02x}ff".format(*colour)
    # 'affine' is the transform of Kdenlive and Shotcut; it composites in RGB.
    output_of(
        "melt", "-silent", "-profile", profile, back, f"out={PICTURE}", "-track", mov, f"out={PICTURE}",
        "-transition", "affine", "a_track=0", "b_track=1", "in=0", f"out={PICTURE}", "fill=1",
        "-consumer", f"avformat:{shown}", "vcodec=png", "pix_fmt=rgba", "an=1", "real_time=-1", "progressive=1",
        "mlt_image_format=rgba",
    )  # fmt: skip
    got = cv2.imread(str(shown) % (PICTURE + 1))[..., ::-1]
    return compared(got, *over(mov, "prores", colour), mean=0.5, empty=0)


def opencv(pictures: Path, mov: Path) -> Outcome:
    bgra = cv2.imread(str(sorted(pictures.glob("*.png"))[PICTURE]), cv2.IMREAD_UNCHANGED)
    rgb, alpha = straight(mov, "prores", PICTURE)
    off = float(np.abs(bgra[..., 3] / 65535 - alpha[..., 0]).max())
    solid = alpha[..., 0] == 1
    colour = float(np.abs(bgra[..., 2::-1] / 257 - rgb)[solid].mean())
    said = f"{bgra.dtype}, alpha within {off * 1023:.2f} of 1023 of ProRes', colour {colour:.2f} of 255 where solid"
    return bgra.dtype == np.uint16 and off <= 1 / 1023 and colour <= 1, said


def opencv_exr(pictures: Path, mov: Path) -> Outcome:
    bgra = cv2.imread(str(sorted(pictures.glob("*.exr"))[PICTURE]), cv2.IMREAD_UNCHANGED)
    if bgra is None:
        return None, "this build of OpenCV reads no OpenEXR"
    _, alpha = straight(mov, "prores", PICTURE)
    off = float(np.abs(bgra[..., 3] - alpha[..., 0]).max())
    beyond = float((bgra[..., :3].max(-1) - bgra[..., 3]).max())
    return off <= 1e-3 and beyond <= 0.01, f"alpha within {off:.4f} of ProRes', colour at most {beyond:.3f} above alpha"


def played(webm: Path, folder: Path) -> Outcome:
    """Show the WebM at its own size over plain colours, and compare the screen with our own blend."""
    wanted, _ = over(webm, "webm", BACKGROUNDS[0])
    height, width = wanted.shape[:2]
    times = read_finished_output(webm, get_format("webm")).times
    middle = float(times[PICTURE] + times[PICTURE + 1]) / 2
    page = folder / "play.html"
    page.write_text(
        f'<style>body{{margin:0}}video{{display:block}}</style><video src="{webm.name}" muted width={width} '
        f'height={height} preload="auto"></video><script>const v=document.querySelector("video")</script>'
    )
    outcomes = []
    with tempfile.TemporaryDirectory() as profile, Browser(Path(profile), width, height) as browser:
        browser.open(page.as_uri())
        browser.until("v.readyState >= 2")
        browser.run(f"v.currentTime = {middle}")
        browser.until("!v.seeking && v.readyState >= 2")
        for colour in BACKGROUNDS:
            browser.run(f"document.body.style.background = 'rgb{colour}'")
            shot = at_rest(browser)
            outcomes.append(compared(shot, *over(webm, "webm", colour), mean=3, empty=1))
    return all(passed for passed, _ in outcomes), max(outcomes, key=lambda one: not one[0])[1]


def at_rest(browser: Browser) -> RGB:
    """Take screenshots until two in a row agree; return the last."""
    last = browser.shot()
    for _ in range(50):
        browser.run("new Promise(done => setTimeout(done, 150))")
        shot = browser.shot()
        if (shot == last).all():
            return shot
        last = shot
    raise AssertionError("the page keeps changing")


def reviewed(page: Path) -> Outcome:
    """Open the review page and check pixels beside the subject over each background."""
    off = 0
    with tempfile.TemporaryDirectory() as profile, Browser(Path(profile)) as browser:
        browser.open(page.as_uri())
        browser.until("stage.dataset.ready === '1' && source.readyState > 1")
        browser.run(f"show({PICTURE})")
        browser.until("!matte.seeking && !source.seeking")
        x, y = browser.run("(({x, y, width}) => [x + width * 0.03, y + 40])(stage.getBoundingClientRect())")
        for colour in BACKGROUNDS:
            browser.run(f"paint('rgb{colour}', null)")
            shot = at_rest(browser)
            corner = shot[round(y) : round(y) + 20, round(x) : round(x) + 20].astype(int)
            off = max(off, int(np.abs(corner - np.array(colour)).max()))
        urls = [e["params"]["request"]["url"] for e in browser.events if e["method"] == "Network.requestWillBeSent"]
        faults = [e for e in browser.events if e["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")]
    local = all(url.startswith(("file:", "blob:", "data:")) for url in urls)
    said = f"transparent pixels within {off} of 255 of the page's colour, {len(urls)} requests, all local: {local}"
    return off <= 1 and local and not faults, said


if __name__ == "__main__":
    sys.exit(main())
