//! Children that must not outlive us.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Has the kernel send SIGTERM to the child when the thread that starts it ends, however it ends. A child that changes its user is no longer told
/// (prctl(2), `PR_SET_PDEATHSIG`).
pub fn ends_with_us(command: &mut Command) -> &mut Command {
    // SAFETY: what runs between fork and exec is one system call that takes numbers and touches no memory of ours; it is async-signal-safe.
    unsafe {
        command.pre_exec(
            || match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            },
        )
    }
}

/// Sends SIGTERM to a child that was not waited for yet, so that its number is still its own.
pub fn ask_to_end(id: i32) {
    // SAFETY: a system call that takes numbers.
    unsafe {
        libc::kill(id, libc::SIGTERM);
    }
}
