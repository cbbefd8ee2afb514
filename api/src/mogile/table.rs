//! The commands of the tracker port: the only list, sorted by name.

use futures_util::future::BoxFuture;

use super::{
    Face, classes, cluster, control, devices, domains, drains, error::Refusal, files, fsck, hosts,
    line::Answer, line::Args, read, rebalance, settings,
};

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
    "clear_cache" => cluster::look_now,
    "create_class" => classes::create_class,
    "create_close" => files::create_close,
    "create_device" => devices::create_device,
    "create_domain" => domains::create_domain,
    "create_host" => hosts::create_host,
    "create_open" => files::create_open,
    "delete" => files::delete,
    "delete_class" => classes::delete_class,
    "delete_domain" => domains::delete_domain,
    "delete_host" => hosts::delete_host,
    "do_monitor_round" => cluster::look_now,
    "drain_start" => drains::start,
    "drain_status" => drains::status,
    "drain_stop" => drains::stop,
    "edit_file" => files::edit_file,
    "file_debug" => read::file_debug,
    "file_info" => read::file_info,
    "fsck_clearlog" => fsck::clear_log,
    "fsck_getlog" => fsck::log,
    "fsck_reset" => fsck::reset,
    "fsck_start" => fsck::start,
    "fsck_status" => fsck::status,
    "fsck_stop" => fsck::stop,
    "get_devices" => devices::get_devices,
    "get_domains" => domains::get_domains,
    "get_hosts" => hosts::get_hosts,
    "get_paths" => read::get_paths,
    "httpcopy" => cluster::httpcopy,
    "list_fids" => read::list_fids,
    "list_keys" => read::list_keys,
    "noop" => control::noop,
    "rebalance_reset" => rebalance::reset,
    "rebalance_set_policy" => rebalance::set_policy,
    "rebalance_start" => rebalance::start,
    "rebalance_status" => rebalance::status,
    "rebalance_stop" => rebalance::stop,
    "rebalance_test" => rebalance::test,
    "rename" => files::rename,
    "replicate_now" => cluster::replicate_now,
    "server_setting" => settings::server_setting,
    "server_settings" => settings::server_settings,
    "set_server_setting" => settings::set_server_setting,
    "set_state" => devices::set_state,
    "set_weight" => devices::set_weight,
    "sleep" => control::sleep,
    "test" => control::test,
    "update_class" => classes::update_class,
    "update_host" => hosts::update_host,
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
