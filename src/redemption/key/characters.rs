//! The meaning of each character of a typed key: one table, for the server and for the form's script alike.
//!
//! `static/tickey.js` holds the same four lists; a test compares both over every character of Unicode. The lists are
//! fixed and not taken from a Unicode library, since browsers and servers know different versions of Unicode. Pure data
//! and its look-up: knows symbols, and nothing of keys.

use std::cmp::Ordering;

use super::alphabet::ALPHABET;

/// The meaning of one character of a typed key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// A symbol, by its value.
    Symbol(u8),
    /// Skipped.
    Separator,
    /// Skipped before the first symbol and after the last; invalid between them.
    Around,
    /// Invalid in a key.
    Foreign,
}

/// The meaning of a character.
pub(super) fn read(character: char) -> Read {
    if let Some(read) = ASCII.get(character as usize) {
        return *read;
    }
    let point = u32::from(character);
    if is_in(SEPARATORS, point) {
        Read::Separator
    } else if is_in(AROUND, point) {
        Read::Around
    } else {
        as_ascii(point).map_or(Read::Foreign, |ascii| ASCII[usize::from(ascii)])
    }
}

/// Whether a character is a letter of the Latin script. Next to a key, such a letter belongs to the same word.
pub(super) fn is_latin_letter(character: char) -> bool {
    /// The first code point after the Latin blocks of European languages.
    const LATIN_END: u32 = 0x250;
    let point = u32::from(character);
    if point < LATIN_END {
        return character.is_alphabetic();
    }
    as_ascii(point).is_some_and(|ascii| ascii.is_ascii_alphabetic())
}

/// The meaning of the ASCII characters, of which nearly all keys consist.
const ASCII: [Read; 128] = ascii();

const fn ascii() -> [Read; 128] {
    let mut table = [Read::Foreign; 128];
    mark(&mut table, SEPARATORS, Read::Separator);
    mark(&mut table, AROUND, Read::Around);
    let mut value = 0;
    while value < ALPHABET.len() {
        #[expect(clippy::cast_possible_truncation, reason = "a position in an alphabet of 32")]
        let symbol = Read::Symbol(value as u8);
        table[ALPHABET[value] as usize] = symbol;
        table[ALPHABET[value].to_ascii_lowercase() as usize] = symbol;
        value += 1;
    }
    table[b'O' as usize] = Read::Symbol(0);
    table[b'o' as usize] = Read::Symbol(0);
    table[b'I' as usize] = Read::Symbol(1);
    table[b'i' as usize] = Read::Symbol(1);
    table[b'L' as usize] = Read::Symbol(1);
    table[b'l' as usize] = Read::Symbol(1);
    table
}

const fn mark(table: &mut [Read; 128], ranges: &[(u32, u32)], read: Read) {
    let mut index = 0;
    while index < ranges.len() {
        let (mut point, last) = ranges[index];
        while point <= last && (point as usize) < table.len() {
            table[point as usize] = read;
            point += 1;
        }
        index += 1;
    }
}

/// Whether one of the sorted ranges holds a code point.
fn is_in(ranges: &[(u32, u32)], point: u32) -> bool {
    ranges.binary_search_by(|(first, last)| position(*first, *last, point)).is_ok()
}

/// The ASCII character of which this code point is another form.
fn as_ascii(point: u32) -> Option<u8> {
    let digit = ZEROS.binary_search_by(|zero| position(*zero, zero + 9, point));
    let (first, ascii) = if let Ok(index) = digit {
        (ZEROS[index], b'0')
    } else {
        let form = FORMS.binary_search_by(|(first, last, _)| position(*first, *last, point)).ok()?;
        (FORMS[form].0, FORMS[form].2)
    };
    u8::try_from(point - first).ok().map(|offset| ascii + offset)
}

/// The position of a range relative to a code point.
fn position(first: u32, last: u32, point: u32) -> Ordering {
    if last < point {
        Ordering::Less
    } else if first > point {
        Ordering::Greater
    } else {
        Ordering::Equal
    }
}

/// Skipped everywhere; first and last of each range: white space, characters without a glyph, dashes, middle dots,
/// bullets, and the full stops that keyboards of any language insert for two spaces.
#[rustfmt::skip]
const SEPARATORS: &[(u32, u32)] = &[
    (0x01, 0x08), // control characters, which PDF viewers put for hyphens; without NUL, which only a fault brings
    (0x09, 0x0D), // tab and line ends
    (0x0E, 0x1F), // control characters
    (0x20, 0x20), // space
    (0x2D, 0x2E), // hyphen-minus and full stop
    (0x7F, 0xA0), // delete, C1 control characters, no-break space
    (0xAD, 0xAD), // soft hyphen
    (0xB7, 0xB7), // middle dot
    (0x02D7, 0x02D7), // modifier letter minus sign
    (0x034F, 0x034F), // combining grapheme joiner
    (0x0387, 0x0387), // Greek ano teleia
    (0x0589, 0x058A), // Armenian full stop and hyphen
    (0x05BE, 0x05BE), // Hebrew maqaf
    (0x061C, 0x061C), // Arabic letter mark
    (0x06D4, 0x06D4), // Arabic full stop
    (0x0701, 0x0702), // Syriac full stops
    (0x0964, 0x0965), // Devanagari dandas
    (0x104A, 0x104B), // Myanmar full stops
    (0x115F, 0x1160), // Hangul fillers
    (0x1362, 0x1362), // Ethiopic full stop
    (0x1400, 0x1400), // Canadian syllabics hyphen
    (0x166E, 0x166E), // Canadian syllabics full stop
    (0x1680, 0x1680), // Ogham space mark
    (0x17B4, 0x17B5), // Khmer inherent vowels
    (0x17D4, 0x17D5), // Khmer full stops
    (0x1803, 0x1803), // Mongolian full stop
    (0x1806, 0x1806), // Mongolian soft hyphen
    (0x1809, 0x1809), // Manchu full stop
    (0x180B, 0x180F), // Mongolian variation selectors and vowel separator
    (0x2000, 0x2015), // spaces, marks of joining and direction, hyphens and dashes
    (0x2022, 0x202F), // bullets, dot leaders, line separators, marks of direction, narrow no-break space
    (0x2043, 0x2043), // hyphen bullet
    (0x204C, 0x204D), // black bullets
    (0x2053, 0x2053), // swung dash
    (0x205F, 0x206F), // mathematical space, word joiner, invisible operators, isolates
    (0x207B, 0x207B), // superscript minus
    (0x208B, 0x208B), // subscript minus
    (0x2212, 0x2212), // minus sign
    (0x2219, 0x2219), // bullet operator
    (0x22C5, 0x22C5), // dot operator
    (0x2500, 0x2501), // box drawings that serve as dashes
    (0x25A0, 0x25A1), // square bullets
    (0x25AA, 0x25AB), // small square bullets
    (0x25CB, 0x25CB), // white circle
    (0x25CF, 0x25CF), // black circle
    (0x25E6, 0x25E6), // white bullet
    (0x2796, 0x2796), // heavy minus sign, as emoji keyboards have it
    (0x2800, 0x2800), // braille blank
    (0x2981, 0x2981), // Z notation spot
    (0x2E17, 0x2E17), // oblique hyphen
    (0x2E1A, 0x2E1A), // hyphen with diaeresis
    (0x2E31, 0x2E31), // word separator middle dot
    (0x2E33, 0x2E33), // raised dot
    (0x2E3A, 0x2E3C), // long dashes, stenographic full stop
    (0x2E40, 0x2E40), // double hyphen
    (0x2E5D, 0x2E5D), // oblique hyphen
    (0x3000, 0x3000), // ideographic space
    (0x3002, 0x3002), // ideographic full stop
    (0x301C, 0x301C), // wave dash
    (0x3030, 0x3030), // wavy dash
    (0x30A0, 0x30A0), // Katakana double hyphen
    (0x30FB, 0x30FC), // Katakana middle dot; long vowel mark, which Japanese keyboards have for the hyphen
    (0x3164, 0x3164), // Hangul filler
    (0xA4FF, 0xA4FF), // Lisu full stop
    (0xA60E, 0xA60E), // Vai full stop
    (0xA6F3, 0xA6F3), // Bamum full stop
    (0xFE00, 0xFE0F), // variation selectors
    (0xFE12, 0xFE12), // vertical ideographic full stop
    (0xFE31, 0xFE32), // vertical dashes
    (0xFE52, 0xFE52), // small full stop
    (0xFE58, 0xFE58), // small em dash
    (0xFE63, 0xFE63), // small hyphen-minus
    (0xFEFF, 0xFEFF), // byte order mark
    (0xFF61, 0xFF61), // half-width ideographic full stop
    (0xFF65, 0xFF65), // half-width Katakana middle dot
    (0xFF70, 0xFF70), // half-width long vowel mark
    (0xFFA0, 0xFFA0), // half-width Hangul filler
    (0xFFF0, 0xFFFC), // unassigned and ignorable, annotation marks, object replacement character
    (0x10D6E, 0x10D6E), // Garay hyphen
    (0x10EAD, 0x10EAD), // Yezidi hyphenation mark
    (0x1BCA0, 0x1BCA3), // shorthand format controls
    (0x1D173, 0x1D17A), // musical format controls
    (0xE0000, 0xE0FFF), // tags, variation selectors, and what else is ignorable here
];

/// Skipped around a key: quotation marks and brackets of every script, and the characters with which chats format text.
#[rustfmt::skip]
const AROUND: &[(u32, u32)] = &[
    (0x22, 0x22), // quotation mark
    (0x27, 0x2A), // apostrophe, parentheses, and the asterisk of bold in chats
    (0x3C, 0x3C), // less-than sign
    (0x3E, 0x3E), // greater-than sign
    (0x5B, 0x5B), // left bracket
    (0x5D, 0x5D), // right bracket
    (0x5F, 0x60), // low line of italics in chats, grave accent of code
    (0x7B, 0x7E), // braces, the bars of spoilers and tildes of struck-out text in chats
    (0xAB, 0xAB), // «
    (0xB4, 0xB4), // acute accent
    (0xBB, 0xBB), // »
    (0x02B9, 0x02BC), // modifier letters that serve as quotation marks
    (0x2018, 0x201F), // ‘ ’ ‚ ‛ “ ” „ ‟
    (0x2032, 0x2037), // primes
    (0x2039, 0x203A), // ‹ ›
    (0x275B, 0x2760), // ornaments
    (0x276E, 0x276F), // ornaments
    (0x27E8, 0x27EB), // mathematical brackets
    (0x2E02, 0x2E0D), // editorial brackets
    (0x2E1C, 0x2E1D), // paraphrase brackets
    (0x2E20, 0x2E21), // vertical bars with quill
    (0x2E42, 0x2E42), // double low-reversed-9
    (0x3008, 0x3011), // 〈 〉 《 》 「 」 『 』 【 】
    (0x3014, 0x301B), // tortoise-shell and white brackets
    (0x301D, 0x301F), // 〝 〞 〟
    (0xFE35, 0xFE44), // vertical brackets
    (0xFE47, 0xFE48), // vertical square brackets
    (0xFE59, 0xFE5E), // small brackets
    (0xFF5F, 0xFF60), // full-width white parentheses
    (0xFF62, 0xFF63), // ｢ ｣
    (0x1F676, 0x1F678), // ornaments
];

/// The zeros of the decimal digits of every script (Unicode 17, category Nd); the nine other digits follow each.
/// Full-width digits are among [`FORMS`].
#[rustfmt::skip]
const ZEROS: &[u32] = &[
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66,
    0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90,
    0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0x104A0,
    0x10D30, 0x10D40, 0x11066, 0x110F0, 0x11136, 0x111D0, 0x112F0, 0x11450, 0x114D0, 0x11650, 0x116C0, 0x116D0,
    0x116DA, 0x11730, 0x118E0, 0x11950, 0x11BF0, 0x11C50, 0x11D50, 0x11DA0, 0x11DE0, 0x11F50, 0x16A60, 0x16AC0,
    0x16B50, 0x1CCF0, 0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6, 0x1E140, 0x1E2F0, 0x1E4F0, 0x1E5F1, 0x1E950,
    0x1FBF0,
];

/// Forms of ASCII characters that differ only in appearance: first and last of each range, and the ASCII character of
/// the first. These are the full-width forms, and the letters with a font of their own (Unicode decomposition
/// `<font>`), which chats offer as bold or script. Superscripts and circled forms are left out: they number footnotes.
#[rustfmt::skip]
const FORMS: &[(u32, u32, u8)] = &[
    (0x2102, 0x2102, b'C'), (0x210A, 0x210A, b'g'), (0x210B, 0x210B, b'H'), (0x210C, 0x210C, b'H'),
    (0x210D, 0x210D, b'H'), (0x210E, 0x210E, b'h'), (0x2110, 0x2110, b'I'), (0x2111, 0x2111, b'I'),
    (0x2112, 0x2112, b'L'), (0x2113, 0x2113, b'l'), (0x2115, 0x2115, b'N'), (0x2119, 0x211B, b'P'),
    (0x211C, 0x211C, b'R'), (0x211D, 0x211D, b'R'), (0x2124, 0x2124, b'Z'), (0x2128, 0x2128, b'Z'),
    (0x212C, 0x212D, b'B'), (0x212F, 0x212F, b'e'), (0x2130, 0x2131, b'E'), (0x2133, 0x2133, b'M'),
    (0x2134, 0x2134, b'o'), (0x2139, 0x2139, b'i'), (0x2145, 0x2145, b'D'), (0x2146, 0x2147, b'd'),
    (0x2148, 0x2149, b'i'), (0xFF01, 0xFF5E, b'!'), (0x1CCD6, 0x1CCEF, b'A'), (0x1D400, 0x1D419, b'A'),
    (0x1D41A, 0x1D433, b'a'), (0x1D434, 0x1D44D, b'A'), (0x1D44E, 0x1D454, b'a'), (0x1D456, 0x1D467, b'i'),
    (0x1D468, 0x1D481, b'A'), (0x1D482, 0x1D49B, b'a'), (0x1D49C, 0x1D49C, b'A'), (0x1D49E, 0x1D49F, b'C'),
    (0x1D4A2, 0x1D4A2, b'G'), (0x1D4A5, 0x1D4A6, b'J'), (0x1D4A9, 0x1D4AC, b'N'), (0x1D4AE, 0x1D4B5, b'S'),
    (0x1D4B6, 0x1D4B9, b'a'), (0x1D4BB, 0x1D4BB, b'f'), (0x1D4BD, 0x1D4C3, b'h'), (0x1D4C5, 0x1D4CF, b'p'),
    (0x1D4D0, 0x1D4E9, b'A'), (0x1D4EA, 0x1D503, b'a'), (0x1D504, 0x1D505, b'A'), (0x1D507, 0x1D50A, b'D'),
    (0x1D50D, 0x1D514, b'J'), (0x1D516, 0x1D51C, b'S'), (0x1D51E, 0x1D537, b'a'), (0x1D538, 0x1D539, b'A'),
    (0x1D53B, 0x1D53E, b'D'), (0x1D540, 0x1D544, b'I'), (0x1D546, 0x1D546, b'O'), (0x1D54A, 0x1D550, b'S'),
    (0x1D552, 0x1D56B, b'a'), (0x1D56C, 0x1D585, b'A'), (0x1D586, 0x1D59F, b'a'), (0x1D5A0, 0x1D5B9, b'A'),
    (0x1D5BA, 0x1D5D3, b'a'), (0x1D5D4, 0x1D5ED, b'A'), (0x1D5EE, 0x1D607, b'a'), (0x1D608, 0x1D621, b'A'),
    (0x1D622, 0x1D63B, b'a'), (0x1D63C, 0x1D655, b'A'), (0x1D656, 0x1D66F, b'a'), (0x1D670, 0x1D689, b'A'),
    (0x1D68A, 0x1D6A3, b'a'),
];

#[cfg(test)]
mod tests;
