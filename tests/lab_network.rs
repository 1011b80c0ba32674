//! A small world: nothing wrong is answered without a person, and most of it is answered.

use tracehop::lab::world::profile::Profile;
use tracehop::lab::world::{WorldOptions, WorldReport, run};

fn small(profile: Profile, requests: usize) -> WorldReport {
    let options = WorldOptions {
        seed: 7,
        providers: 40,
        requests,
        threads: 2,
        ..WorldOptions::new(profile)
    };
    run(&options, &|_| {}).unwrap()
}

#[test]
fn nothing_wrong_is_answered_without_a_person() {
    let r = small(Profile::Normal, 600);
    println!("{r}");
    let t = &r.tally;
    assert_eq!(r.wrong(), 0, "{r}");
    assert!(t.requests >= 600 && t.traces.hops >= 4 * t.traces.traces);
    assert!(t.automatic * 100 >= t.requests * 80, "{r}");
    // The simple rules are wrong where the matcher is not, or the world would be too easy.
    let nearest = t.simple.values().map(|s| s.wrong).max().unwrap();
    assert!(nearest > 0, "{r}");
}
