//! Statistics that take a while are counted once a minute, not once a reader.
//!
//! A year of a busy portal is millions of questions. What is counted fast is counted for each page; else the page shows what was counted last, says when
//! that was, and has it counted anew behind. Only who looks at a span first waits.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Console, Trouble};
use crate::base::Timestamp;
use crate::portal::docket::read::Span;
use crate::portal::docket::read::statistics::Statistics;

/// What takes less is counted for each page: half of what a page may take.
const FAST: Duration = Duration::from_millis(50);
/// So old figures are counted anew.
const OLD: Duration = Duration::from_secs(60);
/// Most spans that are kept; each has some hundred KB where there are thousands of providers.
const SPANS: usize = 16;

/// What was counted, by span; the newest last.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Vec<Kept>>);

#[derive(Clone, Debug)]
struct Kept {
    span: Span,
    counted: Counted,
    took: Duration,
    renewing: bool,
}

/// Figures, and of when they are.
#[derive(Clone, Debug)]
pub(super) struct Counted {
    pub all: Arc<Statistics>,
    pub at: Timestamp,
}

impl Console {
    /// Statistics of a span.
    pub(super) async fn statistics(&self, span: Span) -> Result<Counted, Trouble> {
        let now = self.now();
        match self.tally().find(span, now) {
            Found::Fresh(counted) => Ok(counted),
            Found::Old(counted) => {
                let console = self.clone();
                // What fails is said to the next reader, who counts anew.
                tokio::spawn(async move { console.count(span).await.map(drop) });
                Ok(counted)
            }
            Found::None => self.count(span).await,
        }
    }

    async fn count(&self, span: Span) -> Result<Counted, Trouble> {
        let began = Instant::now();
        let counted = self
            .look(move |docket, now| {
                let all = Arc::new(docket.statistics(span)?);
                Ok(Counted { all, at: now })
            })
            .await;
        match &counted {
            Ok(counted) => self.tally().keep(span, counted.clone(), began.elapsed()),
            Err(_) => self.tally().forget(span),
        }
        counted
    }
}

enum Found {
    Fresh(Counted),
    /// To be counted anew, by whoever is told so.
    Old(Counted),
    None,
}

impl Tally {
    fn find(&self, span: Span, now: Timestamp) -> Found {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kept) = all.iter_mut().find(|k| k.span == span) else {
            return Found::None;
        };
        if kept.took < FAST {
            return Found::None;
        }
        // A clock that was set back makes nothing fresh for ever.
        if kept.renewing || now.distance(kept.counted.at) < OLD {
            return Found::Fresh(kept.counted.clone());
        }
        kept.renewing = true;
        Found::Old(kept.counted.clone())
    }

    fn keep(&self, span: Span, counted: Counted, took: Duration) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|k| k.span != span);
        if all.len() >= SPANS {
            all.remove(0);
        }
        all.push(Kept {
            span,
            counted,
            took,
            renewing: false,
        });
    }

    fn forget(&self, span: Span) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|k| k.span != span);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_795_521_600);

    fn span(n: i64) -> Span {
        Span {
            from: Timestamp::from_secs(n),
            to: NOW,
        }
    }

    fn counted(at: Timestamp) -> Counted {
        Counted {
            all: Arc::default(),
            at,
        }
    }

    #[test]
    fn what_is_fast_is_counted_for_each_page() {
        let tally = Tally::default();
        tally.keep(span(1), counted(NOW), FAST / 2);
        assert!(matches!(tally.find(span(1), NOW), Found::None));
    }

    #[test]
    fn what_is_slow_is_counted_once_a_minute_by_one() {
        let tally = Tally::default();
        tally.keep(span(1), counted(NOW), FAST * 2);
        assert!(matches!(tally.find(span(1), NOW), Found::Fresh(_)));
        assert!(matches!(tally.find(span(2), NOW), Found::None));
        let later = NOW.plus(OLD);
        assert!(matches!(tally.find(span(1), later), Found::Old(_)));
        assert!(matches!(tally.find(span(1), later), Found::Fresh(_)));
        tally.keep(span(1), counted(later), FAST * 2);
        assert!(matches!(tally.find(span(1), later), Found::Fresh(_)));
    }

    #[test]
    fn it_keeps_so_many_spans() {
        let tally = Tally::default();
        for n in 0..100 {
            tally.keep(span(n), counted(NOW), FAST * 2);
        }
        assert_eq!(tally.0.lock().unwrap().len(), SPANS);
        assert!(matches!(tally.find(span(99), NOW), Found::Fresh(_)));
        assert!(matches!(tally.find(span(0), NOW), Found::None));
    }
}
