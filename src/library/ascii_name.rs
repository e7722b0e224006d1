//! ASCII names for files whose own names old programs such as `curl -OJ` cannot use.
//!
//! Pure: takes the file names of an album and returns a name for each. Each is a valid file name on every system. No
//! two names of an album are equal, regardless of case, so that saving all files overwrites none.

use std::collections::HashSet;

use any_ascii::any_ascii_char;

/// The longest name, in bytes: the limit of Linux, macOS and Windows.
const MAX_BYTES: usize = 255;
/// The longest text that counts as an extension, in bytes, with its dot.
const MAX_EXTENSION_BYTES: usize = 16;
/// The name of a file when no character of its own name is left.
const NAMELESS: &str = "file";
/// Device names of Windows, with any extension.
const DEVICES: [&str; 4] = ["CON", "PRN", "AUX", "NUL"];

/// An ASCII name for each file of an album, in order. Names that are already suitable are kept.
pub(super) fn ascii_names(names: &[&str]) -> Vec<String> {
    let plain: Vec<String> = names.iter().map(|name| portable(name)).collect();
    let mut taken = HashSet::new();
    let mut chosen: Vec<Option<String>> = names
        .iter()
        .zip(&plain)
        .map(|(name, plain)| {
            (*name == plain && taken.insert(plain.to_ascii_lowercase())).then(|| plain.clone())
        })
        .collect();
    for (chosen, plain) in chosen.iter_mut().zip(plain) {
        if chosen.is_none() {
            *chosen = Some(unused(plain, &mut taken));
        }
    }
    chosen.into_iter().flatten().collect()
}

/// The name, with a number if it is taken.
fn unused(name: String, taken: &mut HashSet<String>) -> String {
    if taken.insert(name.to_ascii_lowercase()) {
        return name;
    }
    let (stem, extension) = split(&name);
    let numbered = (2_u32..).map(|number| {
        let end = format!("-{number}{extension}");
        let room = MAX_BYTES - end.len();
        format!("{}{end}", &stem[..stem.len().min(room)])
    });
    let mut free = numbered.filter(|name| taken.insert(name.to_ascii_lowercase()));
    // There are more numbers than names.
    free.next().unwrap_or(name)
}

/// An ASCII name that is valid on every system.
fn portable(name: &str) -> String {
    let (stem, extension) = split(name);
    let extension = ascii(extension);
    let extension = extension.trim_end_matches(['.', ' ']);
    let stem = ascii(stem);
    // A leading dot hides a file. Windows drops dots and spaces at the end.
    let stem = stem.trim_start_matches(['.', ' ']);
    let stem = if stem.trim_end_matches(['.', ' ']).is_empty() { NAMELESS } else { stem };
    let mark = if is_device(stem) { "_" } else { "" };
    let room = MAX_BYTES.saturating_sub(mark.len() + extension.len());
    let name = format!("{mark}{}{extension}", &stem[..stem.len().min(room)]);
    name.trim_end_matches(['.', ' ']).to_owned()
}

/// Splits a name into the stem and the extension with its dot.
fn split(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= MAX_EXTENSION_BYTES => name.split_at(dot),
        _ => (name, ""),
    }
}

/// The text in ASCII, without characters that are forbidden in a quoted header or in a name on Windows.
fn ascii(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        let own;
        let ascii = if character.is_ascii() {
            own = [u8::try_from(character).unwrap_or(b'_')];
            str::from_utf8(&own).unwrap_or("_")
        } else {
            any_ascii_char(character)
        };
        plain.extend(ascii.chars().map(|c| match c {
            '"' | '%' | '*' | '/' | ':' | '<' | '>' | '?' | '\\' | '|' | '\0'..='\u{1F}' | '\u{7F}' => '_',
            c => c,
        }));
    }
    plain
}

/// Whether Windows would treat a file of this name as a device.
fn is_device(stem: &str) -> bool {
    let first = stem.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    let is_port = |prefix: &str| {
        first
            .strip_prefix(prefix)
            .is_some_and(|number| number.len() == 1 && number.as_bytes()[0].is_ascii_digit())
    };
    DEVICES.contains(&first.as_str()) || is_port("COM") || is_port("LPT")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(name: &str) -> String {
        ascii_names(&[name]).remove(0)
    }

    #[test]
    fn a_name_in_ascii_stays_as_it_is() {
        for name in ["01 Casting Off.flac", "cover.png", "a (live) [2026]; take 2.mp3", "notes", "x.y.z"] {
            assert_eq!(one(name), name);
        }
    }

    #[test]
    fn other_letters_are_transliterated() {
        for (name, ascii) in [
            ("01 Für Élise.flac", "01 Fur Elise.flac"),
            ("01 Fu\u{308}r E\u{301}lise.flac", "01 Fur Elise.flac"),
            ("Straße.mp3", "Strasse.mp3"),
            ("夜.flac", "Ye.flac"),
            ("さくら.flac", "sakura.flac"),
            ("Москва.flac", "Moskva.flac"),
            ("“Noir” — 100%.flac", "_Noir_ - 100_.flac"),
        ] {
            assert_eq!(one(name), ascii, "{name}");
        }
    }

    #[test]
    fn every_system_takes_the_name() {
        for (name, ascii) in [
            ("CON.flac", "_CON.flac"),
            ("nul", "_nul"),
            ("com1.tar.gz", "_com1.tar.gz"),
            ("Compère.flac", "Compere.flac"),
            ("a<b>c:d|e?f*g.txt", "a_b_c_d_e_f_g.txt"),
            ("….flac", "file.flac"),
            ("name. ", "name"),
            ("\u{E000}", "file"),
        ] {
            assert_eq!(one(name), ascii, "{name}");
        }
        let long = one(&format!("{}.flac", "夜".repeat(83)));
        assert!(long.len() <= MAX_BYTES && long.strip_suffix(".flac").is_some(), "{long}");
    }

    #[test]
    fn names_of_an_album_differ_whatever_the_case_and_fit_ones_are_kept() {
        let names = ["夜.flac", "ye.flac", "YÉ.flac", "yé.flac", "Ye-2.flac", "也.flac"];
        assert_eq!(
            ascii_names(&names),
            ["Ye-3.flac", "ye.flac", "YE-4.flac", "ye-5.flac", "Ye-2.flac", "Ye-6.flac"]
        );
        let long = "é".repeat(127);
        let both = ascii_names(&[&long, &format!("{}e", "é".repeat(126))]);
        assert_ne!(both[0], both[1]);
    }

    proptest! {
        #[test]
        fn any_names_have_safe_and_different_ones(
            names in prop::collection::hash_set("[^./\\\\\\pC]\\PC{0,40}", 1..20),
        ) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let ascii = ascii_names(&names);
            prop_assert_eq!(ascii.len(), names.len());
            let different: HashSet<String> = ascii.iter().map(|name| name.to_ascii_lowercase()).collect();
            prop_assert_eq!(different.len(), names.len());
            for name in ascii {
                prop_assert!((1..=MAX_BYTES).contains(&name.len()));
                prop_assert!(!name.starts_with('.') && !name.ends_with(['.', ' ']), "{}", name);
                let is_safe = |byte| matches!(byte, b' '..=b'~') && !b"\"%*/:<>?\\|".contains(&byte);
                prop_assert!(name.bytes().all(is_safe), "{}", name);
            }
        }
    }
}
