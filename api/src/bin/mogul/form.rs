//! How the operator's tools print a result.

/// For whom a result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl Form {
    /// What a flag `--json` asks for.
    pub(crate) fn of_flag(json: bool) -> Form {
        if json { Form::Json } else { Form::Text }
    }
}
