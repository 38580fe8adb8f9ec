"""Sound files of every kind through real decoding processes, and files that mean harm."""

import os
import signal
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.calls.sources import SourceError
from app.media.decode import Decoder
from tests.kit import sound_files as files
from tests.kit.receiver import receiver

SOURCE = files.chirp()
SOURCE_48 = files.chirp(rate=48_000)
SOURCE_44 = files.chirp(rate=44_100)


@pytest.fixture
async def decoder() -> AsyncIterator[Decoder]:
    made = Decoder(hands=1)
    yield made
    await made.stop()


KINDS: dict[str, bytes] = {
    **{
        f"wav {codec}, {channels} channels": files.encoded("wav", codec, SOURCE_48, channels=channels)
        for codec in ("pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_mulaw", "pcm_alaw")
        for channels in (1, 2)
    },
    "wav of 8 kHz": files.wav(SOURCE),
    "wav of 44.1 kHz": files.wav(SOURCE_44, rate=44_100),
    "wav 5.1": files.wav(SOURCE_48, rate=48_000, channels=6),
    "mp3": files.encoded("mp3", "libmp3lame", SOURCE_44, rate=44_100),
    "mp3 in stereo": files.encoded("mp3", "libmp3lame", SOURCE_48, channels=2),
    "opus": files.encoded("ogg", "libopus", SOURCE_48),
    "opus in stereo": files.encoded("ogg", "libopus", SOURCE_48, channels=2),
    "vorbis": files.encoded("ogg", "vorbis", SOURCE_44, rate=44_100, channels=2, strict="-2"),
    "flac": files.encoded("flac", "flac", SOURCE_44, rate=44_100),
    "flac in stereo": files.encoded("flac", "flac", SOURCE_48, channels=2),
}


async def test_every_kind_of_file_sounds_like_its_source(decoder: Decoder) -> None:
    alike = {kind: files.likeness(await decoder.decode(content), SOURCE) for kind, content in KINDS.items()}
    assert not {kind: score for kind, score in alike.items() if score < 0.99}
    assert len(decoder.pids) == 1


async def test_the_length_is_the_sources_to_the_sample(decoder: Decoder) -> None:
    for kind in ("wav pcm_s16le, 1 channels", "wav of 44.1 kHz", "flac"):
        assert len(await decoder.decode(KINDS[kind])) == 2 * len(SOURCE), kind


async def test_what_a_telephone_cannot_carry_is_not_folded_into_what_it_can(decoder: Decoder) -> None:
    high = files.np.arange(48_000 * 2) / 48_000
    sound = await decoder.decode(files.wav(12_000 * files.np.sin(2 * files.math.pi * 5000 * high), rate=48_000))
    assert files.strength(sound[8000:-8000], 3000) < 5


async def test_the_level_stays_what_it_was(decoder: Decoder) -> None:
    at = files.np.arange(48_000) / 48_000
    tone = files.wav(10_000 * files.np.sin(2 * files.math.pi * 1000 * at), rate=48_000, channels=2)
    assert files.strength((await decoder.decode(tone))[1600:-1600], 1000) == pytest.approx(10_000, rel=0.01)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"RIFF",
        b"<html>404</html>" * 100,
        bytes(range(256)) * 40,
        b"OggS" + bytes(5000),
        b"fLaC" + b"\xff" * 5000,
        files.wav_by_hand(bytes(100), channels=0),
        files.wav_by_hand(bytes(1000), rate=0),
        files.wav_by_hand(bytes(1000), rate=0xFFFFFFFF),
        files.wav_by_hand(bytes(1000), bits=0),
        files.wav_by_hand(bytes(70_000), channels=0xFFFF, bits=8),
        files.wav_by_hand(bytes(1000), tag=0x2000),
        files.encoded("mp4", "aac", SOURCE_48, movflags="empty_moov"),
    ],
    ids=lambda content: f"{content[:4]!r}, {len(content)} bytes",
)
async def test_what_is_no_sound_file_is_refused_and_kills_nobody(decoder: Decoder, content: bytes) -> None:
    with pytest.raises(SourceError, match="cannot be decoded: it"):
        await decoder.decode(content)
    assert len(decoder.pids) == 1


async def test_a_playlist_is_not_followed(decoder: Decoder, tmp_path: Path) -> None:
    private = tmp_path / "private.wav"
    private.write_bytes(files.wav(SOURCE))
    async with receiver() as there:
        for list_ in (
            f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{there.url}/a.wav\n#EXT-X-ENDLIST\n",
            f"ffconcat version 1.0\nfile '{private}'\n",
            f"#EXTM3U\n#EXTINF:2,\nfile://{private}\n",
        ):
            with pytest.raises(SourceError):
                await decoder.decode(list_.encode())
        assert there.connections == 0


@pytest.mark.parametrize("kind", ["wav of 44.1 kHz", "mp3", "opus", "flac"])
async def test_a_file_that_is_cut_gives_what_there_is_of_it(decoder: Decoder, kind: str) -> None:
    content = KINDS[kind]
    sound = await decoder.decode(content[: len(content) * 2 // 3])
    assert files.likeness(sound[: len(SOURCE)], SOURCE[: len(SOURCE) // 2]) > 0.99


async def test_damage_in_the_middle_costs_its_own_place_only(decoder: Decoder) -> None:
    content = bytearray(KINDS["mp3"])
    middle = len(content) // 2
    content[middle : middle + 400] = b"\xa5" * 400
    sound = await decoder.decode(bytes(content))
    assert files.likeness(sound[: len(SOURCE)], SOURCE[: len(SOURCE) * 2 // 5]) > 0.99


async def test_cover_art_of_monstrous_size_is_not_looked_at(decoder: Decoder) -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 6, 0, 0, 0)
    picture = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + bytes(4) + bytes(200_000)
    frame = b"\x00image/png\x00\x03\x00" + picture
    tag = b"APIC" + struct.pack(">I", len(frame)) + b"\x00\x00" + frame
    size = bytes(len(tag) >> shift & 0x7F for shift in (21, 14, 7, 0))
    sound = await decoder.decode(b"ID3\x03\x00\x00" + size + tag + KINDS["mp3"])
    assert files.likeness(sound, SOURCE) > 0.99
    assert _peak_memory(decoder.pids[0]) < 100


async def test_more_than_an_hour_is_refused_within_the_memory_of_an_hour(decoder: Decoder) -> None:
    with pytest.raises(SourceError, match="longer than 60 minutes"):
        await decoder.decode(files.wav_by_hand(bytes(28_900_000), tag=7, bits=8))
    assert _peak_memory(decoder.pids[0]) < 100
    assert files.likeness(await decoder.decode(KINDS["opus"]), SOURCE) > 0.99


async def test_a_process_that_stands_still_or_is_killed_costs_one_file_and_no_more() -> None:
    decoder = Decoder(hands=1, seconds=3.0)
    try:
        await decoder.decode(KINDS["wav of 8 kHz"])
        (first,) = decoder.pids
        os.kill(first, signal.SIGSTOP)
        with pytest.raises(SourceError, match="it takes longer than 3 s"):
            await decoder.decode(KINDS["wav of 8 kHz"])
        assert len(await decoder.decode(KINDS["wav of 8 kHz"])) == 2 * len(SOURCE)
        assert decoder.pids != [first]
    finally:
        await decoder.stop()


def _peak_memory(pid: int) -> float:
    """MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1000
