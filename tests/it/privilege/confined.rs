//! Starts the daemon with no more than it needs: without root, with one capability, with its list of system calls; where a test may make
//! such things, with a network of its own and with files that cannot be written. What may not be made is said, and left out.

use super::profile;
use crate::server::Daemon;
use std::env;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The user of the image.
pub(super) const USER: u32 = 65_532;

/// Where this is set the test is in a network of its own.
const ALONE: &str = "PRIVILEGE_ALONE";
/// The flags of the daemon, one in a line.
const FLAGS: &str = "PRIVILEGE_FLAGS";
/// Where this is set no file may be written but those in the folder `state`.
const READ_ONLY: &str = "PRIVILEGE_READ_ONLY";

/// How lines begin that say what is left out.
const SAYS: &str = "privilege: ";

/// Makes all files read-only but those in `$1`, gives the C library the resolver of the test, and goes on as the other arguments say.
const MAKE_READ_ONLY: &str = r#"
set -e
state=$1
shift
mount --bind "$state" "$state"
if [ -e resolv.conf ] && [ -e /etc/resolv.conf ]; then mount --bind resolv.conf /etc/resolv.conf; fi
while read -r _ _ _ _ point _; do
  # What one file system has below another may be out of reach.
  [ "$point" = "$state" ] || mount -o remount,bind,ro "$point" 2>/dev/null || :
done </proc/self/mountinfo
exec "$@"
"#;

/// What this process may do for the daemon.
#[derive(Clone, Copy)]
pub(super) struct Means {
    /// It is alone in its network: every port can be had.
    pub(super) network: bool,
    /// Files can be made read-only.
    pub(super) files: bool,
    /// The daemon can be another user.
    pub(super) user: bool,
}

impl Means {
    pub(super) fn found() -> Means {
        let network = env::var_os(ALONE).is_some();
        let files = works(Command::new("unshare").args(["--mount", "true"]));
        let user = works(Command::new("setpriv").args(setpriv()).arg("test").arg("-x").arg(this()));
        if !files {
            say("files can be written, as far as the user may");
        }
        if !user {
            say("as the user that the test has");
        }
        Means { network, files, user }
    }

    /// A folder of the daemon, in which it can write to `state`.
    pub(super) fn folder(self) -> TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("ours");
        let state = folder.path().join("state");
        fs::create_dir(&state).expect("made");
        if self.user {
            chown(state, Some(USER), Some(USER)).expect("ours");
        }
        folder
    }

    /// The daemon in its folder.
    pub(super) fn start(self, folder: TempDir, flags: &[&str]) -> Daemon {
        let mut words: Vec<OsString> = Vec::new();
        if self.files {
            words.extend(["unshare", "--mount", "sh", "-c", MAKE_READ_ONLY, "sh"].map(OsString::from));
            words.push(folder.path().join("state").into());
        }
        if self.user {
            words.push("setpriv".into());
            words.extend(setpriv().map(OsString::from));
        }
        words.push(this());
        words.extend(this_test("privilege::confined::becomes_the_daemon").map(OsString::from));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env(FLAGS, flags.join("\n"));
        if self.files {
            command.env(READ_ONLY, "");
        }
        Daemon::run(folder, command)
    }
}

/// Runs a test of this program in a process of its own, with a network of its own if it may have one.
pub(super) fn alone(test: &str) {
    let up = "ip link set lo up && exec \"$@\"";
    let ways: [&[&str]; 2] = [&["--net"], &["--map-root-user", "--net"]];
    let way = ways.iter().find(|way| works(Command::new("unshare").args(**way).args(["sh", "-c", up, "sh", "true"])));
    let mut command = match way {
        Some(way) => {
            let mut command = Command::new("unshare");
            command.args(*way).args(["sh", "-c", up, "sh"]).arg(this()).env(ALONE, "");
            command
        }
        None => {
            say("without a network of its own, on another port than 53");
            Command::new(this())
        }
    };
    let output = command.args(this_test(test)).output().expect("it runs");
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    said.lines().filter_map(|line| line.strip_prefix(SAYS)).for_each(say);
}

#[test]
#[ignore = "is started by others, and is the daemon then"]
fn becomes_the_daemon() {
    let Ok(flags) = env::var(FLAGS) else { return };
    if env::var_os(READ_ONLY).is_some() {
        for folder in [".".into(), env::temp_dir()] {
            let tried = fs::write(folder.join("written"), "").map_err(|e| e.kind());
            assert_eq!(tried, Err(ErrorKind::ReadOnlyFilesystem), "{}", folder.display());
        }
    }
    profile::apply();
    let error = Command::new(crate::program()).args(flags.lines()).exec();
    panic!("{}: {error}", crate::program());
}

/// The arguments of `setpriv` for what the manifest and the unit say.
fn setpriv() -> [String; 7] {
    let capability = "-all,+net_bind_service";
    [
        format!("--reuid={USER}"),
        format!("--regid={USER}"),
        "--clear-groups".into(),
        format!("--inh-caps={capability}"),
        format!("--ambient-caps={capability}"),
        format!("--bounding-set={capability}"),
        "--no-new-privs".into(),
    ]
}

/// Says what is left out.
#[expect(clippy::print_stderr, reason = "for who runs the test")]
pub(super) fn say(text: &str) {
    eprintln!("{SAYS}{text}");
}

fn this() -> OsString {
    env::current_exe().expect("a path").into()
}

fn this_test(name: &str) -> [&str; 4] {
    ["--exact", name, "--ignored", "--nocapture"]
}

fn works(command: &mut Command) -> bool {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
