//! Which command of the tracker port is which operation of the admin REST.

/// Commands with their twins: `operationId`s of the `OpenAPI` document.
pub(crate) const TWINS: &[(&str, &str)] = &[
    ("clear_cache", "look_now"),
    ("create_class", "add_class"),
    ("create_close", "end_upload"),
    ("create_device", "add_device"),
    ("create_domain", "add_domain"),
    ("create_host", "add_host"),
    ("create_open", "begin_upload"),
    ("delete", "remove_file"),
    ("delete_class", "remove_class"),
    ("delete_domain", "remove_domain"),
    ("delete_host", "remove_host"),
    ("do_monitor_round", "look_now"),
    ("file_debug", "find_fid"),
    ("file_info", "find_file"),
    ("get_devices", "list_devices"),
    ("get_domains", "list_domains"),
    ("get_hosts", "list_hosts"),
    ("get_paths", "find_file_paths"),
    ("httpcopy", "copy_fid"),
    ("list_fids", "list_fids"),
    ("list_keys", "list_files"),
    ("rename", "change_file"),
    ("replicate_now", "replicate_now"),
    ("server_setting", "find_setting"),
    ("server_settings", "list_settings"),
    ("set_server_setting", "set_setting"),
    ("set_state", "change_device"),
    ("set_weight", "change_device"),
    ("update_class", "change_class"),
    ("update_host", "change_host"),
    ("updateclass", "change_file"),
];

/// Commands without a twin, and why.
pub(crate) const REASONS: &[(&str, &str)] = &[
    (
        "edit_file",
        "it needs partial PUT, which no node has, and fails on both original and ours",
    ),
    (
        "noop",
        "it does nothing: /health/live says that the process answers",
    ),
    (
        "sleep",
        "it holds a worker of the original to test it; there is nothing to hold here",
    ),
    ("test", "it makes a worker of the original die to test it"),
];

/// Operations that the tracker port does not know: users, keys, tokens, and single resources out of its lists.
pub(crate) const OWN: &[&str] = &[
    "add_key",
    "add_token",
    "add_user",
    "find_class",
    "find_device",
    "find_domain",
    "find_host",
    "find_key",
    "find_queues",
    "find_user",
    "list_classes",
    "list_jobs",
    "list_keys",
    "list_tokens",
    "list_user_keys",
    "list_users",
    "live",
    "ready",
    "remove_key",
    "remove_token",
    "remove_user",
];
