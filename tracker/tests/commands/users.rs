//! Users and their keys.

use mogul_tracker::{
    Error,
    command::{buckets::CreateBucket, users::AddUser},
    model::{AccessKey, DomainName, SecretKey, User, UserId},
};

use crate::{engines::for_each_engine, world::World};

fn ann() -> AddUser {
    AddUser {
        name: "ann".to_owned(),
        display_name: Some("Ann Ünique".to_owned()),
        email: Some("ann@example.org".to_owned()),
        key: None,
    }
}

fn key(id: &str, secret: &str) -> (AccessKey, SecretKey) {
    (AccessKey(id.to_owned()), SecretKey(secret.to_owned()))
}

#[tokio::test]
async fn a_user_signs_with_a_key_until_it_is_removed() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1]]).await;
        let tracker = &world.tracker;

        let added = tracker.add_user(ann()).await.unwrap();
        let found = tracker.credential(&added.access_key).await.unwrap();
        assert_eq!(found, added);
        assert_eq!(tracker.user(&added.user.id).await.unwrap(), added.user);

        tracker.remove_key(&added.access_key).await.unwrap();
        let gone = tracker.credential(&added.access_key).await;
        assert!(matches!(gone, Err(Error::UnknownAccessKey)), "{gone:?}");
        let gone = tracker.remove_key(&added.access_key).await;
        assert!(matches!(gone, Err(Error::UnknownAccessKey)), "{gone:?}");
    })
    .await;
}

#[tokio::test]
async fn keys_that_are_made_have_the_form_that_clients_expect() {
    let world = World::new(&[&[1]]).await;

    let made = world.tracker.add_user(ann()).await.unwrap();

    let (id, secret) = (&made.access_key.0, &made.secret_key.0);
    assert_eq!((id.len(), &id[..2]), (20, "MG"));
    assert!(
        id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()),
        "{id}"
    );
    assert_eq!(secret.len(), 40);
    assert!(
        secret
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    );
}

#[tokio::test]
async fn names_and_keys_are_unique_and_checked() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1]]).await;
        let tracker = &world.tracker;
        let named = |name: &str| AddUser {
            name: name.to_owned(),
            ..ann()
        };
        let with_key = |name: &str, id: &str, secret: &str| AddUser {
            key: Some(key(id, secret)),
            ..named(name)
        };
        tracker
            .add_user(with_key("ann", "ANNSKEY", "secretsecret"))
            .await
            .unwrap();

        for existing in [
            named("ann"),
            named("root"),
            with_key("bob", "ANNSKEY", "secretsecret"),
        ] {
            let refused = tracker.add_user(existing).await;
            assert!(matches!(refused, Err(Error::Exists(_))), "{refused:?}");
        }
        for invalid in [
            named(""),
            named("a b"),
            with_key("bob", "a/b", "secretsecret"),
            with_key("bob", "ok", "secretsecret"),
            with_key("bob", "BOBSKEY", "short"),
            with_key("bob", "BOBSKEY", "with a blank"),
        ] {
            let refused = tracker.add_user(invalid).await;
            assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
        }
        assert_eq!(tracker.list_users(None, 10).await.unwrap().entries.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_user_with_buckets_stays_and_one_without_takes_its_keys_along() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1]]).await;
        let tracker = &world.tracker;
        let credential = tracker.add_user(ann()).await.unwrap();
        let second = tracker.add_key("ann", None).await.unwrap();
        let name = DomainName::parse("photos").unwrap();
        let bucket = CreateBucket {
            name: name.clone(),
            owner: credential.user.id.clone(),
            tags: Vec::new(),
        };
        tracker.create_bucket(bucket).await.unwrap();

        let kept = tracker.remove_user("ann").await;
        assert!(matches!(kept, Err(Error::UserOwnsBuckets)), "{kept:?}");
        assert_eq!(
            tracker
                .list_keys(Some("ann"), None, 10)
                .await
                .unwrap()
                .entries
                .len(),
            2
        );

        tracker.delete_bucket(&name).await.unwrap();
        tracker.remove_user("ann").await.unwrap();
        for key in [&credential.access_key, &second.access_key] {
            let gone = tracker.credential(key).await;
            assert!(matches!(gone, Err(Error::UnknownAccessKey)), "{gone:?}");
        }
        assert!(matches!(
            tracker.remove_user("ann").await,
            Err(Error::UnknownUser)
        ));
        assert!(matches!(
            tracker.list_keys(Some("ann"), None, 10).await,
            Err(Error::UnknownUser)
        ));
    })
    .await;
}

#[tokio::test]
async fn root_is_always_there_and_can_have_more_keys() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1]]).await;
        let tracker = &world.tracker;

        let added = tracker.add_key("root", None).await.unwrap();
        let found = tracker.credential(&added.access_key).await.unwrap();

        assert_eq!(found.user, User::root());
        assert_eq!(tracker.user(&UserId::root()).await.unwrap(), User::root());
        assert_eq!(tracker.list_keys(None, None, 10).await.unwrap().entries.len(), 1);
        assert!(matches!(
            tracker.remove_user("root").await,
            Err(Error::UnknownUser)
        ));
    })
    .await;
}

#[tokio::test]
async fn of_several_processes_that_find_no_key_of_root_one_makes_it() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1]]).await;
        let tracker = &world.tracker;
        assert!(!tracker.root_has_key().await.unwrap());

        let asked = futures_util::future::join_all((0..4).map(|_| tracker.root_key_made())).await;

        let made: Vec<_> = asked.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(made.len(), 1);
        assert_eq!(tracker.credential(&made[0].access_key).await.unwrap(), made[0]);
        assert!(tracker.root_has_key().await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn users_are_listed_by_name_in_pages() {
    let world = World::new(&[&[1]]).await;
    for name in ["carl", "ann", "bob"] {
        let request = AddUser {
            name: name.to_owned(),
            ..ann()
        };
        world.tracker.add_user(request).await.unwrap();
    }

    let page = world.tracker.list_users(Some("ann"), 1).await.unwrap();

    assert_eq!(page.entries[0].name, "bob");
    assert!(page.more);
}
