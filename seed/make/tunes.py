"""The scores: one function a track, each giving a finished desk."""

from synth import (
    Desk,
    beat,
    bell,
    electric_piano,
    flute,
    harp,
    hat,
    kick,
    line,
    pad,
    pulse,
    slap_bass,
    snare,
    soft_bass,
    triangle,
)

# --- Slow Tide: D dorian and its neighbours -------------------------------------------------------------------------


def slack_water() -> Desk:
    desk = Desk(tempo=72, beats=14, tail=2.8)
    chords = line("D3+A3+E4+F4:4 | G3+B3+D4+F4:4 | F3+A3+C4+G4:4 | D3+A3+C4+E4:2")
    desk.play(pad(-4), chords, gain=0.30, pan=-0.6)
    desk.play(pad(+4), chords, gain=0.30, pan=+0.6)
    desk.play(soft_bass, line("D2:4 | G2:4 | F2:4 | D2:3"), gain=0.32)
    melody = line("r:1 A5:1 G5:1/2 E5:3/2 | r:1/2 D5:1/2 E5:1 B5:2 | r:1 A5:1/2 G5:1/2 C6:1 G5:1 | A5:1 E5:1")
    desk.play(bell, melody, gain=0.34, pan=0.15)
    desk.reverb(amount=0.55, decay=0.86)
    return desk


def ile_endormie() -> Desk:
    desk = Desk(tempo=116, beats=24, tail=2.6)
    arpeggios = line(
        "F3:1/2 C4:1/2 E4:1/2 A4:1/2 E4:1/2 C4:1/2 | G3:1/2 B3:1/2 D4:1/2 G4:1/2 D4:1/2 B3:1/2 |"
        "E3:1/2 B3:1/2 D4:1/2 G4:1/2 D4:1/2 B3:1/2 | A3:1/2 C4:1/2 E4:1/2 G4:1/2 E4:1/2 C4:1/2 |"
        "D3:1/2 A3:1/2 C4:1/2 F4:1/2 C4:1/2 A3:1/2 | G3:1/2 B3:1/2 D4:1/2 F4:1/2 D4:1/2 B3:1/2 |"
        "C3:1/2 G3:1/2 B3:1/2 E4:1/2 G4:1/2 B4:1/2 | C5:3"
    )
    desk.play(harp, arpeggios, gain=0.42, pan=-0.25)
    melody = line(
        "r:1 E5:1 G5:1 | D5:2 B4:1 | r:1/2 G5:1/2 F#5:1/2 E5:1/2 D5:1 | C5:3 |"
        "r:1 F5:1 E5:1/2 D5:1/2 | D5:3/2 B4:1/2 F5:1 | E5:3 | r:3"
    )
    desk.play(flute, melody, gain=0.22, pan=0.25)
    desk.play(soft_bass, line("F2:3 | G2:3 | E2:3 | A2:3 | D2:3 | G2:3 | C2:6"), gain=0.26)
    desk.reverb(amount=0.32)
    return desk


def home_by_lamplight() -> Desk:
    desk = Desk(tempo=76, beats=17, tail=2.4)
    chords = line(
        "E3+G3+B3+D4:3/2 E3+G3+B3+D4:5/2 | C3+E3+G3+B3:3/2 C3+E3+G3+B3:5/2 |"
        "F3+A3+C4+E4:3/2 F3+A3+C4+E4:5/2 | F3+A3+B3+E4:3/2 F3+G3+B3+D4:5/2 | E3+G3+B3+D4:1"
    )
    desk.play(electric_piano, chords, gain=0.2, pan=-0.2, strum=0.018)
    desk.play(soft_bass, line("C2:5/2 G2:3/2 | A2:5/2 E2:3/2 | D2:5/2 A2:3/2 | G2:5/2 B2:3/2 | C2:2"), gain=0.36)
    melody = line(
        "r:1/2 G4:1/2 D5:1 C5:1/2 B4:1/2 G4:1 | r:1/2 E4:1/2 B4:1 C5:1/2 B4:1/2 E5:1 |"
        "r:1/2 A4:1/2 E5:1 D5:1/2 C5:1/2 A4:1 | B4:3/2 D5:1/2 E5:1/2 D5:1/2 B4:1 | G4:1"
    )
    desk.play(electric_piano, melody, gain=0.3, pan=0.3)
    desk.play(pad(0), line("r:8 A3+C4:4 | G3+B3:4 | G3+B3:1"), gain=0.1)
    desk.reverb(amount=0.28, decay=0.78)
    return desk


# --- Rooftop Arcade: pulses, triangles and noise; the drums come after the echo and stay dry ------------------------

lead = pulse(duty=0.5, decay=0.35, sustain=0.5, vibrato=0.004)
reed = pulse(duty=0.25, decay=0.2, sustain=0.35)
blip = pulse(duty=0.25, decay=0.07, sustain=0.0)


def press_start() -> Desk:
    desk = Desk(tempo=150, beats=29, tail=1.2)
    melody = line(
        "G4:1/2 C5:1/2 E5:1/2 G5:1 E5:1/2 C5:1/2 E5:1/2 | Eb5:3/2 C5:1/2 Ab4:1 C5:1 |"
        "D5:1/2 F5:1/2 Bb5:1 A5:1/2 F5:1/2 D5:1 | E5:3/2 D5:1/2 C5:1 r:1 |"
        "G4:1/2 C5:1/2 E5:1/2 G5:1 C6:1/2 B5:1/2 G5:1/2 | Ab5:3/2 Eb5:1/2 C5:1 Eb5:1 |"
        "F5:1/2 D5:1/2 Bb4:1/2 D5:1/2 F5:1/2 G5:1/2 A5:1/2 Bb5:1/2 | C6:1"
    )
    desk.play(lead, melody, gain=0.24, pan=0.1)
    arpeggio = {
        "C": "C4:1/4 E4:1/4 G4:1/4 E4:1/4 " * 4,
        "Ab": "C4:1/4 Eb4:1/4 Ab4:1/4 Eb4:1/4 " * 4,
        "Bb": "D4:1/4 F4:1/4 Bb4:1/4 F4:1/4 " * 4,
    }
    chords = ("C", "Ab", "Bb", "C", "C", "Ab", "Bb")
    desk.play(blip, line("".join(arpeggio[chord] for chord in chords)), gain=0.14, pan=-0.3)
    desk.play(reed, line("r:28 C4+E4+G4:1"), gain=0.12)
    roots = "".join(
        f"{low}:1/2 {low}:1/2 {high}:1/2 {low}:1/2 " * 2
        for low, high in (
            ("C2", "C3"), ("Ab2", "Ab3"), ("Bb2", "Bb3"), ("C2", "G2"),
            ("C2", "C3"), ("Ab2", "Ab3"), ("Bb2", "Bb3"),
        )
    )  # fmt: skip
    desk.play(triangle, line(roots + "C2:1"), gain=0.42)
    desk.echo(beats=0.75, feedback=0.16)
    desk.play(kick, beat("x.......x....... |" * 7 + "x"), gain=0.5)
    desk.play(snare, beat("....x.......x... |" * 6 + "....x.......x.xx"), gain=0.2)
    desk.play(hat, beat("..x...x...x...x. |" * 7), gain=0.12)
    return desk


def cafe_neon() -> Desk:
    desk = Desk(tempo=106, beats=21, tail=1.4)
    funk = "E2:1/4 r:1/4 E3:1/4 r:1/4 r:1/4 E2:1/4 D3:1/4 E3:1/4 r:1/4 E2:1/4 G2:1/2 A2:1/4 r:1/4 B2:1/4 D3:1/4 "
    lift = "A2:1/4 r:1/4 A3:1/4 r:1/4 r:1/4 A2:1/4 G3:1/4 A3:1/4 r:1/4 A2:1/4 C#3:1/2 E3:1/4 r:1/4 D3:1/4 B2:1/4 "
    turn = "C3:1/4 r:1/4 C3:1/4 G2:1/4 r:1/4 C3:1/4 D3:1/4 r:1/4 B2:1/4 r:1/4 B2:1/4 F#2:1/4 A2:1/4 r:1/4 D#3:1/2 "
    desk.play(slap_bass, line(funk + lift + funk + lift + turn + "E2:1"), gain=0.5, swing=0.3)
    e_minor = "r:1/2 G4+B4+D5:1/4 r:3/4 G4+B4+D5:1/4 r:1/4 r:1/2 F#4+B4+D5:1/4 r:1/4 G4+B4+D5:1/4 r:3/4 "
    a_seven = "r:1/2 G4+C#5+E5:1/4 r:3/4 G4+C#5+E5:1/4 r:1/4 r:1/2 F#4+B4+E5:1/4 r:1/4 G4+C#5+E5:1/4 r:3/4 "
    b_seven = "r:1/2 G4+B4+E5:1/4 r:3/4 G4+B4+E5:1/4 r:1/4 r:1/2 F#4+A4+D#5:1/4 r:1/4 F#4+A4+D#5:1/2 r:1/2 "
    stabs = line(e_minor + a_seven + e_minor + a_seven + b_seven + "G4+B4+D5:1")
    desk.play(blip, stabs, gain=0.15, pan=-0.35, swing=0.3)
    melody = line(
        "r:4 | r:2 E5:1/4 G5:1/4 A5:1/2 Bb5:1/4 A5:1/4 G5:1/2 |"
        "B5:3/4 A5:1/4 G5:1/2 E5:1/2 r:1/4 D5:1/4 E5:3/4 r:3/4 |"
        "C#5:1/2 E5:1/4 G5:3/4 F#5:1/4 E5:1/4 C#5:1/2 r:1/2 E5:1/2 D5:1/2 |"
        "E5:3/4 D5:1/4 C5:1/2 G5:1/2 F#5:1/2 D#5:1/4 B4:3/4 D5:1/2 | E5:1"
    )
    desk.play(lead, melody, gain=0.17, pan=0.25, swing=0.3)
    desk.echo(beats=0.5, feedback=0.12)
    desk.play(kick, beat("x..x..x...x..... |" * 5 + "x"), gain=0.5, swing=0.3)
    desk.play(snare, beat("....x.......x..x |" * 5), gain=0.2, swing=0.3)
    desk.play(hat, beat("x.x.x.x.x.xxx.x. |" * 5), gain=0.1, pan=0.2, swing=0.3)
    return desk


def dont_look_down() -> Desk:
    desk = Desk(tempo=168, beats=33, tail=1.2)
    melody = line(
        "A5:3/2 G5:1/2 E5:1 C5:1 | F5:3/2 E5:1/2 C5:1 A4:1 | G5:3/2 E5:1/2 G5:1/2 C6:3/2 | B5:1 G5:1 D5:1 B4:1 |"
        "A5:1/2 C6:1/2 B5:1/2 A5:1/2 E5:1 A5:1 | F5:1/2 A5:1/2 G5:1/2 F5:1/2 C5:1 F5:1 |"
        "E5:1/2 G#5:1/2 B5:1/2 G#5:1/2 E5:1/2 B4:1/2 D5:1/2 B4:1/2 | B4:1 E5:1 G#5:1 B5:1 | A5:1"
    )
    desk.play(lead, melody, gain=0.22, pan=-0.1)
    arpeggios = "".join(
        f"{a}:1/4 {b}:1/4 {c}:1/4 {d}:1/4 " * 4
        for a, b, c, d in (
            ("A3", "C4", "E4", "A4"), ("F3", "A3", "C4", "F4"), ("G3", "C4", "E4", "G4"), ("G3", "B3", "D4", "G4"),
            ("A3", "C4", "E4", "A4"), ("F3", "A3", "C4", "F4"), ("E3", "G#3", "B3", "E4"), ("E3", "B3", "D4", "G#4"),
        )
    )  # fmt: skip
    desk.play(blip, line(arpeggios), gain=0.15, pan=0.3)
    desk.play(reed, line("r:32 A3+C4+E4:1"), gain=0.12)
    roots = "".join(f"{root}:1/2 r:1/4 {root}:1/4 " * 4 for root in ("A2", "F2", "C3", "G2", "A2", "F2", "E2", "E2"))
    desk.play(triangle, line(roots + "A2:1"), gain=0.42)
    desk.echo(beats=0.75, feedback=0.15)
    desk.play(kick, beat("x...x...x...x... |" * 8 + "x"), gain=0.45)
    desk.play(snare, beat("....x.......x... |" * 7 + "....x...x.x.xxxx"), gain=0.18)
    desk.play(hat, beat("..x...x...x...x. |" * 8), gain=0.12)
    return desk
