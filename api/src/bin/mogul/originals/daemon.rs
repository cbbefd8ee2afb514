//! The way into the background, as the originals take it: the caller's process ends when the server serves, or says why not.
//!
//! Rust cannot fork safely, so the server is a second process of the same program with the same command line. It keeps the
//! caller's output until it serves; then its output goes nowhere, and its directory is `/`, as the originals do.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    thread,
};

use anyhow::{Context, bail};

use super::{Given, Ground};

/// Set in the environment of the process that is the server.
const DETACHED: &str = "MOGUL_DETACHED";

/// What mogstored prints when it serves, and the server in the background to the process that waits.
const RUNNING: &str = "Running.";

/// The file with the process id; it goes with this value.
#[derive(Debug)]
struct Pidfile(PathBuf);

/// What lasts as long as the server.
#[derive(Debug)]
pub(crate) struct Settled {
    _pidfile: Option<Pidfile>,
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "the pid file was not removed");
        }
    }
}

/// Runs a server where it shall run.
///
/// # Errors
/// The server in the background did not come up; its own words have been printed.
pub(crate) fn run(ground: Ground, server: impl FnOnce() -> ExitCode) -> anyhow::Result<ExitCode> {
    let detached = std::env::var_os(DETACHED).is_some();
    match (ground, detached) {
        (Ground::Background, false) => launch().map(|()| ExitCode::SUCCESS),
        (Ground::Background, true) => {
            rustix::process::setsid().context("cannot leave the caller's session")?;
            Ok(server())
        }
        (Ground::Foreground, _) => Ok(server()),
    }
}

/// Starts the server and waits until it serves.
fn launch() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let mut server = Command::new(std::env::current_exe().context("cannot find this program")?)
        .arg0(name)
        .args(arguments)
        .env(DETACHED, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start the server")?;
    let (mut said, mut log) = (String::new(), String::new());
    let stderr = server.stderr.take();
    // Both end when the server lets go of its output, or ends.
    let reader = thread::spawn(move || {
        let read = stderr.map(|mut stderr| stderr.read_to_string(&mut log));
        read.transpose().map(|_| log)
    });
    if let Some(mut stdout) = server.stdout.take() {
        stdout
            .read_to_string(&mut said)
            .context("cannot hear the server")?;
    }
    let log = reader.join().ok().and_then(Result::ok).unwrap_or_default();
    if said.lines().any(|line| line == RUNNING) {
        return Ok(());
    }
    eprint!("{log}");
    let status = server.wait().context("cannot wait for the server")?;
    bail!("the server did not start ({status})")
}

impl Given {
    /// Takes the last steps of a server that serves: tells the log of what was said in vain, writes the pid file, lets the
    /// caller go.
    ///
    /// # Errors
    /// The pid file cannot be written, or the output not be let go of.
    pub(crate) fn settle(&self) -> anyhow::Result<Settled> {
        for remark in &self.remarks {
            tracing::info!(remark, "an option of the original");
        }
        let pidfile = self.pidfile.as_deref().map(write_pid).transpose()?;
        let detached = self.ground == Ground::Background;
        if self.announces || detached {
            let mut stdout = std::io::stdout();
            // Nobody may be listening.
            let told = writeln!(stdout, "{RUNNING}").and_then(|()| stdout.flush());
            if let Err(error) = told {
                tracing::debug!(%error, "nobody heard that the server is running");
            }
        }
        if detached {
            std::env::set_current_dir("/").context("cannot leave the directory")?;
            let nowhere = OpenOptions::new().read(true).write(true).open("/dev/null");
            let nowhere = nowhere.context("cannot open /dev/null")?;
            quiet(&nowhere).context("cannot let go of the output")?;
        }
        Ok(Settled { _pidfile: pidfile })
    }
}

fn quiet(nowhere: &File) -> rustix::io::Result<()> {
    rustix::stdio::dup2_stdin(nowhere)?;
    rustix::stdio::dup2_stdout(nowhere)?;
    rustix::stdio::dup2_stderr(nowhere)
}

fn write_pid(path: &Path) -> anyhow::Result<Pidfile> {
    std::fs::write(path, format!("{}\n", std::process::id()))
        .with_context(|| format!("cannot write the pid file {}", path.display()))?;
    Ok(Pidfile(path.to_owned()))
}
