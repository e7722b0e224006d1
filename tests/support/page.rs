//! Just enough HTML to fill in a form and to read a page like a person.

use std::collections::BTreeMap;

/// A page that came from the server.
pub(crate) struct Page(String);

/// A tag's name in lower case and its attributes.
type Tag = (String, BTreeMap<String, String>);

impl Page {
    pub(crate) fn new(html: &str) -> Self {
        Self(html.to_owned())
    }

    /// The attributes of every tag of this name.
    pub(crate) fn tags(&self, name: &str) -> Vec<BTreeMap<String, String>> {
        self.pieces()
            .filter_map(|(tag, _)| tag)
            .filter(|(tag, _)| tag == name)
            .map(|(_, attributes)| attributes)
            .collect()
    }

    /// The name and value of every hidden field.
    pub(crate) fn hidden_fields(&self) -> Vec<(String, String)> {
        self.tags("input")
            .into_iter()
            .filter(|input| input.get("type").is_some_and(|kind| kind == "hidden"))
            .filter_map(|mut input| Some((input.remove("name")?, input.remove("value").unwrap_or_default())))
            .collect()
    }

    /// Whether there is a form that posts to `/redemptions` and has a field for the key.
    pub(crate) fn has_redemption_form(&self) -> bool {
        let posts = self.tags("form").iter().any(|form| {
            form.get("method").is_some_and(|method| method.eq_ignore_ascii_case("post"))
                && form.get("action").is_some_and(|action| action.ends_with("/redemptions"))
        });
        posts && self.tags("input").iter().any(|input| input.get("name").is_some_and(|name| name == "key"))
    }

    /// Where every link of the page goes.
    pub(crate) fn links(&self) -> Vec<String> {
        self.tags("a").into_iter().filter_map(|mut anchor| anchor.remove("href")).collect()
    }

    /// What a person can read: the text between the tags, less styles and scripts, with single spaces.
    pub(crate) fn visible_text(&self) -> String {
        let mut hidden = false;
        let mut text = String::new();
        for (tag, following) in self.pieces() {
            match tag.as_ref().map(|(name, _)| name.as_str()) {
                Some("style" | "script" | "template") => hidden = true,
                Some("/style" | "/script" | "/template") => hidden = false,
                _ => {}
            }
            if !hidden {
                text.push(' ');
                text.push_str(&unescape(following));
            }
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The page cut at its tags: each tag with the text that follows it.
    fn pieces(&self) -> impl Iterator<Item = (Option<Tag>, &str)> {
        self.0.split('<').map(|piece| match piece.split_once('>') {
            Some((tag, text)) => (Some(read_tag(tag)), text),
            None => (None, piece),
        })
    }
}

fn read_tag(text: &str) -> Tag {
    let (name, mut rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let mut attributes = BTreeMap::new();
    while let Some((name, value, after)) = read_attribute(rest) {
        attributes.insert(name, value);
        rest = after;
    }
    (name.to_lowercase(), attributes)
}

fn read_attribute(text: &str) -> Option<(String, String, &str)> {
    let text = text.trim_start_matches(|character: char| character.is_whitespace() || character == '/');
    if text.is_empty() {
        return None;
    }
    let end =
        text.find(|character: char| character.is_whitespace() || character == '=').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let Some(value) = rest.strip_prefix('=') else {
        return Some((name.to_lowercase(), String::new(), rest));
    };
    let (value, rest) = match value.chars().next() {
        Some(quote @ ('"' | '\'')) => value[1..].split_once(quote)?,
        _ => value.split_once(char::is_whitespace).unwrap_or((value, "")),
    };
    Some((name.to_lowercase(), unescape(value), rest))
}

/// Replaces the character references that a template engine makes.
pub(crate) fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, reference)) = rest.split_once('&') {
        plain.push_str(before);
        let decoded = reference.split_once(';').and_then(|(name, after)| Some((character(name)?, after)));
        if let Some((character, after)) = decoded {
            plain.push(character);
            rest = after;
        } else {
            plain.push('&');
            rest = reference;
        }
    }
    plain.push_str(rest);
    plain
}

fn character(reference: &str) -> Option<char> {
    let code = match reference {
        "amp" => return Some('&'),
        "lt" => return Some('<'),
        "gt" => return Some('>'),
        "quot" => return Some('"'),
        "nbsp" => return Some(' '),
        _ => reference.strip_prefix('#')?,
    };
    match code.strip_prefix(['x', 'X']) {
        Some(hexadecimal) => char::from_u32(u32::from_str_radix(hexadecimal, 16).ok()?),
        None => char::from_u32(code.parse().ok()?),
    }
}
