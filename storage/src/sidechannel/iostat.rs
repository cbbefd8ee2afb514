//! The stream of `watch`: each second how busy the disk of each device was, as mogstored writes it and as trackers read it.

use std::{fmt::Write, io};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use crate::{
    fid::DevId,
    utilization::{Report, Utilization},
};

/// Ends a report.
const END: &str = ".";

/// Longest line of a report in bytes: two numbers.
const LINE_BYTES_MAX: u64 = 256;

/// Devices of one report, at most.
const DEVICES_MAX: usize = 4096;

/// Writes what mogstored writes: percents with two decimals, `-` where nothing is known, bare line ends.
pub(super) fn text(report: &Report) -> String {
    let mut text = String::new();
    for (device, utilization) in report {
        let percent = utilization.map_or_else(|| "-".to_owned(), |utilization| utilization.to_string());
        writeln!(text, "{device}\t{percent}").expect("a string takes all text");
    }
    text.push_str(END);
    text.push('\n');
    text
}

/// The reports of a node, ours or a mogstored, over a connection to its side channel.
#[derive(Debug)]
pub struct Watch<S>(BufReader<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Watch<S> {
    /// Asks the node to report.
    ///
    /// # Errors
    /// The connection's.
    pub async fn begin(mut stream: S) -> io::Result<Watch<S>> {
        stream.write_all(b"watch\r\n").await?;
        Ok(Watch(BufReader::new(stream)))
    }

    /// Waits for the next report. Lines that say nothing of a device are passed over, as the original's tracker does.
    ///
    /// # Errors
    /// The connection's; [`io::ErrorKind::Unsupported`] from a node that has no figures, [`io::ErrorKind::InvalidData`] if a
    /// line or a report is too long, [`io::ErrorKind::UnexpectedEof`] if the node hangs up.
    ///
    /// # Cancel safety
    /// Dropped, it loses what it has read of the report.
    pub async fn next(&mut self) -> io::Result<Report> {
        let mut report = Report::new();
        let mut line = String::new();
        loop {
            line.clear();
            (&mut self.0).take(LINE_BYTES_MAX).read_line(&mut line).await?;
            match line.strip_suffix('\n').map(str::trim_end) {
                None if line.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
                None => return Err(io::ErrorKind::InvalidData.into()),
                Some(END) => return Ok(report),
                Some(refused) if refused.starts_with("ERR") => return Err(io::ErrorKind::Unsupported.into()),
                Some(line) => report.extend(entry(line)),
            }
            if report.len() > DEVICES_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }
}

/// Reads `4<tab>18.80` or `4<tab>-`.
fn entry(line: &str) -> Option<(DevId, Option<Utilization>)> {
    let (device, percent) = line.split_once(char::is_whitespace)?;
    let device = DevId::new(device.parse().ok()?)?;
    Some((device, Utilization::parse(percent.trim())))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn device(number: u32) -> DevId {
        DevId::new(number).unwrap()
    }

    fn report() -> Report {
        let busy = |ms| Utilization::of(Duration::from_millis(ms), Duration::from_secs(1));
        Report::from([
            (device(1), Some(busy(188))),
            (device(2), None),
            (device(10), Some(busy(1500))),
        ])
    }

    /// What a watch makes of what a node sends.
    async fn watched(sent: &str) -> Vec<io::Result<Report>> {
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        let mut watch = Watch::begin(ours).await.unwrap();
        theirs.write_all(sent.as_bytes()).await.unwrap();
        theirs.shutdown().await.unwrap();
        let mut found = Vec::new();
        while found.last().is_none_or(Result::is_ok) {
            found.push(watch.next().await);
        }
        found
    }

    #[test]
    fn percents_have_decimals_and_what_is_unknown_a_dash() {
        assert_eq!(text(&report()), "1\t18.80\n2\t-\n10\t100.00\n.\n");
    }

    #[tokio::test]
    async fn reports_are_read_as_they_are_written() {
        let found = watched(&text(&report()).repeat(2)).await;

        let whole: Vec<&Report> = found.iter().flatten().collect();
        assert_eq!(whole, [&report(), &report()]);
        assert_eq!(
            found[2].as_ref().unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }

    #[tokio::test]
    async fn what_a_mogstored_of_any_age_sends_is_understood() {
        let found = watched("3 75\r\n0\t5\nnoise\n4\t-\r\n5\tnan\n.\r\n").await;

        let expected = [(3, Some("75.00")), (4, None), (5, None)];
        let expected = expected
            .map(|(number, percent)| (device(number), percent.map(|p| Utilization::parse(p).unwrap())));
        assert_eq!(found[0].as_ref().unwrap(), &Report::from(expected));
    }

    #[tokio::test]
    async fn a_node_without_figures_and_one_without_measure_are_errors() {
        let flood = text(&(1..6000).map(|number| (device(number), None)).collect());
        for (sent, expected) in [
            ("ERR iostat unavailable\r\n", io::ErrorKind::Unsupported),
            (&*"1".repeat(300), io::ErrorKind::InvalidData),
            (&*flood, io::ErrorKind::InvalidData),
            ("1\t5.00\n", io::ErrorKind::UnexpectedEof),
        ] {
            let found = watched(sent).await;

            assert_eq!(found[0].as_ref().unwrap_err().kind(), expected, "{sent:.30}");
        }
    }
}
