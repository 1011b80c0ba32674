//! The books, minute by minute.

use super::*;

/// Seconds after a full day.
fn s(secs: i64) -> Timestamp {
    Timestamp::from_secs(1_795_478_400 + secs)
}

fn row(from: i64, until: i64, packets: u64) -> Coverage {
    Coverage {
        sensor: "edge".into(),
        from: s(from),
        until: s(until),
        packets,
        ..Coverage::default()
    }
}

fn edge() -> Accounts {
    Accounts::new(["edge".into()])
}

/// What a store has after these rows: by sensor and beginning, the later ones replacing the earlier.
#[derive(Default)]
struct Stored(BTreeMap<Timestamp, Coverage>);

impl Stored {
    fn take(&mut self, accounts: &mut Accounts) {
        while let Some(row) = accounts.poll_row() {
            self.0.insert(row.from, row);
        }
    }

    /// From, until and packets of rows that cover something.
    fn looked(&self) -> Vec<(i64, i64, u64)> {
        let rows = self.0.values().filter(|r| r.down.is_none());
        rows.filter(|r| r.until > r.from)
            .map(|r| {
                let zero = s(0).secs();
                (r.from.secs() - zero, r.until.secs() - zero, r.packets)
            })
            .collect()
    }

    fn down(&self) -> Vec<(i64, i64, Down)> {
        let zero = s(0).secs();
        let down = |r: &Coverage| {
            Some((
                r.from.secs() - zero,
                r.until.secs() - zero,
                r.down.filter(|_| r.until > r.from)?,
            ))
        };
        self.0.values().filter_map(down).collect()
    }

    fn total(&self, what: impl Fn(&Coverage) -> u64) -> u64 {
        self.0.values().map(what).sum()
    }
}

#[test]
fn two_reading_threads_add_up_and_cover_only_what_both_looked_at() {
    let (mut a, mut stored) = (edge(), Stored::default());
    a.handle_begin(0, 0);
    a.handle_begin(1, 0);
    a.handle_row(0, row(5, 40, 3));
    a.handle_time(s(40));
    stored.take(&mut a);
    assert_eq!(stored.looked(), [], "the other one has told nothing yet");
    a.handle_row(1, row(10, 38, 4));
    a.handle_row(0, row(5, 50, 6));
    a.handle_time(s(51));
    stored.take(&mut a);
    assert_eq!(stored.looked(), [(10, 38, 10)]);
    a.handle_row(0, row(5, 60, 7));
    a.handle_row(1, row(10, 60, 5));
    a.finish(s(60));
    stored.take(&mut a);
    assert_eq!(stored.looked(), [(10, 60, 12)]);
    assert_eq!(stored.total(|r| r.packets), 12, "no row counts twice");
}

#[test]
fn where_one_of_two_was_blind_nothing_is_covered_and_everything_counted() {
    let (mut a, mut stored) = (edge(), Stored::default());
    a.handle_begin(0, 0);
    a.handle_begin(1, 0);
    for source in 0..2 {
        a.handle_row(source, row(0, 60, 1));
    }
    a.handle_row(0, row(60, 120, 9));
    a.handle_row(0, row(120, 180, 1));
    a.handle_row(1, row(120, 130, 1));
    a.handle_row(1, row(150, 180, 1));
    a.finish(s(180));
    stored.take(&mut a);
    assert_eq!(stored.looked(), [(0, 60, 2), (120, 130, 2), (150, 180, 1)]);
    assert_eq!(stored.total(|r| r.packets), 14);
}

#[test]
fn what_later_stages_count_reaches_the_row_of_its_minute() {
    let (mut a, mut stored) = (edge(), Stored::default());
    a.handle_begin(0, 0);
    a.handle_shed(0, s(70), Shed::Message, 3);
    a.handle_row(0, row(0, 60, 1));
    a.handle_row(0, row(60, 90, 1));
    a.handle_time(s(90));
    stored.take(&mut a);
    assert_eq!(stored.0[&s(60)].shed, 3);
    a.handle_shed(0, s(59), Shed::Verification, 2);
    a.handle_lost_records(0, s(61), 1);
    a.handle_duplicates(0, s(61), 3);
    a.handle_shed(0, s(61), Shed::Repeat, 1);
    a.handle_row(0, row(60, 120, 2));
    a.handle_time(s(120));
    stored.take(&mut a);
    assert_eq!(stored.0[&s(0)].unverified, 2);
    let second = &stored.0[&s(60)];
    assert_eq!(
        (
            second.packets,
            second.shed,
            second.lost_records,
            second.duplicates
        ),
        (2, 3, 1, 4)
    );
    // A sensor that nobody named counts nowhere, and breaks nothing.
    a.handle_shed(9, s(59), Shed::Message, 1);
}

#[test]
fn the_running_minute_comes_out_every_two_seconds_and_at_once_at_first() {
    let (mut a, mut stored) = (edge(), Stored::default());
    a.handle_begin(0, 0);
    let mut known = Vec::new();
    for now in 1..=60 {
        a.handle_row(0, row(0, now, 1));
        a.handle_time(s(now));
        stored.take(&mut a);
        known.push(stored.looked().first().map_or(0, |r| r.1));
    }
    for (now, known) in (1..).zip(known) {
        assert!(now - known < 2, "at {now} it is known to {known}");
    }
}

#[test]
fn the_clock_is_the_worst_of_its_minute_and_goes_on_until_told_otherwise() {
    let (mut a, mut stored) = (edge(), Stored::default());
    let state = |error_ns| ClockState {
        synchronised: true,
        offset_ns: 0,
        error_ns,
    };
    a.handle_begin(0, 0);
    a.handle_row(0, row(0, 60, 1));
    a.handle_row(0, row(60, 120, 1));
    a.handle_row(0, row(120, 180, 1));
    a.handle_clock(s(10), state(5));
    a.handle_clock(s(20), ClockState::default());
    a.handle_clock(s(30), state(7));
    a.handle_clock(s(70), state(3));
    a.finish(s(180));
    stored.take(&mut a);
    let clocks: Vec<_> = [0, 60, 120].map(|m| stored.0[&s(m)].clock).into();
    assert_eq!(
        clocks,
        [Some(ClockState::default()), Some(state(3)), Some(state(3))]
    );
}

#[test]
fn a_start_knows_a_clean_stop_from_a_death() {
    let mut stored = Stored::default();
    let mut a = edge();
    a.handle_begin(0, 0);
    a.handle_row(0, row(0, 30, 1));
    a.finish(s(30));
    stored.take(&mut a);
    let last = last_rows(stored.0.values().cloned()).remove("edge");
    let mut a = edge();
    assert_eq!(a.handle_start(0, last.as_ref(), s(90)), 0);
    a.handle_begin(0, 0);
    a.handle_row(0, row(90, 100, 1));
    a.handle_time(s(100));
    stored.take(&mut a);
    assert_eq!(stored.down(), [(30, 90, Down::Stopped)]);
    // No finish: killed.
    let last = last_rows(stored.0.values().cloned()).remove("edge");
    let mut a = edge();
    a.handle_start(0, last.as_ref(), s(300));
    a.handle_begin(0, 0);
    a.handle_row(0, row(300, 310, 1));
    a.finish(s(310));
    stored.take(&mut a);
    assert_eq!(
        stored.down(),
        [(30, 90, Down::Stopped), (100, 300, Down::Died)]
    );
    assert_eq!(stored.looked(), [(0, 30, 1), (90, 100, 1), (300, 310, 1)]);
    // A sensor that never looked was not down.
    let mut a = edge();
    a.handle_start(0, None, s(300));
    assert_eq!(a.poll_row(), None);
}

#[test]
fn an_interface_that_is_down_is_known_while_it_is_and_over_midnight() {
    let (mut a, mut stored) = (edge(), Stored::default());
    a.handle_begin(0, 0);
    a.handle_down(0, s(100), Down::Interface);
    a.handle_time(s(120));
    stored.take(&mut a);
    assert_eq!(stored.down(), [(100, 120, Down::Interface)]);
    a.handle_time(s(86_400 + 60));
    a.handle_time(s(86_400 + 90));
    a.handle_up(0, s(86_400 + 100));
    a.handle_up(0, s(86_400 + 200));
    stored.take(&mut a);
    let day = 86_400;
    assert_eq!(
        stored.down(),
        [
            (100, day, Down::Interface),
            (day, day + 100, Down::Interface)
        ]
    );
}

#[test]
fn minutes_of_a_source_that_goes_on_telling_are_cut_where_the_sensor_was_down() {
    let (mut a, mut stored) = (edge(), Stored::default());
    a.handle_begin(0, 0);
    a.handle_row(0, row(0, 20, 1));
    a.handle_time(s(20));
    stored.take(&mut a);
    assert_eq!(stored.looked(), [(0, 20, 1)]);
    a.handle_down(0, s(10), Down::Interface);
    a.handle_row(0, row(0, 30, 1));
    a.handle_time(s(30));
    a.handle_up(0, s(35));
    a.handle_row(0, row(0, 40, 3));
    a.handle_down(0, s(50), Down::Interface);
    a.handle_row(0, row(0, 60, 3));
    a.handle_row(0, row(60, 120, 4));
    a.handle_up(0, s(100));
    a.finish(s(120));
    stored.take(&mut a);
    assert_eq!(stored.looked(), [(0, 10, 3), (35, 50, 0), (100, 120, 4)]);
    let down = [(10, 35, Down::Interface), (50, 100, Down::Interface)];
    assert_eq!(stored.down(), down);
}

#[test]
fn a_start_and_a_stop_leave_no_time_of_which_nothing_is_known() {
    let (mut a, mut stored) = (edge(), Stored::default());
    a.handle_begin(0, 0);
    a.handle_row(0, row(0, 30, 1));
    // What was seen was judged until then.
    a.finish(s(36));
    stored.take(&mut a);
    let last = last_rows(stored.0.values().cloned()).remove("edge");
    let mut a = edge();
    a.handle_start(0, last.as_ref(), s(90));
    a.handle_begin(0, 0);
    a.handle_time(s(91));
    stored.take(&mut a);
    assert_eq!(stored.down(), [(30, 90, Down::Stopped)]);
    a.handle_row(0, row(92, 100, 1));
    a.finish(s(100));
    stored.take(&mut a);
    assert_eq!(stored.down(), [(30, 92, Down::Stopped)]);
}

#[test]
fn a_clock_set_forward_leaves_a_row_over_what_never_was() {
    let (mut a, mut stored) = (edge(), Stored::default());
    a.handle_begin(0, 0);
    a.handle_row(0, row(0, 20, 1));
    a.handle_step(s(20), s(3_620));
    a.handle_row(0, row(3_620, 3_660, 1));
    a.finish(s(3_660));
    stored.take(&mut a);
    assert_eq!(stored.looked(), [(0, 20, 1), (3_620, 3_660, 1)]);
    assert_eq!(stored.down(), [(20, 3_620, Down::ClockStep)]);
}

#[test]
fn a_clock_set_back_claims_no_time_twice() {
    let (mut a, mut stored) = (edge(), Stored::default());
    a.handle_begin(0, 0);
    for m in 0..70 {
        a.handle_row(0, row(m * 60, m * 60 + 60, 1));
        a.handle_time(s(m * 60 + 60));
        stored.take(&mut a);
    }
    a.handle_step(s(4_200), s(600));
    // As a ledger tells the second pass: a nanosecond into each minute.
    for m in 10..70 {
        let mut again = row(m * 60, m * 60 + 60, 1);
        again.from = again.from.plus(Duration::from_nanos(1));
        a.handle_row(0, again);
        a.handle_time(s(m * 60 + 60));
        stored.take(&mut a);
    }
    a.finish(s(4_200));
    stored.take(&mut a);
    assert_eq!(stored.total(|r| r.packets), 130, "no row was replaced");
    assert_eq!(stored.down(), [(600, 4_200, Down::ClockStep)]);
    assert_eq!(a.late(), 0);
}

#[test]
fn a_start_before_the_last_look_marks_what_comes_twice_and_asks_for_other_rows() {
    let mut a = edge();
    let pass = a.handle_start(0, Some(&row(0, 60, 1)), s(30));
    assert!((1..1_000).contains(&pass), "{pass}");
    let mark = a.poll_row().unwrap();
    assert_eq!(
        (mark.from, mark.until, mark.down),
        (begin_after(s(30)), s(60), Some(Down::ClockStep))
    );
    // A clock that was ten years ahead does not make ten years doubtful.
    let mut a = edge();
    a.handle_start(0, Some(&row(0, 315_000_000, 1)), s(30));
    let marks: Vec<_> = std::iter::from_fn(|| a.poll_row()).collect();
    assert!(marks.len() <= 2, "{}", marks.len());
}

#[test]
fn a_row_that_comes_when_the_books_are_closed_replaces_nothing() {
    let (mut a, mut stored) = (edge(), Stored::default());
    a.handle_begin(0, 0);
    a.handle_begin(1, 0);
    for m in 0..30 {
        for source in 0..2 {
            a.handle_row(source, row(m * 60, m * 60 + 60, 5));
        }
        a.handle_time(s(m * 60 + 60));
        stored.take(&mut a);
    }
    a.handle_row(0, row(0, 60, 6));
    a.handle_shed(0, s(1), Shed::Message, 7);
    a.finish(s(1_800));
    stored.take(&mut a);
    assert_eq!((a.late(), stored.0[&s(0)].packets), (1, 10));
    assert_eq!(stored.total(|r| r.shed), 7, "and what is counted is kept");
}

#[test]
fn strange_times_neither_grow_nor_hang() {
    let mut a = edge();
    a.handle_begin(0, 0);
    for n in 0..10_000_i64 {
        let at = Timestamp::from_nanos(n.wrapping_mul(0x5851_f42d_4c95_7f2d));
        let mut c = row(0, 0, 1);
        (c.from, c.until) = (at, at);
        a.handle_row(0, c);
        a.handle_shed(0, at, Shed::Message, 1);
        a.handle_clock(at, ClockState::default());
        a.handle_step(at, Timestamp::from_nanos(-n));
        a.handle_time(at);
        while a.poll_row().is_some() {}
    }
    assert!(
        a.sensors
            .values()
            .all(|s| s.minutes.len() <= MOST_MINUTES + 1)
    );
    assert!(a.clock.len() <= MOST_MINUTES);
    a.handle_step(Timestamp::MIN, Timestamp::MAX);
    a.handle_start(0, Some(&row(0, 1, 1)), Timestamp::MAX);
    a.handle_down(0, Timestamp::MIN, Down::Unknown);
    a.finish(Timestamp::MAX);
    assert!(std::iter::from_fn(|| a.poll_row()).count() < 4 * MOST_DAYS);
}

#[test]
fn a_stop_right_after_a_step_or_a_dead_interface_leaves_their_marks() {
    let open = || {
        let mut a = edge();
        a.handle_begin(0, 0);
        a.handle_row(0, row(0, 20, 1));
        a.handle_time(s(20));
        a
    };
    let marks = |a: &mut Accounts| {
        let mut stored = Stored::default();
        stored.take(a);
        stored.0.into_values().filter_map(|r| r.down).collect()
    };
    let mut a = open();
    a.handle_step(s(20), s(25));
    a.finish(s(25));
    let all: Vec<Down> = marks(&mut a);
    assert_eq!(all, [Down::ClockStep, Down::Stopped]);
    let mut a = open();
    a.handle_down(0, s(20), Down::Interface);
    a.handle_up(0, s(25));
    a.finish(s(25));
    let all: Vec<Down> = marks(&mut a);
    assert_eq!(all, [Down::Interface, Down::Stopped]);
}

mod any_split {
    use proptest::prelude::*;

    use super::*;
    use crate::engine::assemble::ledger::Ledger;

    /// Counts and covered seconds of packets spread over so many reading threads; `step` sets the clock after half of them.
    fn kept(packets: &[(i64, u16)], threads: u16, step: i64) -> (u64, i64, Vec<(i64, i64, Down)>) {
        let mut a = edge();
        let mut ledgers: Vec<Ledger> = (0..threads).map(|_| Ledger::default()).collect();
        for (source, ledger) in ledgers.iter_mut().enumerate() {
            a.handle_begin(source, 0);
            ledger.name_sensors(["edge".into()]);
            ledger.handle_open(0, s(0));
        }
        let mut stored = Stored::default();
        let mut now = 0;
        let mut moved = 0;
        for (n, (wait, flow)) in packets.iter().enumerate() {
            now += wait;
            if n == packets.len() / 2 && step != 0 {
                for l in &mut ledgers {
                    l.handle_step(s(now), s(now + step));
                }
                a.handle_step(s(now), s(now + step));
                moved = step;
            }
            let at = s(now + moved);
            for l in &mut ledgers {
                l.handle_time(at);
            }
            ledgers[usize::from(flow % threads)].handle_packet(0, at);
            if n % 3 == 0 {
                tell(&mut a, &mut ledgers, at, &mut stored);
            }
        }
        let end = s(now + moved);
        tell(&mut a, &mut ledgers, end, &mut stored);
        a.finish(end);
        stored.take(&mut a);
        let looked = stored.looked();
        let seconds = looked.iter().map(|(from, until, _)| until - from).sum();
        (stored.total(|r| r.packets), seconds, stored.down())
    }

    fn tell(a: &mut Accounts, ledgers: &mut [Ledger], at: Timestamp, stored: &mut Stored) {
        for (source, l) in ledgers.iter_mut().enumerate() {
            l.publish();
            while let Some(row) = l.poll_row() {
                a.handle_row(source, row);
            }
        }
        a.handle_time(at);
        stored.take(a);
    }

    proptest! {
        #[test]
        fn any_number_of_threads_tells_the_same(
            packets in prop::collection::vec((0_i64..50, any::<u16>()), 1..60),
            threads in 2_u16..6,
        ) {
            let one = kept(&packets, 1, 0);
            prop_assert_eq!(one.0, packets.len() as u64);
            prop_assert_eq!(one.1, packets.iter().map(|p| p.0).sum::<i64>());
            prop_assert_eq!(kept(&packets, threads, 0), one);
        }

        #[test]
        fn a_clock_that_is_set_loses_no_count_and_claims_no_time_that_never_was(
            packets in prop::collection::vec((1_i64..50, any::<u16>()), 2..60),
            threads in 1_u16..4,
            step in prop_oneof![-4_000_i64..-1, 2_i64..4_000],
        ) {
            let (count, seconds, down) = kept(&packets, threads, step);
            prop_assert_eq!(count, packets.len() as u64, "no row replaces another");
            let looked = packets.iter().map(|p| p.0).sum::<i64>();
            prop_assert!(seconds <= looked, "{} of {}", seconds, looked);
            let marked: i64 = down.iter().map(|(from, until, _)| until - from).sum();
            prop_assert_eq!(marked, step.abs());
        }
    }
}

#[test]
fn who_must_look_is_named_before_its_first_look_and_no_longer_when_nobody_asks_for_it() {
    let mut accounts = Accounts::new(["edge", "proxy"].map(Arc::from));
    let looked =
        |a: &Accounts| -> Vec<_> { a.looked().map(|(n, at)| (n.to_string(), at)).collect() };
    assert_eq!(looked(&accounts), []);
    accounts.handle_begin(0, 1);
    let never = ("proxy".to_owned(), Timestamp::default());
    assert_eq!(looked(&accounts), [never]);
    let last = Coverage {
        sensor: "proxy".into(),
        from: Timestamp::from_secs(60),
        until: Timestamp::from_secs(90),
        ..Coverage::default()
    };
    accounts.handle_start(1, Some(&last), Timestamp::from_secs(200));
    let before = looked(&accounts)[0].1;
    assert_eq!(before.secs(), 90, "as the store knows");
    accounts.handle_end(0, 1);
    assert_eq!(looked(&accounts), []);
}
