#!/usr/bin/env python3
"""Makes the demo albums from nothing: plays the scores, draws the covers, encodes, and writes each album.toml.

Needs Python 3.11 or newer, and flac, lame and rsvg-convert.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import tunes
from synth import Desk

MAKE = Path(__file__).resolve().parent
LIBRARY = MAKE.parent / "library"

COVER = "cover.png"
COVER_PIXELS = 800
SIZE_LIMIT = 2_600_000  # bytes: the library becomes a part of the program
TOOLS = {"flac": "flac", "lame": "lame", "rsvg-convert": "librsvg2-bin"}  # and the Debian packages that have them


@dataclass(frozen=True)
class Track:
    title: str
    play: Callable[[], Desk]


@dataclass(frozen=True)
class Album:
    id: str
    title: str
    artist: str
    year: int
    genre: str
    peak: float  # of full scale; the rest is headroom for what MP3 adds
    mono: bool
    kilobits: int  # a second, of the MP3
    tracks: tuple[Track, ...]


ALBUMS = (
    Album(
        id="slow-tide",
        title="Slow Tide",
        artist="Marée Basse",
        year=2026,
        genre="Ambient",
        peak=0.5,
        mono=False,
        kilobits=52,
        tracks=(
            Track("Slack Water", tunes.slack_water),
            Track("Île Endormie", tunes.ile_endormie),
            Track("Home by Lamplight", tunes.home_by_lamplight),
        ),
    ),
    Album(
        id="rooftop-arcade",
        title="Rooftop Arcade",
        artist="The Coin Slots",
        year=2026,
        genre="Electronic",
        peak=0.65,
        mono=True,  # as the machines were
        kilobits=48,
        tracks=(
            Track("Press Start", tunes.press_start),
            Track("Café Neon", tunes.cafe_neon),
            Track("Don't Look Down", tunes.dont_look_down),
        ),
    ),
)


def run(*command: str | Path) -> None:
    # UTF-8 whatever the locale, so that lame reads the tags as they are meant.
    subprocess.run(command, check=True, env={**os.environ, "LC_ALL": "C.UTF-8"})


def encode_flac(wav: Path, target: Path, album: Album, track: Track, number: int) -> None:
    tags = {
        "TITLE": track.title,
        "ARTIST": album.artist,
        "ALBUM": album.title,
        "TRACKNUMBER": number,
        "TRACKTOTAL": len(album.tracks),
        "DATE": album.year,
        "GENRE": album.genre,
    }
    options = ["--silent", "--best", "--exhaustive-model-search", "--qlp-coeff-precision-search", "--no-padding"]
    run("flac", *options, *(f"--tag={name}={value}" for name, value in tags.items()), f"--output-name={target}", wav)


def encode_mp3(wav: Path, target: Path, album: Album, track: Track, number: int) -> None:
    tags = ["--id3v2-only", "--id3v2-utf16", "--pad-id3v2-size", "0"]
    tags += ["--tt", track.title, "--ta", album.artist, "--tl", album.title]
    tags += ["--tn", f"{number}/{len(album.tracks)}", "--ty", str(album.year), "--tg", album.genre]
    run("lame", "--silent", "-q", "0", "--abr", str(album.kilobits), *tags, wav, target)


def draw_cover(album: Album, target: Path) -> None:
    size = str(COVER_PIXELS)
    run("rsvg-convert", "--width", size, "--height", size, "--output", target, MAKE / f"{album.id}.svg")


def manifest(album: Album, files: list[Path]) -> str:
    def quoted(text: str) -> str:
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'

    lines = [
        f"id = {quoted(album.id)}",
        f"title = {quoted(album.title)}",
        f"artist = {quoted(album.artist)}",
        f"cover = {quoted(COVER)}",
    ]
    for file in files:
        content = file.read_bytes()
        lines += [
            "",
            "[[files]]",
            f"name = {quoted(file.name)}",
            f"bytes = {len(content)}",
            f"sha256 = {quoted(hashlib.sha256(content).hexdigest())}",
        ]
    return "\n".join(lines) + "\n"


def make(album: Album, folder: Path, scratch: Path) -> None:
    """Fills the folder with the album; its files are listed in the order FLAC, MP3, cover."""
    lossless, lossy = [], []
    for number, track in enumerate(album.tracks, start=1):
        print(f"{album.title}: {number:02} {track.title}", flush=True)
        wav = scratch / f"{album.id}-{number:02}.wav"
        track.play().write(wav, album.peak, album.mono)
        lossless.append(folder / f"{number:02} {track.title}.flac")
        lossy.append(folder / f"{number:02} {track.title}.mp3")
        encode_flac(wav, lossless[-1], album, track, number)
        encode_mp3(wav, lossy[-1], album, track, number)
    cover = folder / COVER
    draw_cover(album, cover)
    (folder / "album.toml").write_text(manifest(album, [*lossless, *lossy, cover]), encoding="utf-8", newline="\n")


def replace(folder: Path, made: Path) -> None:
    """Puts the made folder in the place of the old one, so that no file of an older run is left behind."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(made, folder)


def main() -> None:
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        packages = " ".join(TOOLS[tool] for tool in missing)
        sys.exit(f"Not found: {', '.join(missing)}. On Debian or Ubuntu: apt-get install {packages}")

    with tempfile.TemporaryDirectory() as scratch:
        made = {album: Path(scratch, album.id) for album in ALBUMS}
        for album, folder in made.items():
            folder.mkdir()
            make(album, folder, Path(scratch))
        total = sum(file.stat().st_size for folder in made.values() for file in folder.iterdir())
        if total > SIZE_LIMIT:
            sys.exit(f"The library has {total} bytes, over the limit of {SIZE_LIMIT}; nothing was replaced.")
        for album, folder in made.items():
            replace(LIBRARY / album.id, folder)
    print(f"{LIBRARY}: {total} bytes")


if __name__ == "__main__":
    main()
