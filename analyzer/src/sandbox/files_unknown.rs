//! No sandbox for files: this system has no Landlock.

use super::{Opened, Wall};
use crate::reach::Reach;

pub(super) fn restrict(_: &Reach, _: Opened<'_>) -> Result<Wall, String> {
    Err("this system has no Landlock".into())
}
