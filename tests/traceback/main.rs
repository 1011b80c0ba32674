//! Whole traces: daemons as processes, each with its own store, neighbours and key, and a portal that walks from one to the next over real HTTP.

mod calls;
mod chain;
mod node;
mod portal;

use std::time::{Duration, Instant};

use chain::Chain;
use portal::Portal;
use tracehop::traceback::path::{End, check};

/// Traces of so many hops; the last provider's customer made the call.
fn trace(hops: usize, pushed: fn(usize) -> bool) {
    let mut portal = Portal::start();
    let chain = Chain::build(hops, &portal, pushed);
    let _running = chain.start();
    portal.knows(&chain);
    let begun = Instant::now();
    portal.open_case("CASE-1", &chain.provider(0), chain.call());
    assert!(
        portal.wait_for_end(Duration::from_secs(60)),
        "no end of the trace: {:?}\n{}",
        portal.steps(),
        chain.logs()
    );
    let whole = begun.elapsed();
    let steps = portal.steps();
    for (provider, took, resolution) in &steps {
        println!("{provider}: {resolution} after {} ms", took.as_millis());
    }
    println!("{hops} hops in {} ms", whole.as_millis());
    assert_eq!(steps.len(), hops);
    assert_eq!(steps.last().unwrap().2, "ORIGIN_END_CUSTOMER");
    let answers = portal.signed_answers();
    let path = check(&answers);
    assert!(path.holds(), "{path:#?}");
    assert_eq!(path.end, End::Origin);
    assert_eq!(path.hops.len(), hops);
    // Each answer came once, and none after it.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(portal.deliveries(), hops);
}

#[test]
fn a_trace_of_four_hops_finds_the_origin_by_asking_and_its_path_is_verified() {
    trace(4, |_| false);
}

#[test]
fn a_trace_of_ten_hops_finds_the_origin_by_asking_and_by_pushing() {
    trace(10, |hop| hop % 2 == 1);
}
