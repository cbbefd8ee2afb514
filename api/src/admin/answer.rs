//! The shapes that answers of all resources share: what was made, and pages.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use mogul_tracker::command::buckets::Page;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::error::Problem;

/// Entries of a page, unless the request says otherwise.
pub(super) const PAGE_DEFAULT: u16 = 100;

/// Most entries of a page.
pub(super) const PAGE_MAX: u16 = 1000;

/// What stands in a path as it is (RFC 3986, "unreserved").
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// 201 with the document of what was made, and where it is.
pub(super) struct Created<T>(pub(super) String, pub(super) T);

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let mut answer = (StatusCode::CREATED, Json(self.1)).into_response();
        if let Ok(place) = HeaderValue::from_str(&self.0) {
            answer.headers_mut().insert(header::LOCATION, place);
        }
        answer
    }
}

/// A resource's path: the collection's, and names encoded.
pub(super) fn place(collection: &str, name: &str) -> String {
    format!("{collection}/{}", utf8_percent_encode(name, PLAIN))
}

/// Which page of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// Where the page begins: behind this, the `next` of the page before.
    #[param(required = false)]
    after: Option<String>,
    /// Entries on the page, 1 to 1,000; 100 if it is left out.
    #[param(required = false, minimum = 1, maximum = 1000)]
    limit: Option<u16>,
}

impl PageQuery {
    pub(super) fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// Behind which number the page begins, where entries have numbers.
    pub(super) fn after_number<T: std::str::FromStr>(&self) -> Result<Option<T>, Problem> {
        let parse = |text: &str| {
            let number = text.parse();
            number.map_err(|_| Problem::invalid("after", "it must be the `next` of another page, a number"))
        };
        self.after().map(parse).transpose()
    }

    pub(super) fn limit(&self) -> Result<usize, Problem> {
        let limit = self.limit.unwrap_or(PAGE_DEFAULT);
        if (1..=PAGE_MAX).contains(&limit) {
            return Ok(usize::from(limit));
        }
        Err(Problem::invalid("limit", format!("it must be 1 to {PAGE_MAX}")))
    }

    /// The page of a list that is in memory and sorted by `cursor`.
    pub(super) fn cut<T, C: Ord>(
        &self,
        entries: impl IntoIterator<Item = T>,
        after: Option<&C>,
        cursor: impl Fn(&T) -> C,
    ) -> Result<Page<T>, Problem> {
        let limit = self.limit()?;
        let behind = entries
            .into_iter()
            .filter(|entry| after.is_none_or(|after| cursor(entry) > *after));
        let mut entries: Vec<T> = behind.take(limit + 1).collect();
        let more = entries.len() > limit;
        entries.truncate(limit);
        Ok(Page { entries, more })
    }
}

/// What to give as `after` for the next page, if there is one.
pub(super) fn next<T, C: ToString>(page: &Page<T>, cursor: impl Fn(&T) -> C) -> Option<String> {
    let last = page.entries.last().filter(|_| page.more)?;
    Some(cursor(last).to_string())
}
