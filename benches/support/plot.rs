//! Figures as pictures: SVG files beside the pages of the documentation.
//!
//! They are read in a browser, on a light page and on a dark one, so they bring a white ground of their own. Colours
//! are those of Okabe and Ito, which colour-blind readers can tell apart, and each line has marks of its own shape
//! besides.

use std::path::Path;

use plotters::backend::SVGBackend;
use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea as _};
use plotters::element::{
    Circle, Cross, DynElement, IntoDynElement as _, PathElement, Rectangle, Text, TriangleMarker,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, FontTransform, IntoFont as _, RGBColor, TextStyle, WHITE};

use super::Outcome;

/// Pixels from left to right.
const WIDTH: i32 = 800;
/// Pixels from top to bottom of a picture of lines.
const HEIGHT: i32 = 420;
/// Pixels of a bar with the room around it.
const BAR_PIXELS: i32 = 34;
/// Pixels below the axis, for ticks and unit.
const BELOW: i32 = 54;
/// Sizes of letters; what is written comes out at four fifths of it.
const TITLE: i32 = 20;
const LETTERS: i32 = 16;
/// Pixels that a letter is wide, at most on average: the browser chooses the font.
const LETTER_PIXELS: i32 = 7;
/// What is written and drawn around the figures.
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
const GRID: RGBColor = RGBColor(0xdd, 0xdd, 0xdd);
/// Okabe and Ito's, without the yellow, which is hard to see on white.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0x00, 0x72, 0xb2),
    RGBColor(0xd5, 0x5e, 0x00),
    RGBColor(0x00, 0x9e, 0x73),
    RGBColor(0xcc, 0x79, 0xa7),
    RGBColor(0xe6, 0x9f, 0x00),
    RGBColor(0x56, 0xb4, 0xe9),
    RGBColor(0x00, 0x00, 0x00),
];
/// Marks on a line, at most: more would hide it.
const MARKS: usize = 24;
/// So many measured places each get a tick of their own on a logarithmic axis.
const OWN_TICKS: usize = 12;
/// Ticks of a linear axis, about.
const TICKS: f64 = 6.0;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// Pixels from the left, and from the top.
type Pixel = (i32, i32);

/// One thing that was measured in several rounds.
pub(crate) struct Bar {
    /// What it is.
    pub(crate) name: String,
    /// The lowest of the rounds.
    pub(crate) low: f64,
    /// The middle one, which the bar shows.
    pub(crate) median: f64,
    /// The highest.
    pub(crate) high: f64,
}

/// Things that change with another.
pub(crate) struct Lines<'a> {
    /// What is seen.
    pub(crate) title: &'a str,
    /// What goes from left to right, with its unit.
    pub(crate) x: &'a str,
    /// What goes up, with its unit.
    pub(crate) y: &'a str,
    /// Whether each step to the right is so many times the one before. Points at 0 and below cannot be shown then.
    pub(crate) log_x: bool,
    /// The same of each step upwards. Without, the axis begins at 0.
    pub(crate) log_y: bool,
    /// Names, and points from left to right.
    pub(crate) series: &'a [(&'a str, Vec<(f64, f64)>)],
}

/// Draws bars from left to right, one below the other, with the range of the rounds and the figures.
pub(crate) fn bars(path: &Path, title: &str, unit: &str, bars: &[Bar]) -> Outcome {
    let labels: Vec<String> = bars.iter().map(Bar::label).collect();
    let [names, figures] =
        [widest(bars.iter().map(|bar| bar.name.as_str())), widest(labels.iter().map(String::as_str))];
    let bottom = 44 + BAR_PIXELS * i32::try_from(bars.len())?;
    let area = new_area(path, bottom + BELOW, title)?;
    let plane = Plane {
        x: Axis::linear(bars.iter().map(|bar| bar.high.max(bar.median))),
        y: Axis { log: false, low: 0.0, high: 1.0, ticks: Vec::new() },
        left: names + 20,
        right: WIDTH - figures - 20,
        top: 44,
        bottom,
    };
    plane.draw(&area, [unit, ""])?;
    for (bar, (label, row)) in bars.iter().zip(labels.into_iter().zip(0..)) {
        let y = plane.top + BAR_PIXELS * row + BAR_PIXELS / 2;
        let [low, median, high] = [bar.low, bar.median, bar.high].map(|value| plane.across(value));
        area.draw(&Rectangle::new([(plane.left, y - 10), (median, y + 10)], COLOURS[0].mix(0.75).filled()))?;
        for line in [[(low, y), (high, y)], [(low, y - 5), (low, y + 5)], [(high, y - 5), (high, y + 5)]] {
            area.draw(&PathElement::new(line, INK.stroke_width(2)))?;
        }
        area.draw(&Text::new(bar.name.clone(), (plane.left - 8, y), letters(LETTERS, HPos::Right)))?;
        area.draw(&Text::new(label, (median.max(high) + 8, y), letters(LETTERS, HPos::Left)))?;
    }
    Ok(area.present()?)
}

impl Bar {
    /// The middle one, and the others when there were more rounds than one.
    fn label(&self) -> String {
        let [low, median, high] = [self.low, self.median, self.high].map(figure);
        if low == median && median == high { median } else { format!("{median} ({low}–{high})") }
    }
}

/// Draws lines, with what they are above them.
pub(crate) fn lines(path: &Path, lines: &Lines<'_>) -> Outcome {
    let area = new_area(path, HEIGHT, lines.title)?;
    let shown = |point: &&(f64, f64)| (!lines.log_x || point.0 > 0.0) && (!lines.log_y || point.1 > 0.0);
    let points = || lines.series.iter().flat_map(|(_, points)| points).filter(shown);
    let plane = Plane {
        x: Axis::measured(points().map(|point| point.0), lines.log_x),
        y: Axis::upwards(points().map(|point| point.1), lines.log_y),
        left: 84,
        right: WIDTH - 30,
        top: 50 + draw_legend(&area, lines.series)?,
        bottom: HEIGHT - BELOW,
    };
    plane.draw(&area, [lines.x, lines.y])?;
    for (index, (_, points)) in lines.series.iter().enumerate() {
        let pixels: Vec<Pixel> =
            points.iter().filter(shown).map(|point| (plane.across(point.0), plane.up(point.1))).collect();
        let step = pixels.len().div_ceil(MARKS).max(1);
        area.draw(&PathElement::new(pixels.clone(), colour(index).stroke_width(2)))?;
        for pixel in pixels.into_iter().step_by(step) {
            area.draw(&mark(index, pixel))?;
        }
    }
    Ok(area.present()?)
}

/// Names of the lines, side by side, as many as there is room for, then below. Gives the pixels that they take.
fn draw_legend(area: &Area<'_>, series: &[(&str, Vec<(f64, f64)>)]) -> Outcome<i32> {
    const ROW: i32 = 22;
    let (mut x, mut y) = (84, 50);
    for (index, (name, _)) in series.iter().enumerate() {
        let wide = widest([*name]) + 54;
        if x > 84 && x + wide > WIDTH {
            (x, y) = (84, y + ROW);
        }
        area.draw(&PathElement::new([(x, y), (x + 28, y)], colour(index).stroke_width(2)))?;
        area.draw(&mark(index, (x + 14, y)))?;
        area.draw(&Text::new((*name).to_owned(), (x + 34, y), letters(LETTERS, HPos::Left)))?;
        x += wide;
    }
    Ok(y - 50 + ROW)
}

/// An empty picture with a title.
fn new_area<'a>(path: &'a Path, height: i32, title: &str) -> Outcome<Area<'a>> {
    let size = (u32::try_from(WIDTH)?, u32::try_from(height)?);
    let area = SVGBackend::new(path, size).into_drawing_area();
    area.fill(&WHITE)?;
    area.draw(&Text::new(title.to_owned(), (WIDTH / 2, 22), letters(TITLE, HPos::Center)))?;
    Ok(area)
}

/// Two axes, and where they are in the picture.
struct Plane {
    x: Axis,
    y: Axis,
    left: i32,
    right: i32,
    top: i32,
    bottom: i32,
}

impl Plane {
    /// Where a value is between left and right.
    fn across(&self, value: f64) -> i32 {
        self.x.between(self.x.place(value), self.left, self.right)
    }

    /// Where a value is between bottom and top.
    fn up(&self, value: f64) -> i32 {
        self.y.between(self.y.place(value), self.bottom, self.top)
    }

    /// Draws axes, ticks, and what they are.
    fn draw(&self, area: &Area<'_>, [about_x, about_y]: [&str; 2]) -> Outcome {
        let Self { left, right, top, bottom, .. } = *self;
        for tick in &self.x.ticks {
            let x = self.x.between(*tick, left, right);
            area.draw(&PathElement::new([(x, top), (x, bottom)], GRID))?;
            area.draw(&Text::new(self.x.label(*tick), (x, bottom + 14), letters(LETTERS, HPos::Center)))?;
        }
        for tick in &self.y.ticks {
            let y = self.y.between(*tick, bottom, top);
            area.draw(&PathElement::new([(left, y), (right, y)], GRID))?;
            area.draw(&Text::new(self.y.label(*tick), (left - 8, y), letters(LETTERS, HPos::Right)))?;
        }
        area.draw(&PathElement::new([(left, top), (left, bottom), (right, bottom)], INK))?;
        let below = (i32::midpoint(left, right), bottom + 38);
        area.draw(&Text::new(about_x.to_owned(), below, letters(LETTERS, HPos::Center)))?;
        let beside = (20, i32::midpoint(top, bottom));
        let upwards = letters(LETTERS, HPos::Center).transform(FontTransform::Rotate270);
        Ok(area.draw(&Text::new(about_y.to_owned(), beside, upwards))?)
    }
}

/// What an axis shows. Places on it are the values themselves, or else their logarithms to base 10.
struct Axis {
    log: bool,
    low: f64,
    high: f64,
    /// Places, too.
    ticks: Vec<f64>,
}

impl Axis {
    /// From 0 to a little more than the highest value, with round ticks.
    fn linear(values: impl Iterator<Item = f64>) -> Self {
        let highest = values.fold(0.0, f64::max);
        let highest = if highest > 0.0 { highest } else { 1.0 };
        let rough = highest / TICKS;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power).into_iter().find(|step| *step >= rough);
        let step = step.unwrap_or(rough);
        let high = (highest / step).ceil() * step;
        let ticks = std::iter::successors(Some(0.0), |tick| Some(tick + step));
        Self {
            log: false,
            low: 0.0,
            high,
            ticks: ticks.take_while(|tick| *tick < high + step / 2.0).collect(),
        }
    }

    /// From the lowest value to the highest, with a tick at each if they are few enough.
    fn measured(values: impl Iterator<Item = f64>, log: bool) -> Self {
        if !log {
            return Self::linear(values);
        }
        let mut places: Vec<f64> = values.map(f64::log10).collect();
        places.sort_unstable_by(f64::total_cmp);
        places.dedup_by(|one, other| (*one - *other).abs() < 1e-9);
        let (Some(low), Some(high)) = (places.first().copied(), places.last().copied()) else {
            return Self::decades(0.0, 1.0);
        };
        if places.len() > OWN_TICKS {
            return Self::decades(low, high);
        }
        Self { log, low: low - 0.05, high: high + 0.05, ticks: places }
    }

    /// With room for all values, and round ticks.
    fn upwards(values: impl Iterator<Item = f64>, log: bool) -> Self {
        if !log {
            return Self::linear(values);
        }
        let (low, high) = values
            .map(f64::log10)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), place| (low.min(place), high.max(place)));
        if low > high { Self::decades(0.0, 1.0) } else { Self::decades(low, high) }
    }

    /// A logarithmic axis with ticks at 1, 2 and 5 of each power of ten, or only at the powers when there are many.
    fn decades(low: f64, high: f64) -> Self {
        let digits: &[f64] = if high - low > 2.5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let powers = std::iter::successors(Some(low.floor()), |power| Some(power + 1.0));
        let ticks: Vec<f64> = powers
            .take_while(|power| *power <= high.ceil())
            .flat_map(|power| digits.iter().map(move |digit| power + digit.log10()))
            .collect();
        // From the last tick below to the first above.
        let below = ticks.iter().copied().rfind(|tick| *tick <= low + 1e-9).unwrap_or(low);
        let above = ticks.iter().copied().find(|tick| *tick >= high - 1e-9).unwrap_or(high);
        let above = if above > below { above } else { below + 1.0 };
        let ticks = ticks.into_iter().filter(|tick| (below..=above).contains(tick)).collect();
        Self { log: true, low: below, high: above, ticks }
    }

    fn place(&self, value: f64) -> f64 {
        if self.log { value.log10() } else { value }
    }

    /// The pixel of a place, when the axis goes from one to another.
    #[expect(clippy::cast_possible_truncation, reason = "within the picture, or cut off at its edge")]
    fn between(&self, place: f64, from: i32, to: i32) -> i32 {
        let share = ((place - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        (f64::from(from) + share * f64::from(to - from)).round() as i32
    }

    fn label(&self, place: f64) -> String {
        short(if self.log { 10_f64.powf(place) } else { place })
    }
}

fn colour(index: usize) -> RGBColor {
    COLOURS[index % COLOURS.len()]
}

/// The mark of a line.
fn mark<'a>(index: usize, at: Pixel) -> DynElement<'static, SVGBackend<'a>, Pixel> {
    let fill = colour(index).filled();
    match index % 4 {
        0 => Circle::new(at, 4, fill).into_dyn(),
        1 => TriangleMarker::new(at, 6, fill).into_dyn(),
        2 => Cross::new(at, 4, colour(index).stroke_width(2)).into_dyn(),
        _ => Circle::new(at, 4, colour(index).stroke_width(2)).into_dyn(),
    }
}

fn letters(size: i32, anchor: HPos) -> TextStyle<'static> {
    TextStyle::from(("sans-serif", size).into_font()).color(&INK).pos(Pos::new(anchor, VPos::Center))
}

/// Pixels that the longest of these takes, about.
fn widest<'a>(texts: impl IntoIterator<Item = &'a str>) -> i32 {
    let longest = texts.into_iter().map(|text| text.chars().count()).max().unwrap_or_default();
    i32::try_from(longest).unwrap_or(i32::MAX).saturating_mul(LETTER_PIXELS)
}

/// A figure as it stands beside a bar.
fn figure(value: f64) -> String {
    let decimals = if value >= 100.0 { 0 } else { usize::from(value < 10.0) + 1 };
    format!("{value:.decimals$}")
}

/// A figure as it stands at a tick: 2000000 is 2 M.
fn short(value: f64) -> String {
    let (value, unit) = match value.abs() {
        ..1e4 => (value, ""),
        ..1e6 => (value / 1e3, " k"),
        _ => (value / 1e6, " M"),
    };
    // Ticks are round, but for the last digits of a binary fraction.
    format!("{}{unit}", (value * 1e6).round() / 1e6)
}
