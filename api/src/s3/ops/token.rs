//! Continuation tokens: the place where a listing goes on, opaque to clients and checked when it comes back.
//!
//! No state is kept: the token holds the last name that was returned. Its digest tells a token of this listing from
//! anything else; it is no secret, since whoever may list may begin anywhere anyway.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use crate::s3::{error::S3Error, route::invalid_argument};

/// Bytes of the digest in a token.
const DIGEST_BYTES: usize = 8;

/// The token that goes on behind `last` in the listing called `scope`.
pub(super) fn encode(scope: &str, last: &str) -> String {
    let mut bytes = digest(scope, last).to_vec();
    bytes.extend_from_slice(last.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// What a token of the listing called `scope` goes on behind.
///
/// # Errors
/// `InvalidArgument` if we did not make it for that listing.
pub(super) fn decode(scope: &str, token: &str) -> Result<String, S3Error> {
    let found = || {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let (sum, last) = bytes.split_at_checked(DIGEST_BYTES)?;
        let last = std::str::from_utf8(last).ok()?;
        (sum == digest(scope, last)).then(|| last.to_owned())
    };
    found().ok_or_else(|| {
        let message = "The continuation token provided is incorrect";
        invalid_argument("continuation-token", token, message)
    })
}

fn digest(scope: &str, last: &str) -> [u8; DIGEST_BYTES] {
    let mut hasher = Sha256::new();
    hasher.update(scope);
    hasher.update([0]);
    hasher.update(last);
    let whole = hasher.finalize();
    std::array::from_fn(|at| whole[at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::error::Code;

    #[test]
    fn a_token_gives_back_what_went_in_and_only_to_its_listing() {
        for last in ["", "a", "dir/", "é\r\n\u{1}😀", &"k".repeat(1024)] {
            let token = encode("bucket", last);

            assert_eq!(decode("bucket", &token).unwrap(), last);
            assert!(decode("other", &token).is_err());
        }
    }

    #[test]
    fn what_we_did_not_make_is_refused() {
        let token = encode("bucket", "key");
        let mut changed = token.clone().into_bytes();
        changed[12] ^= 1;
        for garbage in [
            "",
            "a",
            "key",
            "!!!!",
            &token[1..],
            &format!("{token}A"),
            std::str::from_utf8(&changed).unwrap(),
        ] {
            let error = decode("bucket", garbage).unwrap_err();

            assert_eq!(error.code, Code::InvalidArgument, "{garbage}");
        }
    }
}
