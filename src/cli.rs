//! The command line: flags to options; no input or output.
//!
//! Flags are those of CoreDNS in the syntax of Go's flag package (`-conf X`, `--conf=X`), which no argument crate reads:
//! they take a word behind one dash for a bundle of letters.

use std::fmt::Write;

/// What the process is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Serve.
    Serve(Options),
    /// Look for mistakes in Corefiles.
    Check(Check),
    /// Print name and version.
    Version,
    /// Print the directives.
    Plugins,
    /// Print the flags.
    Help,
    /// Print the flags of `check`.
    CheckHelp,
}

/// How to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The Corefile (`-conf`): a path, or `stdin`; empty for `./Corefile` or the built-in default.
    pub conf: String,
    /// Port of addresses without one (`-dns.port`, `-p`), as written.
    pub port: String,
    /// File for the process ID (`-pidfile`); empty for none.
    pub pidfile: String,
    /// No start-up lines (`-quiet`).
    pub quiet: bool,
    /// How log lines are written (`-log-format`).
    pub log: LogFormat,
    /// File for the last Corefile that worked (`-fallback`); empty for none.
    pub fallback: String,
}

/// What to look for mistakes in, and how to tell them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Corefiles and ConfigMaps; `-` is standard input. At least one.
    pub files: Vec<String>,
    /// The configuration with which each is compared (`-against`); empty for none.
    pub against: String,
    /// Port of addresses without one (`-dns.port`, `-p`), as written.
    pub port: String,
    /// How findings are told (`-format`).
    pub format: CheckFormat,
    /// What makes the exit status 1.
    pub fails: Fails,
}

/// How findings are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckFormat {
    /// For people, with a picture of the line.
    Text,
    /// A JSON object.
    Json,
}

/// Which findings are a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fails {
    /// Mistakes.
    Mistakes,
    /// Warnings too (`-strict`).
    Warnings,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// As CoreDNS writes them.
    Text,
    /// A JSON object each.
    Json,
}

/// Why the command line is refused: the text, and whether the flags are to be shown with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A flag is wrong: exit status 2, with the usage.
    Flag(String),
    /// A word too much: exit status 1.
    Words(String),
    /// A flag of `check` is wrong: exit status 2, with its usage.
    Check(String),
}

/// A flag: its name, the name of its value (empty for a switch), what it does.
struct Flag(&'static str, &'static str, &'static str);

const FLAGS: &[Flag] = &[
    Flag("conf", "file", "Corefile to load; \"stdin\" reads it from standard input"),
    Flag("dns.port", "port", "port of server block addresses that name none (default \"53\")"),
    Flag("fallback", "file", "keeps a copy of the Corefile that works, to start with when the Corefile is broken"),
    Flag("log-format", "format", "how log lines are written: text (default) or json"),
    Flag("p", "port", "the same as -dns.port"),
    Flag("pidfile", "path", "file to write the process ID to"),
    Flag("plugins", "", "list the directives and exit"),
    Flag("quiet", "", "no lines about version and zones at the start"),
    Flag("version", "", "show the version and exit"),
];

const CHECK_FLAGS: &[Flag] = &[
    Flag("against", "file", "also tell what is different from this Corefile or ConfigMap"),
    Flag("dns.port", "port", "port of server block addresses that name none (default \"53\")"),
    Flag("format", "format", "how findings are told: text (default) or json"),
    Flag("p", "port", "the same as -dns.port"),
    Flag("strict", "", "warnings are failures too"),
];

/// Reads the arguments behind the program's name.
///
/// # Errors
/// A flag that does not exist, has no value or a wrong one; words that are no flags.
pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Command, Refused> {
    let mut arguments = arguments.into_iter().peekable();
    match arguments.next_if(|word| word == "check") {
        Some(_) => check(arguments).map_err(Refused::Check),
        None => serve(arguments),
    }
}

fn serve(arguments: impl Iterator<Item = String>) -> Result<Command, Refused> {
    let Some(given) = read(FLAGS, arguments).map_err(Refused::Flag)? else { return Ok(Command::Help) };
    let mut options = Options {
        conf: String::new(),
        port: "53".into(),
        pidfile: String::new(),
        quiet: false,
        log: LogFormat::Text,
        fallback: String::new(),
    };
    let (mut version, mut plugins) = (false, false);
    for (name, value) in given.flags {
        match name {
            "conf" => options.conf = value,
            "fallback" => options.fallback = value,
            "log-format" => options.log = log_format(&value).map_err(Refused::Flag)?,
            "pidfile" => options.pidfile = value,
            "plugins" => plugins = value == ON,
            "quiet" => options.quiet = value == ON,
            "version" => version = value == ON,
            _ => options.port = value,
        }
    }
    match given.words[..] {
        [] if version => Ok(Command::Version),
        [] if plugins => Ok(Command::Plugins),
        [] => Ok(Command::Serve(options)),
        _ => Err(Refused::Words(format!("extra command line arguments: [{}]", given.words.join(" ")))),
    }
}

fn check(arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let Some(given) = read(CHECK_FLAGS, arguments)? else { return Ok(Command::CheckHelp) };
    let mut check = Check {
        files: given.words,
        against: String::new(),
        port: "53".into(),
        format: CheckFormat::Text,
        fails: Fails::Mistakes,
    };
    for (name, value) in given.flags {
        match name {
            "against" => check.against = value,
            "format" => check.format = check_format(&value)?,
            "strict" => check.fails = if value == ON { Fails::Warnings } else { Fails::Mistakes },
            _ => check.port = value,
        }
    }
    if check.files.is_empty() {
        check.files.push("Corefile".into());
    }
    Ok(Command::Check(check))
}

/// What arguments say.
struct Given {
    /// The flags with their values; that of a switch is [`ON`] or something else.
    flags: Vec<(&'static str, String)>,
    /// The words behind the flags.
    words: Vec<String>,
}

/// Splits arguments into flags and what follows; `None` where help is wanted.
fn read(flags: &'static [Flag], arguments: impl Iterator<Item = String>) -> Result<Option<Given>, String> {
    let mut arguments = arguments;
    let mut given = Given { flags: Vec::new(), words: Vec::new() };
    while let Some(word) = arguments.next() {
        let Some(flag) = word.strip_prefix("--").or(word.strip_prefix('-')).filter(|f| !f.is_empty()) else {
            let terminator = word == "--";
            given.words = (!terminator).then_some(word).into_iter().chain(arguments).collect();
            break;
        };
        let (name, value) = flag.split_once('=').map_or((flag, None), |(n, v)| (n, Some(v.to_owned())));
        if name == "h" || name == "help" {
            return Ok(None);
        }
        let Some(known) = flags.iter().find(|f| f.0 == name) else {
            return Err(format!("flag provided but not defined: -{name}"));
        };
        let value = match known.1.is_empty() {
            true => switch(name, value.as_deref())?.to_owned(),
            false => {
                let missing = || format!("flag needs an argument: -{name}");
                value.or_else(|| arguments.next()).ok_or_else(missing)?
            }
        };
        given.flags.push((known.0, value));
    }
    Ok(Some(given))
}

/// The value of a switch that is on.
const ON: &str = "true";

/// The value of a switch: on without one, else as Go's `strconv.ParseBool` reads it.
fn switch(name: &str, value: Option<&str>) -> Result<&'static str, String> {
    match value {
        None | Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(ON),
        Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok("false"),
        Some(v) => Err(format!("invalid boolean value \"{v}\" for -{name}: parse error")),
    }
}

fn log_format(value: &str) -> Result<LogFormat, String> {
    match value {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        v => Err(format!("invalid value \"{v}\" for flag -log-format: text or json expected")),
    }
}

fn check_format(value: &str) -> Result<CheckFormat, String> {
    match value {
        "text" => Ok(CheckFormat::Text),
        "json" => Ok(CheckFormat::Json),
        v => Err(format!("invalid value \"{v}\" for flag -format: text or json expected")),
    }
}

/// The flags, for people.
pub fn usage(program: &str) -> String {
    let check = format!("\n{program} check looks for mistakes in a Corefile: {program} check -help\n");
    format!("Usage of {program}:\n") + &listed(FLAGS) + &check
}

/// The flags of `check`, for people.
pub fn check_usage(program: &str) -> String {
    let words = "Looks for mistakes in Corefiles, and ConfigMaps with one: opens no socket, asks nobody, writes nothing.\n\
                 FILE is ./Corefile by default, \"-\" is standard input.\n\
                 Exit status: 0 without mistakes, 1 with some, 2 for wrong flags.\n";
    format!("Usage of {program} check: {program} check [flags] [FILE...]\n{words}") + &listed(CHECK_FLAGS)
}

fn listed(flags: &[Flag]) -> String {
    let mut text = String::new();
    for Flag(name, value, help) in flags {
        let gap = if value.is_empty() { "" } else { " " };
        let _ = writeln!(text, "  -{name}{gap}{value}\n    \t{help}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, Refused> {
        parse(line.split_whitespace().map(String::from))
    }

    #[test]
    fn flags_as_go_reads_them() {
        let Ok(Command::Serve(o)) = parsed("-conf a --p=5353 -quiet -pidfile=x") else { panic!() };
        assert_eq!((o.conf.as_str(), o.port.as_str(), o.pidfile.as_str(), o.quiet), ("a", "5353", "x", true));
        let Ok(Command::Serve(o)) = parsed("-quiet=false -log-format json") else { panic!() };
        assert_eq!((o.quiet, o.log), (false, LogFormat::Json));
        assert_eq!(parsed("-version"), Ok(Command::Version));
        assert_eq!(parsed("-plugins -quiet"), Ok(Command::Plugins));
        assert_eq!(parsed("-h"), Ok(Command::Help));
    }

    #[test]
    fn check_has_flags_of_its_own() {
        let check = |line: &str| match parsed(line) {
            Ok(Command::Check(check)) => check,
            other => panic!("{line}: {other:?}"),
        };
        let plain = check("check");
        assert_eq!((plain.files, plain.port.as_str(), plain.fails), (vec!["Corefile".into()], "53", Fails::Mistakes));
        let all = check("check -format json -strict -p=1053 -against old - new");
        assert_eq!(
            (all.files, all.format, all.fails),
            (vec!["-".into(), "new".into()], CheckFormat::Json, Fails::Warnings)
        );
        assert_eq!((all.port.as_str(), all.against.as_str()), ("1053", "old"));
        assert_eq!(parsed("check -help"), Ok(Command::CheckHelp));
        for (line, words) in [
            ("check -quiet", "flag provided but not defined: -quiet"),
            ("check -format xml", "invalid value \"xml\" for flag -format: text or json expected"),
        ] {
            assert_eq!(parsed(line), Err(Refused::Check(words.into())));
        }
    }

    #[test]
    fn what_is_refused() {
        let flag = |text: &str| Err(Refused::Flag(text.into()));
        assert_eq!(parsed("-nosuch"), flag("flag provided but not defined: -nosuch"));
        assert_eq!(parsed("-conf"), flag("flag needs an argument: -conf"));
        assert_eq!(parsed("-quiet=maybe"), flag("invalid boolean value \"maybe\" for -quiet: parse error"));
        assert_eq!(parsed("x y"), Err(Refused::Words("extra command line arguments: [x y]".into())));
    }
}
