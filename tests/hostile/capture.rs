//! Damaged captures: frames changed, lost, cut; files cut anywhere.

use super::*;

/// What the laboratory says of each call, by Call-ID and direction.
struct Truth(HashMap<(IdDigest, String), Vec<Value>>);

impl Truth {
    fn of(lab: &Lab) -> Self {
        let mut out: HashMap<_, Vec<Value>> = HashMap::new();
        for line in std::fs::read_to_string(lab.path("truth.jsonl"))
            .unwrap()
            .lines()
        {
            let row: Value = serde_json::from_str(line).unwrap();
            let id = IdDigest::of(row["call_id"].as_str().unwrap().as_bytes());
            let key = (id, row["direction"].as_str().unwrap().to_owned());
            out.entry(key).or_default().push(row);
        }
        Self(out)
    }

    /// What a record says that is not so. A call may be missing or undetermined; but what is said must be true.
    fn contradictions(&self, begins: &[Begin]) -> Vec<String> {
        begins
            .iter()
            .filter_map(|b| self.contradiction(b))
            .collect()
    }

    fn contradiction(&self, b: &Begin) -> Option<String> {
        let direction = match b.direction {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
            Direction::Unknown => "unknown",
        };
        let rows = self
            .0
            .get(&(b.ids.call_id, direction.to_owned()))
            .map_or(&[][..], |r| r);
        let verdict = b.verdict.validation;
        let is_true = match verdict {
            Validation::Undetermined => true,
            Validation::None if b.verdict.identities == 0 => rows
                .iter()
                .any(|r| r["headers"].as_array().unwrap().is_empty()),
            _ => rows.iter().any(|r| r["validation"] == verdict.label()),
        };
        (!is_true).then(|| {
            format!(
                "{verdict:?} with {} identities, but the truth is {}",
                b.verdict.identities,
                rows.iter()
                    .map(|r| format!(
                        "{} {} {} {}",
                        r["kind"], r["validation"], r["call_id"], r["transport"]
                    ))
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        })
    }

    fn hold(&self, begins: &[Begin], what: impl std::fmt::Display) {
        let wrong = self.contradictions(begins);
        assert!(
            wrong.is_empty(),
            "{what}: {} wrong:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
    }
}

/// Does a few things to some of the frames that nature or malice may do.
fn mutate(frames: &[Taken], random: &mut Random) -> Vec<Taken> {
    let each = 4 + random.below(60);
    let mut out: Vec<Taken> = Vec::with_capacity(frames.len());
    for f in frames {
        if !random.one_in(each) {
            out.push(f.clone());
            continue;
        }
        let mut f = f.clone();
        let length = f.bytes.len();
        match random.below(10) {
            0 => continue,
            1 => out.push(f.clone()),
            2 => f.bytes.truncate(random.below(length)),
            3 => {
                f.bytes.truncate(random.below(length));
                f.original_len = f.bytes.len();
            }
            // Headers of the lower layers: lengths, offsets, flags, sequence numbers.
            4 => {
                for _ in 0..=random.below(4) {
                    flip(&mut f.bytes, random.below(64), random);
                }
            }
            5 => {
                for _ in 0..=random.below(20) {
                    flip(&mut f.bytes, random.below(length), random);
                }
            }
            // Two frames become one.
            6 => {
                let other = &frames[random.below(frames.len())].bytes;
                f.bytes.truncate(random.below(length));
                f.bytes.extend(&other[random.below(other.len())..]);
                f.original_len = f.bytes.len();
            }
            7 if !out.is_empty() => {
                let before = out.len() - 1 - random.below(out.len().min(40));
                out.insert(before, f);
                continue;
            }
            8 if random.one_in(20) => f.at = Timestamp::from_nanos(random.next().cast_signed()),
            8 => {
                f.at = Timestamp::from_nanos(
                    f.at.nanos() + random.below(4_000_000_000_000) as i64 - 2_000_000_000_000,
                )
            }
            _ => f.original_len = random.below(1 << 20),
        }
        out.push(f);
    }
    out
}

fn flip(bytes: &mut [u8], at: usize, random: &mut Random) {
    if let Some(b) = bytes.get_mut(at) {
        *b ^= 1 << random.below(8);
    }
}

#[test]
fn a_capture_damaged_in_any_way_costs_no_panic_and_the_sums_hold() {
    let lab = Lab::new(31, 400);
    let (settings, frames) = (settings(&lab.config, 2), frames(&lab));
    let mut not_whole = 0;
    for seed in 0..100 {
        let damaged = mutate(&frames, &mut Random(seed));
        let (store, report) = run(&settings, &damaged);
        assert!(store.begins.len() > 100, "seed {seed}");
        not_whole += report.assemble.messages_out - report.assemble.messages_whole;
    }
    assert!(not_whole > 1_000, "the damage was done: {not_whole}");
}

#[test]
fn no_lost_frame_makes_a_signed_call_unsigned_or_turns_a_verdict() {
    let lab = Lab::new(32, 400);
    let (settings, frames, truth) = (settings(&lab.config, 2), frames(&lab), Truth::of(&lab));
    // Each frame is lost once, far from the others that are lost in the same run.
    const APART: usize = 31;
    for lost in 0..APART {
        let kept = frames
            .iter()
            .enumerate()
            .filter(|(i, _)| i % APART != lost)
            .map(|(_, f)| f);
        truth.hold(
            &run(&settings, kept).0.begins,
            format_args!("frames {lost} + n·{APART} lost"),
        );
    }
    for seed in 0..20 {
        let mut random = Random(seed);
        let percent = 1 + random.below(10);
        let kept = frames.iter().filter(|_| random.below(100) >= percent);
        truth.hold(
            &run(&settings, kept).0.begins,
            format_args!("seed {seed}, {percent} % lost"),
        );
    }
}

#[test]
fn no_snap_length_makes_a_signed_call_unsigned_or_turns_a_verdict() {
    let lab = Lab::new(33, 400);
    let (settings, frames, truth) = (settings(&lab.config, 2), frames(&lab), Truth::of(&lab));
    let mut undetermined = 0;
    for snap in (96..1_500).step_by(52) {
        let cut: Vec<Taken> = frames
            .iter()
            .map(|f| {
                let mut f = f.clone();
                f.bytes.truncate(snap);
                f
            })
            .collect();
        let begins = run(&settings, &cut).0.begins;
        truth.hold(&begins, format_args!("snap length {snap}"));
        undetermined += begins
            .iter()
            .filter(|b| b.verdict.decided_by == Some(Rule::H4))
            .count();
    }
    assert!(undetermined > 1_000, "{undetermined}");
}

#[test]
fn a_file_cut_anywhere_gives_the_records_before_the_cut() {
    let lab = Lab::new(34, 400);
    let (settings, truth) = (settings(&lab.config, 2), Truth::of(&lab));
    let path = lab.captures().remove(0);
    let bytes = std::fs::read(&path).unwrap();
    let file = lab.path("cut.capture");
    let replay = |length: usize| {
        std::fs::write(&file, &bytes[..length]).unwrap();
        let mut merge = Merge::open([(file.clone(), 0)]).unwrap();
        let mut store = Recorder::default();
        let (report, troubles) =
            pipeline::run_files(&settings, &mut store, &mut merge, |_, _| ()).unwrap();
        assert!(troubles.is_empty(), "{troubles:?}");
        holds(&report, &store);
        let (_, packets, ending) = merge.endings().next().unwrap();
        (store, report, packets, ending.unwrap())
    };
    let (whole, _, _, ending) = replay(bytes.len());
    assert_eq!(ending, Ending::Clean);
    let mut random = Random(34);
    let cuts: Vec<usize> = (1..64)
        .map(|n| bytes.len() * n / 64)
        .chain((0..24).map(|_| 24 + random.below(bytes.len() - 24)))
        .chain([24, 25, 39, 40, bytes.len() - 1])
        // Between the fragments of a datagram.
        .chain(first_fragments_end(&bytes).into_iter().step_by(7).take(60))
        .collect();
    let mut within = 0;
    for cut in cuts {
        let (part, report, packets, ending) = replay(cut);
        match ending {
            Ending::Cut {
                offset,
                packets: before,
            } => {
                assert!(offset < cut as u64);
                assert_eq!(before, packets);
                within += 1;
            }
            // Between two packets nothing shows that more would come.
            Ending::Clean => {}
            Ending::Corrupt { .. } => panic!("{cut}: {ending}"),
        }
        let same = part
            .begins
            .iter()
            .zip(&whole.begins)
            .take_while(|(a, b)| a == b)
            .count();
        // What is not the same was under way at the cut, and came out with its end missing.
        let rest = &part.begins[same..];
        let a = &report.assemble;
        assert!(
            rest.len() as u64 <= a.messages_out - a.messages_whole,
            "{cut}"
        );
        truth.hold(rest, format_args!("cut at {cut}"));
        // What was whole a while before the cut is all there.
        let last = part.coverage.iter().map(|c| c.until).max();
        let settled = last.map_or(Timestamp::MIN, |t| t.minus(Duration::from_secs(30)));
        let must = whole.begins.iter().take_while(|b| b.at < settled).count();
        assert!(same >= must, "{cut}: {same} of {must}");
    }
    assert!(within > 60, "{within}");
}

/// Where in a pcap file of Ethernet frames the first fragments of IPv4 datagrams end.
fn first_fragments_end(file: &[u8]) -> Vec<usize> {
    let mut out = Vec::new();
    let mut at = 24;
    while let Some(length) = file.get(at + 8..at + 12) {
        let end = at + 16 + u32::from_le_bytes(length.try_into().unwrap()) as usize;
        let frame = &file[at + 16..end];
        let ip = frame
            .windows(2)
            .position(|w| w == [0x08, 0x00])
            .map_or(0, |i| i + 2);
        if frame.get(ip + 6..ip + 8) == Some(&[0x20, 0]) {
            out.push(end);
        }
        at = end;
    }
    assert!(out.len() > 20, "{}", out.len());
    out
}

#[test]
fn capture_times_at_the_ends_of_time_can_be_stored() {
    let lab = Lab::new(45, 400);
    let settings = settings(&lab.config, 2);
    let frames = frames(&lab);
    let ends = [
        i64::MIN,
        i64::MIN + 1,
        -1,
        0,
        1,
        i64::MAX - 1,
        i64::MAX,
        i64::from(u32::MAX) * 1_000_000_000,
    ];
    for at in ends {
        let dir = lab.path(&format!("store{at}"));
        let mut store = EmbeddedStore::open(&dir, StoreSettings::default()).unwrap();
        let mut random = Random(at.cast_unsigned());
        let mut frames = frames.iter();
        let report = pipeline::run(&settings, &mut store, |assembler| {
            let Some(f) = frames.next() else { return false };
            let at = if random.one_in(50) {
                Timestamp::from_nanos(at)
            } else {
                f.at
            };
            let (link, bytes, original_len) = (f.link, &f.bytes[..], f.original_len);
            assembler.handle_frame(Frame {
                at,
                link,
                sensor: 0,
                bytes,
                original_len,
            });
            true
        })
        .unwrap();
        assert_eq!(report.imbalances(), Vec::<String>::new(), "{at}");
        assert_eq!(report.collect.panicked, 0);
        store.close().unwrap();
        let (store, said) = EmbeddedStore::open_read_only(&dir).unwrap();
        assert_eq!(said.bad_frames, 0, "{at}");
        let called = lab.config.plan.canonical(b"+12025550123").tn().unwrap();
        let (from, until) = (
            Timestamp::from_nanos(i64::MIN),
            Timestamp::from_nanos(i64::MAX),
        );
        store.by_called(called, from, until).unwrap();
        store.coverage(from, until).unwrap();
    }
}
