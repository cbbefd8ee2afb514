//! What of an answer must be the same: its pairs without their order, and without what varies by nature.

use std::collections::{BTreeMap, BTreeSet};

/// The pairs of a request or answer, by name. Values stay encoded.
pub(crate) fn pairs(text: &str) -> BTreeMap<String, String> {
    let split = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name.to_owned(), value.to_owned())
    };
    text.trim()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(split)
        .collect()
}

/// The comparable shape of an answer to a request.
pub(crate) fn shape(say: &str, answer: &str) -> String {
    let say = say.trim();
    if say.starts_with('!') {
        return lines(say, answer);
    }
    // How many paths there are depends on how far the copies had come, and on which host hung.
    // The paths of st1 without noverify are asked for while a node begins to hang.
    let varies = [
        "get_paths domain=dom1&key=cc5",
        "get_paths domain=dom1&key=st1",
        "create_open domain=dom1&key=cx&multi_dest=1",
    ];
    if varies.contains(&say) && answer.starts_with("OK ") {
        return "OK".to_owned();
    }
    match answer.trim_end_matches("\r\n").split_once(' ') {
        Some(("OK", text)) if say.starts_with("fsck_getlog") => format!("OK {}", log(say, &pairs(text))),
        Some(("OK", text)) => format!("OK {}", named(say, &pairs(text)).join(" "))
            .trim_end()
            .to_owned(),
        Some(("ERR", text)) => format!("ERR {}", masked(&without_place(text))),
        _ => answer.to_owned(),
    }
}

/// Perl says where it died.
fn without_place(text: &str) -> String {
    let text = text.trim_end_matches("%0A");
    let text = text.split("+at+lib/").next().unwrap_or(text);
    // The original adds what its worker logged last, whatever that was.
    let text = text.split("%3B+error:+").next().unwrap_or(text);
    let text = text.split("invalid+dest+").next().unwrap_or(text);
    match text.split_once("Checksum%5Bf%3D") {
        Some((before, after)) => format!(
            "{before}Checksum{}",
            after.trim_start_matches(|c: char| c.is_ascii_digit())
        ),
        None => text.to_owned(),
    }
}

/// Replaces URLs of files, and numbers that are fids or times.
fn masked(text: &str) -> String {
    let mut shape = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("http://127.0.") {
        let (before, url) = rest.split_at(at);
        shape += before;
        let end = url.find(".fid").map_or(url.len(), |end| end + ".fid".len());
        let alt = if url.starts_with("http://127.0.4.") {
            "alt"
        } else {
            ""
        };
        shape.extend(["<", alt, "url>"]);
        rest = &url[end..];
    }
    shape += rest;
    digits(&shape)
}

/// Replaces numbers of five digits and more.
fn digits(text: &str) -> String {
    let mut shape = String::new();
    for run in text.split_inclusive(|c: char| !c.is_ascii_digit()) {
        let number = run.trim_end_matches(|c: char| !c.is_ascii_digit());
        match number.len() {
            0..5 => shape += run,
            _ => shape += &run.replacen(number, "<n>", 1),
        }
    }
    shape
}

/// Events of a check that depend on where copies lie and on how far they had come.
const BY_CHANCE: [&str; 2] = ["BCNT", "POVI"];

/// The log of a check: which events it has. Fids are checked in any order, and after a row come whichever were later.
fn log(say: &str, pairs: &BTreeMap<String, String>) -> String {
    if say.ends_with("after_logid=2") {
        return if pairs["row_count"] == "0" {
            "no rows"
        } else {
            "rows"
        }
        .to_owned();
    }
    let codes = pairs.iter().filter(|(name, _)| name.ends_with("_evcode"));
    let codes = codes.map(|(_, code)| code.as_str());
    let codes: BTreeSet<&str> = codes.filter(|code| !BY_CHANCE.contains(code)).collect();
    codes.into_iter().collect::<Vec<_>>().join(" ")
}

/// The state of a rebalance, whose figures are of the moment: what it says of, and whether it ended.
fn rebalance(state: &str) -> String {
    let words = state
        .split('+')
        .map(|word| word.split_once("%3D").unwrap_or((word, "")));
    let ended = words
        .clone()
        .any(|(name, value)| ["time_stopped", "time_finished"].contains(&name) && value != "0");
    let mut words: Vec<&str> = words
        .map(|(name, _)| name)
        .filter(|name| !name.starts_with("sdev_"))
        .collect();
    words.sort_unstable();
    format!("{} {}", words.join("+"), if ended { "ended" } else { "running" })
}

/// The pairs with numbers of rows replaced by what the rows are of.
fn named(say: &str, pairs: &BTreeMap<String, String>) -> Vec<String> {
    let rows = rows(pairs);
    let word = say.split(' ').next().unwrap_or_default();
    let mut shape: Vec<String> = pairs
        .iter()
        .filter_map(|(name, value)| {
            let (row, field) = split(name);
            let row = match rows.get(&row) {
                Some(of) => of.clone(),
                None => row,
            };
            if row == "setting[rebal_state]" {
                return None;
            }
            let value = value_of(word, &field, value)?;
            // Whether one of the two copies is on the host with another address is chance.
            let value = if say.contains("key=r1&") {
                value.replace("<alturl>", "<url>")
            } else {
                value
            };
            let field = if field.starts_with("devpath_") {
                "devpath"
            } else {
                &field
            };
            Some(if row.is_empty() {
                format!("{field}={value}")
            } else {
                format!("{row}.{field}={value}")
            })
        })
        .collect();
    shape.sort();
    shape
}

/// The part of a name that numbers a row, and the rest: `dev3_status`, `domain1class2name`, `key_4`.
fn split(name: &str) -> (String, String) {
    for prefix in ["dev", "host"] {
        if let Some((number, field)) = name.strip_prefix(prefix).and_then(|rest| rest.split_once('_'))
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
        {
            return (format!("{prefix}{number}"), field.to_owned());
        }
    }
    if let Some(rest) = name.strip_prefix("domain") {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        if digits > 0 {
            let (number, field) = rest.split_at(digits);
            if let Some(class) = field.strip_prefix("class").filter(|class| *class != "es") {
                let digits = class.find(|c: char| !c.is_ascii_digit()).unwrap_or(class.len());
                let (of, field) = class.split_at(digits);
                return (format!("domain{number}class{of}"), field.to_owned());
            }
            return (format!("domain{number}"), field.to_owned());
        }
    }
    match name.split_once('_') {
        Some((field @ ("key" | "value"), number)) if number.parse::<u32>().is_ok() => {
            (format!("#{number}"), field.to_owned())
        }
        Some((field @ ("path" | "devid"), number)) if number.parse::<u32>().is_ok() => {
            (format!("#{number}"), field.to_owned())
        }
        _ => (String::new(), name.to_owned()),
    }
}

/// What each numbered row is of, where the number says nothing.
fn rows(pairs: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut rows = BTreeMap::new();
    let settings = pairs.contains_key("value_1");
    for (name, value) in pairs {
        let (row, field) = split(name);
        let of = match field.as_str() {
            "devid" if row.starts_with("dev") => format!("dev[{value}]"),
            "hostid" if row.starts_with("host") => format!("host[{value}]"),
            "" if row.starts_with("domain") && !row.contains("class") => format!("domain[{value}]"),
            "name" if row.contains("class") => {
                let domain = row.split("class").next().unwrap_or_default();
                let of = pairs.get(domain).cloned().unwrap_or_default();
                format!("domain[{of}]class[{value}]")
            }
            "key" if settings => format!("setting[{value}]"),
            _ => continue,
        };
        rows.insert(row, of);
    }
    rows
}

/// A value without what varies; `None` for pairs that do.
fn value_of(word: &str, field: &str, value: &str) -> Option<String> {
    let text = match field {
        "max_logid" => digits_of(value),
        _ if field
            .strip_prefix("num_")
            .is_some_and(|code| BY_CHANCE.contains(&code)) =>
        {
            return None;
        }
        _ if field.starts_with("num_") => "<n>".to_owned(),
        // How far the copies had come.
        _ if word == "list_fids" && field.ends_with("_devcount") => "<n>".to_owned(),
        "fid" | "fid_fid" | "end_fid" => digits_of(value),
        "max_fid_checked" => "<n>".to_owned(),
        "state" if word.starts_with("rebalance") => rebalance(value),
        "sdevs" => {
            let mut devices: Vec<&str> = value.split(',').collect();
            devices.sort_unstable();
            devices.join(",")
        }
        "hostid" | "hostname" if word == "update_host" => "<one>".to_owned(),
        // How long it took, and whether a worker was there already.
        _ if field.starts_with("prof") || field.starts_with("replqueue_") => return None,
        "mb_total" | "mb_used" | "mb_free" | "utilization" | "count" | "key_count" | "dev_count" => {
            "<n>".to_owned()
        }
        "devid" | "host" if word != "get_devices" => {
            if value.is_empty() {
                String::new()
            } else {
                "<one>".to_owned()
            }
        }
        "devids" | "tempfile_devids" => value.split(',').map(|_| "<one>").collect::<Vec<_>>().join(","),
        _ if field.ends_with("_fid") => digits_of(value),
        _ if field.ends_with("_time") || field.ends_with("_utime") || field.ends_with("nexttry") => {
            digits_of(value)
        }
        _ => masked(value),
    };
    Some(text)
}

/// `0` and nothing stay, other numbers vary.
fn digits_of(value: &str) -> String {
    match value {
        "" | "0" => value.to_owned(),
        _ => "<n>".to_owned(),
    }
}

/// The lines that operators read.
fn lines(say: &str, answer: &str) -> String {
    if say == "!recent" {
        // Every request takes its own time, and the tests of the port look at the rest.
        return "<requests>".to_owned();
    }
    let shaped = answer.lines().map(|line| match line.split_once(" pids ") {
        Some((job, pids)) => format!(
            "{job} pids {}",
            pids.split(' ').map(|_| "<pid>").collect::<Vec<_>>().join(" ")
        ),
        None => line
            .split_once("uptime ")
            .map_or(line.to_owned(), |_| "uptime <n>".to_owned()),
    });
    shaped.collect::<Vec<_>>().join("|")
}
