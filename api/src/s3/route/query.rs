//! The parameters of a query.

use super::{Code, S3Error, address::decode};

/// The decoded parameters of a query, in the order in which they came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Decodes a raw query once; a `+` is a space here, as it is not in paths.
    ///
    /// # Errors
    /// [`Code::InvalidUri`] if it is not percent-encoded UTF-8.
    pub fn parse(raw: &str) -> Result<Query, S3Error> {
        let pairs = raw.split('&').filter(|pair| !pair.is_empty());
        let decoded = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((plus_decode(name)?, plus_decode(value)?))
        });
        decoded.collect::<Result<Vec<_>, S3Error>>().map(Query)
    }

    /// The value of the first parameter of that name (case-sensitive); empty if it has no `=`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether there is a parameter of that name, with a value or without.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A whole number; `None` if the parameter is missing or empty.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`] if it is not a number from 0 to 2,147,483,647, AWS's range.
    pub fn number(&self, name: &'static str) -> Result<Option<u32>, S3Error> {
        let Some(text) = self.get(name).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let number = text.parse::<u32>().ok();
        match number.filter(|number| i32::try_from(*number).is_ok()) {
            Some(number) => Ok(Some(number)),
            None => Err(invalid_argument(
                name,
                text,
                format!("Argument {name} must be an integer between 0 and 2147483647"),
            )),
        }
    }

    /// All parameters.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// A parameter or header with a value that it cannot have.
pub fn invalid_argument(name: &'static str, value: &str, message: impl Into<String>) -> S3Error {
    S3Error::new(Code::InvalidArgument, message.into())
        .with("ArgumentName", name)
        .with("ArgumentValue", value)
}

fn plus_decode(text: &str) -> Result<String, S3Error> {
    if text.contains('+') {
        decode(&text.replace('+', " "))
    } else {
        decode(text)
    }
}
