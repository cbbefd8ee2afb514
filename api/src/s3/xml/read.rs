//! Reading documents: strict about what is well-formed, tolerant about everything else.
//!
//! Any prefix and namespace, any order, unknown elements, attributes and comments are accepted, because clients send
//! them. A document type is not: there is nothing to gain from entities and much to lose.

use quick_xml::{Reader, events::Event};

use crate::s3::error::{Code, S3Error};

/// Largest document in bytes that any operation takes: 10,000 parts with a SHA-512 each have about 2.5 MB.
pub const DOCUMENT_BYTES_MAX: usize = 4 << 20;

/// Elements in one document at most: 10,000 parts of four members have 50,001.
const ELEMENTS_MAX: usize = 100_000;

/// How deep elements may lie in each other; the deepest of S3 has seven levels.
const DEPTH_MAX: usize = 16;

/// One element of a document that was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Its name without prefix.
    pub name: String,
    /// Its own text with all references resolved, never trimmed; that of its children is theirs.
    pub text: String,
    /// The elements in it.
    pub children: Vec<Element>,
}

impl Element {
    /// The first child of that name.
    #[must_use]
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first child of that name.
    #[must_use]
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// All children of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

/// Reads a document whose root element has this name.
///
/// # Errors
/// [`Code::MalformedXml`] if it is not well-formed UTF-8, has a document type, another root, or is over a limit.
pub fn parse(document: &[u8], root: &str) -> Result<Element, S3Error> {
    let text = std::str::from_utf8(document).map_err(|_| malformed())?;
    let found = tree(text.trim_start_matches('\u{feff}')).ok_or_else(malformed)?;
    if found.name == root {
        Ok(found)
    } else {
        Err(malformed())
    }
}

/// The error of every document that is not what it must be.
pub(super) fn malformed() -> S3Error {
    S3Error::new(
        Code::MalformedXml,
        "The XML you provided was not well-formed or did not validate against our published schema",
    )
}

fn tree(text: &str) -> Option<Element> {
    if text.len() > DOCUMENT_BYTES_MAX {
        return None;
    }
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    // What is open, outermost first; below it the document itself, which ends with exactly one child.
    let mut open = vec![Element::default()];
    let mut elements = 0;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                elements += 1;
                if elements > ELEMENTS_MAX || open.len() > DEPTH_MAX {
                    return None;
                }
                open.push(Element {
                    name: start.local_name().into_inner().to_owned(),
                    ..Element::default()
                });
            }
            Event::End(_) => {
                let closed = open.pop()?;
                open.last_mut()?.children.push(closed);
            }
            Event::Text(text) => open.last_mut()?.text.push_str(&text),
            Event::CData(text) => open.last_mut()?.text.push_str(&text),
            Event::GeneralRef(reference) => {
                let character = match reference.resolve_char_ref().ok()? {
                    Some(character) => character,
                    None => predefined(&reference)?,
                };
                open.last_mut()?.text.push(character);
            }
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::DocType(_) | Event::Empty(_) => return None,
            Event::Eof => break,
        }
    }
    let document = open.pop().filter(|_| open.is_empty())?;
    let bare = document.text.trim().is_empty() && document.children.len() == 1;
    document.children.into_iter().next().filter(|_| bare)
}

fn predefined(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of_a(document: &str) -> Option<String> {
        let root = parse(document.as_bytes(), "R").ok()?;
        Some(root.text_of("A")?.to_owned())
    }

    #[test]
    fn a_document_is_read_whatever_its_dress() {
        for (document, expected) in [
            ("<R><A>x</A></R>", "x"),
            (
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<R xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n <A>x</A>\n</R>\n",
                "x",
            ),
            ("\u{feff}<R><A>x</A></R>", "x"),
            ("<s:R xmlns:s=\"u\"><s:A s:b=\"c\">x</s:A></s:R>", "x"),
            ("<R><B><A>no</A></B><!-- c --><?pi?><A>x</A><C/></R>", "x"),
            ("<R><A> x  </A></R>", " x  "),
            ("<R><A>\nx\t</A></R>", "\nx\t"),
            ("<R><A>a&amp;b&lt;&gt;&quot;&apos;</A></R>", "a&b<>\"'"),
            ("<R><A>a&#13;&#x0D;&#x1;&#128512;b</A></R>", "a\r\r\u{1}😀b"),
            ("<R><A>a<![CDATA[<&]]>b</A></R>", "a<&b"),
            ("<R><A>a<!-- c -->b</A></R>", "ab"),
            ("<R><A/></R>", ""),
            ("<R><A></A></R>", ""),
            ("<R><A>first</A><A>second</A></R>", "first"),
        ] {
            assert_eq!(text_of_a(document).as_deref(), Some(expected), "{document}");
        }
    }

    #[test]
    fn what_is_not_a_document_is_malformed() {
        let deep = format!("<R>{}{}</R>", "<A>".repeat(DEPTH_MAX), "</A>".repeat(DEPTH_MAX));
        let many = format!("<R>{}</R>", "<A/>".repeat(ELEMENTS_MAX));
        let long = format!("<R><A>{}</A></R>", "x".repeat(DOCUMENT_BYTES_MAX));
        for document in [
            "",
            " ",
            "x",
            "<R>",
            "<R><A></R>",
            "<R></A></R>",
            "<R/><R/>",
            "<R/>x",
            "x<R/>",
            "<Q/>",
            "<R><A>&unknown;</A></R>",
            "<R><A>&#0;</A></R>",
            "<R><A>& </A></R>",
            "<!DOCTYPE R [<!ENTITY a \"b\">]><R><A>x</A></R>",
            "<R><A>x</A",
            "{\"R\":1}",
            &deep,
            &many,
            &long,
        ] {
            let short: String = document.chars().take(60).collect();

            assert_eq!(
                parse(document.as_bytes(), "R").unwrap_err().code,
                Code::MalformedXml,
                "{short}"
            );
        }
        assert!(parse(b"<R><A>\xff</A></R>", "R").is_err());
    }

    #[test]
    fn no_mutilated_document_ever_panics_or_reads_as_another_root() {
        let whole =
            "<?xml version=\"1.0\"?><R xmlns='u'><A b=\"c\">x&amp;&#13;<![CDATA[y]]></A><!-- z --></R>";
        for end in 0..whole.len() {
            assert!(
                parse(&whole.as_bytes()[..end], "R").is_err() || end == whole.len(),
                "{end}"
            );
            for byte in *b"<>&;/'\"\0]!" {
                let mut changed = whole.as_bytes().to_vec();
                changed[end] = byte;
                if let Ok(root) = parse(&changed, "R") {
                    assert_eq!(root.name, "R");
                }
            }
        }
    }
}
