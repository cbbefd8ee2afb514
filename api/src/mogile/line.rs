//! The lines of the tracker port: what a request's arguments mean, and how an answer is written (mogilefs.md §2).
//!
//! Values are bytes. The original reads numbers and truth as Perl does, and clients rely on it; here that leniency has its
//! names ([`Args::number`], [`Args::is_true`]) and stays.

use std::{
    borrow::Cow,
    fmt::{Display, Write as _},
    net::{IpAddr, Ipv4Addr},
};

use super::error::{Code, Refusal};

/// The decoded arguments of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Args {
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
    client: IpAddr,
}

/// The pairs of a successful answer, in the order in which they are written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer(Vec<(Cow<'static, str>, Vec<u8>)>);

impl Args {
    /// Decodes `name=value&…` that the client at `client` sent.
    ///
    /// As the original does: only the first two fields of `a=b=c` count, a pair without `=` has the empty value, an empty
    /// pair is skipped, values of the same name are joined by NUL unless the first is empty or `0`.
    #[must_use]
    pub fn decode(text: &[u8], client: IpAddr) -> Args {
        let mut args = Args {
            pairs: Vec::new(),
            client,
        };
        for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let mut fields = pair.split(|byte| *byte == b'=');
            let name = unescape(fields.next().unwrap_or_default());
            let value = unescape(fields.next().unwrap_or_default());
            args.add(name, value);
        }
        args
    }

    /// The arguments as if `text` had been sent from this machine.
    #[must_use]
    pub fn local(text: &str) -> Args {
        Args::decode(text.as_bytes(), Ipv4Addr::LOCALHOST.into())
    }

    fn add(&mut self, name: Vec<u8>, value: Vec<u8>) {
        match self.pairs.iter_mut().find(|(known, _)| *known == name) {
            Some((_, first)) if is_true(first) => {
                first.push(0);
                first.extend(value);
            }
            Some((_, first)) => *first = value,
            None => self.pairs.push((name, value)),
        }
    }

    /// Where the request came from.
    #[must_use]
    pub fn client(&self) -> IpAddr {
        self.client
    }

    /// All pairs, in the order in which they came.
    pub fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.pairs
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// The value of `name`, as it came; `None` if it was not sent.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.pairs()
            .find(|(known, _)| *known == name.as_bytes())
            .map(|(_, value)| value)
    }

    /// The value of `name` as text; `None` if it was not sent.
    ///
    /// # Errors
    /// `bad_params`, if it is not UTF-8: what we could not store we do not take.
    pub fn text(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let text = self.bytes(name).map(str::from_utf8).transpose();
        text.map_err(|_| Refusal::with(Code::BadParams, format!("The value of {name} is not UTF-8")))
    }

    /// The text of `name`; `missing` if it was not sent or is empty. `0` is a value.
    ///
    /// # Errors
    /// `missing`; `bad_params`, if it is not UTF-8.
    pub fn required(&self, name: &str, missing: Code) -> Result<&str, Refusal> {
        match self.text(name)? {
            None | Some("") => Err(missing.into()),
            Some(text) => Ok(text),
        }
    }

    /// The number at the beginning of the value, 0 if there is none (Perl's rule); `None` if `name` was not sent.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<i64> {
        self.bytes(name).map(number)
    }

    /// Whether `name` was sent with a value that Perl takes for true: neither empty nor `0`.
    #[must_use]
    pub fn is_true(&self, name: &str) -> bool {
        self.bytes(name).is_some_and(is_true)
    }
}

impl Answer {
    /// An answer without pairs.
    #[must_use]
    pub fn new() -> Answer {
        Answer::default()
    }

    /// Adds a pair.
    #[must_use]
    pub fn pair(self, name: impl Into<Cow<'static, str>>, value: impl Display) -> Answer {
        self.bytes(name, value.to_string())
    }

    /// Adds a pair whose value is bytes.
    #[must_use]
    pub fn bytes(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Vec<u8>>) -> Answer {
        self.0.push((name.into(), value.into()));
        self
    }

    /// The pairs, as clients decode them.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_ref(), value.as_slice()))
    }
}

/// Writes the line of an answer, its end included. `callid` is given back to the client that sent it.
#[must_use]
pub fn render(outcome: &Result<Answer, Refusal>, callid: Option<&[u8]>) -> String {
    let mut line = String::new();
    match outcome {
        Ok(answer) => {
            line.push_str("OK ");
            let callid = callid.map(|callid| ("callid", callid));
            for (index, (name, value)) in answer.pairs().chain(callid).enumerate() {
                if index > 0 {
                    line.push('&');
                }
                escape(name.as_bytes(), &mut line);
                line.push('=');
                escape(value, &mut line);
            }
        }
        Err(refusal) => {
            line.push_str("ERR ");
            line.push_str(refusal.code().word());
            line.push(' ');
            escape(refusal.text().as_bytes(), &mut line);
            if let Some(callid) = callid {
                line.push(' ');
                escape(callid, &mut line);
            }
        }
    }
    line.push_str("\r\n");
    line
}

/// Perl's truth.
fn is_true(value: &[u8]) -> bool {
    !matches!(value, b"" | b"0")
}

/// Perl's number: what stands at the beginning; without fraction, which no argument has.
fn number(value: &[u8]) -> i64 {
    let text = value.trim_ascii_start();
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let magnitude = digits
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .fold(0_i64, |sum, digit| {
            sum.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
        });
    if negative { -magnitude } else { magnitude }
}

/// `+` is a blank, `%hh` a byte; what is malformed stays as it is.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return bytes,
            [b'%', high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                bytes.push(nibble(*high) << 4 | nibble(*low));
                tail
            }
            [b'+', tail @ ..] => {
                bytes.push(b' ');
                tail
            }
            [byte, tail @ ..] => {
                bytes.push(*byte);
                tail
            }
        };
    }
}

/// The value of a hexadecimal digit.
fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit - b'A' + 10,
    }
}

/// Writes a value as the original does: see mogilefs.md §2.2 for the bytes that stay.
pub(super) fn escape(value: &[u8], line: &mut String) {
    for byte in value {
        match byte {
            b' ' => line.push('+'),
            _ if byte.is_ascii_alphanumeric() || b"_,-./\\:".contains(byte) => line.push(char::from(*byte)),
            _ => write!(line, "%{byte:02X}").expect("a String takes every text"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a plugin of the original that gave its arguments back was recorded to answer.
    fn check(request: &str, answer: &str) {
        let args = Args::local(request);
        let echo = args.pairs().fold(Answer::new(), |echo, (name, value)| {
            echo.bytes(String::from_utf8(name.to_vec()).unwrap(), value)
        });
        assert_eq!(render(&Ok(echo), None), format!("OK {answer}\r\n"));
    }

    #[test]
    fn values_come_back_as_the_original_writes_them() {
        check(
            "plain=az+AZ+09+_,-./\\:&special=a%26b%3Dc%25d%2Be~f%21g%2Ah%28i&utf8=%C3%A4+%E4%B8%AD&ctl=a%09b&empty=",
            "plain=az+AZ+09+_,-./\\:&special=a%26b%3Dc%25d%2Be%7Ef%21g%2Ah%28i&utf8=%C3%A4+%E4%B8%AD&ctl=a%09b&empty=",
        );
        check("v=%00%01%7f%80%ff%0a%0d", "v=%00%01%7F%80%FF%0A%0D");
        check("v=%zz%4&w=100%", "v=%25zz%254&w=100%25");
        check("v=a=b=c&=x&y", "v=a&=x&y=");
        check("v=äöü", "v=%C3%A4%C3%B6%C3%BC");
        check("v=a&v=b&w=&w=c&x=0&x=1&&", "v=a%00b&w=c&x=1");
    }

    #[test]
    fn numbers_and_truth_are_read_as_perl_reads_them() {
        let args = Args::local("a=12abc&b=&c=-7&d=x&e=99999999999999999999&f=0&g=00");

        let numbers: Vec<_> = ["a", "b", "c", "d", "e", "none"]
            .map(|name| args.number(name))
            .into();
        assert_eq!(
            numbers,
            [Some(12), Some(0), Some(-7), Some(0), Some(i64::MAX), None]
        );
        let truths: Vec<_> = ["a", "b", "f", "g", "none"].map(|name| args.is_true(name)).into();
        assert_eq!(truths, [true, false, false, true, false]);
    }

    #[test]
    fn an_answer_gives_the_callid_back() {
        let refusal = Refusal::from(Code::UnregDomain);

        assert_eq!(render(&Ok(Answer::new()), None), "OK \r\n");
        assert_eq!(render(&Ok(Answer::new()), Some(b"a b")), "OK callid=a+b\r\n");
        assert_eq!(
            render(&Err(refusal), Some(b"a b&")),
            "ERR unreg_domain Domain+name+invalid/not+found a+b%26\r\n"
        );
        assert_eq!(render(&Err(Code::NoKey.into()), None), "ERR no_key no_key\r\n");
    }
}
