//! The root directive: the base directory of relative paths in a server block.

use api::corefile::ConfigError;
use api::{PluginDef, Setup};
use std::io::ErrorKind;

/// The directive. It adds no plugin: others ask [`Setup::path`].
pub static PLUGIN: PluginDef = PluginDef { name: "root", properties: &[], metrics: &[], setup };

/// Takes the last of all paths.
fn setup(setup: &mut Setup<'_>) -> Result<(), ConfigError> {
    let mut c = setup.cursor();
    while c.next() {
        if !c.next_arg() {
            return Err(c.arg_err());
        }
        let path = c.val();
        match std::fs::metadata(path) {
            Ok(_) => (),
            Err(e) if e.kind() == ErrorKind::NotFound => tracing::warn!("Root path does not exist: {path}"),
            Err(e) => {
                let why = api::os_words(&e);
                return Err(c.err(format!("unable to access root path '{path}': stat {path}: {why}")));
            }
        }
        setup.options().root = Some(path.to_owned());
    }
    Ok(())
}
