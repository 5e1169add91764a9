//! Reads the recordings: `tests/golden/FAMILY.json.gz`, an object that has a file's scenarios under the file's name.

use super::scenario::{Labelled, Scenario};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};

/// All scenarios of a family, in the order of their files.
///
/// # Panics
/// The recordings cannot be read.
pub(super) fn family(name: &str) -> Vec<Labelled> {
    let path = folder().join(format!("{name}.json.gz"));
    let file = File::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let files: BTreeMap<String, Value> =
        serde_json::from_reader(GzDecoder::new(file)).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    files.into_iter().flat_map(|(file, value)| scenarios(&format!("{name}/{file}"), value)).collect()
}

fn scenarios(file: &str, value: Value) -> Vec<Labelled> {
    let (many, values) = match value {
        Value::Array(values) => (true, values),
        one => (false, vec![one]),
    };
    let labelled = |value: Value| {
        let name = value["name"].as_str().unwrap_or_default();
        let label = if many { format!("{file} [{name}]") } else { file.to_owned() };
        let mut scenario: Scenario = serde_json::from_value(value).unwrap_or_else(|e| panic!("{label}: {e}"));
        scenario.lengthen();
        Labelled { label, scenario }
    };
    values.into_iter().map(labelled).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Renews the copy: `GOLDEN_FROM=/folder/of/recordings cargo test --test it renew_the_copy -- --ignored`.
#[test]
#[ignore = "rewrites tests/golden"]
fn renew_the_copy() {
    let from = PathBuf::from(std::env::var("GOLDEN_FROM").expect("GOLDEN_FROM, the folder with the recordings"));
    for entry in entries(&from).into_iter().filter(|e| e.is_dir()) {
        let mut files = BTreeMap::new();
        read_folder(&entry, "", &mut files);
        if !files.is_empty() {
            let target = folder().join(format!("{}.json.gz", name_of(&entry)));
            let out = BufWriter::new(File::create(target).expect("a file in tests/golden"));
            let mut out = GzEncoder::new(out, Compression::best());
            serde_json::to_writer(&mut out, &files).expect("written");
            out.finish().expect("written");
        }
    }
}

/// The recordings of a folder and its folders, under their names from here.
fn read_folder(folder: &Path, prefix: &str, files: &mut BTreeMap<String, Value>) {
    for path in entries(folder) {
        let name = format!("{prefix}{}", name_of(&path));
        if path.is_dir() {
            read_folder(&path, &format!("{name}/"), files);
        } else if name.ends_with(".json") {
            let text = fs::read(&path).expect("a file");
            let value = serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            files.insert(name, value);
        }
    }
}

/// What is in a folder, by name.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(folder).expect("a folder").map(|e| e.expect("an entry").path()).collect();
    all.sort();
    all
}

fn name_of(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}
