//! Users and their keys.
//!
//! Root is always there and has no row. Its key is in the configuration of the process; where several processes share a
//! database and none is configured, the first tracker makes one that is in the database ([`Tracker::root_key_made`]). More keys
//! of root can be added like those of any user.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::buckets::Page;
use crate::{
    Error, Sharing, Tracker,
    meta::{Tx, buckets, settings, users},
    model::{AccessKey, Credential, SecretKey, Timestamp, User, UserId},
    rng::{self, Entropy},
};

/// How long a credential is believed without a look where other processes may change it.
const CREDENTIAL_FRESH: Duration = Duration::from_secs(1);
/// Credentials kept in memory; beyond it all are forgotten and read again.
const CREDENTIALS_MAX: usize = 10_000;
/// Length of the access keys we make, `MG` included.
const ACCESS_KEY_LENGTH: usize = 20;
/// Length of the secret keys we make: 40 of 64 characters are 240 bits.
const SECRET_KEY_LENGTH: usize = 40;
/// Longest name or address of a user (`mogul_user`).
const TEXT_BYTES_MAX: usize = 255;

/// Adds a user.
#[derive(Debug, Clone)]
pub struct AddUser {
    /// Its name, unique.
    pub name: String,
    /// The name shown in listings; the name if `None`.
    pub display_name: Option<String>,
    /// Its address.
    pub email: Option<String>,
    /// Its first key; made if `None`.
    pub key: Option<(AccessKey, SecretKey)>,
}

impl Tracker {
    /// Adds a user with one key, and answers the key.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Invalid`], [`Error::Database`].
    pub async fn add_user(&self, request: AddUser) -> Result<Credential, Error> {
        check_name("user name", &request.name)?;
        let display_name = request.display_name.unwrap_or_else(|| request.name.clone());
        check_text("display name", &display_name)?;
        if let Some(email) = &request.email {
            check_text("email", email)?;
        }
        let id = rng::fill::<32>(self.entropy());
        let user = User {
            id: UserId(hex::encode(id)),
            name: request.name,
            display_name,
            email: request.email,
            created: self.now(),
        };
        if user.name == User::root().name {
            return Err(Error::Exists("user"));
        }
        let credential = self.new_credential(user, request.key)?;
        let added = Arc::new(credential.clone());
        self.db()
            .write(move |tx| {
                let added = Arc::clone(&added);
                Box::pin(async move {
                    if users::user_named_locked(tx, &added.user.name).await?.is_some() {
                        return Err(Error::Exists("user"));
                    }
                    if users::credential(tx, &added.access_key).await?.is_some() {
                        return Err(Error::Exists("access key"));
                    }
                    users::user_added(tx, &added.user).await?;
                    users::key_added(tx, &added).await
                })
            })
            .await?;
        Ok(credential)
    }

    /// Users by name, behind `after`, at most `limit`. Root, who has no row, is not among them.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn list_users(&self, after: Option<&str>, limit: usize) -> Result<Page<User>, Error> {
        let mut tx = self.db().reader().await?;
        let entries = users::users_page(&mut tx, after.unwrap_or(""), limit.saturating_add(1)).await?;
        Ok(Page::cut(entries, limit))
    }

    /// Finds a user by id; root is always there.
    ///
    /// # Errors
    /// [`Error::UnknownUser`], [`Error::Database`].
    pub async fn user(&self, id: &UserId) -> Result<User, Error> {
        if *id == UserId::root() {
            return Ok(User::root());
        }
        let mut tx = self.db().reader().await?;
        users::user_by_id(&mut tx, id).await?.ok_or(Error::UnknownUser)
    }

    /// Finds a user by name; root is always there.
    ///
    /// # Errors
    /// [`Error::UnknownUser`], [`Error::Database`].
    pub async fn user_named(&self, name: &str) -> Result<User, Error> {
        if name == User::root().name {
            return Ok(User::root());
        }
        let mut tx = self.db().reader().await?;
        users::user_named(&mut tx, name).await?.ok_or(Error::UnknownUser)
    }

    /// Removes a user that owns no bucket, and its keys.
    ///
    /// # Errors
    /// [`Error::UnknownUser`] (also for root), [`Error::UserOwnsBuckets`], [`Error::Database`].
    pub async fn remove_user(&self, name: &str) -> Result<(), Error> {
        let name = name.to_owned();
        self.db()
            .write(move |tx| {
                let name = name.clone();
                Box::pin(async move {
                    let user = users::user_named_locked(tx, &name).await?;
                    let user = user.ok_or(Error::UnknownUser)?;
                    if buckets::bucket_owned(tx, &user.id).await? {
                        return Err(Error::UserOwnsBuckets);
                    }
                    users::user_removed(tx, &user.id).await
                })
            })
            .await?;
        self.0.credentials.forget();
        Ok(())
    }

    /// Whether the database holds a key of root.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn root_has_key(&self) -> Result<bool, Error> {
        has_root_key(&mut self.db().reader().await?).await
    }

    /// Makes a key of root unless the database holds one, and answers it if it was made now. Of several processes that ask
    /// at once, one makes it.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn root_key_made(&self) -> Result<Option<Credential>, Error> {
        let made = Arc::new(self.new_credential(User::root(), None)?);
        let credential = Arc::clone(&made);
        let write = self.db().write(move |tx| {
            let made = Arc::clone(&credential);
            Box::pin(async move {
                settings::run_held(tx).await?;
                if has_root_key(tx).await? {
                    return Ok(false);
                }
                users::key_added(tx, &made).await?;
                Ok(true)
            })
        });
        Ok(write.await?.then(|| (*made).clone()))
    }

    /// Adds a key to a user; made if `None`.
    ///
    /// # Errors
    /// [`Error::UnknownUser`], [`Error::Exists`], [`Error::Invalid`], [`Error::Database`].
    pub async fn add_key(
        &self,
        user: &str,
        key: Option<(AccessKey, SecretKey)>,
    ) -> Result<Credential, Error> {
        // The user's fields are filled in by the transaction.
        let unfilled = self.new_credential(User::root(), key)?;
        let name = user.to_owned();
        self.db()
            .write(move |tx| {
                let (name, mut credential) = (name.clone(), unfilled.clone());
                Box::pin(async move {
                    if name != credential.user.name {
                        let user = users::user_named_locked(tx, &name).await?;
                        credential.user = user.ok_or(Error::UnknownUser)?;
                    }
                    if users::credential(tx, &credential.access_key).await?.is_some() {
                        return Err(Error::Exists("access key"));
                    }
                    users::key_added(tx, &credential).await?;
                    Ok(credential)
                })
            })
            .await
    }

    /// The keys of a user (of all if `None`) by their ids, behind `after`, at most `limit`, without their secrets. Root's
    /// own, which is not in the database, is not among them.
    ///
    /// # Errors
    /// [`Error::UnknownUser`], [`Error::Database`].
    pub async fn list_keys(
        &self,
        user: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<(AccessKey, User)>, Error> {
        let mut tx = self.db().reader().await?;
        let id = match user {
            None => None,
            Some(name) if name == User::root().name => Some(UserId::root()),
            Some(name) => {
                let found = users::user_named(&mut tx, name).await?;
                Some(found.ok_or(Error::UnknownUser)?.id)
            }
        };
        let (after, one_more) = (after.unwrap_or(""), limit.saturating_add(1));
        let credentials = users::credentials_page(&mut tx, id.as_ref(), after, one_more).await?;
        let keys = credentials
            .into_iter()
            .map(|key| (key.access_key, key.user))
            .collect();
        Ok(Page::cut(keys, limit))
    }

    /// Removes a key.
    ///
    /// # Errors
    /// [`Error::UnknownAccessKey`], [`Error::Database`].
    pub async fn remove_key(&self, key: &AccessKey) -> Result<(), Error> {
        let key = key.clone();
        let removed = self.db().write(move |tx| {
            let key = key.clone();
            Box::pin(async move { users::key_removed(tx, &key).await })
        });
        let removed = removed.await?;
        self.0.credentials.forget();
        if removed {
            Ok(())
        } else {
            Err(Error::UnknownAccessKey)
        }
    }

    /// The credential behind an access key; kept in memory, but no longer than a second where other processes share the
    /// database.
    ///
    /// # Errors
    /// [`Error::UnknownAccessKey`], [`Error::Database`].
    pub async fn credential(&self, key: &AccessKey) -> Result<Credential, Error> {
        let now = self.now();
        let fresh = match self.sharing() {
            Sharing::Alone => Duration::MAX,
            Sharing::Shared => CREDENTIAL_FRESH,
        };
        let generation = match self.0.credentials.get(key, now, fresh) {
            Ok(credential) => return Ok(credential),
            Err(generation) => generation,
        };
        let mut tx = self.db().reader().await?;
        let found = users::credential(&mut tx, key).await?;
        let credential = found.ok_or(Error::UnknownAccessKey)?;
        self.0.credentials.keep(generation, &credential, now);
        Ok(credential)
    }

    fn new_credential(&self, user: User, key: Option<(AccessKey, SecretKey)>) -> Result<Credential, Error> {
        let (access_key, secret_key) = match key {
            Some((access_key, secret_key)) => {
                check_access_key(&access_key)?;
                check_secret_key(&secret_key)?;
                (access_key, secret_key)
            }
            None => generate_key(self.entropy()),
        };
        Ok(Credential {
            access_key,
            secret_key,
            user,
            created: self.now(),
        })
    }
}

async fn has_root_key(tx: &mut Tx) -> Result<bool, Error> {
    let found = users::credentials_page(tx, Some(&UserId::root()), "", 1).await?;
    Ok(!found.is_empty())
}

/// Makes a key: an id of capital letters and digits that begins with `MG`, and a secret of URL-safe characters.
#[must_use]
pub fn generate_key(entropy: &dyn Entropy) -> (AccessKey, SecretKey) {
    const ID: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    const SECRET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let access_key = ["MG", &draw(entropy, ID, ACCESS_KEY_LENGTH - 2)].concat();
    (
        AccessKey(access_key),
        SecretKey(draw(entropy, SECRET, SECRET_KEY_LENGTH)),
    )
}

/// A text of `length` characters, each drawn from `alphabet` with the same chance.
fn draw(entropy: &dyn Entropy, alphabet: &[u8], length: usize) -> String {
    let size = u64::try_from(alphabet.len()).expect("an alphabet is short");
    // Numbers above the last whole multiple would favour the first characters.
    let end = u64::MAX - u64::MAX % size;
    let character = || loop {
        let number = entropy.next_u64();
        if number < end {
            let index = usize::try_from(number % size).expect("below the length of the alphabet");
            return char::from(alphabet[index]);
        }
    };
    (0..length).map(|_| character()).collect()
}

/// Checks a name that stands in paths and listings: of a user, of a token.
pub(super) fn check_name(field: &'static str, name: &str) -> Result<(), Error> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c);
    if (1..=64).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    Err(Error::Invalid {
        field,
        reason: "it must have 1 to 64 of A-Z a-z 0-9 + = , . @ _ -".to_owned(),
    })
}

fn check_text(field: &'static str, text: &str) -> Result<(), Error> {
    if (1..=TEXT_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Error::Invalid {
        field,
        reason: format!("it must have 1 to {TEXT_BYTES_MAX} bytes and no control characters"),
    })
}

/// An id stands in the `Credential` field of a signature, between `=` and `/`, before a comma.
fn check_access_key(key: &AccessKey) -> Result<(), Error> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if (3..=128).contains(&key.0.len()) && key.0.chars().all(allowed) {
        return Ok(());
    }
    Err(Error::Invalid {
        field: "access key",
        reason: "it must have 3 to 128 of A-Z a-z 0-9 . _ -".to_owned(),
    })
}

fn check_secret_key(key: &SecretKey) -> Result<(), Error> {
    if (8..=128).contains(&key.0.len()) && key.0.chars().all(|c| c.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Error::Invalid {
        field: "secret key",
        reason: "it must have 8 to 128 printable characters without blanks".to_owned(),
    })
}

/// Credentials in memory.
///
/// What was read before somebody removed a key must not be kept after it: each removal begins a new generation, and
/// what was read in an older one is not taken in.
#[derive(Default)]
pub(crate) struct Credentials(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    generation: u64,
    by_key: BTreeMap<AccessKey, (Credential, Timestamp)>,
}

impl Credentials {
    /// The credential, or the generation to hand to [`Credentials::keep`] when it has been read.
    fn get(&self, key: &AccessKey, now: Timestamp, fresh: Duration) -> Result<Credential, u64> {
        let kept = self.lock();
        match kept.by_key.get(key) {
            Some((credential, read)) if read.until(now) < fresh => Ok(credential.clone()),
            Some(_) | None => Err(kept.generation),
        }
    }

    fn keep(&self, generation: u64, credential: &Credential, now: Timestamp) {
        let mut kept = self.lock();
        if kept.generation != generation {
            return;
        }
        if kept.by_key.len() >= CREDENTIALS_MAX {
            kept.by_key.clear();
        }
        kept.by_key
            .insert(credential.access_key.clone(), (credential.clone(), now));
    }

    fn forget(&self) {
        let mut kept = self.lock();
        kept.generation += 1;
        kept.by_key.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // A map is whole between two of its operations.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
