//! What a subject has found on one store, and how what it has found on all of them becomes a section with pictures.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::super::Options;
use super::super::support::Outcome;
use super::super::support::plot::{self, Lines};
use super::super::support::report::{Row, Section};
use super::ground::Site;

/// Where pictures are, seen from the pages.
const FOLDER: &str = "benchmarks";

/// A subject.
pub(crate) struct Topic {
    /// In a few words.
    pub(crate) title: &'static str,
    /// What was done.
    pub(crate) about: fn(&Options) -> String,
    /// What is shown as pictures.
    pub(crate) pictures: &'static [Picture],
    /// Measures it on one store.
    pub(crate) measure: fn(&Site<'_>) -> Outcome<Findings>,
}

/// What a picture shows.
pub(crate) struct Picture {
    /// The name of its file, without the ending.
    pub(crate) file: &'static str,
    /// Above it.
    title: &'static str,
    /// From left to right.
    x: &'static str,
    /// Upwards.
    y: &'static str,
    /// Whether `x` is logarithmic.
    log_x: bool,
    /// Whether `y` is.
    log_y: bool,
}

impl Picture {
    /// A picture with axes that begin at 0.
    pub(crate) const fn new(file: &'static str, title: &'static str, [x, y]: [&'static str; 2]) -> Self {
        Self { file, title, x, y, log_x: false, log_y: false }
    }

    /// The same with a logarithmic axis from left to right.
    pub(crate) const fn log_x(self) -> Self {
        Self { log_x: true, ..self }
    }

    /// The same with a logarithmic axis upwards.
    pub(crate) const fn log_y(self) -> Self {
        Self { log_y: true, ..self }
    }
}

/// What a subject has found on one store.
#[derive(Default)]
pub(crate) struct Findings {
    /// For the table.
    pub(crate) rows: Vec<Row>,
    /// For the pictures.
    pub(crate) curves: Vec<Curve>,
}

/// A line of a picture.
pub(crate) struct Curve {
    /// The picture's file.
    pub(crate) picture: &'static str,
    /// What it is.
    pub(crate) name: String,
    /// From left to right.
    pub(crate) points: Vec<(f64, f64)>,
}

impl Topic {
    /// A section about it, unless nothing was found. Draws its pictures.
    pub(crate) fn section(
        self,
        options: &Options,
        found: &[&Findings],
        docs: &Path,
    ) -> Outcome<Option<Section>> {
        let mut about = (self.about)(options);
        for picture in self.pictures {
            let curves = found.iter().flat_map(|findings| &findings.curves);
            let series: Vec<(&str, Vec<(f64, f64)>)> = curves
                .filter(|curve| curve.picture == picture.file)
                .map(|curve| (curve.name.as_str(), curve.points.clone()))
                .collect();
            if series.is_empty() {
                continue;
            }
            fs::create_dir_all(docs.join(FOLDER))?;
            let file = format!("{FOLDER}/{}.svg", picture.file);
            let Picture { title, x, y, log_x, log_y, .. } = *picture;
            plot::lines(&docs.join(&file), &Lines { title, x, y, log_x, log_y, series: &series })?;
            write!(about, "\n\n![{title}: {y} by {x}]({file})")?;
        }
        let rows: Vec<Row> = found.iter().flat_map(|findings| findings.rows.iter().cloned()).collect();
        Ok((!rows.is_empty()).then_some(Section { title: self.title, about, rows }))
    }
}
