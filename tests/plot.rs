//! The pictures of the benchmarks, whose own targets have no tests: everything that a picture is given can be read in
//! it.

use std::error::Error;
use std::fs;

#[path = "../benches/support/plot.rs"]
mod plot;

use plot::{Bar, Lines};

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// What is written in a picture, a text after the other.
fn texts(svg: &str) -> Vec<&str> {
    let lines: Vec<&str> = svg.lines().collect();
    // The writer puts each text on a line of its own, behind the tag that opens it.
    lines.windows(2).filter(|pair| pair[0].starts_with("<text ")).map(|pair| pair[1]).collect()
}

#[test]
fn bars_say_what_they_are_and_how_far_the_rounds_lie_apart() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("bars.svg");
    let bar = |name: &str, low, median, high| Bar { name: name.to_owned(), low, median, high };
    let bars = [
        bar("redemptions, 256 in flight", 8411.0, 9835.0, 10800.0),
        bar("a GET and a conditional PUT for each", 3443.0, 3885.0, 4387.0),
        bar("one < another & more", 0.0, 0.0, 0.0),
    ];
    plot::bars(&path, "Redemptions", "redemptions/s", &bars)?;
    let svg = fs::read_to_string(&path)?;
    let texts = texts(&svg);
    for expected in [
        "Redemptions",
        "redemptions/s",
        "redemptions, 256 in flight",
        "9835 (8411–10800)",
        "one &lt; another &amp; more",
        "0.00",
        "10 k",
    ] {
        assert!(texts.contains(&expected), "{expected} is not in {texts:?}");
    }
    Ok(())
}

#[test]
fn lines_have_a_tick_for_each_measured_place() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("lines.svg");
    let line =
        |most: u32| (0..=10).map(|power| (f64::from(1_u32 << power), f64::from(most >> power))).collect();
    let series = [("embedded", line(20_000)), ("Elasticsearch", line(9_000)), ("nothing", Vec::new())];
    let (x, y) = ("requests in flight", "redemptions/s");
    plot::lines(&path, &Lines { title: "In flight", x, y, log_x: true, log_y: true, series: &series })?;
    let svg = fs::read_to_string(&path)?;
    let texts = texts(&svg);
    for expected in ["In flight", x, y, "embedded", "Elasticsearch", "nothing", "1", "2", "512", "1024"] {
        assert!(texts.contains(&expected), "{expected} is not in {texts:?}");
    }
    Ok(())
}

#[test]
fn a_picture_of_nothing_can_be_drawn() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("nothing.svg");
    plot::bars(&path, "Nothing", "/s", &[])?;
    for log in [false, true] {
        let series = [("zero", vec![(0.0, 0.0)])];
        plot::lines(
            &path,
            &Lines { title: "Nothing", x: "x", y: "y", log_x: log, log_y: log, series: &series },
        )?;
    }
    Ok(())
}
