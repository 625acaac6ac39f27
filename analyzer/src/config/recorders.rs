//! `[recorders]`: what people call their recorders, by their ids.

use super::read::{Section, name};
use crate::error::Error;
use crate::recorders::{Recorders, parse_id};

/// Most recorders: a list that somebody keeps by hand is shorter.
const MAX_RECORDERS: usize = 100_000;

/// Takes in a section.
///
/// # Errors
/// Usage: a key is no id, a value no name, or two have one name.
pub(super) fn take(recorders: &mut Recorders, section: Section<'_>) -> Result<(), Error> {
    let text = section.text;
    for (key, value) in section.all() {
        let fault = |span: &std::ops::Range<usize>, what: String| {
            text.error(span, what).hint("as in: \"0b2d3c6e-…\" = \"attic\"")
        };
        let id = parse_id(key.value)
            .ok_or_else(|| fault(&key.span, format!("`{}` in [recorders] is no id of a recorder", key.value)))?;
        let called = value.get_ref().as_str().ok_or_else(|| fault(&value.span(), "a name is a text".to_owned()))?;
        let called = name(called).map_err(|e| fault(&value.span(), e))?;
        if recorders.name(id, called.clone()).is_some() {
            return Err(fault(&value.span(), format!("two recorders are called `{called}`")));
        }
        if recorders.len() > MAX_RECORDERS {
            return Err(text.error(&key.span, format!("more than {MAX_RECORDERS} recorders")));
        }
    }
    Ok(())
}
