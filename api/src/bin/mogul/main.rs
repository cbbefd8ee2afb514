//! `mogul`: an S3 object store that is also a complete `MogileFS`, in one binary.
//!
//! This file is the command line and the exit codes: 0 success, 1 failure, 2 a start that was asked for wrongly. What a
//! server is made of stands in [`assemble`].

mod bench;
mod client;
mod config;
mod credentials;
mod datadir;
mod listen;
mod logging;
mod operate;
mod shutdown;
mod tls;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// An S3 object store that is also a complete `MogileFS`.
#[derive(Debug, Parser)]
#[command(
    name = "mogul",
    version,
    about,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
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
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let ended = match cli.command {
        Command::Admin(args) => runtime.block_on(operate::run(args)),
        Command::Bench(BenchCommand::S3(args)) => runtime.block_on(bench::run(args)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("mogul: {error:#}");
    ExitCode::FAILURE
}
