//! rsip as a second reader: where it can read a message at all, we read the same.

use std::fs;
use std::path::Path;

use rsip::SipMessage;
use tracehop::wire::sip::{Message, StartLine};

#[test]
fn where_rsip_reads_a_message_we_read_the_same() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let (mut both, mut ours_alone) = (0, 0);
    for entry in fs::read_dir(cases).unwrap() {
        let folder = entry.unwrap().path();
        let Ok(bytes) = fs::read(folder.join("message.sip")) else {
            continue;
        };
        let ours = Message::scan(&bytes).unwrap_or_else(|e| panic!("{}: {e:?}", folder.display()));
        match SipMessage::try_from(&bytes[..]) {
            Ok(SipMessage::Request(theirs)) => {
                both += 1;
                let StartLine::Request { method, .. } = ours.start else {
                    panic!("{}", folder.display());
                };
                assert_eq!(method, theirs.method.to_string().as_bytes());
                assert_eq!(ours.body, theirs.body, "{}", folder.display());
                let there: Vec<String> = theirs.headers.iter().map(|h| h.to_string()).collect();
                assert_eq!(
                    ours.headers.iter().count(),
                    there.len(),
                    "{}",
                    folder.display()
                );
                for (h, there) in ours.headers.iter().zip(there) {
                    let value = there.split_once(':').map_or("", |(_, v)| v).trim();
                    assert_eq!(h.value, value.as_bytes(), "{}", folder.display());
                }
            }
            Ok(SipMessage::Response(_)) => panic!("{}", folder.display()),
            // Folded headers, Latin-1, tel: and LF-only lines are everyday traffic that it refuses.
            Err(_) => ours_alone += 1,
        }
    }
    assert!(both >= 50, "{both}");
    assert!(ours_alone >= 5, "{ours_alone}");
}
