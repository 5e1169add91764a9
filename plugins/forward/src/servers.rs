//! The name servers that a file names: resolv.conf(5), or one that looks like it.

use api::gotext::quote;
use api::os_words;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};

/// What a file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The name servers, as they stand there.
    pub servers: Vec<String>,
    /// What was not used of it, for the log.
    pub notes: Vec<String>,
}

/// Octets that are read of a file.
const MAX_FILE: usize = 1 << 20;
/// Name servers that are taken from a file.
const MAX_SERVERS: usize = 100;

/// The name servers in the file called `name`; `None` where it cannot be opened: the argument is taken for a host's name then.
/// What is left out, and why, is logged.
pub fn of_file(name: &str) -> Option<Vec<String>> {
    let warn = |note: &str| tracing::warn!("{} as a list of name servers: {note}", quote(name));
    match read(name) {
        Ok(found) => {
            found.notes.iter().for_each(|note| warn(note));
            Some(found.servers)
        }
        Err(e) => {
            // What looks like a path was surely not meant as a host's name.
            if name.contains('/') || ![ErrorKind::NotFound, ErrorKind::InvalidInput].contains(&e.kind()) {
                warn(&os_words(&e));
            }
            None
        }
    }
}

/// Reads a regular file: pipes and devices might keep the start waiting for ever.
fn read(name: &str) -> io::Result<Found> {
    let kind = fs::metadata(name)?;
    if !kind.is_file() {
        let what = if kind.is_dir() { "a directory" } else { "no regular file" };
        return Ok(Found { servers: Vec::new(), notes: vec![format!("it is {what}, and not read")] });
    }
    let mut octets = Vec::new();
    File::open(name)?.take(MAX_FILE as u64 + 1).read_to_end(&mut octets)?;
    Ok(name_servers(&octets))
}

/// The name servers of a resolv.conf: of each line that begins with `nameserver` the second word.
fn name_servers(octets: &[u8]) -> Found {
    let mut found = Found::default();
    let whole = if octets.len() > MAX_FILE {
        found.notes.push("it is too long, only its first 1 MiB is read".into());
        let end = octets[..MAX_FILE].iter().rposition(|&octet| octet == b'\n').unwrap_or(0);
        &octets[..end]
    } else {
        octets
    };
    for (number, line) in (1..).zip(String::from_utf8_lossy(whole).lines()) {
        let mut words = line.split_whitespace();
        if line.starts_with([';', '#']) || words.next() != Some("nameserver") {
            continue;
        }
        match words.next() {
            Some(_) if found.servers.len() == MAX_SERVERS => {
                found.notes.push(format!("it has more than {MAX_SERVERS} name servers, the others are left out"));
                break;
            }
            Some(server) => found.servers.push(server.into()),
            None => found.notes.push(format!("line {number} has no address")),
        }
    }
    if found.servers.is_empty() {
        found.notes.push("it has no line `nameserver ADDRESS`".into());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn lines() {
        for (text, servers, notes) in [
            (
                "# a comment\n;nameserver 1.1.1.1\nsearch x\nnameserver 10.0.0.1\n nameserver\tfe80::1%9 rest\nnameserver\n",
                &["10.0.0.1", "fe80::1%9"][..],
                &["line 6 has no address"][..],
            ),
            ("nameserver 10.0.0.1 # the first\r\nnameserver\t10.0.0.2;x\r\n", &["10.0.0.1", "10.0.0.2;x"], &[]),
            ("options ndots:5 use-vc unheard-of:7\nsortlist a\nlookup file bind\nnameserver ::1", &["::1"], &[]),
            ("", &[], &["it has no line `nameserver ADDRESS`"]),
            ("nameservers 10.0.0.1\nNAMESERVER 10.0.0.1\n", &[], &["it has no line `nameserver ADDRESS`"]),
            ("\0\u{fffd}nameserver 10.0.0.1\nnameserver 10.0.0.2", &["10.0.0.2"], &[]),
        ] {
            let found = name_servers(text.as_bytes());
            assert_eq!((found.servers, found.notes), (strings(servers), strings(notes)), "{text:?}");
        }
        assert_eq!(name_servers(b"nameserver 10.0.0.1\n\xff\xfe\nnameserver \xff").servers, ["10.0.0.1", "\u{fffd}"]);
    }

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn many_and_much() {
        let many = |count| (0..count).map(|n| format!("nameserver 10.0.0.{n}\n")).collect::<String>();
        assert_eq!(name_servers(many(20).as_bytes()).servers.len(), 20);
        let found = name_servers(many(120).as_bytes());
        assert_eq!((found.servers.len(), found.notes.len()), (MAX_SERVERS, 1), "{:?}", found.notes);

        let much = format!("nameserver 10.0.0.1\n{}\nnameserver 10.0.0.2", "#".repeat(MAX_FILE - 30));
        let found = name_servers(much.as_bytes());
        assert_eq!((found.servers, found.notes.len()), (strings(&["10.0.0.1"]), 1), "no address is cut");
        assert_eq!(name_servers(&vec![b'x'; 2 * MAX_FILE]).notes.len(), 2);
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let (pipe, file) = (folder.path().join("pipe"), folder.path().join("file"));
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs");
        assert!(made.success());
        fs::write(&file, "nameserver 10.0.0.1\n").expect("written");
        let (tell, told) = std::sync::mpsc::channel();
        let paths = [pipe, folder.path().to_owned(), file, folder.path().join("missing"), "/dev/zero".into()];
        let reader = std::thread::spawn(move || {
            for path in paths {
                tell.send(of_file(path.to_str().expect("UTF-8"))).expect("somebody listens");
            }
        });
        let next = || told.recv_timeout(Duration::from_secs(20)).expect("it is not waited for");
        let found: [_; 5] = std::array::from_fn(|_| next());
        assert_eq!(found, [Some(vec![]), Some(vec![]), Some(strings(&["10.0.0.1"])), None, Some(vec![])]);
        reader.join().expect("no panic");
    }
}
