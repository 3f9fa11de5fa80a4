//! DHAT: bytes copied by `memcpy`, `memmove` and their like. What the compiler copies in place is not
//! among them.

use std::fs;

use crate::counts::Counts;
use crate::run::Run;

/// Adds what a run copied.
pub(crate) fn count(run: &Run<'_>, counts: &mut Counts) {
    let output = run.output("dhat");
    let option = format!("--dhat-out-file={}", output.display());
    let tool = ["valgrind", "--tool=dhat", "--mode=copy", &option];
    run.under(&tool, false);
    let (copies, bytes) = parse(&fs::read_to_string(&output).expect("DHAT wrote nothing"));
    counts.copies = copies as f64;
    counts.bytes_copied = bytes as f64;
    fs::remove_file(&output).unwrap();
}

/// Copies and bytes, of all places together.
fn parse(text: &str) -> (u64, u64) {
    let found: serde_json::Value = serde_json::from_str(text).unwrap();
    assert_eq!(found["mode"], "copy");
    let places = found["pps"].as_array().expect("places");
    let sum = |name| places.iter().map(|place| place[name].as_u64().expect("a count")).sum();
    (sum("tbk"), sum("tb"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn all_places_are_summed() {
        let text = r#"{"dhatFileVersion":2,"mode":"copy","pps":
            [{"tb":90,"tbk":6,"fs":[1,2]},{"tb":122,"tbk":15,"fs":[1]}],"ftbl":["[root]"]}"#;
        assert_eq!(super::parse(text), (21, 212));
    }
}
