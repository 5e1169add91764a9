//! The profile that a benchmark was built with.

/// Its name, as the folder in `target` has it.
pub fn profile() -> String {
    let program = std::env::current_exe().expect("this program");
    // target/PROFILE/deps/PROGRAM
    let folder = program.ancestors().nth(2).and_then(|folder| folder.file_name());
    folder.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}
