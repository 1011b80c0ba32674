//! Files in, files out.

use std::fs;

use super::super::mapping::tests::settings as request;
use super::super::submission::tests::{answer, words};
use super::*;
use crate::responder::adapter::field::Field;

const ROW: &str = "Hop,Case,To,When\n";

fn mapping() -> FileDropMapping {
    let columns = [
        (Field::Id, "Hop"),
        (Field::CaseId, "Case"),
        (Field::Called, "To"),
        (Field::Time, "When"),
    ];
    FileDropMapping {
        csv: Some(CsvSettings {
            delimiter: ',',
            columns: columns.map(|(f, c)| (f, c.into())).to_vec(),
        }),
        request: request(),
        words: words(),
        ..FileDropMapping::default()
    }
}

fn drop_folder() -> (tempfile::TempDir, FileInlet) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("in")).unwrap();
    let settings = FileDropSettings {
        folder: dir.path().to_owned(),
        every: Duration::from_millis(1),
        quiet: Duration::from_millis(0),
        mapping: mapping(),
    };
    (dir, FileInlet::new(settings))
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.unwrap().block_on(future)
}

fn names(dir: &tempfile::TempDir, folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir.path().join(folder)) else {
        return Vec::new();
    };
    let mut names: Vec<_> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_is_moved_when_all_of_it_is_durable() {
    let (dir, mut inlet) = drop_folder();
    let text = format!(
        "{ROW}H-1,C-1,2025550123,11/24/2026 09:30\nH-2,C-1,2025550124,2026-11-24T09:30:07Z\n"
    );
    fs::write(dir.path().join("in/a.csv"), text).unwrap();
    run(async {
        let arrivals = inlet.poll().await.unwrap();
        assert_eq!(arrivals.len(), 2);
        inlet.settle(&arrivals[0]).await.unwrap();
        assert_eq!(names(&dir, "in"), ["a.csv"]);
        // The other one was not settled: it comes again, and the first does not.
        let again = inlet.poll().await.unwrap();
        assert_eq!(again, arrivals[1..]);
        inlet.settle(&again[0]).await.unwrap();
        assert_eq!(names(&dir, "in"), Vec::<String>::new());
        assert_eq!(names(&dir, "done"), ["a.csv"]);
        assert_eq!(inlet.poll().await.unwrap(), []);
    });
}

#[test]
fn what_can_not_be_read_is_kept_with_its_reason() {
    let (dir, mut inlet) = drop_folder();
    let text =
        format!("{ROW}H-1,C-1,2025550123,yesterday\nH-2,C-1,2025550124,2026-11-24T09:30:07Z\n");
    fs::write(dir.path().join("in/a.csv"), text).unwrap();
    fs::write(dir.path().join("in/b.pdf"), "%PDF").unwrap();
    fs::write(dir.path().join("in/c.json"), "{").unwrap();
    run(async {
        for _ in 0..4 {
            for arrival in inlet.poll().await.unwrap() {
                assert_eq!(&*arrival.receipt, "a.csv#1");
                inlet.settle(&arrival).await.unwrap();
            }
        }
    });
    assert_eq!(
        names(&dir, "failed"),
        [
            "a.csv",
            "a.csv.reason",
            "b.pdf",
            "b.pdf.reason",
            "c.json",
            "c.json.reason"
        ]
    );
    let why = fs::read_to_string(dir.path().join("failed/a.csv.reason")).unwrap();
    assert!(why.starts_with("request 1: time: \"yesterday\""), "{why}");
}

#[test]
fn a_file_that_still_grows_waits() {
    let (dir, mut inlet) = drop_folder();
    inlet.settings.quiet = Duration::from_millis(40);
    let path = dir.path().join("in/a.json");
    fs::write(&path, r#"{"id":"H-1""#).unwrap();
    run(async {
        assert_eq!(inlet.poll().await.unwrap(), []);
        fs::write(&path, r#"{"id":"H-1"}"#).unwrap();
        let mut arrivals = Vec::new();
        for _ in 0..200 {
            arrivals = inlet.poll().await.unwrap();
            if !arrivals.is_empty() {
                break;
            }
        }
        assert_eq!(
            arrivals[0].what,
            Incoming::Request(br#"{"id":"H-1"}"#.to_vec())
        );
    });
}

#[test]
fn our_own_protocol_keeps_its_octets() {
    let rows = read(
        "a.json",
        b"[ {\"id\": \"A\"} , {\"id\":\"B\" }, 7 ]",
        &mapping(),
    )
    .unwrap();
    let octets = |i: usize| match &rows[i] {
        Ok(Mapped::Request { octets, .. }) => octets.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(octets(0), br#"{"id": "A"}"#);
    assert_eq!(octets(1), br#"{"id":"B" }"#);
    assert!(rows[2].is_err());
}

#[test]
fn bounds_hold() {
    let many = ROW.to_owned() + &"H,C,2025550123,2026-11-24T09:30:07Z\n".repeat(MAX_ROWS + 1);
    assert!(
        read("a.csv", many.as_bytes(), &mapping())
            .unwrap_err()
            .contains("more than")
    );
    let large = vec![b' '; usize::try_from(MAX_FILE).unwrap() + 1];
    assert!(
        read("a.json", &large, &mapping())
            .unwrap_err()
            .contains("more than")
    );
    let two = "Hop,Case,To,When,To\n1,2,3,4,5\n";
    assert!(
        read("a.csv", two.as_bytes(), &mapping())
            .unwrap_err()
            .contains("two columns")
    );
}

fn parcel(body: Vec<u8>) -> Parcel {
    Parcel {
        row: 1,
        portal: "p".into(),
        kind: ParcelKind::Answer,
        subject: "H-9".into(),
        key: "6f0f4f6a-0000-5000-8000-000000000001".into(),
        body,
        tries: 0,
        due: None,
    }
}

#[test]
fn an_answer_is_a_file_once_however_often_it_is_delivered() {
    let (dir, inlet) = drop_folder();
    let mut outlet = FileOutlet::new(inlet.settings.clone());
    for _ in 0..2 {
        assert_eq!(run(outlet.deliver(&parcel(answer()))), Delivered::Taken);
    }
    let id = "6f0f4f6a-0000-5000-8000-000000000001";
    assert_eq!(
        names(&dir, "out"),
        [format!("{id}.csv"), format!("{id}.json")]
    );
    let csv = fs::read_to_string(dir.path().join(format!("out/{id}.csv"))).unwrap();
    assert!(csv.contains("H-9") && csv.contains("P-77"), "{csv}");
    let formula = String::from_utf8(answer())
        .unwrap()
        .replace("\"H-9\"", "\"=1+1\"");
    let files = write_answer("p", formula.as_bytes(), &mapping()).unwrap();
    assert!(String::from_utf8_lossy(&files[1].1).contains("'=1+1"));
}

#[test]
fn what_has_no_word_goes_to_a_person() {
    let (_dir, inlet) = drop_folder();
    let mut outlet = FileOutlet::new(inlet.settings.clone());
    let other = String::from_utf8(answer())
        .unwrap()
        .replace("UPSTREAM_DOMESTIC", "NOT_FOUND");
    let delivered = run(outlet.deliver(&parcel(other.into_bytes())));
    assert!(
        matches!(delivered, Delivered::Refused { .. }),
        "{delivered:?}"
    );
}
