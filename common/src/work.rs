//! Steps of work, counted in debug builds: tests tell by them whether work grows with its input or
//! with the square of it, which a clock on a busy machine cannot.
//!
//! One step is one look at one thing of a list: an address of a device, a flow that waits, a link
//! of a machine. Code that walks a list for each of many things counts the steps of the walk. A
//! release build counts nothing.

#[cfg(debug_assertions)]
thread_local! {
    static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
}

/// Counts one step.
#[inline(always)]
pub fn step() {
    steps(1);
}

/// Counts `n` steps.
#[inline(always)]
pub fn steps(n: usize) {
    #[cfg(debug_assertions)]
    STEPS.set(STEPS.get().saturating_add(n as u64));
    #[cfg(not(debug_assertions))]
    let _ = n;
}

/// The steps of this thread since the last call; always 0 in a release build.
pub fn take() -> u64 {
    #[cfg(debug_assertions)]
    return STEPS.replace(0);
    #[cfg(not(debug_assertions))]
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_counted_once() {
        take();
        step();
        steps(4);
        assert_eq!(take(), if cfg!(debug_assertions) { 5 } else { 0 });
        assert_eq!(take(), 0);
    }
}
