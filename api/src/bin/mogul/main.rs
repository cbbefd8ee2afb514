//! `mogul`: an S3 object store that is also a complete `MogileFS`, in one binary.
//!
//! This file is the command line and the exit codes: 0 success, 1 failure, 2 a start that was asked for wrongly. What a
//! server is made of stands in [`assemble`].

mod assemble;
mod bench;
mod client;
mod config;
mod credentials;
mod datadir;
mod form;
mod listen;
mod logging;
mod operate;
mod originals;
mod shutdown;
mod syslog;
mod tls;

use std::{path::Path, process::ExitCode};

use clap::{Parser, Subcommand};
use mogul_tracker::error::chain;
use tokio::runtime::Builder;

use crate::{
    assemble::{
        gateway::{Gateway, GatewayArgs},
        store::{Store, StoreArgs},
        tracker::{TrackerArgs, TrackerRole},
    },
    originals::{Given, Original},
};

/// An S3 object store that is also a complete `MogileFS`.
#[derive(Debug, Parser)]
#[command(
    name = "mogul",
    version,
    about = "An S3 object store that is also a complete MogileFS",
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves S3 from these directories.
    Server(assemble::server::ServerArgs),
    /// Serves S3 over a database: a gateway of a cluster.
    S3(GatewayArgs),
    /// Serves the files of devices to trackers.
    Store(StoreArgs),
    /// Serves the tracker port over a database.
    Tracker(TrackerArgs),
    /// Makes links by the names of `MogileFS`'s programs.
    Links(originals::links::LinksArgs),
    /// Manages a running server.
    Admin(operate::AdminArgs),
    /// Measures a server.
    #[command(subcommand)]
    Bench(BenchCommand),
}

#[derive(Debug, Subcommand)]
enum BenchCommand {
    /// Measures any S3 server.
    S3(bench::BenchArgs),
    /// Measures any tracker of `MogileFS`, with its storage nodes.
    Tracker(bench::tracker::TrackerArgs),
    /// Measures what a cluster does by itself: copies, checks, deletions.
    Jobs(bench::jobs::JobsArgs),
}

/// What a start that was asked for wrongly ends with.
const WRONG_START: u8 = 2;

fn main() -> ExitCode {
    let program = std::env::args_os().next().unwrap_or_default();
    if let Some(original) = Original::called(Path::new(&program)) {
        return stand_in(original);
    }
    match Cli::parse().command {
        Command::Server(args) => serve(assemble::server::start(args), assemble::server::Server::serve),
        Command::S3(args) => serve(assemble::gateway::start(args), Gateway::serve),
        Command::Store(args) => store(args.understood()),
        Command::Tracker(args) => tracker(args.understood()),
        Command::Links(args) => told(originals::links::make(&args)),
        Command::Admin(args) => run(operate::run(args)),
        Command::Bench(BenchCommand::S3(args)) => run(bench::run(args)),
        Command::Bench(BenchCommand::Tracker(args)) => run(bench::tracker::run(args)),
        Command::Bench(BenchCommand::Jobs(args)) => run(bench::jobs::run(args)),
    }
}

/// Takes the command line of an original.
fn stand_in(original: Original) -> ExitCode {
    let arguments = std::env::args().skip(1);
    match original {
        Original::Mogilefsd => tracker(originals::mogilefsd::of_command_line(arguments).map(TrackerArgs::of)),
        Original::Mogstored => store(originals::mogstored::of_command_line(arguments).map(StoreArgs::of)),
        Original::Mogdbsetup => match originals::mogdbsetup::of_command_line(arguments) {
            Ok(setup) => run(setup.run()),
            Err(error) => failed(&error, WRONG_START.into()),
        },
    }
}

/// Runs a tracker, in the background if an original's file or command line says so.
fn tracker(args: anyhow::Result<TrackerArgs>) -> ExitCode {
    placed(args, TrackerArgs::given, |args| {
        serve(assemble::tracker::start(args), TrackerRole::serve)
    })
}

/// Runs a storage node, in the background if an original's file or command line says so.
fn store(args: anyhow::Result<StoreArgs>) -> ExitCode {
    placed(args, StoreArgs::given, |args| {
        serve(assemble::store::start(args), Store::serve)
    })
}

fn placed<A>(
    args: anyhow::Result<A>,
    given: impl Fn(&A) -> &Given,
    role: impl FnOnce(A) -> ExitCode,
) -> ExitCode {
    let ended = args.and_then(|args| {
        let ground = given(&args).ground;
        originals::daemon::run(ground, || role(args))
    });
    ended.unwrap_or_else(|error| failed(&error, WRONG_START.into()))
}

/// What a command that needs no runtime ended with.
fn told(ended: anyhow::Result<()>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error, ExitCode::FAILURE),
    }
}

/// Puts a role together and runs it until it is told to stop.
fn serve<R, S>(start: impl Future<Output = anyhow::Result<R>>, run: impl FnOnce(R) -> S) -> ExitCode
where
    S: Future<Output = anyhow::Result<()>>,
{
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(assemble::BLOCKING_THREADS_MAX)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into(), ExitCode::FAILURE),
    };
    let ended = runtime.block_on(async {
        match start.await {
            Err(error) => failed(&error, WRONG_START.into()),
            Ok(role) => match run(role).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(&error, ExitCode::FAILURE),
            },
        }
    });
    // What was cut off at the end of the grace period may still hold a thread.
    runtime.shutdown_background();
    ended
}

/// Runs one of the operator's tools.
fn run(tool: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    match Builder::new_multi_thread().enable_all().build() {
        Err(error) => failed(&error.into(), ExitCode::FAILURE),
        Ok(runtime) => match runtime.block_on(tool) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error, ExitCode::FAILURE),
        },
    }
}

/// Tells why, on one line.
fn failed(error: &anyhow::Error, code: ExitCode) -> ExitCode {
    eprintln!("mogul: {}", chain(error.as_ref()));
    code
}
