//! What `mogul admin` prints: columns for people, the server's JSON for programs.

use std::fmt;

use serde_json::Value;

/// Between two columns.
const GAP: &str = "  ";

/// A result, as JSON documents and the members of them that people want to see.
#[derive(Debug)]
pub(super) struct Table {
    columns: &'static [&'static str],
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    /// One document, shown a member a line.
    One(Value),
    /// Many, shown a document a line.
    Many(Vec<Value>),
    /// A success that has nothing to show.
    Nothing,
}

impl Table {
    /// One document. A column is a member's name; `a.b` is the member `b` of the member `a`.
    pub(super) fn one(columns: &'static [&'static str], document: Value) -> Table {
        Table {
            columns,
            shape: Shape::One(document),
        }
    }

    /// Many documents of one kind.
    pub(super) fn many(columns: &'static [&'static str], documents: Vec<Value>) -> Table {
        Table {
            columns,
            shape: Shape::Many(documents),
        }
    }

    /// Nothing to show.
    pub(super) fn nothing() -> Table {
        Table {
            columns: &[],
            shape: Shape::Nothing,
        }
    }

    /// The documents as they came.
    pub(super) fn json(&self) -> serde_json::Result<String> {
        match &self.shape {
            Shape::One(document) => serde_json::to_string_pretty(document),
            Shape::Many(documents) => serde_json::to_string_pretty(documents),
            Shape::Nothing => Ok("{}".to_owned()),
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.shape {
            Shape::Nothing => Ok(()),
            Shape::One(document) => {
                let width = self
                    .columns
                    .iter()
                    .map(|column| title(column).len())
                    .max()
                    .unwrap_or(0);
                for column in self.columns {
                    writeln!(f, "{:width$}{GAP}{}", title(column), cell(document, column))?;
                }
                Ok(())
            }
            Shape::Many(documents) => {
                let header: Vec<String> = self
                    .columns
                    .iter()
                    .map(|column| title(column).to_uppercase())
                    .collect();
                let rows = documents
                    .iter()
                    .map(|document| self.columns.iter().map(|column| cell(document, column)).collect());
                let lines: Vec<Vec<String>> = std::iter::once(header).chain(rows).collect();
                aligned(f, &lines)
            }
        }
    }
}

fn aligned(f: &mut fmt::Formatter<'_>, lines: &[Vec<String>]) -> fmt::Result {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| {
        lines
            .iter()
            .map(|line| line[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for line in lines {
        let cells: Vec<String> = line
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        writeln!(f, "{}", cells.join(GAP).trim_end())?;
    }
    Ok(())
}

/// The last part of a column's path.
fn title(column: &str) -> &str {
    column.rsplit('.').next().unwrap_or(column)
}

fn cell(document: &Value, column: &str) -> String {
    let value = column.split('.').fold(document, |value, member| &value[member]);
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn many_documents_are_lines_under_a_header() {
        let documents = vec![
            json!({"name": "ann", "email": null}),
            json!({"name": "bartholomew", "email": "b@x"}),
        ];

        let table = Table::many(&["name", "email"], documents);

        assert_eq!(
            table.to_string(),
            "NAME         EMAIL\nann          -\nbartholomew  b@x\n"
        );
    }

    #[test]
    fn one_document_is_a_member_a_line() {
        let table = Table::one(
            &["user.name", "secret_key"],
            json!({"user": {"name": "ann"}, "secret_key": "s"}),
        );

        assert_eq!(table.to_string(), "name        ann\nsecret_key  s\n");
    }
}
