//! Bearer tokens.

use mogul_tracker::{Error, model::BearerToken};

use crate::{engines::for_each_engine, world::World};

#[tokio::test]
async fn a_token_is_known_by_its_text_until_it_is_removed() {
    for_each_engine(async |db| {
        let world = World::on(db, &[&[1]]).await;
        let tracker = &world.tracker;

        let (added, text) = tracker.add_token("ci").await.unwrap();
        assert_eq!(tracker.token(&text).await.unwrap(), added);
        let again = tracker.add_token("ci").await;
        assert!(matches!(again, Err(Error::Exists("token"))), "{again:?}");

        tracker.remove_token("ci").await.unwrap();
        let gone = tracker.token(&text).await;
        assert!(matches!(gone, Err(Error::UnknownToken)), "{gone:?}");
        let gone = tracker.remove_token("ci").await;
        assert!(matches!(gone, Err(Error::UnknownToken)), "{gone:?}");
    })
    .await;
}

#[tokio::test]
async fn the_id_of_one_token_with_the_secret_of_another_is_no_token() {
    let world = World::new(&[&[1]]).await;
    let (_, one) = world.tracker.add_token("one").await.unwrap();
    let (_, other) = world.tracker.add_token("other").await.unwrap();

    let (id, _) = one.0.rsplit_once('_').unwrap();
    let (_, secret) = other.0.rsplit_once('_').unwrap();
    let mixed = world.tracker.token(&BearerToken(format!("{id}_{secret}"))).await;

    assert!(matches!(mixed, Err(Error::UnknownToken)), "{mixed:?}");
}

#[tokio::test]
async fn tokens_are_listed_in_pages_by_name() {
    let world = World::new(&[&[1]]).await;
    for name in ["c", "a", "b"] {
        world.tracker.add_token(name).await.unwrap();
    }

    let first = world.tracker.list_tokens(None, 2).await.unwrap();
    let second = world.tracker.list_tokens(Some("b"), 2).await.unwrap();

    let names = |page: &[mogul_tracker::model::Token]| -> Vec<String> {
        page.iter().map(|token| token.name.clone()).collect()
    };
    assert_eq!(
        (names(&first.entries), first.more),
        (vec!["a".to_owned(), "b".to_owned()], true)
    );
    assert_eq!(
        (names(&second.entries), second.more),
        (vec!["c".to_owned()], false)
    );
}
