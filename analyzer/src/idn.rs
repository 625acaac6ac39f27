//! Internationalised names (RFC 5890): shown decoded where that deceives nobody, and taken in their
//! decoded form.
//!
//! A label of letters beyond ASCII travels as `xn--` and punycode. Decoded it is what its readers
//! call it, and what can be made to look like another name. It is shown decoded only if all of this
//! holds, else as it was sent:
//! - encoding it again gives the same label, so that one name has one look;
//! - it is in lower case and in normalisation form C, as registrable labels are (RFC 5891 section
//!   4.2);
//! - its characters are allowed in identifiers and of one script, or of the mixes that Japanese,
//!   Korean and Chinese are written in: *highly restrictive* by UTS #39 section 5.2. Nothing
//!   invisible is allowed there;
//! - it does not look like a label of ASCII (UTS #39 section 4): `аррӏе` in Cyrillic letters looks
//!   like `apple`;
//! - it is not written from right to left: a terminal would reorder the numbers of its row.
//!
//! Display only: keys, JSON and CSV keep what was sent.

use crate::punycode;
use std::borrow::Cow;
use unicode_normalization::{UnicodeNormalization as _, is_nfc};
use unicode_security::{RestrictionLevel, RestrictionLevelDetection as _, skeleton};

/// What an encoded label begins with (RFC 5890 section 2.3.2.1).
const PREFIX: &str = "xn--";

/// Longest label in bytes (RFC 1035 section 2.3.4).
const MAX_LABEL_LEN: usize = 63;

/// A name as it is shown to people: labels decoded where that is safe.
pub fn display(name: &str) -> Cow<'_, str> {
    if !name.split('.').any(|label| label.starts_with(PREFIX)) {
        return name.into();
    }
    let labels: Vec<Cow<'_, str>> = name.split('.').map(label_shown).collect();
    labels.join(".").into()
}

fn label_shown(label: &str) -> Cow<'_, str> {
    let decoded = label.strip_prefix(PREFIX).and_then(punycode::decode);
    match decoded.filter(|text| is_safe(text) && encoded(text).as_deref() == Some(label)) {
        Some(text) => text.into(),
        None => label.into(),
    }
}

fn is_safe(text: &str) -> bool {
    let is_lower = |c: char| c.to_lowercase().eq([c]);
    text.check_restriction_level(RestrictionLevel::HighlyRestrictive)
        && text.chars().all(is_lower)
        && is_nfc(text)
        && !text.chars().any(is_right_to_left)
        && !skeleton(text).all(|c| c.is_ascii())
}

/// The blocks of scripts that are written from right to left (Unicode, default bidirectional
/// classes R and AL).
fn is_right_to_left(c: char) -> bool {
    matches!(u32::from(c), 0x590..=0x8ff | 0xfb1d..=0xfdff | 0xfe70..=0xfeff | 0x1_0800..=0x1_0fff | 0x1_e800..=0x1_efff)
}

/// A name as it is sent, from one as people type it; `None` where it cannot be one.
pub fn to_sent(typed: &str) -> Option<String> {
    let labels: Option<Vec<String>> = typed.split(['.', '\u{3002}']).map(encoded).collect();
    labels.map(|labels| labels.join("."))
}

/// A label as it is sent.
fn encoded(label: &str) -> Option<String> {
    let lower: String = label.to_lowercase().nfc().collect();
    if lower.is_ascii() {
        return Some(lower);
    }
    // Beyond letters, digits and marks nothing is registered; blanks and controls would be a
    // mistake of typing.
    let code = lower.chars().all(|c| c == '-' || !c.is_ascii_punctuation() && !c.is_whitespace() && !c.is_control());
    let code = code.then(|| punycode::encode(&lower)).flatten()?;
    let sent = format!("{PREFIX}{code}");
    (sent.len() <= MAX_LABEL_LEN).then_some(sent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn honest_names_are_shown_decoded_and_taken_so() {
        for (sent, shown) in [
            ("xn--bcher-kva.example", "bücher.example"),
            ("xn--mnchen-3ya.de", "münchen.de"),
            ("xn--wgv71a119e.jp", "日本語.jp"),
            ("xn--e1afmkfd.xn--p1ai", "пример.рф"),
            ("www.xn--strae-oqa.de", "www.straße.de"),
            ("xn--hxajbheg2az3al.xn--jxalpdlp", "παράδειγμα.δοκιμή"),
            ("xn--9n2bp8q.xn--9t4b11yi5a", "실례.테스트"),
            ("xn--fsqu00a.xn--0zwm56d", "例子.测试"),
            ("xn--q9jyb4c", "みんな"),
        ] {
            assert_eq!(display(sent), shown);
            assert_eq!(to_sent(shown).as_deref(), Some(sent));
        }
        assert_eq!(to_sent("MÜNCHEN。de").as_deref(), Some("xn--mnchen-3ya.de"));
        assert_eq!(
            to_sent("mu\u{308}nchen.de").as_deref(),
            Some("xn--mnchen-3ya.de"),
            "decomposed, as some keyboards do"
        );
        assert_eq!(to_sent("YouTube.com").as_deref(), Some("youtube.com"));
    }

    #[test]
    fn look_alikes_are_shown_as_they_were_sent() {
        for sent in [
            "xn--80ak6aa92e.com",  // аррӏе: all Cyrillic
            "xn--pple-43d.com",    // аpple: Cyrillic and Latin
            "xn--oogle-wmc.com",   // ɡoogle: a Latin letter that looks like another
            "xn--ggle-0nda.com",   // gοοgle: Greek and Latin
            "xn--xample-9uf.com",  // еxample, one Cyrillic letter
            "xn--80aa0cbo65f.com", // раураӏ
        ] {
            assert_eq!(display(sent), sent);
        }
    }

    #[test]
    fn what_is_not_a_label_of_its_own_form_is_shown_as_it_was_sent() {
        let upper = format!("xn--{}", punycode::encode("MÜNCHEN").unwrap().to_lowercase());
        let decomposed = format!("xn--{}", punycode::encode("mu\u{308}nchen").unwrap());
        let invisible = format!("xn--{}", punycode::encode("m\u{200b}ünchen").unwrap());
        let joiner = format!("xn--{}", punycode::encode("mü\u{200d}nchen").unwrap());
        let slash = format!("xn--{}", punycode::encode("münchen\u{2044}x").unwrap());
        let dot = format!("xn--{}", punycode::encode("münchen\u{ff0e}x").unwrap());
        let control = format!("xn--{}", punycode::encode("mün\u{85}chen").unwrap());
        let hebrew = "xn--4dbrk0ce.xn--4dbcagdahymbxekheh6e0a7fei0b".to_owned();
        let ascii = "xn--google-".to_owned();
        for sent in
            [upper, decomposed, invisible, joiner, slash, dot, control, hebrew, ascii, "xn--".into(), "xn---".into()]
        {
            assert_eq!(display(&sent), sent);
        }
        assert_eq!(display("plain.example"), "plain.example");
        assert_eq!(display("a\\046xn--mnchen-3ya.de"), "a\\046xn--mnchen-3ya.de", "inside a label it is no prefix");
    }

    #[test]
    fn what_cannot_be_a_name_is_not_taken() {
        for typed in ["mün chen.de", "ü/x.de", "ü\u{85}.de", &format!("{}.de", "ü".repeat(63))] {
            assert_eq!(to_sent(typed), None, "{typed}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_leads_back_to_what_was_sent(code in "[a-z0-9-]{1,30}") {
            let sent = format!("xn--{code}.example");
            let shown = display(&sent);
            prop_assert_eq!(to_sent(&shown), Some(sent.clone()));
            prop_assert!(shown.chars().all(|c| !c.is_control()));
        }
    }
}
