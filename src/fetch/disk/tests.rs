use super::*;

fn kept(url: &str, bytes: &[u8]) -> Kept {
    Kept {
        url: url.into(),
        bytes: bytes.to_vec(),
        since: Timestamp::from_secs(1_000),
        fresh_until: Timestamp::from_secs(2_000),
    }
}

fn open(folder: &Path) -> (Disk, Opened) {
    Disk::open(folder, 1 << 20, 100).unwrap()
}

#[test]
fn n8_what_was_kept_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (mut disk, opened) = open(dir.path());
    assert!(opened.kept.is_empty() && opened.notes.is_empty());
    let (a, b) = (
        kept("https://a.example/", b"one"),
        kept("https://b.example/", b"two"),
    );
    disk.put(&a).unwrap();
    disk.put(&b).unwrap();
    disk.sync().unwrap();
    disk.put_list(ListFile::Crl, b"list").unwrap();
    drop(disk);
    let (disk, opened) = open(dir.path());
    assert_eq!(opened.kept, [b, a]);
    assert_eq!(disk.list(ListFile::Crl).unwrap(), b"list");
    assert_eq!(disk.list(ListFile::CaList), None);
}

#[test]
fn n12_the_newest_content_of_a_url_counts_and_the_old_one_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (mut disk, _) = open(dir.path());
    for content in [b"one", b"two", b"one"] {
        disk.put(&kept("https://a.example/", content)).unwrap();
    }
    disk.sync().unwrap();
    assert_eq!(disk.octets(), 6);
    drop(disk);
    let (disk, opened) = open(dir.path());
    assert_eq!(opened.kept, [kept("https://a.example/", b"one")]);
    assert_eq!(disk.lines.len(), 2);
    assert!(disk.content(&hex(b"two")).exists());
}

#[test]
fn a_crash_between_content_and_index_costs_that_certificate_only() {
    let dir = tempfile::tempdir().unwrap();
    let (mut disk, _) = open(dir.path());
    disk.put(&kept("https://a.example/", b"one")).unwrap();
    disk.sync().unwrap();
    disk.put(&kept("https://b.example/", b"two")).unwrap();
    let orphan = disk.content(&hex(b"two"));
    fs::write(dir.path().join("sha256/half.new"), "x").unwrap();
    fs::write(dir.path().join("index.new"), "half").unwrap();
    assert!(orphan.exists());
    drop(disk);
    let (_, opened) = open(dir.path());
    assert_eq!(opened.kept, [kept("https://a.example/", b"one")]);
    assert!(!orphan.exists() && !dir.path().join("sha256/half.new").exists());
}

#[test]
fn damage_costs_a_note_and_not_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let (mut disk, _) = open(dir.path());
    disk.put(&kept("https://a.example/", b"one")).unwrap();
    disk.put(&kept("https://b.example/", b"two")).unwrap();
    disk.sync().unwrap();
    fs::write(disk.content(&hex(b"one")), "other").unwrap();
    drop(disk);
    let index = dir.path().join("index.jsonl");
    let text = fs::read_to_string(&index).unwrap();
    fs::write(&index, format!("{text}{{\"url\":\nx\n")).unwrap();
    let (disk, opened) = open(dir.path());
    assert_eq!(opened.kept, [kept("https://b.example/", b"two")]);
    assert_eq!(opened.notes.len(), 2, "{:?}", opened.notes);
    drop(disk);
    fs::write(&index, "{\"tracehop_certificates\":2}\n").unwrap();
    assert_eq!(open(dir.path()).1.kept, []);
}

#[test]
fn a_name_in_the_index_never_leads_out_of_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let line = serde_json::json!({"url": "https://a.example/", "sha256": "../../secret", "octets": 1,
        "since": "2026-01-01T00:00:00Z", "fresh_until": "2026-01-01T00:00:00Z"});
    fs::write(dir.path().join("index.jsonl"), format!("{HEAD}\n{line}\n")).unwrap();
    let (disk, opened) = open(dir.path());
    assert!(disk.lines.is_empty() && opened.notes.len() == 1);
}

#[test]
fn it_is_bounded_and_the_oldest_leave() {
    let dir = tempfile::tempdir().unwrap();
    let (mut disk, _) = Disk::open(dir.path(), 10, 100).unwrap();
    for i in 0..5 {
        let url = format!("https://{i}.example/");
        disk.put(&kept(&url, &[b'0' + i; 4])).unwrap();
    }
    disk.sync().unwrap();
    assert_eq!(disk.octets(), 8);
    assert_eq!(fs::read_dir(dir.path().join("sha256")).unwrap().count(), 2);
    drop(disk);
    let (_, opened) = Disk::open(dir.path(), 10, 1).unwrap();
    assert_eq!(opened.kept.len(), 1);
    assert_eq!(&*opened.kept[0].url, "https://4.example/");
}

#[test]
fn a_second_process_reads_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut first, _) = open(dir.path());
    first.put(&kept("https://a.example/", b"one")).unwrap();
    first.sync().unwrap();
    let (mut second, opened) = open(dir.path());
    assert_eq!((opened.kept.len(), opened.notes.len()), (1, 1));
    second.put(&kept("https://b.example/", b"two")).unwrap();
    second.sync().unwrap();
    drop((first, second));
    assert_eq!(open(dir.path()).1.kept.len(), 1);
}
