//! `mogdbsetup`: makes the database and its user where they are missing, then the tables (MogileFS reference §17.4, §25.3).

use std::io::{BufRead, Write};

use anyhow::{Context, bail};
use mogul_tracker::meta::{
    Db, DbConfig,
    create::{Account, create},
};

use super::{
    dsn::{self, Login},
    options::{self, Opt},
};

/// The options of the command line.
const OPTIONS: &[Opt] = &[
    Opt::value("type"),
    Opt::value("dbhost"),
    Opt::value("dbport"),
    Opt::value("dbname"),
    Opt::value("dbrootuser"),
    Opt::value("dbrootpassword").alias("dbrootpass"),
    Opt::value("dbuser"),
    Opt::value("dbpassword").alias("dbpass"),
    Opt::flag("yes"),
    Opt::flag("verbose"),
    Opt::flag("noschemabump"),
    Opt::value("plugins"),
    Opt::flag("help"),
];

/// What `--help` prints.
const HELP: &str = "Makes or upgrades the database of a MogileFS tracker. What is in it stays.

  --type=MySQL|Postgres|SQLite   the database [MySQL]
  --dbhost=HOST --dbport=PORT    where it is [localhost]
  --dbname=NAME                  its name; the file of SQLite [mogilefs]
  --dbuser=USER --dbpass=TEXT    who will use it [mogile, no password]
  --dbrootuser=USER --dbrootpass=TEXT
                                 who may make databases and users [root, postgres]
  --yes                          ask nothing
  --verbose                      tell more
";

/// What is asked unless `--yes` is given.
const QUESTION: &str = "This will attempt to setup or upgrade your MogileFS database.
It won't destroy existing data.
Run with --help for more information.  Run with --yes to shut up these prompts.

Continue? [N/y]: ";

/// What a `mogdbsetup` was told.
#[derive(Debug)]
pub(crate) struct Setup {
    kind: Kind,
    host: String,
    port: Option<String>,
    account: Account,
    root_user: String,
    root_password: String,
    asks: Asks,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    MySql,
    Postgres,
    Sqlite,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    Help,
    Consent,
    Nothing,
}

/// Reads the command line of a `mogdbsetup`.
///
/// # Errors
/// What is wrong with it, in a line.
pub(crate) fn of_command_line(arguments: impl IntoIterator<Item = String>) -> anyhow::Result<Setup> {
    let said = options::parse(OPTIONS, arguments).map_err(anyhow::Error::msg)?;
    let value = |name: &str| {
        let found = said.iter().rev().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.clone())
    };
    let on = |name: &str| value(name).is_some_and(|value| value == "1");
    let kind = match value("type")
        .unwrap_or_else(|| "MySQL".to_owned())
        .to_lowercase()
        .as_str()
    {
        "mysql" | "mariadb" => Kind::MySql,
        "postgres" | "postgresql" => Kind::Postgres,
        "sqlite" => Kind::Sqlite,
        other => bail!("there is no database type {other}: give MySQL, Postgres or SQLite"),
    };
    let root = match kind {
        Kind::Postgres => "postgres",
        Kind::MySql | Kind::Sqlite => "root",
    };
    Ok(Setup {
        kind,
        host: value("dbhost").unwrap_or_else(|| "localhost".to_owned()),
        port: value("dbport"),
        account: Account {
            database: value("dbname").unwrap_or_else(|| "mogilefs".to_owned()),
            user: value("dbuser").unwrap_or_else(|| "mogile".to_owned()),
            password: value("dbpassword").unwrap_or_default(),
        },
        root_user: value("dbrootuser").unwrap_or_else(|| root.to_owned()),
        root_password: value("dbrootpassword").unwrap_or_default(),
        asks: match (on("help"), on("yes")) {
            (true, _) => Asks::Help,
            (false, true) => Asks::Nothing,
            (false, false) => Asks::Consent,
        },
    })
}

impl Setup {
    /// Does it.
    ///
    /// # Errors
    /// The database, in its words; or the operator did not consent.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self.asks {
            Asks::Help => {
                print!("{HELP}");
                return Ok(());
            }
            Asks::Consent => consent()?,
            Asks::Nothing => {}
        }
        let db = match self.open().await {
            Ok(db) => db,
            Err(error) if self.kind == Kind::Sqlite => return Err(error),
            Err(_) => {
                self.create().await?;
                self.open().await?
            }
        };
        db.migrate().await.context("cannot make the tables")?;
        println!("The database {} is ready.", self.account.database);
        Ok(())
    }

    /// Opens the database as its user.
    async fn open(&self) -> anyhow::Result<Db> {
        let login = (self.account.user.as_str(), self.account.password.as_str());
        let db = Db::open(self.database(&self.account.database, login)?).await?;
        // A pool connects when it is used.
        db.reader().await.context("cannot connect to the database")?;
        Ok(db)
    }

    /// Makes the database and its user as the administrator.
    async fn create(&self) -> anyhow::Result<()> {
        let maintenance = match self.kind {
            Kind::Postgres => "postgres",
            Kind::MySql | Kind::Sqlite => "mysql",
        };
        let login = (self.root_user.as_str(), self.root_password.as_str());
        let made = async {
            let admin = Db::open(self.database(maintenance, login)?).await?;
            create(&admin, &self.account).await?;
            anyhow::Ok(())
        };
        made.await.with_context(|| {
            format!(
                "{} cannot use the database {}, and {} (--dbrootuser) cannot make it",
                self.account.user, self.account.database, self.root_user
            )
        })
    }

    fn database(&self, name: &str, (user, password): (&str, &str)) -> anyhow::Result<DbConfig> {
        let driver = match self.kind {
            Kind::MySql => "mysql",
            Kind::Postgres => "Pg",
            Kind::Sqlite => {
                return dsn::database(&format!("sqlite:{name}"), Login::default())
                    .map_err(anyhow::Error::msg);
            }
        };
        let port = self
            .port
            .as_ref()
            .map(|port| format!(";port={port}"))
            .unwrap_or_default();
        let text = format!("DBI:{driver}:dbname={name};host={}{port}", self.host);
        let login = Login {
            user: Some(user),
            password: Some(password),
        };
        dsn::database(&text, login).map_err(anyhow::Error::msg)
    }
}

/// Asks whether to go on.
fn consent() -> anyhow::Result<()> {
    print!("{QUESTION}");
    std::io::stdout().flush().context("cannot ask")?;
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .context("cannot hear the answer")?;
    if answer.trim_start().to_lowercase().starts_with('y') {
        Ok(())
    } else {
        bail!("stopped: the answer was no")
    }
}
