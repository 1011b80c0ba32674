//! What the kernel says of its clock, by adjtimex(2), read only.
//!
//! Whatever keeps the clock in step (chrony, ntpd, systemd-timesyncd, a PTP daemon) tells the kernel how well; who nobody tells calls itself
//! unsynchronised after a while. `maxerror` grows by 500 parts in a million while nobody does.

use std::io;
use std::mem::MaybeUninit;

/// What adjtimex answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timex {
    /// Whether something keeps the clock in step: neither `STA_UNSYNC` nor `TIME_ERROR`.
    pub synchronised: bool,
    /// What is still to be slewed, in nanoseconds; positive when the clock is behind.
    pub offset_ns: i64,
    /// Bound of the error, in microseconds.
    pub maxerror_us: i64,
    /// Estimate of the error, in microseconds.
    pub esterror_us: i64,
    /// `STA_*` of `<sys/timex.h>`.
    pub status: i32,
    /// Seconds that TAI is ahead of UTC; 0 where nobody told the kernel.
    pub tai: i32,
}

/// Asks the kernel. It changes nothing and needs no privilege.
///
/// # Errors
///
/// What the system says, such as "operation not permitted" under a filter of system calls that is too tight.
pub fn clock_state() -> Result<Timex, io::Error> {
    let mut answer = MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: `answer` is a writable `struct timex` for the whole of the call, and all zero, which is a valid value of it: integers alone.
    // `modes` is zero, so the kernel only writes into it.
    let state = unsafe { libc::adjtimex(answer.as_mut_ptr()) };
    if state < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed above, and since then written by nobody but the kernel; every bit pattern of its integers is valid.
    let answer = unsafe { answer.assume_init() };
    Ok(read(&answer, state))
}

// A C `long` has 32 bits on some machines.
#[allow(clippy::useless_conversion)]
fn read(answer: &libc::timex, state: i32) -> Timex {
    // Whether the kernel counts the offset in nanoseconds or in microseconds.
    let unit = if answer.status & libc::STA_NANO != 0 {
        1
    } else {
        1_000
    };
    Timex {
        synchronised: state != libc::TIME_ERROR && answer.status & libc::STA_UNSYNC == 0,
        offset_ns: i64::from(answer.offset).saturating_mul(unit),
        maxerror_us: i64::from(answer.maxerror),
        esterror_us: i64::from(answer.esterror),
        status: answer.status,
        tai: answer.tai,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zero() -> libc::timex {
        // SAFETY: integers alone, of which zero is a valid value.
        unsafe { MaybeUninit::zeroed().assume_init() }
    }

    #[test]
    fn the_kernel_answers_and_changes_nothing() {
        let first = clock_state().unwrap();
        let second = clock_state().unwrap();
        assert_eq!(first.status, second.status);
        assert!(
            first.maxerror_us >= 0 && first.esterror_us >= 0,
            "{first:?}"
        );
    }

    #[test]
    fn a_clock_is_synchronised_only_if_neither_state_nor_status_denies_it() {
        let mut t = zero();
        assert!(read(&t, libc::TIME_OK).synchronised);
        assert!(!read(&t, libc::TIME_ERROR).synchronised);
        t.status = libc::STA_UNSYNC;
        assert!(!read(&t, libc::TIME_OK).synchronised);
    }

    #[test]
    fn the_offset_is_in_nanoseconds_whatever_the_kernel_counts_in() {
        let mut t = zero();
        t.offset = -3;
        assert_eq!(read(&t, libc::TIME_OK).offset_ns, -3_000);
        t.status = libc::STA_NANO;
        assert_eq!(read(&t, libc::TIME_OK).offset_ns, -3);
    }
}
