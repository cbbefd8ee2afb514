//! `class` and `mogul_class`: how many copies, and what an answer waits for.

use super::{
    Row, Sql, Tx,
    encoding::hash_of,
    ids::{number_of, opt_number_of, understood},
    sql::sql,
};
use crate::{
    Error,
    model::{Ack, Class, ClassId, ClassName, Degraded, DomainId},
};

const ALL: Sql = sql(
    "select c.dmid, c.classid, c.classname, c.mindevcount, c.replpolicy, c.hashtype, m.ack, m.degraded \
     from class c left join mogul_class m on m.dmid = c.dmid and m.classid = c.classid \
     order by c.dmid, c.classid limit 16777216",
);

/// All classes that have a row.
pub(crate) async fn classes(tx: &mut Tx) -> Result<Vec<Class>, Error> {
    Ok(understood(&tx.rows(&ALL, vec![]).await?, class_of))
}

const OF_DOMAIN: Sql = sql(
    "select c.dmid, c.classid, c.classname, c.mindevcount, c.replpolicy, c.hashtype, m.ack, m.degraded \
     from class c left join mogul_class m on m.dmid = c.dmid and m.classid = c.classid \
     where c.dmid = ? order by c.classid limit 256",
);

/// The classes of a domain that have a row.
pub(crate) async fn classes_of(tx: &mut Tx, domain: DomainId) -> Result<Vec<Class>, Error> {
    let rows = tx.rows(&OF_DOMAIN, vec![domain.into()]).await?;
    Ok(understood(&rows, class_of))
}

const INSERT: Sql = sql(
    "insert into class (dmid, classid, classname, mindevcount, hashtype, replpolicy) \
     values (?, ?, ?, ?, ?, ?)",
);
const INSERT_SETTINGS: Sql =
    sql("insert into mogul_class (dmid, classid, ack, degraded) values (?, ?, ?, ?)");

/// Adds a class under its number.
pub(crate) async fn class_added(tx: &mut Tx, class: &Class) -> Result<(), Error> {
    let args = vec![
        class.domain.into(),
        class.id.into(),
        class.name.as_str().into(),
        class.mindevcount.into(),
        class.hash.map(super::encoding::hash_number).into(),
        class.policy.as_str().into(),
    ];
    tx.run(&INSERT, args).await?;
    if (class.ack, class.degraded) == (Ack::default(), Degraded::default()) {
        return Ok(());
    }
    let ack = match class.ack {
        Ack::All => 0,
        Ack::Copies(copies) => copies,
    };
    let degraded: u8 = match class.degraded {
        Degraded::Accept => 0,
        Degraded::Refuse => 1,
    };
    let args = vec![class.domain.into(), class.id.into(), ack.into(), degraded.into()];
    tx.run(&INSERT_SETTINGS, args).await?;
    Ok(())
}

const UPDATE: Sql =
    sql("update class set mindevcount = ?, hashtype = ?, replpolicy = ? where dmid = ? and classid = ?");

/// Writes what the row of a class says of copies and digests.
pub(crate) async fn class_changed(tx: &mut Tx, class: &Class) -> Result<(), Error> {
    let args = vec![
        class.mindevcount.into(),
        class.hash.map(super::encoding::hash_number).into(),
        class.policy.as_str().into(),
        class.domain.into(),
        class.id.into(),
    ];
    tx.run(&UPDATE, args).await?;
    Ok(())
}

const REMOVE: Sql = sql("delete from class where dmid = ? and classid = ?");
const REMOVE_SETTINGS: Sql = sql("delete from mogul_class where dmid = ? and classid = ?");

/// Removes a class. That it has no files is the caller's business.
pub(crate) async fn class_removed(tx: &mut Tx, domain: DomainId, class: ClassId) -> Result<(), Error> {
    for statement in [&REMOVE, &REMOVE_SETTINGS] {
        tx.run(statement, vec![domain.into(), class.into()]).await?;
    }
    Ok(())
}

const HAS_FILE: Sql = sql("select fid from file where dmid = ? and classid = ? limit 1");

/// Whether a file, a version of an object or a part of an upload is of the class. Looks at all files of the domain if none is.
pub(crate) async fn class_filled(tx: &mut Tx, domain: DomainId, class: ClassId) -> Result<bool, Error> {
    let rows = tx.rows(&HAS_FILE, vec![domain.into(), class.into()]).await?;
    Ok(!rows.is_empty())
}

fn class_of(row: &Row) -> Result<Class, Error> {
    let id = ClassId(number_of(row, 1)?);
    let ack = opt_number_of::<u8>(row, 6)?.unwrap_or(0);
    Ok(Class {
        domain: DomainId(number_of(row, 0)?),
        id,
        name: ClassName::stored(&row.opt_text(2)?.unwrap_or_default(), id),
        // The columns of the original hold more than anybody has devices for on PostgreSQL and SQLite, and it takes that.
        mindevcount: u8::try_from(row.int(3)?.clamp(1, u8::MAX.into())).unwrap_or(u8::MAX),
        policy: row.opt_text(4)?.unwrap_or_default(),
        // Numbers of digests that the original has, and never uses, are no reason to do without the class.
        hash: row.opt_int(5)?.and_then(|number| hash_of(number).ok()),
        ack: if ack == 0 { Ack::All } else { Ack::Copies(ack) },
        degraded: match row.opt_int(7)? {
            None | Some(0) => Degraded::Accept,
            Some(_) => Degraded::Refuse,
        },
    })
}

catalogue! {
    ALL, OF_DOMAIN, INSERT, INSERT_SETTINGS, UPDATE, REMOVE, REMOVE_SETTINGS, HAS_FILE,
}
