//! In place of `calls` where nobody has looked which system calls the loop makes: none are refused,
//! and that is said.

use super::descriptors::Kept;
use std::os::fd::BorrowedFd;

/// None are known.
pub fn permitted() -> Vec<&'static str> {
    Vec::new()
}

/// A filter, of which [`program`] makes none.
#[derive(Debug, Clone)]
pub struct Program;

/// Gives nothing.
///
/// # Errors
/// Always.
pub fn program(_: &[BorrowedFd<'_>], _: &[BorrowedFd<'_>], _: &[Kept], _: i32) -> Result<Program, String> {
    Err(format!("imon-record has no list of system calls for {}", std::env::consts::ARCH))
}

/// Never comes to be called, because [`program`] failed.
///
/// # Errors
/// None.
pub fn restrict(_: &Program) -> Result<(), String> {
    Ok(())
}

/// Never comes to be called, because [`program`] failed.
///
/// # Errors
/// None.
pub fn tighten() -> Result<(), String> {
    Ok(())
}
