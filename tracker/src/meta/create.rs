//! Makes a database and its user, as the administrator of a server: what `mogdbsetup` does before the tables are made
//! (MogileFS reference §17.4).
//!
//! Names cannot be arguments of such statements. The server itself quotes them: the statements here answer with statements.

use super::{
    db::Db,
    error::DbError,
    row::Value,
    sql::{Sql, sql},
    tx::Tx,
};

/// A database to make, and who shall use it.
#[derive(Debug, Clone)]
pub struct Account {
    /// The name of the database.
    pub database: String,
    /// The name of the user.
    pub user: String,
    /// The password of the user; may be empty.
    pub password: String,
}

/// Where the user may come from: MySQL takes connections over the socket for another user than those over the network.
const HOSTS: [&str; 2] = ["%", "localhost"];

const USER_STATEMENT: Sql = sql(
    "select format('create role %1$I login password %3$L', ?::text, ?::text, ?::text) \
     where not exists (select 1 from pg_roles where rolname = ?)",
)
.sqlite("select ? || ? || ? || ?")
.mysql(
    "select concat('create user if not exists ', quote(?), '@', quote(?), ' identified by ', quote(?)) \
     from dual where ? <> ''",
);

const DATABASE_STATEMENT: Sql = sql(
    "select format('create database %1$I template template0 encoding ''UTF-8'' owner %2$I', ?::text, ?::text) \
     where not exists (select 1 from pg_database where datname = ?)",
)
.sqlite("select ? || ? || ?")
.mysql("select concat('create database if not exists `', replace(?, '`', '``'), '`') from dual where ? <> '' and ? <> ''");

const GRANT_STATEMENT: Sql =
    sql("select format('grant all on database %1$I to %2$I', ?::text, ?::text, ?::text)")
        .sqlite("select ? || ? || ?")
        .mysql("select concat('grant all on `', replace(?, '`', '``'), '`.* to ', quote(?), '@', quote(?))");

catalogue!(USER_STATEMENT, DATABASE_STATEMENT, GRANT_STATEMENT);

/// Makes the database and the user where they are missing, and gives the one to the other. `admin` is connected as a user that
/// may do so, to any database of the same server.
///
/// # Errors
/// [`DbError::Statement`], if the administrator may not.
pub async fn create(admin: &Db, account: &Account) -> Result<(), DbError> {
    let Account {
        database,
        user,
        password,
    } = account;
    let mut tx = admin.reader().await?;
    for host in HOSTS {
        let args = [user, host, password, user.as_str()];
        composed(&mut tx, &USER_STATEMENT, &args).await?;
    }
    composed(&mut tx, &DATABASE_STATEMENT, &[database, user, database]).await?;
    for host in HOSTS {
        composed(&mut tx, &GRANT_STATEMENT, &[database, user, host]).await?;
    }
    Ok(())
}

/// Has the server compose a statement, and runs it if there is anything to do.
async fn composed(tx: &mut Tx, sql: &Sql, args: &[&str]) -> Result<(), DbError> {
    let args = args.iter().map(|text| Value::from(*text)).collect();
    for row in tx.rows(sql, args).await? {
        let statement = row.text(0)?;
        tx.composed(sql, statement).await?;
    }
    Ok(())
}
