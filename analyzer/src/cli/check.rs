//! The options of `check`, as typed.

use super::groups::OutputArgs;
use clap::Args;
use std::path::PathBuf;

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Segments, folders of segments, or a database with its closed months
    #[arg(value_name = "SEGMENT", required = true)]
    pub segments: Vec<PathBuf>,
    /// A hash that the recorder said when it sealed a segment: one of these must have it. May be
    /// given again
    #[arg(long = "anchor", value_name = "SHA256", value_parser = sha256)]
    pub anchors: Vec<[u8; 32]>,
    /// Where it goes.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// A SHA-256 as 64 hexadecimal digits.
fn sha256(text: &str) -> Result<[u8; 32], String> {
    let wrong = || "a SHA-256 has 64 hexadecimal digits".to_owned();
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect::<Option<_>>().ok_or_else(wrong)?;
    let bytes: Vec<u8> = digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    bytes.try_into().ok().filter(|_| digits.len() == 64).ok_or_else(wrong)
}
