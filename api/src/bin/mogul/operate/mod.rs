//! `mogul admin …`: the operator's command line. It talks to a running server and decides nothing.
//!
//! Users, keys, jobs and the scrub go through the admin port: [`calls`] has the requests, [`table`] prints the answers. The cluster goes
//! through the tracker port, as with mogadm: [`cluster`].

pub(crate) mod calls;
mod cluster;
mod jobs;
mod table;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use mogul_tracker::model::{AccessKey, SecretKey};

use crate::{
    client::{Endpoint, sign::Signer},
    credentials::RootKey,
    form::Form,
};
use calls::{Admin, KeyPair, NewUser};
use cluster::ClusterCommand;
use table::Table;

/// The data directory whose root key is used if nothing else says who asks: that of the README's first command.
const DATA_DEFAULT: &str = "data";

/// The region that is signed for: every server takes it besides its own.
const REGION: &str = "us-east-1";

/// Manages a running server.
#[derive(Debug, Args)]
pub(crate) struct AdminArgs {
    /// The server's admin port.
    #[arg(
        long,
        global = true,
        env = "MOGUL_ADMIN_ENDPOINT",
        default_value = "http://127.0.0.1:9001"
    )]
    endpoint: String,
    /// Certificates to trust instead of the machine's, PEM; for an https endpoint.
    #[arg(long, global = true, env = "AWS_CA_BUNDLE")]
    ca_file: Option<PathBuf>,
    /// The first DIR of the server, whose root key is used. Without this: the key in the environment
    /// (`MOGUL_ROOT_ACCESS_KEY` and `MOGUL_ROOT_SECRET_KEY`, else `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`), else that in ./data.
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The trackers, HOST:PORT,…: of host, device, domain, class, fsck, rebalance, settings, stats, check. The first that
    /// takes a connection is asked. Without this: those of ~/.mogilefs.conf or /etc/mogilefs/mogilefs.conf, else 127.0.0.1:7001.
    #[arg(long, global = true, env = "MOGUL_TRACKERS", value_name = "HOST:PORT,…")]
    trackers: Option<String>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Debug, Subcommand)]
enum AdminCommand {
    #[command(flatten)]
    Access(AccessCommand),
    #[command(flatten)]
    Cluster(ClusterCommand),
}

/// What goes through the admin port.
#[derive(Debug, Subcommand)]
enum AccessCommand {
    /// Users: who owns buckets.
    #[command(subcommand)]
    User(UserCommand),
    /// Keys: how users sign.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Tokens: how tools that cannot sign speak to the admin port, as root.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Background jobs: what they are doing, how much is left; pauses one.
    Jobs(jobs::JobsArgs),
    /// Takes the disk that lies in a device's place now for that device: after its mark was lost, or a disk was replaced.
    Renew {
        /// The device's number.
        device: u32,
    },
    /// Scrub: reads every copy and compares it with its digest.
    #[command(subcommand)]
    Scrub(ScrubCommand),
}

#[derive(Debug, Subcommand)]
enum ScrubCommand {
    /// Shows how far each device has been read, and what its last whole pass found.
    Status,
    /// Reads devices from their first file on, at once, not spread over the period.
    Now {
        /// Their numbers; without any, all devices.
        devices: Vec<u32>,
    },
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Adds a user and prints its key.
    Add {
        /// Its name: 1 to 64 of A-Z a-z 0-9 + = , . @ _ -
        name: String,
        /// The name shown in listings.
        #[arg(long)]
        display_name: Option<String>,
        /// Its address.
        #[arg(long)]
        email: Option<String>,
        #[command(flatten)]
        key: KeyArgs,
    },
    /// Lists the users.
    List,
    /// Removes a user that owns no bucket, and its keys.
    Remove {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Adds a key to a user and prints it.
    Add {
        /// The user's name.
        user: String,
        #[command(flatten)]
        key: KeyArgs,
    },
    /// Lists the keys of a user, or of all.
    List {
        /// The user's name.
        user: Option<String>,
    },
    /// Removes a key.
    Remove {
        /// The access key.
        access_key: String,
    },
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Makes a token and prints it, this once: for `Authorization: Bearer …` on the admin port.
    Add {
        /// Its name: 1 to 64 of A-Z a-z 0-9 + = , . @ _ -
        name: String,
    },
    /// Lists the tokens, without their secrets.
    List,
    /// Removes a token: whoever bears it is refused from now on.
    Remove {
        /// Its name.
        name: String,
    },
}

#[derive(Debug, Args)]
struct KeyArgs {
    /// The access key; made by the server if none is given.
    #[arg(long, requires = "secret_key")]
    access_key: Option<String>,
    /// The secret key.
    #[arg(long, requires = "access_key")]
    secret_key: Option<String>,
}

impl KeyArgs {
    fn pair(self) -> KeyPair {
        KeyPair {
            access_key: self.access_key,
            secret_key: self.secret_key,
        }
    }
}

/// Runs one command and prints its result.
///
/// # Errors
/// If the server cannot be reached or refuses.
pub(crate) async fn run(args: AdminArgs) -> anyhow::Result<()> {
    let command = match args.command {
        AdminCommand::Cluster(command) => {
            let form = Form::of_flag(args.json);
            return cluster::run(command, args.trackers.as_deref(), form).await;
        }
        AdminCommand::Access(command) => command,
    };
    let endpoint = Endpoint::parse(&args.endpoint, args.ca_file.as_deref())?;
    let (access_key, secret_key) = key(args.data.as_deref())?;
    let signer = Signer::new(access_key, secret_key, REGION.to_owned());
    let mut admin = Admin::connect(endpoint, signer).await?;
    let table = match command {
        AccessCommand::User(command) => user(&mut admin, command).await?,
        AccessCommand::Key(command) => of_key(&mut admin, command).await?,
        AccessCommand::Token(command) => token(&mut admin, command).await?,
        AccessCommand::Jobs(args) => jobs::run(&mut admin, args).await?,
        AccessCommand::Renew { device } => {
            admin.forget_mark(device).await?;
            Table::nothing()
        }
        AccessCommand::Scrub(command) => scrub(&mut admin, command).await?,
    };
    if args.json {
        println!("{}", table.json()?);
    } else {
        print!("{table}");
    }
    Ok(())
}

async fn user(admin: &mut Admin, command: UserCommand) -> anyhow::Result<Table> {
    match command {
        UserCommand::Add {
            name,
            display_name,
            email,
            key,
        } => {
            let key = key.pair();
            let added = admin
                .add_user(&NewUser {
                    name,
                    display_name,
                    email,
                    key,
                })
                .await?;
            Ok(Table::one(&["user.name", "access_key", "secret_key"], added))
        }
        UserCommand::List => {
            let users = admin.users().await?;
            Ok(Table::many(&["name", "display_name", "email", "id"], users))
        }
        UserCommand::Remove { name } => {
            admin.remove_user(&name).await?;
            Ok(Table::nothing())
        }
    }
}

async fn of_key(admin: &mut Admin, command: KeyCommand) -> anyhow::Result<Table> {
    match command {
        KeyCommand::Add { user, key } => {
            let added = admin.add_key(&user, &key.pair()).await?;
            Ok(Table::one(&["user.name", "access_key", "secret_key"], added))
        }
        KeyCommand::List { user } => {
            let keys = admin.keys(user.as_deref()).await?;
            Ok(Table::many(&["access_key", "user"], keys))
        }
        KeyCommand::Remove { access_key } => {
            admin.remove_key(&access_key).await?;
            Ok(Table::nothing())
        }
    }
}

async fn token(admin: &mut Admin, command: TokenCommand) -> anyhow::Result<Table> {
    match command {
        TokenCommand::Add { name } => {
            let added = admin.add_token(&name).await?;
            Ok(Table::one(&["name", "token"], added))
        }
        TokenCommand::List => {
            let tokens = admin.tokens().await?;
            Ok(Table::many(&["name", "created_ms"], tokens))
        }
        TokenCommand::Remove { name } => {
            admin.remove_token(&name).await?;
            Ok(Table::nothing())
        }
    }
}

/// What is shown of the scrub of a device: the pass under way, and the last whole one.
const SCRUB_COLUMNS: [&str; 14] = [
    "devid",
    "position",
    "files",
    "bytes",
    "rotten",
    "missing",
    "strays",
    "at_once",
    "last.ended_ms",
    "last.files",
    "last.bytes",
    "last.rotten",
    "last.missing",
    "last.strays",
];

async fn scrub(admin: &mut Admin, command: ScrubCommand) -> anyhow::Result<Table> {
    match command {
        ScrubCommand::Status => {
            let devices = admin.scrub().await?;
            Ok(Table::many(&SCRUB_COLUMNS, devices))
        }
        ScrubCommand::Now { devices } => {
            admin.scrub_now(&devices).await?;
            Ok(Table::nothing())
        }
    }
}

/// Who asks: see the doc of `--data`.
fn key(data: Option<&Path>) -> anyhow::Result<(AccessKey, SecretKey)> {
    if let Some(dir) = data {
        return stored(dir)?.with_context(|| format!("there are no root credentials in {}", dir.display()));
    }
    for (access, secret) in [
        ("MOGUL_ROOT_ACCESS_KEY", "MOGUL_ROOT_SECRET_KEY"),
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    ] {
        match (std::env::var(access), std::env::var(secret)) {
            (Ok(access), Ok(secret)) => return Ok((AccessKey(access), SecretKey(secret))),
            (Err(_), Err(_)) => {}
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => {
                bail!("{access} and {secret} belong together: set both or none")
            }
        }
    }
    stored(Path::new(DATA_DEFAULT))?.context(
        "no credentials: set MOGUL_ROOT_ACCESS_KEY and MOGUL_ROOT_SECRET_KEY, or name the server's first DIR with --data",
    )
}

fn stored(dir: &Path) -> anyhow::Result<Option<(AccessKey, SecretKey)>> {
    let key = RootKey::read(dir)?;
    Ok(key.map(|key| (key.access_key, key.secret_key)))
}
