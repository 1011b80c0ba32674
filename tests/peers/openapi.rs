//! The descriptions of the API are OpenAPI 3.1, as another's validator reads it.

use std::path::Path;

use super::run;

#[test]
#[ignore = "needs openapi-spec-validator"]
fn peer_openapi_spec_validator_accepts_the_descriptions() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let validator = root.join("target/peers/bin/openapi-spec-validator");
    for name in ["hop-answer.yaml", "portal.yaml"] {
        let document = root.join("docs/api").join(name);
        let document = document.to_str().unwrap();
        let said = run(validator.to_str().unwrap(), &["--schema", "3.1", document]);
        assert!(said.contains("OK"), "{said}");
    }
}
