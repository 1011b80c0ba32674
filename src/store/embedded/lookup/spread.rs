//! Segments read side by side by a few threads, in the order in which they were given.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::store::StoreError;

/// Threads of one look-up, the caller's counted: at least so many where there is much to read, since they wait for the disk more than they work.
const FEWEST_THREADS: usize = 4;
/// At most, however many cores there are: it shares the machine with the capture.
const MOST_THREADS: usize = 8;

/// What `work` makes of each; the first error, if there is one. So many are `worth_a_thread` of their own.
pub(super) fn each<S: Sync, T: Send>(
    segments: &[S],
    worth_a_thread: usize,
    work: impl Fn(&S) -> Result<T, StoreError> + Sync,
) -> Result<Vec<T>, StoreError> {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let worth = segments.len() / worth_a_thread.max(1);
    let threads = cores.clamp(FEWEST_THREADS, MOST_THREADS).min(worth);
    if threads < 2 {
        return segments.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let run = || {
        let mut done = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(segment) = segments.get(i) else {
                return Ok(done);
            };
            match work(segment) {
                Ok(made) => done.push((i, made)),
                Err(e) => {
                    // The others stop after the segment in hand.
                    next.store(segments.len(), Ordering::Relaxed);
                    return Err(e);
                }
            }
        }
    };
    let done = thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads)
            .filter_map(|_| {
                let name = thread::Builder::new().name("look-up".to_owned());
                // Where no thread can be had, the caller's does it all.
                name.spawn_scoped(scope, run).ok()
            })
            .collect();
        let mut done = vec![run()];
        for helper in helpers {
            done.push(
                helper
                    .join()
                    .unwrap_or_else(|p| std::panic::resume_unwind(p)),
            );
        }
        done.into_iter().collect::<Result<Vec<_>, _>>()
    })?;
    let mut done: Vec<(usize, T)> = done.into_iter().flatten().collect();
    done.sort_unstable_by_key(|(i, _)| *i);
    Ok(done.into_iter().map(|(_, made)| made).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_stays_and_the_first_error_ends_it() {
        for n in [0, 1, 31, 32, 1_000] {
            let all: Vec<usize> = (0..n).collect();
            let made = each(&all, 16, |i| Ok(i * 2)).unwrap();
            assert_eq!(made, all.iter().map(|i| i * 2).collect::<Vec<_>>());
            let failed = each(&all, 16, |i| match i {
                30 => Err(StoreError::Restless),
                i => Ok(*i),
            });
            assert_eq!(failed.is_err(), n > 30);
        }
    }
}
