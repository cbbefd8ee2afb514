//! The commands of the tracker port: the only list, sorted by name.

use futures_util::future::BoxFuture;

use super::{Face, control, error::Refusal, files, line::Answer, line::Args, read};

/// What does a command.
pub(super) type Handler = for<'a> fn(&'a Face, &'a Args) -> BoxFuture<'a, Result<Answer, Refusal>>;

/// Declares the table: each name with its handler.
macro_rules! commands {
    ($($name:literal => $handler:path,)+) => {
        /// Every command with its handler.
        pub(super) const COMMANDS: &[(&str, Handler)] = &[
            $(($name, |face, args| Box::pin($handler(face, args))),)+
        ];
    };
}

commands! {
    "create_close" => files::create_close,
    "create_open" => files::create_open,
    "delete" => files::delete,
    "edit_file" => files::edit_file,
    "file_debug" => read::file_debug,
    "file_info" => read::file_info,
    "get_paths" => read::get_paths,
    "list_fids" => read::list_fids,
    "list_keys" => read::list_keys,
    "noop" => control::noop,
    "rename" => files::rename,
    "sleep" => control::sleep,
    "test" => control::test,
    "updateclass" => files::updateclass,
}

/// The handler of a command whose name is in lower case.
pub(super) fn find(name: &[u8]) -> Option<Handler> {
    let index = COMMANDS.binary_search_by(|(known, _)| known.as_bytes().cmp(name));
    index.ok().map(|index| COMMANDS[index].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_each_command_is_found() {
        assert!(COMMANDS.is_sorted_by(|(one, _), (other, _)| one < other));
        assert!(COMMANDS.iter().all(|(name, _)| find(name.as_bytes()).is_some()));
        assert!(find(b"nosuchcommand").is_none());
    }
}
