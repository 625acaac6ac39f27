//! The terminal: its mode, its keys, and how it was before. What is set here is set back on every
//! way out, a panic included.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use ratatui::Terminal as Drawn;
use ratatui::backend::TermionBackend;
use ratatui::termion::event::{Event, Key, parse_event};
use std::io::{self, Stdout, Write as _};
use std::os::fd::AsFd as _;
use std::sync::Mutex;
use std::time::Duration;

/// The alternate screen, no cursor, clicks and the wheel (SGR: columns beyond 223, too).
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?1000h\x1b[?1006h";
const LEAVE: &str = "\x1b[?1006l\x1b[?1000l\x1b[?25h\x1b[?1049l";

/// The mode of the terminal before, until it is set back.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Longest sequence of bytes that stands for a key. What is longer is none.
const MAX_SEQUENCE: usize = 32;

/// A terminal that is ours.
#[derive(Debug)]
pub struct Terminal {
    /// Where frames are drawn.
    pub drawn: Drawn<TermionBackend<Stdout>>,
    /// Bytes that may be the beginning of a key.
    bytes: Vec<u8>,
}

impl Terminal {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// Standard input or output is none.
    pub fn take() -> io::Result<Self> {
        let before = tcgetattr(io::stdin().as_fd())?;
        if let Ok(mut kept) = BEFORE.lock() {
            kept.get_or_insert_with(|| before.clone());
        }
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            hook(panic);
        }));
        let mut raw = before;
        cfmakeraw(&mut raw);
        tcsetattr(io::stdin().as_fd(), SetArg::TCSANOW, &raw)?;
        io::stdout().write_all(ENTER.as_bytes())?;
        io::stdout().flush()?;
        let drawn = Drawn::new(TermionBackend::new(io::stdout()))?;
        Ok(Self { drawn, bytes: Vec::new() })
    }

    /// Waits for keys at most so long. None are an answer as well.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn keys(&mut self, wait: Duration) -> io::Result<Vec<Event>> {
        let stdin = io::stdin();
        let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        let wait = PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO);
        match poll(&mut fds, wait) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => return Ok(Vec::new()),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let mut read = [0; 1024];
        let n = match nix::unistd::read(stdin.as_fd(), &mut read) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => n,
            Err(nix::errno::Errno::EINTR | nix::errno::Errno::EAGAIN) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        self.bytes.extend(read.get(..n).unwrap_or_default());
        Ok(parse(&mut self.bytes))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

/// Sets the terminal back to how it was, once.
fn give_back() {
    let Some(before) = BEFORE.lock().ok().and_then(|mut before| before.take()) else { return };
    // There is nobody to tell if the terminal is gone.
    _ = io::stdout().write_all(LEAVE.as_bytes());
    _ = io::stdout().flush();
    _ = tcsetattr(io::stdin().as_fd(), SetArg::TCSANOW, &before);
}

/// Takes keys from `bytes`; what may be the beginning of one stays.
fn parse(bytes: &mut Vec<u8>) -> Vec<Event> {
    let mut events = Vec::new();
    let mut at = 0;
    while let Some((first, rest)) = bytes.get(at..).and_then(<[u8]>::split_first) {
        // Escape alone is a key. Sequences come in one piece.
        if *first == 0x1b && rest.is_empty() {
            events.push(Event::Key(Key::Esc));
            at += 1;
            continue;
        }
        let mut used = 1;
        let mut next = rest.iter().map(|byte| {
            used += 1;
            Ok(*byte)
        });
        match parse_event(*first, &mut next) {
            // Escape and a key in one piece: no key here goes with Alt.
            Ok(Event::Key(Key::Alt(key))) => {
                events.extend([Key::Esc, Key::Char(key)].map(Event::Key));
                at += used;
            }
            Ok(event) => {
                events.push(event);
                at += used;
            }
            Err(_) if used > rest.len() && rest.len() < MAX_SEQUENCE => break,
            // No key that is known.
            Err(_) => at += used,
        }
    }
    bytes.drain(..at.min(bytes.len()));
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use ratatui::termion::event::{MouseButton, MouseEvent};

    fn keys(pieces: &[&[u8]]) -> Vec<Event> {
        let mut bytes = Vec::new();
        let mut events = Vec::new();
        for piece in pieces {
            bytes.extend(*piece);
            events.extend(parse(&mut bytes));
        }
        events
    }

    #[test]
    fn keys_are_read_from_the_bytes_of_a_terminal() {
        assert_eq!(
            keys(&[b"q\x1b[A\t\x1b[Z"]),
            [Key::Char('q'), Key::Up, Key::Char('\t'), Key::BackTab].map(Event::Key)
        );
        assert_eq!(keys(&[b"\x1b"]), [Event::Key(Key::Esc)]);
        assert_eq!(keys(&[b"\x1bq"]), [Key::Esc, Key::Char('q')].map(Event::Key));
        assert_eq!(keys(&["é".as_bytes()]), [Event::Key(Key::Char('é'))]);
        assert_eq!(keys(&[b"\x1b[", b"5~"]), [Event::Key(Key::PageDown)].map(|_| Event::Key(Key::PageUp)));
        let click = Event::Mouse(MouseEvent::Press(MouseButton::Left, 30, 7));
        assert_eq!(keys(&[b"\x1b[<0;30;7M"]), [click]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_keys_or_nothing(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..20)) {
            let mut bytes = Vec::new();
            for piece in pieces {
                bytes.extend(piece);
                parse(&mut bytes);
                prop_assert!(bytes.len() <= MAX_SEQUENCE + 1);
            }
        }
    }
}
