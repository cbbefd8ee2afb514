//! `mogul links DIR`: links by the originals' names, so that init scripts find them.

use std::{
    io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::Args;

use super::Original;

/// Makes links named mogilefsd, mogstored and mogdbsetup to this program.
#[derive(Debug, Args)]
pub(crate) struct LinksArgs {
    /// The directory for the links, such as /usr/local/bin.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Makes the links. Those that are there and lead here stay.
///
/// # Errors
/// A name is taken by something else, or the directory cannot be written; links made before stay.
pub(crate) fn make(args: &LinksArgs) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("cannot find this program")?;
    for original in Original::ALL {
        let link = args.dir.join(original.name());
        link_to(&program, &link)?;
        println!("{} -> {}", link.display(), program.display());
    }
    Ok(())
}

fn link_to(program: &Path, link: &Path) -> anyhow::Result<()> {
    match symlink(program, link) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if link.read_link().is_ok_and(|target| target == program) {
                return Ok(());
            }
            bail!("{} is there already; move it away first", link.display())
        }
        Err(error) => Err(error).with_context(|| format!("cannot make the link {}", link.display())),
    }
}
