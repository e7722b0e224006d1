"""A small synthesizer: instruments, a score notation, a stereo mixing desk, two effects. Standard library only.

An instrument is a function from a frequency in hertz and a length in seconds to the samples of one note, mono and about
as loud as 1.0; it may ring longer than it was asked to. The desk places notes in time and between left and right.
"""

import array
import functools
import math
import random
import re
import sys
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

RATE = 22_050
BRIGHTEST = 5_000  # hertz: no oscillator has harmonics above; an empty top octave halves what FLAC needs
TAU = math.tau

Samples = list[float]
Instrument = Callable[[float, float], Samples]


# --- Notation -------------------------------------------------------------------------------------------------------

SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
ACCIDENTALS = {"": 0, "#": 1, "b": -1}


class Note(NamedTuple):
    """One note of a line: when it starts and how long it lasts, in beats, and its frequency."""

    start: float
    beats: float
    hertz: float


def hertz(pitch: str) -> float:
    """The equal-tempered frequency of a pitch such as `Bb3`; A4 is 440 Hz."""
    letter, accidental, octave = re.fullmatch(r"([A-G])([#b]?)(\d)", pitch).groups()
    semitones_from_a4 = SEMITONES[letter] + ACCIDENTALS[accidental] - 9 + 12 * (int(octave) - 4)
    return 440.0 * 2 ** (semitones_from_a4 / 12)


def line(text: str) -> list[Note]:
    """Reads `D3+F3+A3:2 r:1/2 | E5:1`: pitches, joined by + for a chord, and beats; r is a rest, | only for the eye."""
    notes, start = [], 0.0
    for token in text.replace("|", " ").split():
        pitches, _, length = token.partition(":")
        numerator, _, denominator = length.partition("/")
        beats = float(numerator) / float(denominator or 1)
        if pitches != "r":
            notes += [Note(start, beats, hertz(pitch)) for pitch in pitches.split("+")]
        start += beats
    return notes


def beat(pattern: str, step: float = 0.25) -> list[Note]:
    """Reads a drum pattern such as `x...x.x.`, one step a character. Drums have no pitch."""
    steps = enumerate(pattern.replace("|", "").replace(" ", ""))
    return [Note(index * step, step, 0.0) for index, mark in steps if mark == "x"]


# --- Building blocks ------------------------------------------------------------------------------------------------


def count(seconds: float) -> int:
    return max(1, round(seconds * RATE))


def envelope(length: int, attack: float, decay: float, release: float, sustain: float = 0.0) -> Iterator[float]:
    """A linear attack, an exponential fall towards `sustain` (time constant `decay`), a linear release at the end."""
    rise, fall = count(attack), count(release)
    factor = math.exp(-1 / (decay * RATE))
    level = 1.0
    for i in range(length):
        if i < rise:
            shape = i / rise
        else:
            level = sustain + (level - sustain) * factor
            shape = level
        yield shape * min(1.0, (length - i) / fall)


TABLE_SIZE = 2048


@functools.cache
def wavetable(amplitudes: tuple[float, ...]) -> Samples:
    """One cycle of a wave with these harmonics, and one sample more to interpolate towards."""
    cycle = [
        sum(a * math.sin(TAU * k * i / TABLE_SIZE) for k, a in enumerate(amplitudes, start=1) if a)
        for i in range(TABLE_SIZE)
    ]
    peak = max(map(abs, cycle))
    return [value / peak for value in [*cycle, cycle[0]]]


def oscillate(
    harmonics: Callable[[int], float], frequency: float, length: int, vibrato: float = 0.0
) -> Iterator[float]:
    """A wave from the amplitudes of its harmonics, up to BRIGHTEST. Vibrato is a part of the frequency."""
    highest = max(1, int(BRIGHTEST / frequency))
    table = wavetable(tuple(harmonics(k) for k in range(1, highest + 1)))
    step = TABLE_SIZE * frequency / RATE
    phase = 0.0
    for i in range(length):
        index = int(phase)
        yield table[index] + (phase - index) * (table[index + 1] - table[index])
        sway = vibrato * math.sin(TAU * 5.2 * i / RATE) * min(1.0, i / (0.4 * RATE)) if vibrato else 0.0
        phase = (phase + step * (1 + sway)) % TABLE_SIZE


def shaped(tone: Iterator[float], shape: Iterator[float]) -> Samples:
    return [value * level for value, level in zip(tone, shape)]


# --- Instruments: the soft ones -------------------------------------------------------------------------------------


def pad(cents: float) -> Instrument:
    """Slow strings, out of tune by a few cents so that two of them widen each other."""

    def play(frequency: float, seconds: float) -> Samples:
        length = count(seconds + 1.6)
        tuned = frequency * 2 ** (cents / 1200)
        return shaped(
            oscillate(lambda k: k**-2.0 if k <= 8 else 0.0, tuned, length, vibrato=0.0015),
            envelope(length, attack=0.9, decay=6.0, release=1.6, sustain=0.6),
        )

    return play


def frequency_modulated(ratio: float, index: float, index_decay: float, decay: float, ring: float) -> Instrument:
    """Two sines, one bending the phase of the other: a struck sound that mellows as it rings."""

    def play(frequency: float, seconds: float) -> Samples:
        length = count(seconds + ring)
        samples = []
        for i, level in enumerate(envelope(length, attack=0.004, decay=decay, release=ring / 2)):
            t = i / RATE
            bend = index * math.exp(-t / index_decay) * math.sin(TAU * frequency * ratio * t)
            samples.append(level * math.sin(TAU * frequency * t + bend))
        return samples

    return play


bell = frequency_modulated(ratio=3.5, index=0.6, index_decay=0.35, decay=0.9, ring=2.2)
electric_piano = frequency_modulated(ratio=1.0, index=1.3, index_decay=0.5, decay=1.3, ring=0.7)


def harp(frequency: float, seconds: float) -> Samples:
    """A plucked string after Karplus and Strong: a burst of noise goes round a delay line and loses its edge."""
    length = count(seconds + 1.2)
    period = RATE / frequency - 0.5  # the averaging below delays by half a sample
    whole = int(period)
    # A first-order all-pass makes up the rest of the period, or high notes would be out of tune.
    fraction = period - whole
    tuning = (1 - fraction) / (1 + fraction)
    noise = random.Random(round(frequency * 100))
    string = [noise.uniform(-1, 1) for _ in range(whole)]
    for _ in range(14):  # a soft finger
        string = [(string[i - 1] + string[i]) / 2 for i in range(whole)]
    mean = sum(string) / whole
    string = [value - mean for value in string]
    peak = max(map(abs, string))
    samples, previous, before, after = [], 0.0, 0.0, 0.0
    for i, level in enumerate(envelope(length, attack=0.001, decay=2.5, release=0.8)):
        current = string[i % whole]
        average = 0.4985 * (current + previous)
        after = tuning * (average - after) + before
        before, previous = average, current
        string[i % whole] = after
        samples.append(level * current / peak)
    return samples


def flute(frequency: float, seconds: float) -> Samples:
    length = count(seconds + 0.12)
    return shaped(
        oscillate(lambda k: (1.0, 0.22, 0.1, 0.03)[k - 1] if k <= 4 else 0.0, frequency, length, vibrato=0.005),
        envelope(length, attack=0.07, decay=0.8, release=0.16, sustain=0.75),
    )


def soft_bass(frequency: float, seconds: float) -> Samples:
    length = count(seconds + 0.15)
    return shaped(
        oscillate(lambda k: (1.0, 0.3, 0.08)[k - 1] if k <= 3 else 0.0, frequency, length),
        envelope(length, attack=0.02, decay=1.5, release=0.2, sustain=0.4),
    )


# --- Instruments: the ones with buttons -----------------------------------------------------------------------------


def pulse(duty: float, decay: float, sustain: float, vibrato: float = 0.0) -> Instrument:
    """A rectangular wave that is high for `duty` of its cycle, as the sound chips of the eighties made it."""

    def play(frequency: float, seconds: float) -> Samples:
        length = count(seconds)
        return shaped(
            # The slight extra slope takes the glare off the top.
            oscillate(lambda k: math.sin(math.pi * k * duty) / k**1.25, frequency, length, vibrato),
            envelope(length, attack=0.003, decay=decay, release=min(0.03, seconds / 3), sustain=sustain),
        )

    return play


def triangle(frequency: float, seconds: float) -> Samples:
    length = count(seconds)
    return shaped(
        oscillate(lambda k: (-1) ** (k // 2) / k**2 if k % 2 else 0.0, frequency, length),
        envelope(length, attack=0.003, decay=0.6, release=min(0.03, seconds / 3), sustain=0.55),
    )


def slap_bass(frequency: float, seconds: float) -> Samples:
    """A round bass with a bright attack: the bright part dies away first."""
    length = count(seconds)
    release = min(0.03, seconds / 3)
    body = shaped(
        oscillate(lambda k: k**-2.0, frequency, length),
        envelope(length, attack=0.003, decay=0.5, release=release, sustain=0.3),
    )
    snap = shaped(
        oscillate(lambda k: k**-0.7 if k > 2 else 0.0, frequency, length),
        envelope(length, attack=0.001, decay=0.045, release=release),
    )
    return [0.8 * low + 0.25 * high for low, high in zip(body, snap)]


def kick(_: float, __: float) -> Samples:
    length, phase, samples = count(0.22), 0.0, []
    for i, level in enumerate(envelope(length, attack=0.001, decay=0.07, release=0.05)):
        samples.append(level * math.sin(phase))
        phase += TAU * (48 + 150 * math.exp(-i / (0.022 * RATE))) / RATE
    return samples


def noise_burst(decay: float, tone: float, seed: int) -> Samples:
    """Fading noise: bright for a tone near -1, white for 0, dull near 1."""
    noise = random.Random(seed)
    samples, value = [], 0.0
    for level in envelope(count(decay * 5), attack=0.001, decay=decay, release=decay):
        value = tone * value + (1 - abs(tone)) * noise.uniform(-1, 1)
        samples.append(level * value)
    return samples


def snare(_: float, __: float) -> Samples:
    rattle = noise_burst(decay=0.028, tone=0.55, seed=2)
    drum = triangle(185.0, len(rattle) / RATE)
    return [1.1 * noise + 0.5 * skin for noise, skin in zip(rattle, drum)]


def hat(_: float, __: float) -> Samples:
    return noise_burst(decay=0.014, tone=-0.6, seed=3)


# --- The desk -------------------------------------------------------------------------------------------------------


class Desk:
    """Two channels of a given length in beats, and a tail in seconds for the last notes to ring out in."""

    def __init__(self, tempo: float, beats: float, tail: float):
        self.seconds_per_beat = 60 / tempo
        length = count(beats * self.seconds_per_beat + tail)
        self.channels: tuple[Samples, Samples] = ([0.0] * length, [0.0] * length)
        self.tail = tail

    def play(
        self,
        instrument: Instrument,
        notes: list[Note],
        gain: float,
        pan: float = 0.0,
        swing: float = 0.0,
        strum: float = 0.0,
    ) -> None:
        """Adds the notes. Pan goes from -1 (left) to 1 (right). Swing delays every second sixteenth, by a part of it;
        strum spreads the notes of a chord, by that many seconds each."""
        angle = (pan + 1) * math.pi / 4
        gains = (gain * math.cos(angle), gain * math.sin(angle))
        rendered: dict[tuple[float, float], Samples] = {}
        previous_start, nth_of_chord = None, 0
        for note in notes:
            nth_of_chord = nth_of_chord + 1 if note.start == previous_start else 0
            previous_start = note.start
            late = swing * 0.25 if round(note.start * 4) % 2 else 0.0
            at = round(((note.start + late) * self.seconds_per_beat + nth_of_chord * strum) * RATE)
            sound = (note.hertz, note.beats)
            if sound not in rendered:
                rendered[sound] = instrument(note.hertz, note.beats * self.seconds_per_beat)
            for channel, channel_gain in zip(self.channels, gains):
                for i, value in enumerate(rendered[sound][: len(channel) - at], start=at):
                    channel[i] += channel_gain * value

    def echo(self, beats: float, feedback: float) -> None:
        """Repeats the sum of both sides, fading, now on the left and now on the right."""
        delay = round(beats * self.seconds_per_beat * RATE)
        left, right = self.channels
        dry = [(a + b) / 2 for a, b in zip(left, right)]
        for repeat, channel in enumerate((left, right, left, right), start=1):
            gain = feedback**repeat
            for i in range(repeat * delay, len(channel)):
                channel[i] += gain * dry[i - repeat * delay]

    def reverb(self, amount: float, decay: float = 0.82) -> None:
        """A room after Schroeder: parallel combs with damping, then two all-passes, differently long on either side."""
        for channel, spread in zip(self.channels, (0, 17)):
            wet = [0.0] * len(channel)
            for delay in (809, 863, 941, 1013):
                comb(channel, wet, delay + spread, decay)
            for delay in (277, 113):
                all_pass(wet, delay + spread)
            for i, value in enumerate(wet):
                channel[i] += amount * value / 4

    def write(self, path: Path, peak: float, mono: bool = False) -> None:
        """Scales the loudest sample to `peak` (of 1.0), fades the tail out and writes 16 bit, stereo or mono."""
        left, right = self.channels
        channels = ([(a + b) / 2 for a, b in zip(left, right)],) if mono else (left, right)
        scale = peak * 32_767 / max(max(map(abs, channel)) for channel in channels)
        length, fade = len(left), count(self.tail)
        frames = array.array("h")
        for i, frame in enumerate(zip(*channels)):
            gain = scale * min(1.0, (length - 1 - i) / fade) ** 1.5
            frames.extend(round(value * gain) for value in frame)
        if sys.byteorder == "big":
            frames.byteswap()
        with wave.open(str(path), "wb") as file:
            file.setnchannels(len(channels))
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(frames.tobytes())


def comb(source: Samples, target: Samples, delay: int, feedback: float, damping: float = 0.35) -> None:
    buffer, smooth = [0.0] * delay, 0.0
    for i, value in enumerate(source):
        delayed = buffer[i % delay]
        smooth += (1 - damping) * (delayed - smooth)
        buffer[i % delay] = value + feedback * smooth
        target[i] += delayed


def all_pass(samples: Samples, delay: int, gain: float = 0.5) -> None:
    buffer = [0.0] * delay
    for i, value in enumerate(samples):
        delayed = buffer[i % delay]
        buffer[i % delay] = value + gain * delayed
        samples[i] = delayed - gain * buffer[i % delay]
