//! Punycode (RFC 3492): letters beyond ASCII inside the letters, digits and hyphens that DNS is
//! used with.

/// Parameters of Bootstring for Punycode (RFC 3492 section 5).
const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
const SKEW: u32 = 38;
const DAMP: u32 = 700;
const INITIAL_BIAS: u32 = 72;
const INITIAL_N: u32 = 0x80;

/// Most characters of a label: it has 63 bytes (RFC 1035 section 2.3.4), and each byte gives one
/// character at most.
const MAX_CHARS: usize = 63;

/// What the part of a label behind `xn--` stands for; `None` where it stands for nothing (RFC 3492
/// section 6.2).
pub fn decode(text: &str) -> Option<String> {
    let (basic, extended) = text.rsplit_once('-').unwrap_or(("", text));
    if text.len() > MAX_CHARS || !text.is_ascii() {
        return None;
    }
    let mut chars: Vec<char> = basic.chars().collect();
    let (mut n, mut i, mut bias) = (INITIAL_N, 0u32, INITIAL_BIAS);
    let mut digits = extended.bytes().peekable();
    while digits.peek().is_some() {
        let before = i;
        let mut weight = 1u32;
        for k in (BASE..).step_by(BASE as usize) {
            let digit = value(digits.next()?)?;
            i = i.checked_add(digit.checked_mul(weight)?)?;
            let t = threshold(k, bias);
            if digit < t {
                break;
            }
            weight = weight.checked_mul(BASE - t)?;
        }
        let len = u32::try_from(chars.len()).ok()? + 1;
        bias = adapt(i - before, len, before == 0);
        n = n.checked_add(i / len)?;
        i %= len;
        chars.insert(usize::try_from(i).ok()?, char::from_u32(n)?);
        i += 1;
    }
    Some(chars.into_iter().collect())
}

/// The reverse of [`decode`], without `xn--`; `None` for texts longer than a label (RFC 3492
/// section 6.3).
pub fn encode(text: &str) -> Option<String> {
    let chars: Vec<u32> = text.chars().map(u32::from).collect();
    if chars.len() > MAX_CHARS {
        return None;
    }
    let mut out: String = text.chars().filter(char::is_ascii).collect();
    let basic = u32::try_from(out.len()).ok()?;
    if basic > 0 {
        out.push('-');
    }
    let (mut n, mut delta, mut bias, mut done) = (INITIAL_N, 0u32, INITIAL_BIAS, basic);
    while let Some(next) = chars.iter().copied().filter(|c| *c >= n).min() {
        delta = delta.checked_add((next - n).checked_mul(done + 1)?)?;
        n = next;
        for c in chars.iter().copied() {
            if c < n {
                delta = delta.checked_add(1)?;
            }
            if c == n {
                push_integer(&mut out, delta, bias);
                bias = adapt(delta, done + 1, done == basic);
                (delta, done) = (0, done + 1);
            }
        }
        (delta, n) = (delta.checked_add(1)?, n + 1);
    }
    Some(out)
}

/// A delta as a generalised integer of variable length.
fn push_integer(out: &mut String, mut q: u32, bias: u32) {
    for k in (BASE..).step_by(BASE as usize) {
        let t = threshold(k, bias);
        if q < t {
            break;
        }
        out.push(digit(t + (q - t) % (BASE - t)));
        q = (q - t) / (BASE - t);
    }
    out.push(digit(q));
}

fn threshold(k: u32, bias: u32) -> u32 {
    k.saturating_sub(bias).clamp(T_MIN, T_MAX)
}

/// RFC 3492 section 6.1.
fn adapt(delta: u32, len: u32, first: bool) -> u32 {
    let mut delta = if first { delta / DAMP } else { delta / 2 };
    delta += delta / len;
    let mut k = 0;
    while delta > ((BASE - T_MIN) * T_MAX) / 2 {
        delta /= BASE - T_MIN;
        k += BASE;
    }
    k + ((BASE - T_MIN + 1) * delta) / (delta + SKEW)
}

fn value(digit: u8) -> Option<u32> {
    char::from(digit).is_ascii_alphanumeric().then_some(())?;
    // Letters are 0 to 25, digits 26 to 35: the other way round than in hexadecimal.
    let hex_like = char::from(digit).to_digit(BASE)?;
    Some(if hex_like < 10 { hex_like + 26 } else { hex_like - 10 })
}

fn digit(value: u32) -> char {
    let hex_like = if value < 26 { value + 10 } else { value - 26 };
    char::from_digit(hex_like, BASE).unwrap_or('0')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_samples_of_the_rfc() {
        // RFC 3492 section 7.1 (A), (B), (G), (I), (L), (P), (S), in lower case.
        for (text, code) in [
            ("ليهمابتكلموشعربي؟", "egbpdaj6bu4bxfgehfvwxn"),
            ("他们为什么不说中文", "ihqwcrb4cv8a8dqg056pqjye"),
            ("なぜみんな日本語を話してくれないのか", "n8jok5ay5dzabd5bym9f0cm5685rrjetr6pdxa"),
            ("почемужеонинеговорятпорусски", "b1abfaaepdrnnbgefbadotcwatmq2g4l"),
            ("3年b組金八先生", "3b-ww4c5e180e575a65lsy2b"),
            ("パフィーdeルンバ", "de-jg4avhby1noc0d"),
            ("-> $1.00 <-", "-> $1.00 <--"),
            ("bücher", "bcher-kva"),
        ] {
            assert_eq!((decode(code).as_deref(), encode(text).as_deref()), (Some(text), Some(code)));
        }
    }

    #[test]
    fn what_stands_for_nothing_is_refused() {
        // A digit is missing, an overflow, no digit, beyond Unicode, longer than a label.
        for code in ["bcher-kv", "99999999", "a-$", "ü", "a-0000000", &"a".repeat(64)] {
            assert_eq!(decode(code), None, "{code}");
        }
        assert_eq!(encode(&"ü".repeat(64)), None);
    }

    proptest! {
        #[test]
        fn every_label_comes_back(text in "\\PC{1,40}") {
            let code = encode(&text).unwrap();
            if code.len() <= MAX_CHARS {
                prop_assert_eq!(decode(&code), Some(text));
            }
        }

        #[test]
        fn any_text_is_decoded_or_refused(code in "[a-z0-9-]{0,63}") {
            if let Some(text) = decode(&code) {
                prop_assert!(text.chars().count() <= MAX_CHARS);
            }
        }
    }
}
