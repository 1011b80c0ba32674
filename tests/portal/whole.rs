//! A whole trace: ten daemons with stores and keys of their own, asked by pull and by push; what the portal says of it, anybody can check.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::chain::Chain;
use crate::house::{AGENCY, Portal};

#[test]
fn a_trace_through_ten_daemons_finds_the_origin_and_anybody_can_check_it() {
    const HOPS: usize = 10;
    let portal = Portal::new("");
    let terminating = portal.machine("P-T", 99);
    let chain = Chain::build(HOPS, &portal, |hop| hop % 2 == 1);
    for hop in &chain.hops {
        portal.knows(&hop.id, &hop.jwks, hop.push);
    }
    let running = portal.start();
    let _daemons = chain.start();
    let call = chain.call();
    let handed = json!({
        "called": call["called"], "calling": call["calling"], "time": call["time"]["value"], "precision_s": 1.0,
        "provider": "P-T", "campaign": "Test", "evidence": "A voice.",
    });
    let begun = Instant::now();
    let reply = portal.send(
        "POST",
        "/v1/tracebacks",
        AGENCY,
        handed.to_string().as_bytes(),
    );
    let reply = reply.unwrap();
    assert_eq!(reply.code, 201, "{reply:?}");
    let case: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    let case = case["case"].as_str().unwrap();
    // The terminating provider has no machine but us.
    let question = terminating.questions().unwrap().remove(0);
    let (id, octets) = terminating.answer(question.get(), "UPSTREAM_DOMESTIC", "P-0");
    assert_eq!(
        terminating.put(question.get(), &id, &octets).unwrap().code,
        201
    );
    let show = || portal.docket().traceback(case, None).unwrap();
    while show().case.state != "closed" {
        assert!(
            begun.elapsed() < Duration::from_secs(90),
            "{:#?}\n{}\n{}",
            show(),
            portal.logs(),
            chain.logs()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    println!("{} hops in {} ms", HOPS + 1, begun.elapsed().as_millis());
    let found = show();
    assert_eq!(
        found.case.outcome.as_deref(),
        Some("originator"),
        "{found:#?}"
    );
    assert_eq!(found.case.ended_at.as_deref(), Some("P-9"));
    assert_eq!(found.case.hops as usize, HOPS + 1);
    assert!(found.case.verified, "{found:#?}");
    // Nobody was asked twice.
    assert_eq!(found.path.len(), HOPS + 1, "{found:#?}");

    let config = portal.config();
    let config = config.to_str().unwrap();
    let at = |name: &str| portal.folder().join(name).to_str().unwrap().to_owned();
    let (keys, answers) = (at("keys"), at("answers"));
    let done = portal.command(&["portal", "keys", "--out", &keys, "--config", config]);
    assert!(done.status.success(), "{done:?}");
    let done = portal.command(&[
        "portal", "case", "export", case, "--out", &answers, "--config", config,
    ]);
    assert!(done.status.success(), "{done:?}");
    let mut files: Vec<String> = std::fs::read_dir(&answers)
        .unwrap()
        .map(|f| f.unwrap().path().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    let mut verify = vec!["answer", "verify", "--keys", &keys];
    verify.extend(files.iter().map(|f| &**f));
    let done = portal.command(&verify);
    assert!(done.status.success(), "{done:?}");
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(
        said.contains("The path holds, hop by hop; it ends with who made the call."),
        "{said}"
    );
    let done = portal.command(&["audit", "verify", "--portal", config]);
    assert!(done.status.success(), "{done:?}");
    assert!(running.stop(), "{}", portal.logs());
}
