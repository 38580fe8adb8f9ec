"""Recordings on a real disk of legs on loopback."""

import asyncio
import errno
import os
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from app.calls.audio import TakeEnd, Taken, TakeOrder
from app.media.codec import encode
from app.media.pyvoip import PayloadType
from app.media.recorder import RunningTake, WavRecorder
from app.media.rtp import RtpPool, RtpSession
from app.media.ticker import Ticker
from app.media.wav import HEADER, WavFile, header

PCMU = PayloadType.PCMU


@pytest.fixture
def recorder(tmp_path: Path, ticker: Ticker) -> Iterator[WavRecorder]:
    made = WavRecorder(tmp_path, ticker)
    yield made
    made.close()


@pytest.fixture
async def legs(pool: RtpPool, make_peer):
    made = []
    for ssrc in (1, 2):
        session, peer = pool.open(), make_peer(ssrc=ssrc)
        session.connect({0: PCMU, 101: PayloadType.EVENT}, peer.host, peer.port, send=True, receive=True).start()
        await peer.hear()
        made.append((session, peer))
    yield made
    for session, _ in made:
        session.stop()


class Speaker:
    """A peer that says `level` in every beat."""

    def __init__(self, ticker: Ticker, peer, session: RtpSession, level: int) -> None:
        self._peer, self._session = peer, session
        self.payload = encode(PCMU, np.full(160, level, "<i2").tobytes())
        ticker.add(self)

    rests_until = 0.0

    def tick(self, now: float, frames: int) -> None:
        for _ in range(frames):
            self._peer.say(self._session, self.payload)


async def over(take: RunningTake) -> Taken:
    return await asyncio.wait_for(take.done, 10)


def samples(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getsampwidth()) == (8000, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())


async def test_two_channels_hold_what_each_party_says_and_not_what_is_played(recorder, legs, ticker, tmp_path) -> None:
    (a, alice), (b, bob) = legs
    a.bridge(b)
    speakers = Speaker(ticker, alice, a, 4000), Speaker(ticker, bob, b, -6000)
    take = recorder.begin(TakeOrder("RE1", channels=2), caller=a, callee=b)
    await asyncio.sleep(0.5)
    a.play(np.full(1600, 20_000, "<i2").tobytes())
    await asyncio.sleep(0.5)
    take.stop()
    taken = await over(take)
    assert taken == Taken(tmp_path / "RE1.wav", taken.seconds, 2, taken.path.stat().st_size, TakeEnd.STOPPED)
    assert taken.seconds == pytest.approx(1.0, abs=0.3)
    said = samples(taken.path)
    assert len(said) == round(taken.seconds * 8000)
    middle = said[2000:-2000]
    assert set(np.unique(middle[:, 0])) <= {0, 3900, 3996, 4092, 4191} | set(range(3900, 4100))
    assert (middle[:, 0] > 3800).mean() > 0.9
    assert (middle[:, 1] < -5700).mean() > 0.9
    for speaker in speakers:
        ticker.discard(speaker)
    assert (a.taps, b.taps) == ((), ())
    assert list(tmp_path.iterdir()) == [taken.path]


async def test_one_channel_is_the_mix_and_never_wraps(recorder, legs, ticker) -> None:
    (a, alice), (b, bob) = legs
    speakers = Speaker(ticker, alice, a, 30_000), Speaker(ticker, bob, b, 30_000)
    take = recorder.begin(TakeOrder("RE1"), caller=a, callee=b)
    await asyncio.sleep(0.4)
    take.stop()
    said = samples((await over(take)).path)
    assert said.shape[1] == 1
    assert said.min() >= 0
    assert said.max() == 32_767
    for speaker in speakers:
        ticker.discard(speaker)


async def test_without_a_caller_the_first_channel_is_silent(recorder, legs, ticker) -> None:
    (b, bob) = legs[1]
    speaker = Speaker(ticker, bob, b, 4000)
    take = recorder.begin(TakeOrder("RE1", channels=2), caller=None, callee=b)
    await asyncio.sleep(0.4)
    take.stop()
    said = samples((await over(take)).path)
    assert not said[:, 0].any()
    assert said[:, 1].any()
    ticker.discard(speaker)


async def test_it_ends_by_itself_at_its_length_to_the_sample(recorder, legs) -> None:
    take = recorder.begin(TakeOrder("RE1", max_seconds=0.5), caller=legs[0][0], callee=None)
    taken = await over(take)
    assert (taken.seconds, taken.end) == (0.5, TakeEnd.MAX_LENGTH)
    take.stop()


async def test_it_ends_after_silence(recorder, legs, ticker) -> None:
    (a, alice) = legs[0]
    speaker = Speaker(ticker, alice, a, 8000)
    take = recorder.begin(TakeOrder("RE1", silence=0.5), caller=a, callee=None)
    await asyncio.sleep(1)
    assert not take.done.done()
    ticker.discard(speaker)
    taken = await over(take)
    assert (taken.end, taken.spoken) == (TakeEnd.SILENCE, True)
    assert 1.3 < taken.seconds < 3


async def test_it_says_when_nobody_spoke_at_all(recorder, legs) -> None:
    taken = await over(recorder.begin(TakeOrder("RE1", silence=0.5), caller=legs[0][0], callee=None))
    assert (taken.end, taken.spoken) == (TakeEnd.SILENCE, False)


async def test_it_ends_with_the_first_leg(recorder, legs) -> None:
    take = recorder.begin(TakeOrder("RE1"), caller=legs[0][0], callee=legs[1][0])
    legs[1][0].stop()
    assert (await over(take)).end is TakeEnd.LEG_ENDED
    late = recorder.begin(TakeOrder("RE2"), caller=legs[0][0], callee=legs[1][0])
    assert (await over(late)).end is TakeEnd.LEG_ENDED
    assert legs[0][0].taps == ()


async def test_what_was_said_until_a_second_ago_is_in_a_file_that_can_be_read(recorder, legs, ticker, tmp_path) -> None:
    (a, alice) = legs[0]
    speaker = Speaker(ticker, alice, a, 8000)
    take = recorder.begin(TakeOrder("RE1"), caller=a, callee=None)
    began = asyncio.get_running_loop().time()
    await asyncio.sleep(2)
    behind = asyncio.get_running_loop().time() - began - len(samples(tmp_path / "RE1.wav.part")) / 8000
    assert behind < 1.2  # 0.95, and what a busy machine takes
    assert not (tmp_path / "RE1.wav").exists()
    take.stop()
    await over(take)
    ticker.discard(speaker)


async def test_a_full_disk_ends_it_with_what_there_is(recorder, legs, ticker, monkeypatch) -> None:
    (a, alice) = legs[0]
    speaker = Speaker(ticker, alice, a, 8000)
    real, room = os.pwrite, [5000]

    def full(file: int, data: bytes, at: int) -> int:
        if at == 0:
            return real(file, data, at)
        if room[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        wrote = real(file, bytes(data)[: room[0]], at)
        room[0] -= wrote
        return wrote

    monkeypatch.setattr(os, "pwrite", full)
    taken = await over(recorder.begin(TakeOrder("RE1"), caller=a, callee=None))
    assert taken.end is TakeEnd.FAILED
    assert len(samples(taken.path)) == 2500
    assert taken.size == HEADER + 5000
    ticker.discard(speaker)


async def test_no_folder_no_recording(ticker, tmp_path, legs) -> None:
    recorder = WavRecorder(tmp_path / "missing", ticker)
    with pytest.raises(FileNotFoundError):
        recorder.begin(TakeOrder("RE1"), caller=legs[0][0], callee=None)
    recorder.close()


async def test_two_recordings_of_one_name_are_refused(recorder, legs) -> None:
    take = recorder.begin(TakeOrder("RE1"), caller=legs[0][0], callee=None)
    with pytest.raises(FileExistsError):
        recorder.begin(TakeOrder("RE1"), caller=legs[0][0], callee=None)
    take.stop()
    await over(take)


async def test_a_slow_disk_holds_nothing_up(recorder, legs, ticker, monkeypatch) -> None:
    (a, alice) = legs[0]
    speaker = Speaker(ticker, alice, a, 8000)
    loop, gate, real = asyncio.get_running_loop(), asyncio.Event(), WavFile.write

    def slow(file: WavFile, pieces: list[tuple[int, bytes]]) -> None:
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(10)
        real(file, pieces)

    monkeypatch.setattr(WavFile, "write", slow)
    take = recorder.begin(TakeOrder("RE1"), caller=a, callee=None)
    received = a.packets_received
    await asyncio.sleep(1.8)
    assert a.packets_received - received > 60
    gate.set()
    take.stop()
    taken = await over(take)
    assert (samples(taken.path)[4000:-2000] > 7000).mean() > 0.9
    ticker.discard(speaker)


async def test_both_channels_stay_aligned(recorder, legs, ticker) -> None:
    """Five seconds; ten minutes and an hour are in test_channel.py."""
    (a, alice), (b, bob) = legs
    speakers = Speaker(ticker, alice, a, 0), Speaker(ticker, bob, b, 0)
    take = recorder.begin(TakeOrder("RE1", channels=2), caller=a, callee=b)
    loud, quiet = (encode(PCMU, np.full(160, level, "<i2").tobytes()) for level in (10_000, 0))
    for _ in range(5):
        await asyncio.sleep(0.9)
        for payload in (loud, quiet):
            for speaker in speakers:
                speaker.payload = payload
            await asyncio.sleep(0.1)
    take.stop()
    said = samples((await over(take)).path) > 5000
    begins = [np.flatnonzero(np.diff(said[:, side].astype(int)) == 1) for side in (0, 1)]
    assert len(begins[0]) == len(begins[1]) >= 5
    assert np.abs(begins[0] - begins[1]).max() <= 160
    for speaker in speakers:
        ticker.discard(speaker)


def test_the_header_is_what_wave_writes(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "theirs.wav"), "wb") as theirs:
        theirs.setnchannels(2)
        theirs.setsampwidth(2)
        theirs.setframerate(8000)
        theirs.writeframes(bytes(400))
    assert (tmp_path / "theirs.wav").read_bytes()[:HEADER] == header(2, 400)


async def test_recordings_that_end_while_others_are_written_are_finished_too(recorder, legs) -> None:
    takes = [recorder.begin(TakeOrder(f"RE{number}"), caller=legs[0][0], callee=None) for number in range(30)]
    for take in takes:
        take.stop()
        await asyncio.sleep(0.01)
    assert {(await over(take)).end for take in takes} == {TakeEnd.STOPPED}
