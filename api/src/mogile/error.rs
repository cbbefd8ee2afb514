//! What the tracker port answers instead of success: the closed list of the original's codes (mogilefs.md §3), and the one
//! translation of the tracker's errors.

use mogul_tracker::{
    Error,
    command::tempfiles::CloseError,
    error::{RunError, chain},
};

/// Why a command was not done, as a client reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    code: Code,
    /// The text, if it is not the code's own.
    text: Option<String>,
    /// What the log is told and the client is not.
    cause: Option<String>,
}

/// Declares the codes: their words, and their texts where they have one.
macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $code:ident = $word:literal $(, $text:literal)?;)+) => {
        /// The first word after `ERR`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $($(#[doc = $doc])+ $code,)+
        }

        impl Code {
            /// The word on the wire.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(Code::$code => $word,)+
                }
            }

            /// The text that the code has of its own; the word itself where it has none.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self {
                    $(Code::$code => codes!(@text $word $(, $text)?),)+
                }
            }
        }
    };
    (@text $word:literal) => { $word };
    (@text $word:literal, $text:literal) => { $text };
}

codes! {
    /// `after` of a listing does not begin with the prefix.
    AfterMismatch = "after_mismatch", "Pattern does not match the after-value?";
    /// `create_device` names no host.
    BadArgs = "bad_args", "No hostid/hostname parameter";
    /// Arguments that the command cannot take.
    BadParams = "bad_params", "Invalid parameters to command; please see documentation";
    /// The rebalance policy cannot be read; the text says why.
    BadRebalPol = "bad_rebal_pol";
    /// The path is not the one that `create_open` gave.
    BogusArgs = "bogus_args";
    /// The file's bytes are not those of the given checksum; the text says both.
    ChecksumMismatch = "checksum_mismatch";
    /// A class of that name exists.
    ClassExists = "class_exists", "That class already exists in that domain";
    /// Files of the class exist.
    ClassHasFiles = "class_has_files", "Class still has files, unable to delete";
    /// No class of that name.
    ClassNotFound = "class_not_found", "Class not found";
    /// `httpcopy` failed; the text says at which end.
    CopyErr = "copy_err";
    /// The database refused or failed.
    Db = "db", "Database error";
    /// The domain has classes.
    DomainHasClasses = "domain_has_classes";
    /// The domain has files.
    DomainHasFiles = "domain_has_files", "Domain still has files, unable to delete";
    /// A domain of that name exists.
    DomainExists = "domain_exists", "That domain already exists";
    /// No domain of that name, to a command that changes domains or classes.
    DomainNotFound = "domain_not_found", "Domain not found";
    /// A name or number is taken.
    Dup = "dup", "Duplicate name/number used.";
    /// Nothing is being drained there.
    DrainNotStarted = "drain_not_started";
    /// A device of that number exists.
    ExistingDevid = "existing_devid";
    /// The command went wrong.
    Failure = "failure", "Operation failed";
    /// The file was closed before under the same fid.
    FidExists = "fid_exists";
    /// The fid that the client chose is taken.
    FidInUse = "fid_in_use";
    /// A check is running; the text says so.
    FsckRunning = "fsck_running";
    /// A host of that name exists.
    HostExists = "host_exists", "That host already exists";
    /// The device is of another host.
    HostMismatch = "host_mismatch", "The device specified doesn't belong to the host specified";
    /// The host has devices.
    HostNotEmpty = "host_not_empty", "Unable to delete host; it contains devices still";
    /// No host of that name, to a command that changes one.
    HostNotFound = "host_not_found", "Host not found";
    /// The checksum is not one.
    InvalidChecksumFormat = "invalid_checksum_format";
    /// The device was not among those that `create_open` gave; the text names them.
    InvalidDestdev = "invalid_destdev";
    /// Not a device number.
    InvalidDevid = "invalid_devid";
    /// A setting cannot take the value; the text says why.
    InvalidFormat = "invalid_format";
    /// No such hash type.
    InvalidHashtype = "invalid_hashtype";
    /// No file under the key, or none that can be changed.
    InvalidKey = "invalid_key";
    /// The class would have no copies.
    InvalidMindevcount = "invalid_mindevcount", "The mindevcount must be at least 1";
    /// The replication policy cannot be read; the text says why.
    InvalidReplpolicy = "invalid_replpolicy";
    /// No such state of a device.
    InvalidState = "invalid_state";
    /// The key to rename to is taken.
    KeyExists = "key_exists", "Target key name already exists; can't overwrite.";
    /// No class given.
    NoClass = "no_class", "No class provided";
    /// No device given, or none of that number on the host.
    NoDevice = "no_device", "Device not found";
    /// No device can take the file.
    NoDevices = "no_devices", "No devices found to store file";
    /// No device number given.
    NoDevid = "no_devid";
    /// No domain given.
    NoDomain = "no_domain", "No domain provided";
    /// No fid given.
    NoFid = "no_fid";
    /// No host given.
    NoHost = "no_host", "No host provided";
    /// No address given.
    NoIp = "no_ip", "IP required to create host";
    /// No key given.
    NoKey = "no_key";
    /// No path given.
    NoPath = "no_path";
    /// No port given.
    NoPort = "no_port", "Port required to create host";
    /// There is no rebalance policy.
    NoRebalPolicy = "no_rebal_policy", "No rebalance policy available";
    /// No rebalance has been started.
    NoRebalState = "no_rebal_state", "No available rebalance status";
    /// The policy cannot be changed now; the text says why.
    NoSetRebal = "no_set_rebal";
    /// No reservation for the fid: it was closed before, expired, or never was.
    NoTempFile = "no_temp_file", "No tempfile or file already closed";
    /// The default class stays.
    NodelDefaultClass = "nodel_default_class", "Cannot delete the default class";
    /// No key begins so.
    NoneMatch = "none_match", "No keys match that pattern and after-value (if any).";
    /// The setting cannot be changed by a client.
    NotWritable = "not_writable";
    /// No rebalance is running.
    RebalNotStarted = "rebal_not_started", "Rebalance not running";
    /// A rebalance is running; the text says so.
    RebalRunning = "rebal_running";
    /// The file has another size than was said; the text says both.
    SizeMismatch = "size_mismatch";
    /// The size could not be looked up, or nothing is there; the text says which.
    SizeVerifyError = "size_verify_error";
    /// A dead device must go by way of down.
    StateTooHigh = "state_too_high", "Status cannot go from dead to alive; must use down";
    /// No such command.
    UnknownCommand = "unknown_command", "Unknown server command";
    /// No such fid.
    UnknownFid = "unknown_fid";
    /// No host of that name.
    UnknownHost = "unknown_host", "Host not found";
    /// No host of that number.
    UnknownHostid = "unknown_hostid";
    /// No file under the key.
    UnknownKey = "unknown_key";
    /// No such state of a host.
    UnknownState = "unknown_state", "Invalid/unknown state";
    /// No class of that name, to a command that stores.
    UnregClass = "unreg_class";
    /// No domain of that name.
    UnregDomain = "unreg_domain", "Domain name invalid/not found";
}

impl Refusal {
    /// A refusal whose text is computed.
    #[must_use]
    pub fn with(code: Code, text: impl Into<String>) -> Refusal {
        Refusal {
            code,
            text: Some(text.into()),
            cause: None,
        }
    }

    /// The code.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// The text, not yet escaped; never empty.
    #[must_use]
    pub fn text(&self) -> &str {
        match &self.text {
            Some(text) if !text.is_empty() => text,
            Some(_) | None => self.code.text(),
        }
    }

    /// What the log is told of it, if that is more than the client reads.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Refusal {
        Refusal {
            code,
            text: None,
            cause: None,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        let (code, text) = translate(&error);
        let ours = matches!(code, Code::Db | Code::Failure);
        Refusal {
            code,
            text,
            cause: ours.then(|| chain(&error)),
        }
    }
}

/// What an error is to a client of `create_open` or `fsck_reset`, which alone say that it is the database that failed.
pub(super) fn of_database(error: Error) -> Refusal {
    let code = matches!(error, Error::Database(_)).then_some(Code::Db);
    let refusal = Refusal::from(error);
    Refusal {
        code: code.unwrap_or(refusal.code),
        ..refusal
    }
}

/// What each of the tracker's errors is to a client of this port. Those that only S3 can meet are failures here.
fn translate(error: &Error) -> (Code, Option<String>) {
    let code = match error {
        Error::UnknownDomain => Code::UnregDomain,
        Error::DomainTaken | Error::DomainExists => Code::DomainExists,
        Error::DomainNotEmpty => Code::DomainHasFiles,
        Error::DomainHasClasses => Code::DomainHasClasses,
        Error::UnknownClass => Code::ClassNotFound,
        Error::ClassExists => Code::ClassExists,
        Error::ClassNotEmpty => Code::ClassHasFiles,
        Error::DefaultClass => Code::NodelDefaultClass,
        Error::InvalidPolicy(reason) => return (Code::InvalidReplpolicy, Some(reason.to_string())),
        Error::UnknownHost => Code::UnknownHost,
        Error::HostExists => Code::HostExists,
        Error::HostNotEmpty => Code::HostNotEmpty,
        Error::AddressTaken | Error::Exists(_) => Code::Dup,
        Error::UnknownDevice => Code::NoDevice,
        Error::DeviceExists => Code::ExistingDevid,
        Error::HostMismatch => Code::HostMismatch,
        Error::DeadDevice => Code::StateTooHigh,
        Error::SettingReadOnly => Code::NotWritable,
        Error::InvalidSetting(reason) => return (Code::InvalidFormat, Some((*reason).to_owned())),
        Error::InvalidKey(reason) => return (Code::Db, Some(reason.to_string())),
        Error::UnknownKey => Code::UnknownKey,
        Error::KeyTaken => Code::KeyExists,
        Error::FidInUse => Code::FidInUse,
        Error::Close(refused) => close_code(refused),
        Error::NoDevices | Error::TooFewCopies { .. } | Error::NoReadableCopy => Code::NoDevices,
        Error::SizeMismatch { expected, actual } => {
            let text = format!("Expected: {expected}; actual: {actual}");
            return (Code::SizeMismatch, Some(text));
        }
        Error::DigestMismatch => Code::ChecksumMismatch,
        Error::Invalid { field, reason } => {
            let text = format!("Invalid {field}: {reason}");
            return (Code::BadParams, Some(text));
        }
        Error::Run(reason) => return (run_code(reason), Some(reason.to_string())),
        Error::InvalidDomainName
        | Error::Exhausted(_)
        | Error::PreconditionFailed(_)
        | Error::UnknownUpload
        | Error::UnknownPart(_)
        | Error::PartTooSmall { .. }
        | Error::PartChecksum(_)
        | Error::WholeMismatch(_)
        | Error::UnknownUser
        | Error::UnknownAccessKey
        | Error::UnknownToken
        | Error::UnknownJob
        | Error::UserOwnsBuckets
        | Error::Busy
        | Error::Device { .. }
        | Error::Database(_)
        | Error::Internal(_) => Code::Failure,
    };
    (code, None)
}

/// Why an upload was not closed; what the text needs to know of the request is added where that is known.
fn close_code(refused: &CloseError) -> Code {
    match refused {
        CloseError::NotOpen => Code::NoTempFile,
        CloseError::NotOffered { .. } => Code::InvalidDestdev,
        CloseError::Missing | CloseError::Unreachable => Code::SizeVerifyError,
        CloseError::SizeDiffers { .. } => Code::SizeMismatch,
        CloseError::DigestDiffers { .. } => Code::ChecksumMismatch,
        CloseError::IsFile => Code::FidExists,
    }
}

/// The code of what keeps a background run from being begun, changed or ended.
fn run_code(reason: &RunError) -> Code {
    match reason {
        RunError::FsckRunning | RunError::FsckInTheWay => Code::FsckRunning,
        RunError::RebalanceRunning | RunError::RebalanceInTheWay | RunError::StateInUse => Code::RebalRunning,
        RunError::PolicyInUse => Code::NoSetRebal,
        RunError::NotStarted => Code::RebalNotStarted,
        RunError::NotDraining => Code::DrainNotStarted,
        RunError::NoState => Code::NoRebalState,
        RunError::NoPolicy => Code::NoRebalPolicy,
        RunError::BadPolicy(_) => Code::BadRebalPol,
    }
}
