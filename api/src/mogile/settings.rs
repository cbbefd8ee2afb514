//! `set_server_setting`, `server_setting`, `server_settings` (mogilefs.md §4.5, §20).

use super::{
    Face,
    error::{Code, Refusal},
    line::{Answer, Args},
};

/// `set_server_setting`: writes a setting that operators may write.
pub(super) async fn set_server_setting(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let key = args.required("key", Code::BadParams)?;
    let value = args.text("value")?.unwrap_or_default();
    face.tracker().set_server_setting(key, value).await?;
    Ok(Answer::new())
}

/// `server_setting`: the value of one setting, empty if it has none.
pub(super) async fn server_setting(face: &Face, args: &Args) -> Result<Answer, Refusal> {
    let key = args.required("key", Code::BadParams)?;
    let value = face.tracker().server_setting(key).await?;
    Ok(Answer::new()
        .pair("key", key)
        .pair("value", value.unwrap_or_default()))
}

/// `server_settings`: all settings but the state of fsck.
pub(super) async fn server_settings(face: &Face, _args: &Args) -> Result<Answer, Refusal> {
    let settings = face.tracker().server_settings().await?;
    let mut answer = Answer::new().pair("key_count", settings.len());
    for (number, (key, value)) in (1_usize..).zip(settings) {
        answer = answer
            .pair(format!("key_{number}"), key)
            .pair(format!("value_{number}"), value);
    }
    Ok(answer)
}
