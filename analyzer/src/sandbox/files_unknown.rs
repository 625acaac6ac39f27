//! No sandbox for files: this system has no Landlock.

use super::Wall;
use crate::reach::Reach;
use std::path::Path;

pub(super) fn restrict(_: &Reach, _: Option<&Path>) -> Result<Wall, String> {
    Err("this system has no Landlock".into())
}
