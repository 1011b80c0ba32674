#![no_main]
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Some(target) = tracehop::lab::fuzz::target("page") {
        (target.check)(data);
    }
});
