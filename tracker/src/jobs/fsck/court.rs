//! What is said of a file at first sight: its policy, and what was seen of its copies.

use std::collections::{BTreeMap, BTreeSet};

use mogul_storage::{DevId, HashType};

use super::{
    Checksums, Rules,
    survey::{Seen, Survey},
};
use crate::{
    Tracker,
    meta::fsck::Recorded,
    model::{ClassId, DomainId, FsckScope},
    policy::{Advice, PolicyDevice, PolicySpec, Situation},
    refresh::policy_of,
};

/// What the batch is judged by.
pub(super) struct Court<'a> {
    tracker: &'a Tracker,
    pub(super) rules: Rules,
    devices: Vec<PolicyDevice>,
    absent: BTreeSet<DevId>,
    classes: BTreeMap<(DomainId, ClassId), ClassRule>,
    /// What policies said of classes and devices: files are many, and these are few.
    content: BTreeMap<(DomainId, ClassId, Vec<DevId>), bool>,
}

/// What a class wants.
#[derive(Debug, Clone)]
pub(super) struct ClassRule {
    policy: PolicySpec,
    mindevcount: u8,
    pub(super) hash: Option<HashType>,
}

/// What is said of a file at first sight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Fine,
    /// A device does not answer.
    Stalled,
    /// Something is not as it should be.
    Suspect,
}

impl<'a> Court<'a> {
    pub(super) fn new(tracker: &'a Tracker, rules: Rules) -> Court<'a> {
        let view = tracker.view();
        let absent = view.devices().filter(|device| device.absent.is_some());
        Court {
            tracker,
            rules,
            devices: view.policy_devices(0),
            absent: absent.map(|device| device.device.id).collect(),
            classes: BTreeMap::new(),
            content: BTreeMap::new(),
        }
    }

    /// What the class of a file wants; remembered, because files are many and classes few.
    pub(super) fn class(&mut self, file: &Recorded) -> ClassRule {
        let key = (file.file.domain, file.file.class);
        if let Some(rule) = self.classes.get(&key) {
            return rule.clone();
        }
        let rule = self.class_of(file);
        self.classes.insert(key, rule.clone());
        rule
    }

    pub(super) fn class_of(&self, file: &Recorded) -> ClassRule {
        let class = self.tracker.class_of(&file.file);
        ClassRule {
            policy: policy_of(&class),
            mindevcount: class.mindevcount,
            hash: class.hash,
        }
    }

    /// Whether a policy is content with a file on these devices: neither too few nor too many.
    pub(super) fn is_content(&self, class: &ClassRule, on: &[DevId]) -> bool {
        let situation = Situation {
            mindevcount: class.mindevcount,
            on,
            failed: &[],
            devices: &self.devices,
        };
        class.policy.advise(&situation) == Advice::Happy
    }

    /// Whether copies on a device do not count because it has stayed away: nothing is said of them.
    pub(super) fn is_absent(&self, device: DevId) -> bool {
        self.absent.contains(&device)
    }

    pub(super) fn wants_checksums(&mut self, files: &[Recorded]) -> bool {
        self.rules.checksums != Checksums::Off && files.iter().any(|file| self.class(file).hash.is_some())
    }

    /// The first look at a file, in the order of the original's `check_fid`.
    pub(super) fn judge(&mut self, file: &Recorded, has_checksum: bool, survey: &Survey) -> Verdict {
        if file.on.is_empty() {
            return Verdict::Suspect;
        }
        let class = self.class(file);
        let seen = (file.file.domain, file.file.class, file.on.clone());
        let content = if let Some(content) = self.content.get(&seen) {
            *content
        } else {
            let content = self.is_content(&class, &file.on);
            self.content.insert(seen, content);
            content
        };
        let reads = self.rules.checksums != Checksums::Off && class.hash.is_some();
        if !content || (reads && !has_checksum) {
            return Verdict::Suspect;
        }
        if self.rules.scope == FsckScope::PolicyOnly {
            return Verdict::Fine;
        }
        let mut verdict = Verdict::Fine;
        for device in file.on.iter().filter(|device| !self.is_absent(**device)) {
            match survey.seen(*device, file.file.fid) {
                Seen::Size(size) if size == file.file.size => {}
                Seen::Size(_) | Seen::Missing | Seen::Dead => return Verdict::Suspect,
                Seen::Away => verdict = Verdict::Stalled,
            }
        }
        if verdict == Verdict::Fine && (reads || matches!(self.rules.checksums, Checksums::All(_))) {
            return Verdict::Suspect;
        }
        verdict
    }
}
