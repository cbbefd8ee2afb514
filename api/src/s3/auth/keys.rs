//! Signing keys: four HMACs that are the same for all requests of a key, a day and a region.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use hmac::{Hmac, KeyInit, Mac};
use mogul_tracker::model::SecretKey;
use sha2::Sha256;

use super::credential::Credential;

/// So many signing keys are remembered; then all are forgotten. A gateway has fewer users a day on most days.
const SIGNING_KEYS_MAX: usize = 4096;

/// The signing keys that were derived lately.
#[derive(Default)]
pub struct SigningKeys(Mutex<HashMap<Credential, Derived>>);

/// A signing key and the secret it was made of: a key that was removed and added again has another.
struct Derived {
    secret: SecretKey,
    key: [u8; 32],
}

impl SigningKeys {
    pub(super) fn get(&self, credential: &Credential, secret: &SecretKey) -> [u8; 32] {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(derived) = known.get(credential)
            && derived.secret == *secret
        {
            return derived.key;
        }
        if known.len() >= SIGNING_KEYS_MAX {
            known.clear();
        }
        let key = derive(credential, secret);
        let secret = secret.clone();
        known.insert(credential.clone(), Derived { secret, key });
        key
    }
}

impl std::fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKeys(…)")
    }
}

fn derive(credential: &Credential, secret: &SecretKey) -> [u8; 32] {
    let start = format!("AWS4{}", secret.0);
    [
        credential.day.as_str(),
        &credential.region,
        &credential.service,
        "aws4_request",
    ]
    .iter()
    .fold(None, |key: Option<[u8; 32]>, part| {
        let key = key.as_ref().map_or(start.as_bytes(), <[u8; 32]>::as_slice);
        Some(mac(key, part.as_bytes()).finalize().into_bytes().into())
    })
    .expect("the list is not empty")
}

/// The HMAC of a message, to be finished or verified.
pub(super) fn mac(key: &[u8], message: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac
}
