//! Medians, tables, and the page that they go to.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tickey::environment::{Clock as _, SystemClock};

use super::Outcome;

/// The same figure from each round.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    /// Adds a round's.
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// The middle one, or 0 without any.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.as_slice() {
            [] => 0.0,
            sorted if sorted.len() % 2 == 1 => sorted[middle],
            sorted => f64::midpoint(sorted[middle - 1], sorted[middle]),
        }
    }

    /// The lowest and the highest.
    pub(crate) fn span(&self) -> (f64, f64) {
        let lowest = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        (lowest, self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max))
    }

    /// Each round's figure over the other's of the same round.
    pub(crate) fn over(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, other)| one / other).collect())
    }

    /// Median, lowest and highest, with so many decimals and a unit.
    pub(crate) fn show(&self, decimals: usize, unit: &str) -> String {
        let (lowest, highest) = self.span();
        format!("{:.decimals$}{unit} ({lowest:.decimals$}–{highest:.decimals$})", self.median())
    }

    /// The same of a share, in percent.
    pub(crate) fn show_percent(&self) -> String {
        Self(self.0.iter().map(|share| share * 100.0).collect()).show(1, " %")
    }
}

/// A figure, and how far it should come.
#[derive(Clone)]
pub(crate) struct Row {
    what: String,
    figure: String,
    bar: String,
}

impl Row {
    /// A figure to know.
    pub(crate) fn plain(what: impl Into<String>, figure: impl Into<String>) -> Self {
        Self { what: what.into(), figure: figure.into(), bar: String::new() }
    }

    /// A figure with a bar, and whether it is met.
    pub(crate) fn with_bar(what: impl Into<String>, figure: impl Into<String>, bar: &str, met: bool) -> Self {
        let verdict = if met { "met" } else { "**missed**" };
        Self { what: what.into(), figure: figure.into(), bar: format!("{bar}: {verdict}") }
    }
}

impl fmt::Display for Row {
    /// For whoever waits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.what, self.figure, self.bar)
    }
}

/// What belongs together.
pub(crate) struct Section {
    /// In a few words.
    pub(crate) title: &'static str,
    /// What each side does and does not do.
    pub(crate) about: String,
    /// The figures.
    pub(crate) rows: Vec<Row>,
}

impl fmt::Display for Section {
    /// As Markdown, aligned so that it can be read as it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## {}\n\n{}\n", self.title, self.about)?;
        let rows: Vec<[&str; 3]> =
            self.rows.iter().map(|row| [&row.what, &row.figure, &row.bar].map(String::as_str)).collect();
        f.write_str(&table(["what", "median (lowest–highest)", "bar"], &rows))
    }
}

/// Cells below a head, as Markdown, aligned so that it can be read as it is.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: &[[impl AsRef<str>; N]]) -> String {
    let rows: Vec<[&str; N]> = rows.iter().map(|row| row.each_ref().map(AsRef::as_ref)).collect();
    let mut widths = head.map(|cell| cell.chars().count());
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |cells: [&str; N], fill: char| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| {
            let missing = width - cell.chars().count();
            format!("{fill}{cell}{}{fill}", fill.to_string().repeat(missing))
        });
        format!("|{}|\n", padded.collect::<Vec<_>>().join("|"))
    };
    let head = line(head, ' ') + &line([""; N], '-');
    rows.into_iter().fold(head, |text, row| text + &line(row, ' '))
}

/// What was measured on, with which engine, and how, as Markdown.
pub(crate) fn machine(engine: &str, run: &str) -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu_info = read("/proc/cpuinfo");
    let model = cpu_info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown", |model| model.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = read("/proc/meminfo");
    let memory = memory.lines().next().unwrap_or_default().trim_start_matches("MemTotal:").trim();
    let rustc = Command::new("rustc").arg("--version").output();
    let rustc =
        rustc.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let profile = if cfg!(debug_assertions) { "dev" } else { "bench" };
    format!(
        "## Machine and run\n\n\
         - {cores} × {model}, {memory} of memory, Linux {}\n\
         - {rustc}, profile `{profile}`; {engine}; tickey {}\n\
         - {}; {run}\n\
         - load average at the end: {}\n",
        read("/proc/sys/kernel/osrelease").trim(),
        env!("CARGO_PKG_VERSION"),
        SystemClock.now(),
        read("/proc/loadavg").trim(),
    )
}

/// Writes a page of the documentation, which begins with a preamble.
pub(crate) fn write_page(
    name: &str,
    preamble: &str,
    machine: &str,
    sections: &[impl fmt::Display],
) -> Outcome {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    let mut page = format!("{preamble}\n{machine}");
    for section in sections {
        page.push('\n');
        page.push_str(&section.to_string());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(path, page)?)
}

/// A time in milliseconds.
pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
