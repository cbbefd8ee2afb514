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
    let ended = match cli.command {
        Command::Bench(BenchCommand::S3(args)) => tokio::runtime::Runtime::new()
            .map_err(anyhow::Error::from)
            .and_then(|runtime| runtime.block_on(bench::run(args))),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mogul: {error:#}");
            ExitCode::FAILURE
        }
    }
}
